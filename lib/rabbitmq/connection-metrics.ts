import type { Metric } from '../monitor/registry';
import type { BrokerConnection } from './connection';

/** The numbers of a connection to a broker. */
export function connectionMetrics({ state, connectCount }: Pick<BrokerConnection, 'state' | 'connectCount'>): Metric[] {
  const { kind } = state;
  return [
    {
      name: 'contact_center_broker_connected',
      help: 'Whether there is a connection to the broker: 1 or 0.',
      type: 'gauge',
      value: kind === 'open' || kind === 'blocked' ? 1 : 0,
    },
    {
      name: 'contact_center_broker_blocked',
      help: 'Whether the broker takes no messages for want of memory or disk space: 1 or 0.',
      type: 'gauge',
      value: kind === 'blocked' ? 1 : 0,
    },
    {
      name: 'contact_center_broker_connections_total',
      help: 'Connections made to the broker.',
      type: 'counter',
      value: connectCount,
    },
  ];
}
