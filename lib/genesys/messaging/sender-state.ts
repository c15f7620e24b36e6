import type { OutboxState } from '../../core/outbox';

/** A lane, as far as it is needed to say how the sender stands. */
export interface LaneStanding {
  state: OutboxState;
  organization: { name: string };
  snapshot(): { queued: number; inFlight: number };
}

/** How a sender with all its lanes stands. */
export interface SenderStanding {
  state: 'connected' | 'working' | 'degraded' | 'refused' | 'breaker-open';
  /** Organizations that are in trouble. */
  troubled: number;
  reason?: string;
}

/** The worst first. */
const TROUBLES: readonly OutboxState['state'][] = ['failed', 'refused', 'breaker-open', 'retrying'];

/**
 * How a sender stands: in trouble only when all organizations that are in use are, and degraded when some are, because
 * the others are served as ever.
 */
export function senderStanding(lanes: readonly LaneStanding[]): SenderStanding {
  const troubled = lanes.filter(({ state }) => state.state !== 'working');
  if (troubled.length === 0) {
    const isBusy = lanes.some((lane) => {
      const { queued, inFlight } = lane.snapshot();
      return queued + inFlight > 0;
    });
    return { state: isBusy ? 'working' : 'connected', troubled: 0 };
  }
  const worst = TROUBLES.find((trouble) => troubled.some(({ state }) => state.state === trouble));
  const isWhole = troubled.length === lanes.length && (worst === 'refused' || worst === 'breaker-open');
  const reason = troubled
    .map(({ organization, state }) => `${organization.name}: ${state.error?.summary ?? state.state}`)
    .join('; ');
  return { state: isWhole ? worst : 'degraded', troubled: troubled.length, reason };
}
