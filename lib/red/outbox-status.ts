import type { Outbox, OutboxState } from '../core/outbox';
import type { Status, StatusSources } from './status';

/** What a node with an outbox reports: its books, its buffer and its breaker. */
export function outboxReport(
  outbox: () => Pick<Outbox<unknown>, 'snapshot' | 'state' | 'breakerState' | 'buffered'> | undefined,
): StatusSources {
  return {
    books: () => outbox()?.snapshot() ?? NOTHING,
    details: () => {
      const { state, breakerState: breaker, buffered: buffer } = outbox() ?? {};
      return { breaker, buffer, error: state?.error?.message };
    },
  };
}

/** Shows how an outbox stands. */
export function showOutbox<Context>(status: Status, outbox: Outbox<Context>, { state, error }: OutboxState): void {
  const { queued, inFlight, delivered } = outbox.snapshot();
  const reason = error ? { reason: error.message } : {};
  if (state === 'refused') status.set('refused', reason);
  else if (state === 'breaker-open') status.set('breaker-open', reason);
  else if (state === 'retrying') status.set('degraded', { text: 'buffering', values: { count: queued }, ...reason });
  else if (queued + inFlight > 0) status.set('working', { text: 'queued', values: { count: queued + inFlight } });
  else status.set('connected', { text: 'sent', values: { count: delivered } });
}

const NOTHING = { received: 0, delivered: 0, duplicate: 0, rejected: 0, dropped: 0, queued: 0, inFlight: 0 };
