import { packageVersion } from '../core/version';
import type { Member } from './members';
import { type Health, healthOf, worstOf } from './states';

/** How one node does. */
export interface HealthCheck {
  service: string;
  /** The id of the node. */
  node: string;
  type: string;
  name: string;
  status: Health;
  reason?: string;
  /** Since when it is in its present state, as ISO 8601. */
  since: string;
}

/** The body of `/health`. */
export interface HealthAnswer {
  status: Health;
  timestamp: string;
  uptime_seconds: number;
  version: string;
  checks: HealthCheck[];
}

/** The health of the members: as bad as the worst of them. */
export function healthAnswer(members: Member[]): HealthAnswer {
  const checks = members.map(({ service, node, report }) => ({
    service,
    node: node.id,
    type: node.type,
    name: node.name,
    status: healthOf(report.state),
    ...(report.reason === undefined ? {} : { reason: report.reason }),
    since: new Date(report.since).toISOString(),
  }));
  return {
    status: worstOf(checks.map(({ status }) => status)),
    timestamp: new Date().toISOString(),
    uptime_seconds: Math.round(process.uptime()),
    version: packageVersion,
    checks,
  };
}
