import { notFound } from './answers';
import { maximumChannels } from './notifications';
import type { SimulatorServer } from './server';
import { maximumTopics } from './subscriptions';

/** The limits that the organization can read about itself, by namespace. */
export function serveLimits(server: SimulatorServer): void {
  const namespaces = (): Record<string, Record<string, number>> => ({
    'platform.api': {
      'client.credentials.token.rate.per.minute': server.rateLimit.allowed,
      'token.rate.per.minute': server.rateLimit.allowed,
      'request.bytes.max': 512_000,
    },
    notifications: { 'channels.max': maximumChannels, 'channel.topics.max': maximumTopics },
  });
  for (const tail of ['', '/defaults']) {
    server.route({
      method: 'GET',
      path: `/api/v2/organizations/limits/namespaces/{namespace}${tail}`,
      handle: ({ parameters: { namespace = '' } }) => {
        const limits = namespaces()[namespace];
        if (!limits) throw notFound('Limit namespace not found.');
        return {
          status: 200,
          body: { entities: Object.entries(limits).map(([key, value]) => ({ key, namespace, value })) },
        };
      },
    });
  }
}
