/** How often and after which waits a message is tried again. */
export interface RetryPolicy {
  /** After so many attempts it is dead-lettered; at least 1. */
  maxAttempts: number;
  /** The wait after the first, second, ... attempt, in milliseconds; the last one is repeated. At least one. */
  delaysMs: readonly number[];
}

/** How long after the failure of attempt number `attempt` (from 1) the next one is due, in milliseconds. */
export function retryDelayMs({ delaysMs }: RetryPolicy, attempt: number): number {
  return delaysMs[Math.min(attempt, delaysMs.length) - 1] ?? 0;
}

/**
 * Which waiting queue takes a message that is due in `remainingMs`: the longest wait that is not too long, or else the
 * shortest there is. A wait that none of them has is made of several.
 */
export function nextHopMs({ delaysMs }: RetryPolicy, remainingMs: number): number {
  const shorter = delaysMs.filter((delayMs) => delayMs <= remainingMs);
  return shorter.length > 0 ? Math.max(...shorter) : Math.min(...delaysMs);
}
