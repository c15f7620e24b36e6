/** What the process of a long run held at a time; see vitals.js. */
export interface Vitals {
  rssBytes: number;
  /** Of it, pages of files, which the system can take back; null where it does not tell. */
  mappedBytes: number | null;
  /** After a garbage collection. */
  heapBytes: number;
  externalBytes: number;
  /** Event emitters on the heap, and the listeners of all of them. */
  emitters: number;
  emittersByClass: Record<string, number>;
  listeners: number;
  eventTargets: number;
  /** Open files and sockets; null where the system does not tell. */
  handles: number | null;
  /** Sockets by the port that they were made to, everything else by its path; empty where the system does not tell. */
  handlesByKind: Record<string, number>;
  resources: number;
  /** Since the process was started. */
  cpuMicroseconds: number;
  /** How late the event loop was since the sample before. */
  loopDelayMs: { p50: number; p99: number; max: number };
}

/** One look at everything. */
export interface Sample extends Vitals {
  /** Since the beginning of the run. */
  minutes: number;
  /** How many nodes have books. */
  books: number;
  /** Each node whose books did not balance, with its books. */
  unbalanced: string[];
  /** Each check of `/health` that was not healthy, with its reason. */
  sick: string[];
  /** By service. */
  handed: Record<string, number>;
  arrived: Record<string, number>;
}

/** All that a long run has found. */
export interface SoakResult {
  /** ISO 8601 in UTC. */
  startedAt: string;
  endedAt: string;
  machine: string;
  /** What happened in a second, by service. */
  rates: Record<string, number>;
  asterisk: string;
  samples: readonly Sample[];
  /** When all work had ended and arrived. */
  handed: Record<string, number>;
  arrived: Record<string, number>;
  /** Looks that could not be made, and what was found to be lost or done twice. */
  failures: readonly string[];
  /** Lines of the log that are warnings or errors. */
  complaints: readonly string[];
}

const MEGABYTE = 1_048_576;

/** The line through points with the least squares: how much `y` grows with each unit of `x`. NaN for fewer than two. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const meanX = mean(points.map(([x]) => x));
  const meanY = mean(points.map(([, y]) => y));
  const products = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return products / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}

/** The report that a person reads, in Markdown. */
export function renderSoak(result: SoakResult): string {
  const { samples, rates, handed, arrived, failures, complaints } = result;
  const [first, last] = [samples[0]!, samples.at(-1)!];
  const late = samples.slice(Math.floor(samples.length / 2));
  const perHour = (take: (sample: Sample) => number) =>
    60 * slope(late.map((sample) => [sample.minutes, take(sample)] as const));
  const row = (name: string, unit: number, digits: number, take: (sample: Sample) => number) => {
    const text = (value: number) => (value / unit).toFixed(digits);
    const values = samples.map(take);
    const shown = [first, samples[Math.floor(samples.length / 2)]!, last].map((sample) => text(take(sample)));
    const growth = perHour(take) / unit;
    const signed = `${growth >= 0 ? '+' : '−'}${Math.abs(growth).toFixed(digits || 1)}`;
    return [name, ...shown, text(Math.min(...values)), text(Math.max(...values)), signed];
  };
  const unbalanced = samples.filter((sample) => sample.unbalanced.length > 0);
  const sick = samples.filter((sample) => sample.sick.length > 0);
  const cores = (last.cpuMicroseconds - first.cpuMicroseconds) / 60e6 / (last.minutes - first.minutes);
  const worst = (take: (sample: Sample) => number) => Math.max(...samples.map(take)).toFixed(1);
  return `${[
    '# All example flows at moderate load',
    '',
    `Written by \`npm run bench -- soak\`: ${last.minutes.toFixed(0)} minutes, from ${result.startedAt} to ${result.endedAt}.`,
    `${result.machine}. ${result.asterisk}`,
    'RabbitMQ, Redis and PostgreSQL are real; Genesys Cloud, Elasticsearch, Cody and Zoho are strict simulators in a process of',
    'their own. One Node-RED has all five example flows as they are shipped, and is the only process that is measured.',
    '',
    `Load a second: ${Object.entries(rates)
      .map(([name, rate]) => `${rate} ${name}`)
      .join(', ')}; \`/metrics\` is read every 15 seconds.`,
    `Node-RED took ${(100 * cores).toFixed(1)} % of one core.`,
    '',
    '## Memory, listeners, handles',
    '',
    `${samples.length} samples, one a minute, each after a garbage collection. The slope is that of the line with the least`,
    `squares through the second half (the last ${(last.minutes - late[0]!.minutes).toFixed(0)} minutes).`,
    '',
    ...table(
      ['', 'first', 'middle', 'last', 'least', 'most', 'slope an hour'],
      [
        row('RSS, MB', MEGABYTE, 1, ({ rssBytes }) => rssBytes),
        row('of it pages of files, MB', MEGABYTE, 1, ({ mappedBytes }) => mappedBytes ?? Number.NaN),
        row('heap, MB', MEGABYTE, 2, ({ heapBytes }) => heapBytes),
        row('outside of the heap, MB', MEGABYTE, 2, ({ externalBytes }) => externalBytes),
        row('event listeners', 1, 0, ({ listeners }) => listeners),
        row('event emitters', 1, 0, ({ emitters }) => emitters),
        row('event targets', 1, 0, ({ eventTargets }) => eventTargets),
        row('open files and sockets', 1, 0, ({ handles }) => handles ?? Number.NaN),
        row('timers and requests', 1, 0, ({ resources }) => resources),
      ],
    ),
    '',
    ...growth('Event emitters', late, ({ emittersByClass }) => emittersByClass),
    ...growth('Open files and sockets', late, ({ handlesByKind }) => handlesByKind),
    `The event loop was late by ${worst(({ loopDelayMs }) => loopDelayMs.p50)} ms at most in the median of a minute, ${worst(
      ({ loopDelayMs }) => loopDelayMs.p99,
    )} ms in its 99th percentile, ${worst(({ loopDelayMs }) => loopDelayMs.max)} ms at all.`,
    '',
    '## Books',
    '',
    `Looks at the books of ${last.books} nodes: ${samples.length}. Looks in which one did not balance: ${unbalanced.length}.`,
    `Looks in which a check of \`/health\` was not healthy: ${sick.length}.`,
    ...[...unbalanced, ...sick].flatMap(({ minutes, unbalanced: books, sick: checks }) =>
      [...books, ...checks].map((text) => `- minute ${minutes.toFixed(0)}: ${text}`),
    ),
    '',
    '## Sent and received',
    '',
    ...table(
      ['', 'sent', 'received', 'missing'],
      Object.keys(handed).map((name) => [
        name,
        String(handed[name]),
        String(arrived[name]),
        String(handed[name]! - arrived[name]!),
      ]),
    ),
    '',
    failures.length === 0
      ? 'Each document, Case, call, message and line of the audit log was checked one by one to be there exactly once.'
      : 'What was found to be wrong:',
    ...failures.map((line) => `- ${line}`),
    '',
    '## Log',
    '',
    complaints.length === 0 ? 'No warning and no error.' : `${complaints.length} warnings and errors:`,
    ...complaints.slice(0, 20).map((line) => `- \`${line}\``),
  ].join('\n')}\n`;
}

/** What there was more or less of in the last ten looks than in the first ten, as a mean; differences below one are none. */
function growth(title: string, samples: readonly Sample[], take: (sample: Sample) => Record<string, number>): string[] {
  const [early, end] = [samples.slice(0, 10), samples.slice(-10)].map((looks) => looks.map(take));
  const mean = (looks: readonly Record<string, number>[], kind: string) =>
    looks.reduce((sum, counts) => sum + (counts[kind] ?? 0), 0) / looks.length;
  const kinds = new Set([...early!, ...end!].flatMap((counts) => Object.keys(counts)));
  const lines = [...kinds].flatMap((kind) => {
    const [before, after] = [mean(early!, kind), mean(end!, kind)];
    return Math.abs(after - before) < 1
      ? []
      : [`- ${kind || 'without a name'}: ${before.toFixed(1)}, then ${after.toFixed(1)}`];
  });
  if (lines.length === 0)
    return [`${title} by kind: as many in the last ten looks as in the first ten of the second half.`, ''];
  return [`${title} by kind, in the first ten looks of the second half and in the last ten:`, '', ...lines, ''];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), `|${head.map((_, column) => (column ? '---:' : '---')).join('|')}|`, ...rows.map(line)];
}
