import type { AnyMetric } from '../../monitor/registry';
import type { Organization } from './organizations';

/** The numbers of organizations: what they may get, and what waits for it. */
export function organizationMetrics(organizations: readonly Pick<Organization, 'name' | 'limit'>[]): AnyMetric[] {
  return organizations.flatMap(({ name: organization, limit }): AnyMetric[] => [
    {
      name: 'contact_center_genesys_rate_limit_per_minute',
      help: 'Calls a minute that an organization may get.',
      type: 'gauge',
      value: limit.turns,
      labels: { organization },
    },
    {
      name: 'contact_center_genesys_rate_limit_waiting',
      help: 'Calls that wait for their turn under the rate limit of an organization.',
      type: 'gauge',
      value: limit.waiting,
      labels: { organization },
    },
    {
      name: 'contact_center_genesys_rate_limit_alone',
      help: 'Whether this process counts the turns of an organization by itself, because Redis is away.',
      type: 'gauge',
      value: limit.alone ? 1 : 0,
      labels: { organization },
    },
  ]);
}
