import type { SourceLoad } from '../../core/deliveries';
import type { ContactError } from '../../core/errors';
import type { TraceContext } from '../../core/trace';
import type { MessageRecord } from './record';

/** How the sending of a message has ended. */
export type SendOutcome =
  /** Genesys has it; `isDuplicate` when it had it before this message came. */
  | { kind: 'sent'; record: MessageRecord; isDuplicate: boolean }
  /** It will not be sent. */
  | { kind: 'failed'; error: ContactError; attempts: number; record?: MessageRecord }
  /**
   * Not now. It is to come again, `delayMs` from now at the earliest; with `isCounted: false` nothing was tried. Only
   * for messages that come again.
   */
  | { kind: 'returned'; error: ContactError; attempts: number; delayMs?: number; isCounted: boolean };

/** A message on its way into a sender. */
export interface Submission {
  payload: unknown;
  /** When the payload names none. */
  correlationId?: string | undefined;
  /** Whether the message comes again when it is returned: then it is never given up for a passing reason. */
  comesAgain: boolean;
  /** How busy the place is that it came from, which has no more messages for anybody when all of its are out. */
  source?: SourceLoad | undefined;
  /** The trace that it belongs to, while traces are recorded. */
  trace?: TraceContext | undefined;
  /** Called exactly once. */
  done(outcome: SendOutcome): void;
}
