import { type Clock, systemClock } from '../core/clock';
import { ContactError, describe } from '../core/errors';
import { type Logger, silentLogger } from '../core/log';
import type { Keeping, StateStore } from './store';

/** A store that can be gone for a while, and tells. */
export interface SharedStore extends StateStore {
  /** Whether it answers, as far as is known. */
  readonly available: boolean;
  /** Calls `listener` when it goes and when it comes back. Gives back the function that ends this. */
  onChange(listener: (available: boolean) => void): () => void;
}

/** What has to be done in the shared store when it is back. */
interface Missed {
  /** `add` does not overwrite what another process has written meanwhile; the others do. */
  kind: 'set' | 'add' | 'delete';
  /** When the value ends, in milliseconds since the epoch; absent for one that stays. */
  expiresAt?: number;
}

/** Settings of a {@link FallbackStore}. */
export interface FallbackStoreOptions {
  shared: SharedStore;
  /** Keeps a copy of all that this process writes; closed together with this store. */
  local: StateStore;
  /** Sets the copies of several stores apart in one local store. */
  name: string;
  clock?: Clock;
  logger?: Logger;
}

/**
 * A shared store with a local copy of what this process has written. While the shared store is gone, the process goes
 * on with its copy, alone: then what it adds is not safe from other processes, so whoever needs that asks
 * {@link FallbackStore.alone} first. When the shared store is back, what was missed is made up for before anything
 * else is done: values are written, but claims and leases (added or replaced) never overwrite those of others.
 */
export class FallbackStore implements StateStore {
  private readonly shared: SharedStore;
  private readonly local: StateStore;
  private readonly name: string;
  private readonly clock: Clock;
  private readonly logger: Logger;
  private readonly missed = new Map<string, Missed>();
  private readonly listeners = new Set<(alone: boolean) => void>();
  private readonly leave: () => void;
  private readonly loaded: Promise<void>;
  private catchingUp: Promise<void> | undefined;
  private aloneNow = false;

  constructor({ shared, local, name, clock = systemClock, logger = silentLogger }: FallbackStoreOptions) {
    this.shared = shared;
    this.local = local;
    this.name = name;
    this.clock = clock;
    this.logger = logger;
    this.loaded = this.load();
    // Whoever uses the store is told; without a user there is nobody to tell.
    this.loaded.catch(() => {});
    this.leave = shared.onChange((available) => {
      if (available) this.catchUp();
      else this.setAlone(true);
    });
    if (shared.available) this.catchUp();
  }

  /** Whether this process works with its own copy, because the shared store is gone. */
  get alone(): boolean {
    return this.aloneNow;
  }

  /** How many keys wait to be written to the shared store. */
  get behind(): number {
    return this.missed.size;
  }

  /** Calls `listener` when the shared store goes and when it is in use again. Gives back the function that ends this. */
  onChange(listener: (alone: boolean) => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  async get(key: string): Promise<unknown> {
    await this.settled();
    // What could not be written yet is newer here.
    if (this.missed.has(key)) return this.local.get(this.copy(key));
    return this.either(
      () => this.shared.get(key),
      () => this.local.get(this.copy(key)),
    );
  }

  async set(key: string, value: unknown, keeping?: Keeping): Promise<void> {
    await this.settled();
    await this.either(
      async () => {
        await this.shared.set(key, value, keeping);
        await this.local.set(this.copy(key), value, keeping);
      },
      async () => {
        await this.local.set(this.copy(key), value, keeping);
        await this.miss(key, 'set', keeping);
      },
    );
  }

  async add(key: string, value: unknown, keeping?: Keeping): Promise<boolean> {
    await this.settled();
    return this.either(
      async () => {
        const added = await this.shared.add(key, value, keeping);
        if (added) await this.local.set(this.copy(key), value, keeping);
        return added;
      },
      async () => {
        const added = await this.local.add(this.copy(key), value, keeping);
        if (added) await this.miss(key, 'add', keeping);
        return added;
      },
    );
  }

  async replace(key: string, expected: unknown, value: unknown, keeping?: Keeping): Promise<boolean> {
    await this.settled();
    return this.either(
      async () => {
        const replaced = await this.shared.replace(key, expected, value, keeping);
        if (replaced) await this.local.set(this.copy(key), value, keeping);
        return replaced;
      },
      async () => {
        const replaced = await this.local.replace(this.copy(key), expected, value, keeping);
        if (replaced) await this.miss(key, this.missed.get(key)?.kind === 'set' ? 'set' : 'add', keeping);
        return replaced;
      },
    );
  }

  async delete(key: string): Promise<void> {
    await this.settled();
    await this.either(
      async () => {
        await this.shared.delete(key);
        await this.local.delete(this.copy(key));
      },
      async () => {
        await this.local.delete(this.copy(key));
        await this.miss(key, 'delete');
      },
    );
  }

  async remove(key: string, expected: unknown): Promise<boolean> {
    await this.settled();
    return this.either(
      async () => {
        const removed = await this.shared.remove(key, expected);
        if (removed) await this.local.delete(this.copy(key));
        return removed;
      },
      async () => {
        const removed = await this.local.remove(this.copy(key), expected);
        // What the other processes see of it ends by itself, or is theirs.
        if (removed) await this.forget(key);
        return removed;
      },
    );
  }

  async entries(prefix: string): Promise<[string, unknown][]> {
    await this.settled();
    const own = async (): Promise<[string, unknown][]> => {
      const copies = await this.local.entries(this.copy(prefix));
      return copies.map(([key, value]) => [key.slice(this.copy('').length), value]);
    };
    return this.either(() => this.shared.entries(prefix), own);
  }

  async close(): Promise<void> {
    this.leave();
    this.listeners.clear();
    await this.catchingUp;
    await this.shared.close();
    await this.local.close();
  }

  private copy(key: string): string {
    return `copy/${this.name}/${key}`;
  }

  private mark(key: string): string {
    return `missed/${this.name}/${key}`;
  }

  /** Nothing is read or written while older writes are made up for. */
  private async settled(): Promise<void> {
    await this.loaded;
    while (this.catchingUp !== undefined) await this.catchingUp;
  }

  private async either<Value>(together: () => Promise<Value>, alone: () => Promise<Value>): Promise<Value> {
    try {
      const value = await together();
      if (this.aloneNow) this.catchUp();
      return value;
    } catch (thrown) {
      const gone = thrown instanceof ContactError && (thrown.code === 'UNREACHABLE' || thrown.code === 'REFUSED');
      if (!gone) throw thrown;
      this.setAlone(true);
      return alone();
    }
  }

  /** To be called when the copy has been changed: what is made up for is read from there, at any moment after this. */
  private async miss(key: string, kind: Missed['kind'], { expiresInMs }: Keeping = {}): Promise<void> {
    const missed: Missed = expiresInMs === undefined ? { kind } : { kind, expiresAt: this.clock.now() + expiresInMs };
    this.missed.set(key, missed);
    await this.local.set(this.mark(key), missed, expiresInMs === undefined ? {} : { expiresInMs });
    // The shared store may have come back while the copy was being changed.
    if (!this.aloneNow) this.catchUp();
  }

  private async forget(key: string): Promise<void> {
    if (!this.missed.delete(key)) return;
    await this.local.delete(this.mark(key));
  }

  /** What an earlier process could not write any more. */
  private async load(): Promise<void> {
    const from = this.mark('').length;
    for (const [key, value] of await this.local.entries(this.mark(''))) {
      this.missed.set(key.slice(from), value as Missed);
    }
  }

  private catchUp(): void {
    this.catchingUp ??= this.makeUp().catch((thrown: unknown) => {
      // It is gone again: the next return goes on with the rest.
      this.catchingUp = undefined;
      this.logger.debug(`What was missed could not be written to the shared store: ${describe(thrown)}`);
    });
  }

  private async makeUp(): Promise<void> {
    await this.loaded;
    // What was begun alone may end while this goes on, and concern a key that was made up for already.
    for (let [next] = this.missed; next; [next] = this.missed) {
      const [key, missed] = next;
      await this.makeUpFor(key, missed);
      if (this.missed.get(key) === missed) await this.forget(key);
    }
    this.catchingUp = undefined;
    this.setAlone(false);
  }

  private async makeUpFor(key: string, { kind, expiresAt }: Missed): Promise<void> {
    const value = await this.local.get(this.copy(key));
    const keeping = expiresAt === undefined ? {} : { expiresInMs: Math.max(1, expiresAt - this.clock.now()) };
    if (kind === 'delete') await this.shared.delete(key);
    else if (value !== undefined && kind === 'set') await this.shared.set(key, value, keeping);
    else if (value !== undefined && !(await this.shared.add(key, value, keeping))) {
      // Another process was first.
      await this.local.delete(this.copy(key));
    }
  }

  private setAlone(alone: boolean): void {
    if (alone === this.aloneNow) return;
    this.aloneNow = alone;
    for (const listener of [...this.listeners]) listener(alone);
  }
}
