import { notFound } from './answers';
import { maximumChannels } from './notifications';
import type { ClientOptions } from './oauth';
import type { SimulatorServer } from './server';
import { maximumTopics } from './subscriptions';

/** An Open Messaging integration of an organization. */
export interface IntegrationOptions {
  id: string;
  /** Where Genesys posts what goes to the customer; nowhere when left out. */
  webhookUrl?: string;
  /** The secret that signs what is posted. */
  webhookSecret?: string;
}

/** An organization of the simulated cloud. */
export interface OrganizationOptions {
  id: string;
  name?: string;
  clients: readonly ClientOptions[];
  integrations?: readonly IntegrationOptions[];
  /** Calls per token and window; the simulator's own limit when left out. */
  rateLimitPerMinute?: number;
}

/** An organization as the other modules see it. */
export interface Organization {
  readonly id: string;
  readonly name: string;
}

/** The limits that the organization can read about itself, by namespace. */
export function serveLimits(server: SimulatorServer): void {
  const namespaces = (allowed: number): Record<string, Record<string, number>> => ({
    'platform.api': {
      'client.credentials.token.rate.per.minute': allowed,
      'token.rate.per.minute': allowed,
      'request.bytes.max': 512_000,
    },
    notifications: { 'channels.max': maximumChannels, 'channel.topics.max': maximumTopics },
  });
  for (const tail of ['', '/defaults']) {
    server.route({
      method: 'GET',
      path: `/api/v2/organizations/limits/namespaces/{namespace}${tail}`,
      handle: ({ parameters: { namespace = '' }, token }) => {
        const limits = namespaces(server.rateLimit.allowedTo(token.client.organization.id))[namespace];
        if (!limits) throw notFound('Limit namespace not found.');
        return {
          status: 200,
          body: { entities: Object.entries(limits).map(([key, value]) => ({ key, namespace, value })) },
        };
      },
    });
  }
}
