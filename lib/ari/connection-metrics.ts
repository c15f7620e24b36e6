import type { AnyMetric } from '../monitor/registry';
import type { AriConnection } from './connection';

/** The numbers of a connection to Asterisk. */
export function connectionMetrics(
  connection: Pick<AriConnection, 'connected' | 'counts' | 'state'> & { desk: { size: number } },
): AnyMetric[] {
  const { connected, counts, desk } = connection;
  return [
    {
      name: 'ari_http_connected',
      help: 'Whether the latest request to Asterisk was answered.',
      type: 'gauge',
      value: Number(connected.http),
    },
    {
      name: 'ari_websocket_connected',
      help: 'Whether the events of Asterisk arrive.',
      type: 'gauge',
      value: Number(connected.socket && connection.state.kind !== 'replaced'),
    },
    {
      name: 'ari_reconnects_total',
      help: 'How often the events socket was opened again.',
      type: 'counter',
      value: counts.reconnects,
    },
    { name: 'active_calls', help: 'Calls that are not over.', type: 'gauge', value: desk.size },
    {
      name: 'ari_events_received_total',
      help: 'Events of Asterisk.',
      type: 'counter',
      value: counts.unreadable,
      labels: { event_type: 'unreadable', processed: 'false', failed: 'true' },
    },
    ...[...counts.events].map(
      ([event_type, value]): AnyMetric => ({
        name: 'ari_events_received_total',
        help: 'Events of Asterisk.',
        type: 'counter',
        value,
        labels: { event_type, processed: 'true', failed: 'false' },
      }),
    ),
  ];
}
