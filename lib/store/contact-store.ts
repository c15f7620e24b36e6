import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { type Clock, delay, systemClock } from '../core/clock';
import type { Logger } from '../core/log';
import { openEmbeddedStore } from './embedded';
import { FallbackStore } from './fallback';
import { MemoryStore, type MemoryValues } from './memory';
import { RedisStore } from './redis';
import type { StateStore } from './store';

/** Where state is kept. */
export type StoreKind = 'memory' | 'embedded' | 'redis';

/** Settings of a {@link ContactStore}. */
export interface ContactStoreOptions {
  kind: StoreKind;
  /** Stores in memory with the same name are one: what they hold ends with the process, not with a deploy. */
  name: string;
  /** Folder of the store on disk; with Redis that of the copy for the time when Redis is away. In memory when left out. */
  folder?: string | undefined;
  /** For Redis. */
  url?: string | undefined;
  password?: string | undefined;
  /** Stands before every key in Redis; default `contact-center:`. */
  prefix?: string | undefined;
  clock?: Clock;
  logger?: Logger;
}

/** How a {@link ContactStore} stands, for `/stats`. */
export interface ContactStoreReport {
  kind: StoreKind;
  alone: boolean;
  /** Writes that wait until Redis is back. */
  behind: number;
  target?: string;
  problem?: string;
}

const inMemory = new Map<string, MemoryValues>();

function valuesOf(name: string): MemoryValues {
  const values = inMemory.get(name) ?? new Map();
  inMemory.set(name, values);
  return values;
}

/**
 * A store for the nodes of a flow. One in Redis connects by itself and works from the start, with a copy of its own
 * while Redis is away.
 */
export class ContactStore {
  /** Where the values are. */
  readonly kind: StoreKind;
  /** The store itself. */
  readonly store: StateStore;
  private readonly redisStore: RedisStore | undefined;
  private readonly fallback: FallbackStore | undefined;
  private readonly clock: Clock;
  private users = 0;
  private onFree: () => void = () => {};

  constructor({ kind, name, folder, url = '', password, prefix, clock = systemClock, logger }: ContactStoreOptions) {
    this.kind = kind;
    this.clock = clock;
    const isInMemory = folder === undefined || kind === 'memory';
    const local = isInMemory ? new MemoryStore(clock, valuesOf(name)) : openEmbeddedStore(folder, clock);
    if (kind !== 'redis') {
      this.store = local;
      return;
    }
    const options = { url, ...defined({ password, prefix, logger }) };
    this.redisStore = new RedisStore(options);
    const place = createHash('sha256')
      .update(JSON.stringify([this.redisStore.target, prefix]))
      .digest('base64url');
    const shared = this.redisStore;
    this.fallback = new FallbackStore({ shared, local, name: place.slice(0, 12), clock, ...defined({ logger }) });
    this.store = this.fallback;
  }

  /** Whether other processes may work with the same store. */
  get shared(): boolean {
    return this.kind === 'redis';
  }

  /** Whether this process is alone with its copy for now: what it claims is then not safe from other processes. */
  get alone(): boolean {
    return this.fallback?.alone ?? false;
  }

  /** The connection to Redis, for what needs more than a store. */
  get redis(): Redis | undefined {
    return this.redisStore?.client;
  }

  /** Calls `listener` when {@link ContactStore.alone} changes. Gives back the function that ends this. */
  onChange(listener: (alone: boolean) => void): () => void {
    return this.fallback?.onChange(listener) ?? (() => {});
  }

  /** Keeps the store open until the function it gives back is called: nodes are closed in no order. */
  hold(): () => void {
    this.users += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.users -= 1;
      if (this.users === 0) this.onFree();
    };
  }

  /** For `/stats`. */
  report(): ContactStoreReport {
    const { kind, alone, redisStore, fallback } = this;
    const problem = alone ? redisStore?.lastProblem : undefined;
    return { kind, alone, behind: fallback?.behind ?? 0, ...defined({ target: redisStore?.target, problem }) };
  }

  /** Proves that the store can be written and read. */
  async check(): Promise<{ version?: string; ms: number }> {
    const began = Date.now();
    if (this.redisStore) return this.redisStore.check();
    const key = `check/${began}`;
    await this.store.set(key, began, { expiresInMs: 60_000 });
    await this.store.delete(key);
    return { ms: Date.now() - began };
  }

  /** Closes the store when nobody holds it any more, at the latest after `withinMs`. */
  async close(withinMs = 0): Promise<void> {
    if (this.users > 0 && withinMs > 0) {
      const free = new AbortController();
      this.onFree = () => free.abort();
      await delay(withinMs, { clock: this.clock, signal: free.signal });
    }
    await this.store.close();
  }
}

/** The same without what is `undefined`. */
function defined<Of extends Record<string, unknown>>(values: Of): { [Name in keyof Of]?: NonNullable<Of[Name]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
