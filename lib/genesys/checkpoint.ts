import type { Clock, Timer } from '../core/clock';
import { describe } from '../core/errors';
import type { Logger } from '../core/log';
import type { StateStore } from '../store/store';

/** Settings of a {@link Checkpoint}. */
export interface CheckpointOptions {
  store: StateStore;
  key: string;
  /** The organization and client: the checkpoint of another account means nothing. */
  account: string;
  /** The time before which everything is settled, in milliseconds since the epoch. */
  settledUntil(): number;
  clock: Clock;
  logger: Logger;
}

const SHORTEST_INTERVAL_MS = 1_000;
/** Without events there is nothing to read again, so the time need not be exact. */
const IDLE_INTERVAL_MS = 60_000;

/** The time from which on events have to be read again after a restart, kept in the store. */
export class Checkpoint {
  private timer: Timer | undefined;
  private saving: Promise<void> = Promise.resolve();
  private dirty = true;
  private savedAt = Number.NEGATIVE_INFINITY;
  private failing = false;
  private closed = false;

  constructor(private readonly options: CheckpointOptions) {}

  /** What an earlier process has saved for this account. */
  async load(): Promise<number | undefined> {
    const { store, key, account } = this.options;
    const saved = ((await store.get(key)) ?? {}) as { account?: unknown; time?: unknown };
    return saved.account === account && typeof saved.time === 'number' ? saved.time : undefined;
  }

  /**
   * Saves now, so that even a process that ends in its first moments has left a mark, and from then on at most once a
   * second, when something has happened or a minute has passed.
   */
  async start(): Promise<void> {
    await this.save();
    this.schedule();
  }

  /** Something has happened that moves the checkpoint. Cheap enough for each event. */
  touch(): void {
    this.dirty = true;
  }

  /** Saves for the last time. */
  async close(): Promise<void> {
    this.closed = true;
    this.options.clock.clearTimeout(this.timer);
    await this.save();
  }

  private schedule(): void {
    const { clock } = this.options;
    if (this.closed) return;
    this.timer = clock.setTimeout(() => {
      if (this.dirty || clock.now() - this.savedAt >= IDLE_INTERVAL_MS) void this.save();
      this.schedule();
    }, SHORTEST_INTERVAL_MS);
    this.timer.unref?.();
  }

  private save(): Promise<void> {
    const { clock } = this.options;
    this.dirty = false;
    this.savedAt = clock.now();
    this.saving = this.saving.then(() => this.write());
    return this.saving;
  }

  private async write(): Promise<void> {
    const { store, key, account, settledUntil, logger } = this.options;
    try {
      await store.set(key, { account, time: settledUntil() });
      this.failing = false;
    } catch (thrown) {
      if (!this.failing) logger.error(`The checkpoint cannot be saved: ${describe(thrown)}`);
      this.failing = true;
      this.dirty = true;
    }
  }
}
