import type { ContactError } from './errors';

/**
 * What a remote answer means for the thing that was sent. Each system has one pure function that sorts its answers
 * into these:
 *
 * - `delivered`: it is there.
 * - `duplicate`: it was there already, which is fine.
 * - `rejected`: the data is at fault; it goes to the failure output and is never retried. With the `fault` `failure`
 *   it is the remote system that is unwell, and what was sent must not be sent again.
 * - `busy`: try again later. `fault` is `limit` when we were merely too fast (does not count for the breaker) and
 *   `failure` when the remote system is unwell (does).
 * - `refused`: credentials or rights are at fault; everything is kept and the user is told.
 * - `unknown`: sent, but no usable answer. Only what is idempotent may be sent again.
 */
export type Verdict =
  | { kind: 'delivered' }
  | { kind: 'duplicate' }
  | { kind: 'rejected'; error: ContactError; fault?: 'failure' }
  | { kind: 'busy'; error: ContactError; fault: 'limit' | 'failure' }
  | { kind: 'refused'; error: ContactError }
  | { kind: 'unknown'; error: ContactError };

/** A verdict after which the thing that was sent needs no further care. */
export type FinalVerdict = Extract<Verdict, { kind: 'delivered' | 'duplicate' | 'rejected' }>;

/** True when the thing that was sent needs no further care. */
export function isFinal(verdict: Verdict): verdict is FinalVerdict {
  return verdict.kind === 'delivered' || verdict.kind === 'duplicate' || verdict.kind === 'rejected';
}
