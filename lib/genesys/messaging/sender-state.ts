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
export function senderState(lanes: readonly LaneStanding[], problem?: string): OutboxState {
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
