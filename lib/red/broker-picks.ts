import { type BrokerThing, listNames } from '../rabbitmq/names';
import { adminRoute } from './admin';
import { findConfigNode, offered, type Red } from './node';
import type { BrokerNode } from './queue-settings';

/**
 * Lets the dialog of a type offer the queues or exchanges of its contact-broker: at `contact-center/<type>/<things>`,
 * with the id of the broker and what stands in the field.
 */
export function brokerPicks(RED: Red, type: string, ...kinds: BrokerThing[]): void {
  for (const things of kinds) {
    adminRoute(RED, {
      method: 'get',
      path: `/contact-center/${type}/${things}`,
      permission: `${type}.read`,
      handler: async ({ query }) => {
        const place = offered(findConfigNode<BrokerNode>(RED, query['broker'], 'contact-broker'), 'place');
        const typed = [query['queue'], query['exchange'], query['statusExchange']].find((each) => each !== undefined);
        return { ok: true, names: await listNames(place, things, String(typed ?? '').trim()) };
      },
    });
  }
}
