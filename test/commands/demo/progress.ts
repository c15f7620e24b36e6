import type { NodeRed } from '../../services/node-red';
import { SERVICES, type ServiceName } from './flows';

/** How the flows stand. */
export interface Progress {
  /** What each service has delivered so far, by its books. */
  delivered: Record<ServiceName, number>;
  /** The word of `/health`: healthy, degraded or unhealthy; `no answer` while Node-RED gives none. */
  health: string;
  /** The checks that are not healthy, each as a sentence. */
  complaints: string[];
}

interface Statistics {
  services: Record<string, { nodes: { books?: { delivered: number } }[] }>;
}

interface Health {
  status: string;
  checks: { service: string; type: string; name: string; status: string; reason?: string }[];
}

/** Asks Node-RED how the flows stand. */
export async function lookAt(nodeRed: NodeRed): Promise<Progress> {
  const [statistics, health] = await Promise.all([ask<Statistics>(nodeRed, '/stats'), ask<Health>(nodeRed, '/health')]);
  const delivered = (service: string) =>
    (statistics?.services[service]?.nodes ?? []).reduce((sum, { books }) => sum + (books?.delivered ?? 0), 0);
  return {
    delivered: Object.fromEntries(
      Object.keys(SERVICES).map((service) => [service, delivered(service)]),
    ) as Progress['delivered'],
    health: health?.status ?? 'no answer',
    complaints: (health?.checks ?? [])
      .filter(({ status }) => status !== 'healthy')
      .map(({ service, type, name, reason }) => `${service}: ${name || type}: ${reason ?? 'not well'}`),
  };
}

async function ask<Content>(nodeRed: NodeRed, path: string): Promise<Content | undefined> {
  try {
    const answer = await nodeRed.request(path, { headers: { Accept: 'application/json' } });
    return (await answer.json()) as Content;
  } catch {
    return undefined;
  }
}
