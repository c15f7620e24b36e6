import type { BooksSnapshot } from '../core/books';
import { isBalanced } from '../core/books';
import { packageVersion } from '../core/version';
import type { LiveFigures } from './figures';
import { quantile, since } from './histogram';
import type { Member } from './members';
import { actionsOf, type MonitoredNode, type NodeAction, type NodeReport } from './registry';
import { type Health, healthOf, type NodeState, worstOf } from './states';

/** A node in the live view. */
export interface LiveNode {
  id: string;
  type: string;
  name: string;
  state: NodeState;
  status: Health;
  /** Since when it is in this state, as ISO 8601. */
  since: string;
  /** Why it is in this state, and what to do. */
  reason?: string;
  books?: BooksSnapshot & { balanced: boolean };
  /** Messages a second, over the last seconds. */
  rate?: { received: number; done: number };
  waiting?: number;
  breaker?: string;
  tokensLeft?: number;
  /** In seconds, of what was done in the last minute. */
  latency?: { p50: number; p95: number };
  /** What the node can be told to do. */
  actions: NodeAction[];
}

/** All that the live view shows at one moment. */
export interface LiveFrame {
  /** As ISO 8601. */
  timestamp: string;
  version: string;
  status: Health;
  services: { service: string; status: Health; nodes: LiveNode[] }[];
}

/** What was seen of a node at one moment. */
interface Sighting {
  at: number;
  figures: LiveFigures;
}

const RATE_WINDOW_MS = 5_000;
const LATENCY_WINDOW_MS = 60_000;

/** Makes the frames of the live view. It remembers a minute of them, from which come rates and latencies. */
export class LiveView {
  private sightings = new Map<MonitoredNode, Sighting[]>();

  /** The frame of this moment; `now` in milliseconds since the epoch. */
  frame(members: Member[], now: number): LiveFrame {
    const sightings = new Map<MonitoredNode, Sighting[]>();
    const services = new Map<string, LiveNode[]>();
    const shown = new Map<MonitoredNode, LiveNode>();
    for (const { service, node, report } of members) {
      let live = shown.get(node);
      if (!live) {
        const seen = (this.sightings.get(node) ?? []).filter(({ at }) => now - at <= LATENCY_WINDOW_MS);
        sightings.set(node, [...seen, { at: now, figures: figuresOf(report) }]);
        live = liveNode(node, report, sightings.get(node) as Sighting[]);
        shown.set(node, live);
      }
      services.set(service, [...(services.get(service) ?? []), live]);
    }
    // Nodes that are gone are forgotten.
    this.sightings = sightings;
    const all = [...services].map(([service, nodes]) => ({
      service,
      status: worstOf(nodes.map(({ status }) => status)),
      nodes,
    }));
    return {
      timestamp: new Date(now).toISOString(),
      version: packageVersion,
      status: worstOf(all.map(({ status }) => status)),
      services: all,
    };
  }
}

function figuresOf({ live, books }: NodeReport): LiveFigures {
  if (!books) return live ?? {};
  const { received, queued, inFlight } = books;
  return { received, done: received - queued - inFlight, waiting: queued + inFlight, ...live };
}

function liveNode(node: MonitoredNode, report: NodeReport, sightings: readonly Sighting[]): LiveNode {
  const { state, reason, books } = report;
  const latest = sightings.at(-1) as Sighting;
  const { waiting, breaker, tokensLeft } = latest.figures;
  const rate = rateOf(latest, sightings);
  const latency = latencyOf(latest, sightings);
  return {
    id: node.id,
    type: node.type,
    name: node.name,
    state,
    status: healthOf(state),
    since: new Date(report.since).toISOString(),
    ...(reason === undefined ? {} : { reason }),
    ...(books ? { books: { ...books, balanced: isBalanced(books) } } : {}),
    ...(rate ? { rate } : {}),
    ...(waiting === undefined ? {} : { waiting }),
    ...(breaker === undefined ? {} : { breaker }),
    ...(tokensLeft === undefined ? {} : { tokensLeft }),
    ...(latency ? { latency } : {}),
    actions: Object.keys(actionsOf(node)) as NodeAction[],
  };
}

function rateOf(latest: Sighting, sightings: readonly Sighting[]): LiveNode['rate'] {
  const { received, done } = latest.figures;
  if (received === undefined && done === undefined) return undefined;
  const first = sightings.find(({ at }) => latest.at - at <= RATE_WINDOW_MS) as Sighting;
  const seconds = (latest.at - first.at) / 1_000;
  const perSecond = (now = 0, before = 0) => (seconds > 0 ? Math.max(0, now - before) / seconds : 0);
  return {
    received: perSecond(received, first.figures.received),
    done: perSecond(done, first.figures.done),
  };
}

function latencyOf({ figures }: Sighting, sightings: readonly Sighting[]): LiveNode['latency'] {
  if (!figures.latency) return undefined;
  const lately = since(sightings[0]?.figures.latency, figures.latency);
  const [p50, p95] = [quantile(lately, 0.5), quantile(lately, 0.95)];
  return p50 === undefined || p95 === undefined ? undefined : { p50, p95 };
}
