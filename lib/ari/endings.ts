/** How a call ended, in the words of the API. */
export interface CallEnding {
  to: 'completed' | 'busy' | 'no_answer' | 'failed';
  /** Why; nothing for a call that simply was over. */
  reason?: string;
}

/** What is known of a channel when it is gone. */
export interface EndingFacts {
  /** It was up at some time. */
  answered: boolean;
  /** The dialplan or the playback that it was meant for has begun. */
  served: boolean;
  /** Q.850, of the destroyed channel. */
  cause: number | undefined;
  /** SIP, since release 22. */
  techCause: number | undefined;
  /** Q.850, of a request to hang up that came before: release 16 tells more in it, and a stopping Asterisk says 4. */
  requestCause: number | undefined;
  /** We have asked for the end. */
  hangupRequested: boolean;
  /** Since it was dialed, and for how long it was allowed to ring, in milliseconds. */
  elapsedMs: number;
  timeoutMs: number;
}

/** What the SIP code says, which is finer than the cause; recorded from Asterisk 22. */
const BY_SIP_CODE: Record<number, CallEnding> = {
  486: { to: 'busy', reason: 'busy' },
  600: { to: 'busy', reason: 'busy' },
  480: { to: 'no_answer', reason: 'no_answer' },
  408: { to: 'failed', reason: 'unreachable' },
  603: { to: 'failed', reason: 'rejected' },
  403: { to: 'failed', reason: 'rejected' },
  404: { to: 'failed', reason: 'invalid_number' },
  503: { to: 'failed', reason: 'congestion' },
  500: { to: 'failed', reason: 'network_error' },
  502: { to: 'failed', reason: 'network_error' },
  488: { to: 'failed', reason: 'media_not_acceptable' },
};

/** What the cause says (ITU-T Q.850); recorded from Asterisk 16 and 22. */
const BY_CAUSE: Record<number, CallEnding> = {
  1: { to: 'failed', reason: 'invalid_number' },
  4: { to: 'failed', reason: 'asterisk_stopped' },
  16: { to: 'failed', reason: 'cancelled' },
  17: { to: 'busy', reason: 'busy' },
  18: { to: 'failed', reason: 'unreachable' },
  19: { to: 'no_answer', reason: 'no_answer' },
  21: { to: 'failed', reason: 'rejected' },
  27: { to: 'failed', reason: 'network_error' },
  34: { to: 'failed', reason: 'congestion' },
  38: { to: 'failed', reason: 'network_error' },
  41: { to: 'failed', reason: 'network_error' },
  42: { to: 'failed', reason: 'congestion' },
  58: { to: 'failed', reason: 'media_not_acceptable' },
  88: { to: 'failed', reason: 'media_not_acceptable' },
};

/** A timer of Asterisk may be that much early. */
const TIMER_MS = 100;

/** How a call ended whose channel is gone. */
export function endingOf(facts: EndingFacts): CallEnding {
  const { answered, served, cause = 0, techCause, requestCause, hangupRequested, elapsedMs, timeoutMs } = facts;
  if (answered) {
    // A person was called, picked up, and nobody was there: the worst of all errors to stay silent about.
    const isServed = served || hangupRequested || requestCause === 4;
    return isServed ? { to: 'completed' } : { to: 'failed', reason: 'ivr_not_started' };
  }
  if (hangupRequested) return { to: 'failed', reason: 'cancelled' };
  const bySip = techCause === undefined ? undefined : BY_SIP_CODE[techCause];
  if (bySip) return bySip;
  if (cause !== 0) return BY_CAUSE[cause] ?? { to: 'failed', reason: `cause_${cause}` };
  if (requestCause !== undefined && BY_CAUSE[requestCause]) return BY_CAUSE[requestCause];
  // Release 16 tells no cause when its own timer has ended the ringing.
  if (elapsedMs >= timeoutMs - TIMER_MS) return { to: 'no_answer', reason: 'no_answer' };
  return { to: 'failed', reason: 'cause_0' };
}
