import type { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { abortable } from './abort';
import { type Clock, delay, systemClock } from './clock';
import { ContactError } from './errors';
import { rateLimiterFlexible } from './libraries';
import { type Pace, paceOf } from './pace';

/** Where several processes count their turns together. */
export interface SharedTurns {
  /** A client of ioredis. */
  redis: object;
  /** What is counted: the same text in all processes. */
  key: string;
  /** By how many processes the limit is divided while Redis is away. */
  processes(): number;
}

/** How much may be done how often. */
export interface RateLimitOptions {
  /** So many turns in each window. */
  turns: number;
  /** The length of a window, in milliseconds; at least 1,000. */
  windowMs: number;
  /**
   * Whether turns are given out evenly, so that no stretch as long as a window ever holds more than `turns`, wherever
   * it begins; otherwise all turns of a window can be had at once.
   */
  even?: boolean;
  /** Counts together with other processes; needs `even`. */
  shared?: SharedTurns;
  clock?: Clock;
}

/** What a remote system says about its own count. */
export interface RemoteCount {
  /** Calls in its window so far, by whoever shares the limit. */
  count: number;
  allowed: number;
  /** When its window ends, in milliseconds from now. */
  resetMs: number;
}

const KEY = 'turns';
const WAITING = 'wait for a turn under the rate limit';
/** This part of the remote limit is left to calls that are still on their way. */
const REMOTE_RESERVE = 0.02;

/** What counts turns: rejects with a {@link RateLimiterRes} when there is none. */
interface Limiter {
  consume(key: string): Promise<unknown>;
}

/** Gives out turns, first come first served, so that a remote limit is not run into. */
export class RateLimit {
  private readonly clock: Clock;
  private readonly own: Counter;
  private readonly together: EvenCounter | undefined;
  private readonly shared: SharedTurns | undefined;
  private readonly windowMs: number;
  private configured: number;
  private learned = Number.POSITIVE_INFINITY;
  private aloneNow = false;
  private pausedUntilMs = 0;
  private waitingNow = 0;
  /** Ends the wait for the next turn, of which there is only one at a time. */
  private waking: AbortController | undefined;
  private resets = 0;
  /** What the remote system last said of its own window. */
  private remote = { left: 0, until: 0 };
  /** The turn that was asked for last: the next one is given after it. */
  private last: Promise<void> = Promise.resolve();

  constructor({ turns, windowMs, even = false, shared, clock = systemClock }: RateLimitOptions) {
    this.configured = turns;
    this.windowMs = windowMs;
    this.clock = clock;
    this.shared = shared;
    this.own = even ? new EvenCounter() : new WindowCounter();
    this.together = shared ? new EvenCounter(shared) : undefined;
    this.adjust();
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
    const until = this.clock.now() + durationMs;
    if (until <= this.pausedUntilMs) return;
    this.pausedUntilMs = until;
    // Those who count together pause together; should that not work, the remote system tells each of them.
    this.together?.block(durationMs).catch(() => {});
  }

  /** Begins a new window at once, for whoever waits too; a pause stays. */
  async reset(): Promise<void> {
    await this.own.reset();
    this.resets += 1;
    this.waking?.abort();
  }

  /** Changes how many turns a window has. */
  setTurns(turns: number): void {
    if (turns === this.configured) return;
    this.configured = turns;
    this.adjust();
  }

  /**
   * Takes notice of the remote system's own count: a limit below the configured one is kept to, and when the remote
   * window is nearly full, turns are given out again when it ends.
   */
  learn({ count, allowed, resetMs }: RemoteCount): void {
    if (allowed !== this.learned && allowed > 0) {
      this.learned = allowed;
      this.adjust();
    }
    this.remote = { left: Math.max(0, allowed - count), until: this.clock.now() + resetMs };
    if (allowed - count < allowed * REMOTE_RESERVE) this.pauseFor(resetMs);
  }

  /** How many turns a window has: what is configured, or what the remote system allows if that is less. */
  get turns(): number {
    return Math.min(this.configured, this.learned);
  }

  /** How many turns are left in the window of the remote system, as far as it has told; all when that window is over. */
  get left(): number {
    const { left, until } = this.remote;
    return this.clock.now() < until ? Math.min(left, this.turns) : this.turns;
  }

  /** How many callers wait for their turn. */
  get waiting(): number {
    return this.waitingNow;
  }

  /** For how long no turn is given out from now on, in milliseconds. */
  get pausedForMs(): number {
    return Math.max(0, this.pausedUntilMs - this.clock.now());
  }

  /** Whether this process counts by itself, with its share of the turns, because Redis is away. */
  get alone(): boolean {
    return this.aloneNow;
  }

  private adjust(): void {
    const { turns, windowMs } = this;
    this.together?.set(turns, windowMs);
    const processes = this.shared && this.aloneNow ? Math.max(1, this.shared.processes()) : 1;
    this.own.set(Math.max(1, Math.floor(turns / processes)), windowMs);
  }

  private async take(signal: AbortSignal | undefined): Promise<void> {
    while (!signal?.aborted) {
      const { resets } = this;
      const waitMs = this.pausedForMs || (await this.consume());
      if (waitMs === 0) return;
      // What was found out just before a reset is out of date.
      if (resets === this.resets) await this.wait(waitMs, signal);
    }
    throw new ContactError('CLOSED', { attempted: WAITING });
  }

  /** 0 for a turn, or how long it is until the next, in milliseconds. */
  private async consume(): Promise<number> {
    if (this.together) {
      try {
        const waitMs = await this.together.consume();
        this.setAlone(false);
        return waitMs;
      } catch {
        this.setAlone(true);
      }
    }
    return this.own.consume();
  }

  private setAlone(alone: boolean): void {
    if (alone === this.aloneNow) return;
    this.aloneNow = alone;
    this.adjust();
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

interface Counter {
  set(turns: number, windowMs: number): void;
  /** 0 for a turn, or how long it is until the next, in milliseconds. Rejects when the count cannot be reached. */
  consume(): Promise<number>;
  reset(): Promise<void>;
}

/** All turns of a window can be had at once. */
class WindowCounter implements Counter {
  private readonly limiter = new (rateLimiterFlexible().RateLimiterMemory)({ points: 1, duration: 1 });

  set(turns: number, windowMs: number): void {
    this.limiter.points = turns;
    this.limiter.duration = windowMs / 1_000;
  }

  consume(): Promise<number> {
    return consumeOne(this.limiter, KEY);
  }

  async reset(): Promise<void> {
    await this.limiter.delete(KEY);
  }
}

/** Turns come evenly, see {@link paceOf}; in this process, or with `shared` in Redis. */
class EvenCounter implements Counter {
  private readonly steady: RateLimiterMemory | RateLimiterRedis;
  private readonly burst: RateLimiterMemory | RateLimiterRedis;
  private readonly limiter: Limiter;
  private readonly key: string;
  private pace: Pace | undefined;

  constructor(shared?: SharedTurns) {
    this.key = shared?.key ?? KEY;
    this.steady = counter('steady', shared);
    this.burst = counter('burst', shared);
    this.limiter = new (rateLimiterFlexible().BurstyRateLimiter)(this.steady, this.burst);
  }

  set(turns: number, windowMs: number): void {
    const pace = paceOf(turns, Math.max(1, Math.round(windowMs / 1_000)));
    this.pace = pace;
    this.steady.points = pace.steady.turns;
    this.steady.duration = pace.steady.seconds;
    this.burst.points = pace.burst.turns;
    this.burst.duration = pace.burst.seconds;
  }

  consume(): Promise<number> {
    const limiter = this.pace?.burst.turns === 0 ? this.steady : this.limiter;
    return consumeOne(limiter, this.key);
  }

  /** Gives out no turn for so long, in any process. A longer block that is there already stays. */
  async block(durationMs: number): Promise<void> {
    const seconds = Math.ceil(durationMs / 1_000);
    for (const each of [this.steady, this.burst]) {
      const now = await each.get(this.key);
      const isBlocked = now !== null && now.remainingPoints === 0 && now.msBeforeNext >= durationMs;
      if (!isBlocked) await each.block(this.key, seconds);
    }
  }

  async reset(): Promise<void> {
    await this.steady.delete(this.key);
    await this.burst.delete(this.key);
  }
}

function counter(name: string, shared: SharedTurns | undefined): RateLimiterMemory | RateLimiterRedis {
  if (!shared) return new (rateLimiterFlexible().RateLimiterMemory)({ points: 1, duration: 1 });
  return new (rateLimiterFlexible().RateLimiterRedis)({
    storeClient: shared.redis,
    keyPrefix: `contact-center:turns:${name}`,
    points: 1,
    duration: 1,
    rejectIfRedisNotReady: true,
  });
}

/** What the limiter rejects with is either the time until the next window or the news that it cannot count. */
function consumeOne(limiter: Limiter, key: string): Promise<number> {
  return limiter.consume(key).then(
    () => 0,
    (rejection: unknown) => {
      if (rejection instanceof rateLimiterFlexible().RateLimiterRes) return Math.max(1, rejection.msBeforeNext);
      throw rejection;
    },
  );
}
