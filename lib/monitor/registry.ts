import type { BooksSnapshot } from '../core/books';
import type { LiveFigures } from './figures';
import type { HistogramSnapshot } from './histogram';
import type { NodeState } from './states';

/** What every entry of `/metrics` has. */
interface MetricBase {
  /** Name as Prometheus wants it: base units, counters end in `_total`, e.g. `contact_center_socket_reconnects_total`. */
  name: string;
  /** One sentence that says what is counted or measured. */
  help: string;
  /** Few values each: never an id of a message, a person or a conversation. Service, node and type are added. */
  labels?: Record<string, string>;
}

/** One number for `/metrics`. */
export interface Metric extends MetricBase {
  type: 'counter' | 'gauge';
  value: number;
}

/** A distribution for `/metrics`. */
export interface HistogramMetric extends MetricBase {
  type: 'histogram';
  value: HistogramSnapshot;
}

/** An entry of `/metrics`. */
export type AnyMetric = Metric | HistogramMetric;

/** Parts of groups of numbers and switches, by group and name. */
export type MetricGroupParts = Record<string, Record<string, number | boolean>>;

/** What a node says about itself at this instant. */
export interface NodeReport {
  state: NodeState;
  /** Why, in one sentence, when the state needs one. */
  reason?: string;
  /** Since when it is in this state, in milliseconds since the epoch. */
  since: number;
  books?: BooksSnapshot;
  /** Plain facts without secrets, such as breaker, token, socket and queue. */
  details?: Record<string, unknown>;
  metrics?: AnyMetric[];
  /**
   * What goes into the groups of the JSON form of `/metrics`, by group and name. Of several nodes of a group, numbers
   * are added up, and a switch is on when it is on in any of them.
   */
  groups?: MetricGroupParts;
  /** What the live view shows besides; of a node with books most of it comes from them. */
  live?: LiveFigures;
}

/** What a person can tell a running node to do. */
export type NodeAction =
  /** Take nothing more in. */
  | 'pause'
  /** Go on after a pause. */
  | 'resume'
  /** Send what waits at once. */
  | 'flush'
  /** Bring back what was put aside. */
  | 'retry-dead-letters';

/** The actions that a node offers at this moment. What one resolves with is shown to the person, if it is a text. */
export type NodeActions = Partial<Record<NodeAction, () => unknown>>;

/** A node that can be asked how it is doing. */
export interface MonitoredNode {
  id: string;
  type: string;
  /** The user's name of the node; the type when it has none. */
  name: string;
  /** The ids of the tabs it works for: its own, or for a configuration node those of its users. */
  flowIds(): string[];
  report(): NodeReport;
  actions?(): NodeActions;
}

/** What a node can be told to do; nothing when it fails to say so. */
export function actionsOf(node: MonitoredNode): NodeActions {
  try {
    return node.actions?.() ?? {};
  } catch {
    return {};
  }
}

/** A node has gone from one state to another. */
export interface StateChange {
  node: MonitoredNode;
  previous: NodeState;
  state: NodeState;
  reason?: string;
  /** Milliseconds since the epoch. */
  since: number;
}

/** Knows every node of the pack that is running in this process. */
export class MonitorRegistry {
  private readonly nodes = new Set<MonitoredNode>();
  private readonly listeners = new Set<(change: StateChange) => void>();

  /** Adds a node and gives back the function that removes it again. */
  add(node: MonitoredNode): () => void {
    this.nodes.add(node);
    return () => {
      this.nodes.delete(node);
    };
  }

  /** The nodes that are running, in the order in which they were started. */
  all(): MonitoredNode[] {
    return [...this.nodes];
  }

  /** Calls `listener` at each change of state and gives back the function that ends this. */
  onChange(listener: (change: StateChange) => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  /** Tells the listeners of a change of state. */
  announce(change: StateChange): void {
    for (const listener of [...this.listeners]) listener(change);
  }
}

/** The registry of this process. */
export const monitored = new MonitorRegistry();
