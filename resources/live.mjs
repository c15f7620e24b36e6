// The live view: what the sidebar of the editor shows, and the page at /health. It is given frames, one a second, and
// keeps one element for each node, so that nothing that has the focus is ever replaced.

import { Chart } from './charts.mjs';

function element(name, className, parent) {
  const made = document.createElement(name);
  if (className) made.className = className;
  parent?.append(made);
  return made;
}

/** Writes a text only when it is another one, so that screen readers are not told the same again and again. */
function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function number(value, language) {
  return value.toLocaleString(language, {
    maximumFractionDigits: value < 10 ? 1 : 0,
  });
}

function milliseconds(seconds, language) {
  return `${number(seconds * 1_000, language)} ms`;
}

/** Height of the line for each state of a breaker: what is wrong stands out. */
const BREAKER_LEVELS = { closed: 0, 'half-open': 1, open: 2 };

/** A line for each state, which is only there while the breaker is in it. */
const BREAKER_LINES = Object.entries(BREAKER_LEVELS).map(([state, level]) => ({
  style: `breaker-${state}`,
  value: ({ breaker }) => (breaker === state ? level : undefined),
}));

/**
 * What is charted of a node, while `of` says something else than `undefined`: lines with the end of their class name,
 * and words for those that have a text of their own.
 */
const FIGURES = {
  rate: {
    of: ({ rate }) => rate,
    lines: [
      { style: 'received', value: ({ rate }) => rate?.received, words: number },
      { style: 'done', value: ({ rate }) => rate?.done, words: number },
    ],
  },
  waiting: {
    of: ({ waiting }) => waiting,
    lines: [{ style: 'waiting', value: ({ waiting }) => waiting, words: number }],
  },
  latency: {
    of: ({ latency }) => latency,
    least: 0.001,
    lines: [
      { style: 'p50', value: ({ latency }) => latency?.p50, words: milliseconds },
      { style: 'p95', value: ({ latency }) => latency?.p95, words: milliseconds },
    ],
  },
  breaker: { of: ({ breaker }) => breaker, least: 2, lines: BREAKER_LINES },
  tokens: {
    of: ({ tokensLeft }) => tokensLeft,
    lines: [{ style: 'tokens', value: ({ tokensLeft }) => tokensLeft, words: number }],
  },
};

/** A figure of a node: what it is now, in the colour of its line, and how it went over the last minutes. */
class Figure {
  constructor(parent, name, { text, language }) {
    this.name = name;
    this.text = text;
    this.language = language;
    this.what = FIGURES[name];
    this.box = element('figure', 'contact-live-figure', parent);
    this.box.dataset.figure = name;
    this.box.title = text(`explain.${name}`);
    this.caption = element('figcaption', '', this.box);
    const { lines, least } = this.what;
    this.spans = lines.map(({ style, words }) => words && element('span', `contact-live-${style}`, this.caption));
    this.chart = new Chart(
      lines.map(({ style }) => style),
      least,
    );
    this.box.append(this.chart.svg);
  }

  show(node) {
    const { name, text } = this;
    const { lines } = this.what;
    const values = lines.map(({ value }) => value(node));
    this.chart.add(values);
    if (name === 'breaker') {
      write(this.caption, node.breaker === undefined ? '' : text(`breaker.${node.breaker}`));
      return;
    }
    for (const [index, { style, words }] of lines.entries()) {
      const value = values[index];
      write(
        this.spans[index],
        value === undefined ? '' : text(`figure.${style}`, { count: words(value, this.language) }),
      );
    }
  }
}

/** One node of a service. */
class Card {
  constructor(parent, id, tools) {
    const { text, act, reveal } = tools;
    this.id = id;
    this.tools = tools;
    this.text = text;
    this.act = act;
    this.box = element('li', 'contact-live-node', parent);
    const head = element('div', 'contact-live-head', this.box);
    this.dot = element('span', 'contact-live-dot', head);
    this.name = element(reveal ? 'button' : 'span', 'contact-live-name', head);
    if (reveal) {
      this.name.type = 'button';
      this.name.title = text('reveal');
      this.name.addEventListener('click', () => reveal(id));
    }
    this.state = element('span', 'contact-live-state', head);
    this.reason = element('p', 'contact-live-reason', this.box);
    this.figures = new Map();
    this.charts = element('div', 'contact-live-figures', this.box);
    this.buttons = element('div', 'contact-live-buttons', this.box);
    this.answer = element('p', 'contact-live-answer', this.box);
    this.answer.setAttribute('role', 'status');
  }

  show(node) {
    const { text } = this;
    this.box.dataset.status = node.status;
    write(this.name, node.name);
    this.name.dataset.type = node.type;
    write(this.state, text(`state.${node.state}`));
    this.box.title = `${node.type} · ${text('since', { time: new Date(node.since).toLocaleString(this.tools.language) })}`;
    const isWell = node.status === 'healthy';
    write(this.reason, isWell ? '' : (node.reason ?? text(`advice.${node.state}`)));
    this.showFigures(node);
    if (node.books) this.showBooks(node.books);
    if (this.act) this.showButtons(node.actions);
  }

  showFigures(node) {
    for (const [name, { of }] of Object.entries(FIGURES)) {
      if (!this.figures.has(name)) {
        if (of(node) === undefined) continue;
        this.figures.set(name, new Figure(this.charts, name, this.tools));
      }
      this.figures.get(name).show(node);
    }
  }

  showBooks({ balanced, ...accounts }) {
    if (!this.books) {
      const details = element('details', 'contact-live-books');
      this.summary = element('summary', '', details);
      this.books = element('dl', '', details);
      this.buttons.before(details);
    }
    write(this.summary, this.text(balanced ? 'books.balanced' : 'books.unbalanced'));
    this.summary.parentElement.dataset.balanced = String(balanced);
    for (const [account, count] of Object.entries(accounts)) {
      let value = this.books.querySelector(`[data-account="${account}"]`);
      if (!value) {
        element('dt', '', this.books).textContent = this.text(`books.${account}`);
        value = element('dd', '', this.books);
        value.dataset.account = account;
      }
      write(value, number(count, this.tools.language));
    }
  }

  showButtons(actions) {
    const shown = [...this.buttons.children].map(({ dataset }) => dataset.action);
    if (shown.join() === actions.join()) return;
    this.buttons.replaceChildren();
    for (const action of actions) {
      const button = element('button', 'red-ui-button red-ui-button-small', this.buttons);
      button.type = 'button';
      button.dataset.action = action;
      button.textContent = this.text(`action.${action}`);
      button.title = this.text(`help.${action}`);
      button.addEventListener('click', () => this.press(button, action));
    }
  }

  async press(button, action) {
    button.disabled = true;
    write(this.answer, '');
    try {
      const said = await this.act(this.id, action);
      write(this.answer, said ? this.text('answered', { answer: said }) : '');
    } catch (error) {
      write(this.answer, error.message);
    } finally {
      button.disabled = false;
    }
  }
}

/**
 * Shows frames in `root`. `text(key, values)` gives the texts, in the `language` of numbers and times; without
 * `act(id, action)` there are no buttons, without `reveal(id)` the names of nodes are no links.
 */
export class LiveBoard {
  constructor(root, tools) {
    this.tools = tools;
    this.root = root;
    root.classList.add('contact-live');
    this.note = element('p', 'contact-live-note', root);
    this.note.setAttribute('role', 'status');
    this.services = new Map();
    write(this.note, tools.text('waitingForData'));
  }

  show({ services }) {
    write(this.note, services.length === 0 ? this.tools.text('nothing') : '');
    const names = new Set(services.map(({ service }) => service));
    for (const [name, { section }] of this.services) {
      if (names.has(name)) continue;
      section.remove();
      this.services.delete(name);
    }
    for (const each of services) this.showService(each);
  }

  /** No frames come. */
  lost(message) {
    write(this.note, message);
  }

  showService({ service, status, nodes }) {
    let known = this.services.get(service);
    if (!known) {
      const section = element('section', '', this.root);
      const title = element('h2', '', section);
      element('span', 'contact-live-dot', title);
      element('span', '', title).textContent = service === 'unassigned' ? this.tools.text('unassigned') : service;
      known = { section, count: element('small', '', title), list: element('ul', '', section), cards: new Map() };
      this.services.set(service, known);
    }
    const { section, count, list, cards } = known;
    section.dataset.status = status;
    const well = nodes.filter((node) => node.status === 'healthy').length;
    write(count, this.tools.text('count', { well, all: nodes.length }));
    const ids = new Set(nodes.map(({ id }) => id));
    for (const [id, card] of cards) {
      if (ids.has(id)) continue;
      card.box.remove();
      cards.delete(id);
    }
    for (const node of nodes) {
      if (!cards.has(node.id)) cards.set(node.id, new Card(list, node.id, this.tools));
      cards.get(node.id).show(node);
    }
  }
}

/** The page at /health: `texts` are nested by key, with `__name__` for values. It asks for a frame each second. */
export function openPage(root, texts) {
  const text = (key, values = {}) => {
    const found = key.split('.').reduce((part, name) => part?.[name], texts) ?? key;
    return found.replace(/__(\w+)__/g, (whole, name) => values[name] ?? whole);
  };
  const board = new LiveBoard(root, { text, language: document.documentElement.lang });
  const ask = async () => {
    try {
      if (document.visibilityState === 'hidden') return;
      const answer = await fetch(`${location.pathname}?view=live`, { headers: { accept: 'application/json' } });
      board.show(await answer.json());
    } catch {
      board.lost(text('lost'));
    } finally {
      setTimeout(ask, 1_000);
    }
  };
  void ask();
}
