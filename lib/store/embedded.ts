import { setImmediate as nextTurn } from 'node:timers/promises';
import type { RootDatabase } from 'lmdb';
import { type Clock, systemClock } from '../core/clock';
import { openSharedDatabase, type SharedDatabase } from './shared-database';
import type { Keeping, StateStore } from './store';

/** A value as it is stored: with the time of its end, in milliseconds since the epoch, when it has one. */
type Stored = [value: unknown, expiresAt?: number];

/** How often expired values are looked for, in milliseconds, and how many keys are looked at in one go. */
const SWEEP_EVERY_MS = 600_000;
const SWEEP_KEYS = 1_000;

/** When expired values were looked for last, in milliseconds since the epoch. */
const sweptAt = new WeakMap<RootDatabase, number>();

/**
 * Opens the {@link StateStore} in a folder, which is made when it is missing. Everyone who opens the same folder
 * shares one database. What was written survives a kill of the process; what was written in the last moments before a
 * power cut may be missing, but the store is never torn. Throws `BUFFER_FAILED` when the folder cannot be used.
 */
export function openEmbeddedStore(folder: string, clock: Clock = systemClock): StateStore {
  return new EmbeddedStore(openSharedDatabase(folder, 'state.mdb', 'state store'), clock);
}

class EmbeddedStore implements StateStore {
  private closed = false;

  constructor(
    private readonly shared: SharedDatabase,
    private readonly clock: Clock,
  ) {}

  async get(key: string): Promise<unknown> {
    return this.live(this.database.get(key));
  }

  async set(key: string, value: unknown, keeping?: Keeping): Promise<void> {
    const stored = this.stored(value, keeping);
    await this.shared.change(() => this.write(key, stored));
    this.sweepNowAndThen();
  }

  async add(key: string, value: unknown, keeping?: Keeping): Promise<boolean> {
    return this.change(key, (found) => found === undefined, this.stored(value, keeping));
  }

  async replace(key: string, expected: unknown, value: unknown, keeping?: Keeping): Promise<boolean> {
    const text = JSON.stringify(expected);
    return this.change(key, (found) => JSON.stringify(found) === text, this.stored(value, keeping));
  }

  async delete(key: string): Promise<void> {
    await this.shared.change(() => this.write(key, undefined));
  }

  async remove(key: string, expected: unknown): Promise<boolean> {
    const text = JSON.stringify(expected);
    return this.change(key, (found) => found !== undefined && JSON.stringify(found) === text, undefined);
  }

  async entries(prefix: string): Promise<[string, unknown][]> {
    const found: [string, unknown][] = [];
    // No text that begins with the prefix comes after the prefix with the highest character behind it.
    for (const { key, value } of this.database.getRange({ start: prefix, end: `${prefix}\u{10ffff}` })) {
      const live = this.live(value);
      if (live !== undefined) found.push([key, live]);
    }
    return found;
  }

  close(): Promise<void> {
    this.closed = true;
    return this.shared.close();
  }

  /** Writes (or removes, with `undefined`) in one transaction with the look at what is there. */
  private async change(
    key: string,
    isExpected: (found: unknown) => boolean,
    value: Stored | undefined,
  ): Promise<boolean> {
    const changed = await this.shared.change(() => {
      if (!isExpected(this.live(this.database.get(key)))) return false;
      this.write(key, value);
      return true;
    });
    this.sweepNowAndThen();
    return changed;
  }

  /** Inside a change, whose promise tells how all of its writing went. */
  private write(key: string, value: Stored | undefined): void {
    if (value === undefined) void this.database.remove(key);
    else void this.database.put(key, value);
  }

  private stored(value: unknown, { expiresInMs }: Keeping = {}): Stored {
    return expiresInMs === undefined ? [value] : [value, this.clock.now() + expiresInMs];
  }

  private live(stored: Stored | undefined): unknown {
    if (!Array.isArray(stored)) return undefined;
    const [value, expiresAt = Number.POSITIVE_INFINITY] = stored;
    return this.clock.now() < expiresAt ? value : undefined;
  }

  /** Only writing makes a store grow, so that is when expired values are looked for. */
  private sweepNowAndThen(): void {
    const now = this.clock.now();
    if (this.closed || now - (sweptAt.get(this.database) ?? 0) < SWEEP_EVERY_MS) return;
    sweptAt.set(this.database, now);
    // What could not be removed is found by the next sweep.
    this.sweep(now).catch(() => {});
  }

  private async sweep(now: number): Promise<void> {
    let start: string | undefined;
    for (;;) {
      if (this.closed) return;
      const { database } = this;
      let looked = 0;
      const expired: string[] = [];
      for (const { key, value } of database.getRange({
        ...(start === undefined ? {} : { start }),
        limit: SWEEP_KEYS,
      })) {
        looked += 1;
        start = key;
        if (this.isExpired(value, now)) expired.push(key);
      }
      await this.shared.change(() => {
        for (const key of expired) {
          if (this.isExpired(database.get(key), now)) this.write(key, undefined);
        }
      });
      if (looked < SWEEP_KEYS) return;
      await nextTurn();
    }
  }

  private isExpired(stored: Stored | undefined, now: number): boolean {
    return Array.isArray(stored) && stored[1] !== undefined && stored[1] <= now;
  }

  private get database(): RootDatabase<Stored, string> {
    return this.shared.database as RootDatabase<Stored, string>;
  }
}
