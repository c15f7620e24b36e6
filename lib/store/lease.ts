import { type Clock, systemClock, type Timer } from '../core/clock';
import { type Logger, silentLogger } from '../core/log';
import type { StateStore } from './store';

/** Settings of a {@link Lease}. */
export interface LeaseOptions {
  store: StateStore;
  /** What is leased. */
  key: string;
  /**
   * Who wants it. A process that was killed finds its own lease again under the same name, so the name must be the
   * same after a restart and different in every other process.
   */
  owner: string;
  /** How long a lease lasts when its holder does not renew it, in milliseconds; it is renewed three times as often. */
  durationMs: number;
  /**
   * Whether a word that the lease is free stays in the store when it is given back, for those who wait for it; true when
   * left out. Without it nothing stays.
   */
  leavesWord?: boolean;
  /** It is held from now on, or not any more. */
  onChange?(held: boolean): void;
  clock?: Clock;
  logger?: Logger;
}

/** What is stored: who holds the lease, and a number that tells one renewal from the next. Without an owner it is free. */
interface LeaseRecord {
  owner?: string;
  renewal: number;
}

/**
 * Lets one of several processes do something: whoever holds the lease. It is taken when it is free, renewed while it is
 * wanted, and passes to another when its holder ends or is not heard of for its duration.
 *
 * A lease that vanishes before its time (a store that has lost its content) is left to its holder until its time would
 * have been over: the holder writes it again, and nobody else takes it meanwhile.
 */
export class Lease {
  /** Goes up when someone else may have had the lease: whoever had it in an earlier term must look anew. */
  term = 0;
  private readonly options: Required<LeaseOptions>;
  private timer: Timer | undefined;
  private ticking: Promise<void> | undefined;
  private mine: LeaseRecord | undefined;
  /** Until when the lease is certainly held, in milliseconds since the epoch. */
  private until = 0;
  private heldBefore = false;
  /** The latest lease of someone else, and when it was first seen. */
  private other: { text: string; owner: string; seenAt: number } | undefined;
  private closed = false;

  constructor(options: LeaseOptions) {
    this.options = { clock: systemClock, logger: silentLogger, leavesWord: true, onChange: () => {}, ...options };
  }

  /** Whether this process holds it now: false as soon as it was not renewed in time. */
  get held(): boolean {
    return this.mine !== undefined && this.options.clock.now() < this.until;
  }

  /** Who else holds it, as far as is known. */
  get holder(): string | undefined {
    return this.held ? this.options.owner : this.other?.owner;
  }

  /** Tries to get it, and goes on trying. Resolves after the first attempt. */
  start(): Promise<void> {
    return this.tick();
  }

  /**
   * Tries once to get it, and renews it from then on. False when someone else has it. Rejects when the store cannot be
   * asked.
   */
  async take(): Promise<boolean> {
    await this.attempt();
    this.tell();
    if (this.held && !this.closed) this.schedule();
    return this.held;
  }

  /** Gives it back and wants it no more. */
  async close(): Promise<void> {
    this.closed = true;
    this.options.clock.clearTimeout(this.timer);
    await this.ticking;
    const { store, key, durationMs, leavesWord } = this.options;
    const { mine } = this;
    if (mine === undefined) return;
    const free: LeaseRecord = { renewal: mine.renewal + 1 };
    // A word that it is free, where silence could mean that the store has lost it.
    const end = leavesWord ? store.replace(key, mine, free, { expiresInMs: durationMs }) : store.remove(key, mine);
    await end.catch(() => false);
    this.mine = undefined;
  }

  private tick(): Promise<void> {
    this.ticking = this.attempt()
      .catch((thrown: unknown) => {
        this.options.logger.debug(`The lease ${this.options.key} could not be asked for: ${String(thrown)}`);
      })
      .finally(() => {
        this.ticking = undefined;
        this.tell();
        if (!this.closed) this.schedule();
      });
    return this.ticking;
  }

  private schedule(): void {
    const { clock, durationMs } = this.options;
    clock.clearTimeout(this.timer);
    this.timer = clock.setTimeout(() => void this.tick(), durationMs / 3);
    this.timer.unref?.();
  }

  private async attempt(): Promise<void> {
    if (this.mine && (await this.write(this.mine))) return;
    this.term += 1;
    const found = asLease(await this.options.store.get(this.options.key));
    if (found?.owner === this.options.owner) {
      // From before a restart, or a renewal whose answer was lost.
      await this.write(found);
    } else if (found?.owner !== undefined) {
      this.lost(found.owner, JSON.stringify(found));
    } else if (found) {
      this.other = undefined;
      await this.write(found);
    } else if (this.mine !== undefined || !this.otherIsDue()) {
      await this.write(undefined);
    }
  }

  /** Whether someone else was seen with a lease whose time is not over yet. */
  private otherIsDue(): boolean {
    const { clock, durationMs } = this.options;
    return this.other !== undefined && clock.now() < this.other.seenAt + durationMs;
  }

  private lost(owner: string, text: string): void {
    this.mine = undefined;
    if (this.other?.text !== text) this.other = { text, owner, seenAt: this.options.clock.now() };
  }

  private async write(before: LeaseRecord | undefined): Promise<boolean> {
    const { store, key, owner, durationMs, clock } = this.options;
    const began = clock.now();
    const next: LeaseRecord = { owner, renewal: (before?.renewal ?? 0) + 1 };
    const keeping = { expiresInMs: durationMs };
    const written = before ? await store.replace(key, before, next, keeping) : await store.add(key, next, keeping);
    if (!written) return false;
    this.mine = next;
    this.other = undefined;
    this.until = began + durationMs;
    return true;
  }

  private tell(): void {
    const { held } = this;
    if (held === this.heldBefore) return;
    this.heldBefore = held;
    this.options.onChange(held);
  }
}

function asLease(value: unknown): LeaseRecord | undefined {
  const { owner, renewal } = (value ?? {}) as Record<string, unknown>;
  if (typeof renewal !== 'number') return undefined;
  return typeof owner === 'string' ? { owner, renewal } : { renewal };
}
