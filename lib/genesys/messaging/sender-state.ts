import type { BooksSnapshot } from '../../core/books';
import type { BreakerState } from '../../core/breaker';
import { ContactError } from '../../core/errors';
import type { OutboxState } from '../../core/outbox';

/** A lane, as far as it is needed to say how the sender stands. */
export interface LaneStanding {
  state: OutboxState;
  organization: { name: string };
}

/** The worst first. */
const TROUBLES: readonly OutboxState['state'][] = ['failed', 'refused', 'breaker-open', 'retrying'];

/**
 * How a sender with all its lanes stands: in trouble only when all organizations that are in use are, and otherwise
 * retrying when some are, because the others are served as ever. `problem` is what is wrong with something they share.
 */
function senderState(lanes: readonly LaneStanding[], problem?: string): OutboxState {
  const troubled = lanes.filter(({ state }) => state.state !== 'working');
  const told = troubled.map(
    ({ organization, state }) => `${organization.name}: ${state.error?.summary ?? state.state}`,
  );
  if (problem !== undefined) told.push(problem);
  if (told.length === 0) return { state: 'working' };
  const worst = TROUBLES.find((trouble) => troubled.some(({ state }) => state.state === trouble)) ?? 'retrying';
  const attempted =
    troubled.length === 0 ? 'work as usual' : `send to ${troubled.length} of ${lanes.length} organizations`;
  const error = new ContactError('BUSY', { attempted, answer: told.join('; ') });
  return { state: troubled.length === lanes.length && lanes.length > 0 ? worst : 'retrying', error };
}

/** A sender, as it is shown: like a single outbox. */
export interface ShownSender {
  snapshot(): BooksSnapshot;
  readonly state: OutboxState;
  /** The breakers are those of the lanes. */
  readonly breakerState: BreakerState;
  readonly buffered: { items: number; bytes: number };
}

/** Shows a sender like a single outbox; `problem` is asked for what is wrong with something that all lanes share. */
export function shownSender(
  sender: { snapshot(): BooksSnapshot; all(): readonly LaneStanding[] },
  problem: () => string | undefined,
): ShownSender {
  return {
    snapshot: () => sender.snapshot(),
    get state() {
      return senderState(sender.all(), problem());
    },
    breakerState: 'closed',
    buffered: { items: 0, bytes: 0 },
  };
}
