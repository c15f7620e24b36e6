import type { LiveFigures } from '../../monitor/figures';
import { Histogram } from '../../monitor/histogram';
import type { AnyMetric } from '../../monitor/registry';
import type { Lane } from './lane';

/** The limits of the histogram, in seconds. */
const SEND_SECONDS = [0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60];

/** Counts how long messages took, in seconds. */
export function sendSeconds(): Histogram {
  return new Histogram(SEND_SECONDS);
}

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

/** What the live view shows of a sender: the breaker that is open, if there is one, and the tokens of the tightest. */
export function senderFigures(lanes: readonly Lane[], seconds: Histogram): LiveFigures {
  const tokensLeft = Math.min(...lanes.map(({ organization }) => organization.limit.left));
  return {
    latency: seconds.snapshot(),
    ...(lanes.length > 0 ? { breaker: lanes.some((lane) => lane.isBreakerOpen) ? 'open' : 'closed', tokensLeft } : {}),
  };
}
