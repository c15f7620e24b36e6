// Small charts of the last five minutes, as lines of an SVG: a library for charts would weigh more than all the rest.

/** So many values are in a chart: five minutes of frames. */
const MOST_VALUES = 300;
/** A chart that has just begun is not lost at the edge. */
const LEAST_VALUES = MOST_VALUES / 5;
const WIDTH = 300;
const HEIGHT = 36;
const MARGIN = 2;
const SVG = 'http://www.w3.org/2000/svg';

/** Lines over the same time and the same scale, which begins at 0. */
export class Chart {
  /** `styles` are the ends of the class names of the lines. The scale never ends below `least`. */
  constructor(styles, least = 1) {
    this.least = least;
    this.svg = document.createElementNS(SVG, 'svg');
    this.svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    this.svg.setAttribute('preserveAspectRatio', 'none');
    // The text above it says the same.
    this.svg.setAttribute('aria-hidden', 'true');
    this.lines = styles.map((style) => {
      const path = document.createElementNS(SVG, 'path');
      path.setAttribute('class', `contact-live-line contact-live-${style}`);
      this.svg.append(path);
      return { path, values: [], drawn: '' };
    });
  }

  /** Adds the newest value of each line; `undefined` leaves a gap. */
  add(values) {
    for (const [index, line] of this.lines.entries()) {
      line.values.push(values[index]);
      if (line.values.length > MOST_VALUES) line.values.shift();
    }
    const highest = this.lines.reduce(
      (most, line) => line.values.reduce((more, value = 0) => Math.max(more, value), most),
      this.least,
    );
    for (const line of this.lines) {
      const drawn = outline(line.values, highest);
      // A line that stays the same is not drawn again.
      if (drawn !== line.drawn) line.path.setAttribute('d', drawn);
      line.drawn = drawn;
    }
  }
}

function outline(values, highest) {
  const step = WIDTH / (Math.max(LEAST_VALUES, values.length) - 1);
  const start = WIDTH - (values.length - 1) * step;
  let isDrawing = false;
  const parts = values.map((value, index) => {
    if (value === undefined) {
      isDrawing = false;
      return '';
    }
    const x = (start + index * step).toFixed(1);
    const y = (HEIGHT - MARGIN - (value / highest) * (HEIGHT - 2 * MARGIN)).toFixed(1);
    // A line of no length, with round ends, is a dot: so a lone value is seen as well.
    const part = isDrawing ? `L${x},${y}` : `M${x},${y}h0`;
    isDrawing = true;
    return part;
  });
  return parts.join('');
}
