import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { abortable } from './abort';
import { type Clock, delay, systemClock } from './clock';
import { ContactError } from './errors';

/** How much may be done how often. */
export interface RateLimitOptions {
  /** So many turns in each window. */
  turns: number;
  /** The length of a window, in milliseconds; at least 1,000. */
  windowMs: number;
  clock?: Clock;
}

const KEY = 'turns';
const WAITING = 'wait for a turn under the rate limit';

/** Gives out turns, first come first served, so that a remote limit is not run into. */
export class RateLimit {
  private readonly limiter: RateLimiterMemory;
  private readonly clock: Clock;
  private pausedUntilMs = 0;
  private waitingNow = 0;
  /** Ends the wait for the next turn, of which there is only one at a time. */
  private waking: AbortController | undefined;
  /** The turn that was asked for last: the next one is given after it. */
  private last: Promise<void> = Promise.resolve();

  constructor({ turns, windowMs, clock = systemClock }: RateLimitOptions) {
    this.limiter = new RateLimiterMemory({ points: turns, duration: windowMs / 1_000 });
    this.clock = clock;
  }

  /** Resolves when it is the caller's turn. Rejects with `CLOSED` as soon as `signal` is aborted. */
  async acquire(signal?: AbortSignal): Promise<void> {
    this.waitingNow += 1;
    const turn = this.last.then(() => this.take(signal));
    this.last = turn.catch(() => {});
    try {
      await abortable(turn, signal, WAITING);
    } finally {
      this.waitingNow -= 1;
    }
  }

  /** Gives out no turn for so long: the remote system has asked for it. A pause that is longer already stays. */
  pauseFor(durationMs: number): void {
    this.pausedUntilMs = Math.max(this.pausedUntilMs, this.clock.now() + durationMs);
  }

  /** Begins a new window at once, for whoever waits too; a pause stays. */
  async reset(): Promise<void> {
    await this.limiter.delete(KEY);
    this.waking?.abort();
  }

  /** How many callers wait for their turn. */
  get waiting(): number {
    return this.waitingNow;
  }

  /** For how long no turn is given out from now on, in milliseconds. */
  get pausedForMs(): number {
    return Math.max(0, this.pausedUntilMs - this.clock.now());
  }

  private async take(signal: AbortSignal | undefined): Promise<void> {
    while (!signal?.aborted) {
      const waitMs = this.pausedForMs || (await this.limiter.consume(KEY).then(() => 0, untilNext));
      if (waitMs === 0) return;
      await this.wait(waitMs, signal);
    }
    throw new ContactError('CLOSED', { attempted: WAITING });
  }

  private async wait(waitMs: number, signal: AbortSignal | undefined): Promise<void> {
    const waking = new AbortController();
    this.waking = waking;
    const wake = () => waking.abort();
    signal?.addEventListener('abort', wake, { once: true });
    await delay(waitMs, { clock: this.clock, signal: waking.signal });
    signal?.removeEventListener('abort', wake);
  }
}

/** What the limiter rejects with is either the time until the next window or a defect. */
function untilNext(rejection: unknown): number {
  if (rejection instanceof RateLimiterRes) return Math.max(1, rejection.msBeforeNext);
  throw rejection;
}
