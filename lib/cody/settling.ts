/** When a conversation counts as settled. */
export interface SettleRules {
  /** Its newest message must be so old, in milliseconds. */
  settleMs: number;
  /** The time between two polls, in milliseconds. */
  intervalMs: number;
  /** One that never settles is taken when its oldest new message is so old, in milliseconds. */
  capMs: number;
  /** For so long after its newest message a settled conversation is looked at again, ever less often, in milliseconds. */
  watchMs: number;
}

/** A conversation at one look. Times in milliseconds since the epoch. */
export interface Look {
  hash: string;
  /** The newest message, or the conversation itself when it has none. */
  newestAt: number;
  /** The first message that is not in a Case yet. */
  firstNewAt: number;
  isEmpty: boolean;
}

/** What is remembered of it. */
export interface Memory {
  /** The content at the look before. */
  seen?: string;
  /** The content that has arrived where it should. */
  committed?: string;
  /** The content that was refused for good. */
  failed?: string;
}

/** What to do after a look. */
export type Decision =
  /** It is in talk, or not certainly settled. */
  | { kind: 'wait'; nextLookAt: number }
  | { kind: 'emit'; reason: 'settled' | 'cap' }
  /** There is nothing new; it is looked at again then, or never. */
  | { kind: 'rest'; nextLookAt: number | undefined };

/** Polls come a little sooner or later than their interval says. */
const NEXT_POLL = 0.8;

/**
 * Decides what to do with a conversation. It is settled when its newest message is `settleMs` old and it was the same
 * at the look before; one that has been silent for so long that two polls must have seen it unchanged needs no second
 * look.
 */
export function decide(look: Look, memory: Memory, rules: SettleRules, now: number): Decision {
  const { settleMs, intervalMs, capMs, watchMs } = rules;
  const silentMs = now - look.newestAt;
  if (look.isEmpty || look.hash === memory.committed || look.hash === memory.failed) {
    // The longer it has been silent, the less likely it goes on: after an hour of silence it is looked at within half an hour.
    const nextLookAt = silentMs < watchMs ? now + Math.max(intervalMs, silentMs / 2) : undefined;
    return { kind: 'rest', nextLookAt };
  }
  const isUnchanged = look.hash === memory.seen || silentMs >= 2 * settleMs + 2 * intervalMs;
  if (silentMs >= settleMs && isUnchanged) return { kind: 'emit', reason: 'settled' };
  if (now - look.firstNewAt >= capMs) return { kind: 'emit', reason: 'cap' };
  // Before its newest message is old enough, another look would say nothing; after that, the next poll may look again.
  const settledAt = silentMs < settleMs ? look.newestAt + settleMs : now + intervalMs * NEXT_POLL;
  return { kind: 'wait', nextLookAt: Math.max(now, Math.min(settledAt, look.firstNewAt + capMs)) };
}
