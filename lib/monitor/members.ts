import type { MonitoredNode, NodeReport } from './registry';

/** The name under which nodes are shown that no monitor claims. */
export const UNASSIGNED = 'unassigned';

/** A service and the tabs whose nodes belong to it. */
export interface ServiceTabs {
  service: string;
  flowIds: string[];
}

/** A node as part of a service. */
export interface Member {
  service: string;
  node: MonitoredNode;
  report: NodeReport;
}

/** The services a node belongs to: those of its tabs, or `unassigned`. */
export function servicesOf(node: MonitoredNode, services: ServiceTabs[]): string[] {
  const tabs = node.flowIds();
  const found = services.filter(({ flowIds }) => flowIds.some((id) => tabs.includes(id))).map(({ service }) => service);
  return found.length > 0 ? [...new Set(found)] : [UNASSIGNED];
}

/**
 * The members of one service, or of all. Each node is asked once for its report; a configuration node that several
 * services use is a member of each.
 */
export function membersOf(nodes: MonitoredNode[], services: ServiceTabs[], service?: string): Member[] {
  return nodes.flatMap((node) => {
    const names = servicesOf(node, services).filter((name) => service === undefined || name === service);
    if (names.length === 0) return [];
    const report = node.report();
    return names.map((name) => ({ service: name, node, report }));
  });
}
