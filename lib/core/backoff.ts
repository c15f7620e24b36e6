/** How the wait between attempts grows. */
export interface BackoffOptions {
  /** The wait after the first failure, in milliseconds, before jitter. */
  baseMs: number;
  /** No wait is longer than this, in milliseconds. */
  maxMs: number;
  /** Each wait is this many times the one before; 2 when left out. */
  factor?: number;
  /** A number from 0 to below 1; `Math.random` when left out. */
  random?: () => number;
}

/**
 * The wait before the next attempt, in milliseconds. `failures` counts from 1. Half of the wait is fixed and half
 * is random: clients that failed together do not come back together, and none comes back at once.
 */
export function backoffDelayMs(failures: number, options: BackoffOptions): number {
  const { baseMs, maxMs, factor = 2, random = Math.random } = options;
  const full = Math.min(maxMs, baseMs * factor ** Math.max(0, failures - 1));
  return Math.round(full / 2 + (full / 2) * random());
}
