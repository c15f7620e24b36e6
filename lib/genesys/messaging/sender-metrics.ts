import type { Histogram } from '../../monitor/histogram';
import type { AnyMetric } from '../../monitor/registry';
import type { Lane } from './lane';

/** The numbers of a sender: for each organization, and how long messages took. */
export function senderMetrics(lanes: readonly Lane[], seconds: Histogram): AnyMetric[] {
  const ofLanes = lanes.flatMap((lane): AnyMetric[] => {
    const labels = { organization: lane.organization.name };
    const { queued, inFlight } = lane.snapshot();
    return [
      {
        name: 'contact_center_genesys_breaker_open',
        help: 'Whether nothing is sent to an organization because too much has failed: 1 or 0.',
        type: 'gauge',
        value: lane.isBreakerOpen ? 1 : 0,
        labels,
      },
      {
        name: 'contact_center_genesys_messages_waiting',
        help: 'Messages that wait for an organization, or are on their way to it.',
        type: 'gauge',
        value: queued + inFlight,
        labels,
      },
    ];
  });
  return [
    ...ofLanes,
    {
      name: 'contact_center_message_send_seconds',
      help: 'How long it took from the input of the node until Genesys had taken the message.',
      type: 'histogram',
      value: seconds.snapshot(),
    },
  ];
}
