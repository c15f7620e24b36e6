import type { BooksSnapshot } from '../core/books';
import type { Member } from './members';
import type { NodeState } from './states';

/** One node in `/stats`; its own facts, such as breaker, token, socket and queue, stand beside these. */
export interface NodeStats {
  id: string;
  type: string;
  name: string;
  state: NodeState;
  /** Since when it is in this state, as ISO 8601. */
  since: string;
  reason?: string;
  books?: BooksSnapshot;
  [detail: string]: unknown;
}

/** The body of `/stats`. */
export interface StatsAnswer {
  timestamp: string;
  services: Record<string, { nodes: NodeStats[] }>;
}

/** What each node has done so far, by service. */
export function statsAnswer(members: Member[]): StatsAnswer {
  const services = new Map<string, NodeStats[]>();
  for (const { service, node, report } of members) {
    const { state, since, reason, books, details } = report;
    const nodes = services.get(service) ?? [];
    services.set(service, nodes);
    nodes.push({
      ...details,
      id: node.id,
      type: node.type,
      name: node.name,
      state,
      since: new Date(since).toISOString(),
      ...(reason === undefined ? {} : { reason }),
      ...(books === undefined ? {} : { books }),
    });
  }
  const found = [...services].map(([service, nodes]) => [service, { nodes }] as const);
  return { timestamp: new Date().toISOString(), services: Object.fromEntries(found) };
}
