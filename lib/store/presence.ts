import type { Redis } from 'ioredis';
import { type Clock, systemClock, type Timer } from '../core/clock';
import type { StateStore } from './store';

/** Settings of a {@link Presence}. */
export interface PresenceOptions {
  redis: Pick<Redis, 'eval'>;
  /** Remembers the last count over a restart. */
  store: StateStore;
  /** What the processes have in common: the same text in all of them. */
  name: string;
  /** Different in each process. */
  id: string;
  /** How often a process says that it is there, in milliseconds; default 5,000. One that is silent for three times as long is gone. */
  everyMs?: number;
  clock?: Clock;
}

/** Writes the process down with the time of Redis, strikes out those that are silent, and counts the rest. */
const COUNT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] ~= '' then redis.call('ZADD', KEYS[1], now, ARGV[1]) end
if ARGV[2] ~= '' then redis.call('ZREM', KEYS[1], ARGV[2]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])
return redis.call('ZCARD', KEYS[1])`;

/**
 * How many processes share something through Redis. While Redis is away it is as many as there were last: each can then
 * take its share of what they have together.
 */
export class Presence {
  private readonly options: Required<PresenceOptions>;
  private timer: Timer | undefined;
  private lastCount = 1;
  private closed = false;

  constructor(options: PresenceOptions) {
    this.options = { everyMs: 5_000, clock: systemClock, ...options };
  }

  /** How many there are, this one included, as far as is known. */
  get count(): number {
    return this.lastCount;
  }

  /** Says that the process is there, now and from now on. */
  async start(): Promise<void> {
    const before: unknown = await this.options.store.get(this.key).catch(() => undefined);
    if (typeof before === 'number' && before >= 1) this.lastCount = before;
    await this.tick();
  }

  /** Says that the process is gone. */
  async close(): Promise<void> {
    this.closed = true;
    this.options.clock.clearTimeout(this.timer);
    await this.ask('', this.options.id).catch(() => {});
  }

  private get key(): string {
    return `presence/${this.options.name}`;
  }

  private async tick(): Promise<void> {
    const { store, id, everyMs, clock } = this.options;
    try {
      const count = await this.ask(id, '');
      if (count !== this.lastCount) await store.set(this.key, count);
      this.lastCount = Math.max(1, count);
    } catch {
      // Redis is away: what was counted last is the best guess.
    }
    if (this.closed) return;
    this.timer = clock.setTimeout(() => void this.tick(), everyMs);
    this.timer.unref?.();
  }

  private async ask(coming: string, going: string): Promise<number> {
    const { redis, name, everyMs } = this.options;
    return Number(await redis.eval(COUNT, 1, `contact-center:presence:${name}`, coming, going, String(everyMs * 3)));
  }
}
