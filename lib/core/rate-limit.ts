import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
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

/** Gives out turns, first come first served, so that a remote limit is not run into. */
export class RateLimit {
  private readonly limiter: RateLimiterMemory;
  private readonly clock: Clock;
  private pausedUntilMs = 0;
  private waitingNow = 0;
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
      await abortable(turn, signal);
    } finally {
      this.waitingNow -= 1;
    }
  }

  /** Gives out no turn for so long: the remote system has asked for it. A pause that is longer already stays. */
  pauseFor(durationMs: number): void {
    this.pausedUntilMs = Math.max(this.pausedUntilMs, this.clock.now() + durationMs);
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
    const { clock } = this;
    const waiting = { clock, ...(signal ? { signal } : {}) };
    while (!signal?.aborted) {
      if (this.pausedForMs > 0) {
        await delay(this.pausedForMs, waiting);
        continue;
      }
      const waitMs = await this.limiter.consume(KEY).then(() => 0, untilNext);
      if (waitMs === 0) return;
      await delay(waitMs, waiting);
    }
    throw stopped();
  }
}

/** What the limiter rejects with is either the time until the next window or a defect. */
function untilNext(rejection: unknown): number {
  if (rejection instanceof RateLimiterRes) return Math.max(1, rejection.msBeforeNext);
  throw rejection;
}

/** Who has given up does not wait for the callers before it. */
function abortable(turn: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return turn;
  return new Promise((resolve, reject) => {
    const abort = () => reject(stopped());
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    turn.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

function stopped(): ContactError {
  return new ContactError('CLOSED', { attempted: 'wait for a turn under the rate limit' });
}
