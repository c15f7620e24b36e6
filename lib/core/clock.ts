/** A handle of a timer that a clock has started. */
export type Timer = ReturnType<typeof setTimeout>;

/** What a timer can count, in milliseconds: some 24 days. With more it would go off at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Where the code takes time from, so that a test can move it by hand. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `callback` once, in `delayMs` milliseconds, or in 24 days if that is sooner. */
  setTimeout(callback: () => void, delayMs: number): Timer;
  /** Ends a timer; without one it does nothing. */
  clearTimeout(timer: Timer | undefined): void;
}

/** The machine's own time. It looks the globals up at each call, so that fake timers installed later are honoured. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, Math.min(delayMs, LONGEST_TIMER_MS)),
  clearTimeout: (timer) => clearTimeout(timer),
};

/**
 * Waits `delayMs`, or until `signal` is aborted, whichever comes first. It never rejects: who gave the signal
 * looks at `signal.aborted` afterwards.
 */
export function delay(delayMs: number, options: { clock?: Clock; signal?: AbortSignal } = {}): Promise<void> {
  const { clock = systemClock, signal } = options;
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const finish = () => {
      clock.clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = clock.setTimeout(finish, delayMs);
    signal?.addEventListener('abort', finish, { once: true });
  });
}
