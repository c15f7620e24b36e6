import { ContactError } from '../core/errors';
import type { Reading, Refusal } from './verdicts';

/** Why the work on a Case ends before it is done. */
export class Stop extends Error {
  constructor(
    readonly verdict: Refusal,
    /** Whether it concerns everything that would be sent now, or this conversation alone. */
    readonly scope: 'all' | 'one',
  ) {
    super(verdict.error.message);
  }
}

/** Stops because of what Zoho said to the whole call. */
export function stopFor(refusal: Refusal): Stop {
  return new Stop(refusal, refusal.kind === 'rejected' ? 'one' : 'all');
}

/** What a call has found; stops when it was refused. */
export function contentOf(reading: Reading): Record<string, unknown> | undefined {
  if (reading.kind === 'refusal') throw stopFor(reading.refusal);
  return reading.kind === 'content' ? reading.body : undefined;
}

/** Not yet: this conversation is tried again after a while. */
export function later(attempted: string, answer: string, advice: string, retryAfterMs: number): Stop {
  const error = new ContactError('BUSY', { attempted, answer, advice, retryAfterMs: Math.max(1, retryAfterMs) });
  return new Stop({ kind: 'busy', fault: 'limit', error }, 'one');
}
