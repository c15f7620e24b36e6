import type { NodeStatusFill, NodeStatusShape } from 'node-red';
import type { BooksSnapshot } from '../core/books';
import { type Clock, systemClock, type Timer } from '../core/clock';
import { type ContactError, describe, toContactError } from '../core/errors';
import { redact, redactValue } from '../core/redaction';
import type { LiveFigures } from '../monitor/figures';
import {
  type AnyMetric,
  type MetricGroupParts,
  type MonitoredNode,
  monitored,
  type NodeActions,
  type NodeReport,
} from '../monitor/registry';
import { healthOf, type NodeState } from '../monitor/states';
import { nodeLogger } from './logger';
import { flowIdsOf, type Red, type RuntimeNode } from './node';

/** The runtime tells every open editor about a status; more often than this nobody can read it. */
const SHORTEST_INTERVAL_MS = 1_000;
/** The texts are in this one catalogue, so that no node needs its own copy. */
const CATALOGUE = '@contactflow/node-red-contact-center/contact-monitor:';

const LOOKS: Record<NodeState, { fill: NodeStatusFill; shape: NodeStatusShape }> = {
  idle: { fill: 'green', shape: 'dot' },
  'not-configured': { fill: 'red', shape: 'ring' },
  connecting: { fill: 'yellow', shape: 'ring' },
  connected: { fill: 'green', shape: 'dot' },
  working: { fill: 'blue', shape: 'dot' },
  degraded: { fill: 'yellow', shape: 'dot' },
  'breaker-open': { fill: 'red', shape: 'dot' },
  refused: { fill: 'red', shape: 'dot' },
  stalled: { fill: 'red', shape: 'dot' },
  disconnected: { fill: 'red', shape: 'ring' },
  failed: { fill: 'red', shape: 'ring' },
  paused: { fill: 'grey', shape: 'ring' },
};

/** What goes with a state. */
export interface StatusOptions {
  /** A key below `contact-monitor.status` in the catalogue of contact-monitor; the name of the state when left out. */
  text?: string;
  /** What the text names as `__name__`. */
  values?: Record<string, string | number>;
  /** Why, in one sentence; it goes to `/health` and to Status nodes, not onto the canvas. */
  reason?: string;
}

/** Where the report of a node takes its facts from; each is asked only when someone looks. */
export interface StatusSources {
  books?: () => BooksSnapshot;
  details?: () => Record<string, unknown>;
  metrics?: () => AnyMetric[];
  /** See {@link NodeReport.groups}, such as `{tokens: {refresh_attempts: 3}}`. */
  groups?: () => MetricGroupParts;
  /** See {@link NodeReport.live}. */
  live?: () => LiveFigures;
  /** What the node can be told to do now. */
  actions?: () => NodeActions;
}

/** Should a node fail while it starts, the status that tells of that takes the place of the one that it has made. */
const statuses = new WeakMap<RuntimeNode, Status>();

/**
 * The status of a node, of which it has one: on the canvas at most once a second, the newest wins; in the registry of the monitor at once.
 * It ends by itself when the node is closed.
 *
 * A status object carries `state` and `reason` besides what the editor shows, so that flows can act on them.
 */
export class Status {
  private state: NodeState = 'idle';
  private options: StatusOptions = {};
  private since: number;
  private shown = '';
  private shownAt = Number.NEGATIVE_INFINITY;
  private announced: NodeState = 'idle';
  private timer: Timer | undefined;
  private readonly self: MonitoredNode;
  private readonly leave: () => void;
  private closed = false;

  constructor(
    private readonly RED: Red,
    private readonly node: RuntimeNode,
    private readonly sources: StatusSources = {},
    private readonly clock: Clock = systemClock,
  ) {
    this.since = clock.now();
    statuses.get(node)?.close();
    statuses.set(node, this);
    this.self = {
      id: node.id,
      type: node.type,
      name: node.name || node.type,
      flowIds: () => flowIdsOf(node),
      report: () => this.report(),
      ...(sources.actions ? { actions: sources.actions } : {}),
    };
    this.leave = monitored.add(this.self);
    node.on('close', () => this.close());
  }

  /** Says what the node does now. Cheap enough to be called for each batch. */
  set(state: NodeState, options: StatusOptions = {}): void {
    if (this.closed) return;
    const now = this.clock.now();
    this.options = options;
    if (state !== this.state) {
      this.state = state;
      this.since = now;
      // A change of health is never too short to be told; the others come with the status.
      if (healthOf(state) !== healthOf(this.announced)) this.announce();
    }
    if (this.timer !== undefined) return;
    const waitMs = this.shownAt + SHORTEST_INTERVAL_MS - now;
    if (waitMs <= 0) this.show();
    else this.timer = this.clock.setTimeout(() => this.show(), waitMs);
  }

  /** Shows and logs why the node cannot work as it is. Gives the error back. */
  cannotStart(thrown: unknown): ContactError {
    const error = toContactError(thrown, 'start the node');
    this.set(error.code === 'CONFIGURATION' ? 'not-configured' : 'failed', { reason: error.message });
    nodeLogger(this.RED, this.node).error(error.message, { code: error.code });
    return error;
  }

  /**
   * Tells the monitor that a part of the node has gone from one state to another, such as one of several organizations.
   * The state of the node itself stays as it is.
   */
  tellOfPart(part: string, previous: NodeState, state: NodeState, reason?: string): void {
    if (this.closed) return;
    monitored.announce({
      node: { ...this.self, name: `${this.self.name}: ${part}` },
      previous,
      state,
      since: this.clock.now(),
      ...(reason === undefined ? {} : { reason: redact(reason) }),
    });
  }

  /** Leaves the registry and sets no status any more. Happens by itself when the node is closed. */
  close(): void {
    this.closed = true;
    this.clock.clearTimeout(this.timer);
    this.timer = undefined;
    this.leave();
  }

  /** What the node says about itself now. */
  report(): NodeReport {
    const report: NodeReport = { state: this.state, since: this.since };
    if (this.options.reason !== undefined) report.reason = redact(this.options.reason);
    try {
      if (this.sources.books) report.books = this.sources.books();
      if (this.sources.metrics) report.metrics = this.sources.metrics();
      if (this.sources.groups) report.groups = this.sources.groups();
      if (this.sources.live) report.live = this.sources.live();
      if (this.sources.details) report.details = redactValue(this.sources.details()) as Record<string, unknown>;
    } catch (thrown) {
      report.details = { reportFailed: describe(thrown) };
    }
    return report;
  }

  private show(): void {
    this.timer = undefined;
    if (this.state !== this.announced) this.announce();
    const reason = this.options.reason === undefined ? undefined : redact(this.options.reason);
    const status = {
      ...LOOKS[this.state],
      text: this.translate(),
      state: this.state,
      ...(reason === undefined ? {} : { reason }),
    };
    this.shownAt = this.clock.now();
    const asText = JSON.stringify(status);
    if (asText === this.shown) return;
    this.shown = asText;
    this.node.status(status);
  }

  private translate(): string {
    const name = this.options.text ?? this.state;
    const key = `contact-monitor.status.${name}`;
    const text = this.RED._(CATALOGUE + key, this.options.values);
    // A missing translation comes back as its own key: then the bare word is the better text.
    return text.endsWith(key) ? name : text;
  }

  private announce(): void {
    const { state, since, announced: previous } = this;
    const { reason } = this.options;
    this.announced = state;
    monitored.announce({
      node: this.self,
      previous,
      state,
      since,
      ...(reason === undefined ? {} : { reason: redact(reason) }),
    });
  }
}
