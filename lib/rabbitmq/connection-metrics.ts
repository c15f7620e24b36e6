import { counter, gauge } from '../monitor/metric';
import type { Metric } from '../monitor/registry';
import type { BrokerConnection } from './connection';

/** The numbers of a connection to a broker. */
export function connectionMetrics({ state, connectCount }: Pick<BrokerConnection, 'state' | 'connectCount'>): Metric[] {
  const { kind } = state;
  const isConnected = kind === 'open' || kind === 'blocked';
  return [
    gauge(
      'contact_center_broker_connected',
      'Whether there is a connection to the broker: 1 or 0.',
      isConnected ? 1 : 0,
    ),
    gauge(
      'contact_center_broker_blocked',
      'Whether the broker takes no messages for want of memory or disk space: 1 or 0.',
      kind === 'blocked' ? 1 : 0,
    ),
    counter('contact_center_broker_connections_total', 'Connections made to the broker.', connectCount),
  ];
}
