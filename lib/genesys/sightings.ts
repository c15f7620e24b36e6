import { describe } from '../core/errors';
import type { Logger } from '../core/log';
import type { StateStore } from '../store/store';

/** An event that the socket has delivered without saying when it happened. */
export interface Sighting {
  /** What it has in common with its record in the REST query: everything but the time. */
  readonly key: string;
  /** When it came in, in milliseconds since the epoch. */
  readonly arrivalMs: number;
  /** The identifier it was given. */
  readonly id: string;
}

/** How sightings are kept. */
export interface SightingsOptions {
  /** At most so many are kept. */
  limit: number;
  /** A sighting is kept for at least so long, in milliseconds, even when that makes more of them than `limit`. */
  windowMs: number;
  /** Keeps them beyond the life of the process. */
  store?: StateStore | undefined;
  /** Tells apart the sightings of several users of one store. */
  owner: string;
  logger: Logger;
}

interface Kept {
  readonly sighting: Sighting;
  readonly storeKey: string;
}

/** The sightings of the recent past, also those of earlier processes. */
export class Sightings {
  private readonly byKey = new Map<string, Sighting[]>();
  private queue: Kept[] = [];
  private sequence = 0;
  private storeFails = false;
  private store: StateStore | undefined;

  constructor(private readonly options: SightingsOptions) {
    this.store = options.store;
  }

  /** Goes on with another handle of the same store: the one before was closed with its user. */
  useStore(store: StateStore): void {
    this.store = store;
  }

  /** How many are kept. */
  get size(): number {
    return this.queue.length;
  }

  /** Takes over what an earlier process has left in the store. */
  async load(): Promise<void> {
    const entries = (await this.store?.entries(this.prefix)) ?? [];
    const loaded = entries.flatMap(([storeKey, value]) => {
      const sighting = readSighting(value);
      return sighting ? [{ sighting, storeKey }] : [];
    });
    this.queue = [...loaded, ...this.queue];
    this.byKey.clear();
    for (const { sighting } of this.queue) this.index(sighting);
  }

  /** How many of the same kind have come in at the same millisecond. */
  countAt(key: string, arrivalMs: number): number {
    return this.near(key, arrivalMs, arrivalMs).length;
  }

  /**
   * Keeps a sighting. The promise resolves when it is in the store; it never rejects, since a store that fails must
   * not hold up events. There is none without a store.
   */
  add(key: string, arrivalMs: number, id: string): Promise<void> | undefined {
    const sighting = { key, arrivalMs, id };
    this.sequence = (this.sequence + 1) % 1_000_000;
    const order = `${String(arrivalMs).padStart(15, '0')}-${String(this.sequence).padStart(6, '0')}`;
    const storeKey = `${this.prefix}${order}-${process.pid}`;
    this.queue.push({ sighting, storeKey });
    this.index(sighting);
    this.forget(arrivalMs);
    return this.write((store) => store.set(storeKey, { key, arrivalMs, id }));
  }

  /** The sightings of one kind of event that came in from one time to another, both included; oldest first. */
  near(key: string, fromMs: number, toMs: number): Sighting[] {
    const all = this.byKey.get(key) ?? [];
    return all.slice(firstFrom(all, fromMs), firstFrom(all, toMs + 1));
  }

  private get prefix(): string {
    return `genesys-sightings/${this.options.owner}/`;
  }

  /** Sightings come in the order of time, save when the clock is set back. */
  private index(sighting: Sighting): void {
    const all = this.byKey.get(sighting.key);
    if (!all) this.byKey.set(sighting.key, [sighting]);
    else if (all.at(-1)!.arrivalMs <= sighting.arrivalMs) all.push(sighting);
    else all.splice(firstFrom(all, sighting.arrivalMs + 1), 0, sighting);
  }

  /** A tenth at a time: taking one by one from the front of a long list moves all the others each time. */
  private forget(nowMs: number): void {
    const { limit, windowMs } = this.options;
    const tenth = Math.ceil(limit / 10);
    if (this.queue.length < limit + tenth || this.queue[tenth - 1]!.sighting.arrivalMs >= nowMs - windowMs) return;
    const forgotten = this.queue.splice(0, tenth);
    const gone = new Set(forgotten.map(({ sighting }) => sighting));
    for (const key of new Set(forgotten.map(({ sighting }) => sighting.key))) {
      const rest = (this.byKey.get(key) ?? []).filter((sighting) => !gone.has(sighting));
      if (rest.length > 0) this.byKey.set(key, rest);
      else this.byKey.delete(key);
    }
    for (const { storeKey } of forgotten) void this.write((store) => store.delete(storeKey));
  }

  private async writeTo(store: StateStore, write: (store: StateStore) => Promise<void>): Promise<void> {
    try {
      await write(store);
      this.storeFails = false;
    } catch (thrown) {
      if (!this.storeFails) this.options.logger.warn(`Sightings of events are not stored: ${describe(thrown)}`);
      this.storeFails = true;
    }
  }

  private write(write: (store: StateStore) => Promise<void>): Promise<void> | undefined {
    return this.store && this.writeTo(this.store, write);
  }
}

/** The index of the first sighting at or after a time. */
function firstFrom(sightings: readonly Sighting[], timeMs: number): number {
  let low = 0;
  let high = sightings.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sightings[middle]!.arrivalMs < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

function readSighting(value: unknown): Sighting | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { key, arrivalMs, id } = value as Partial<Record<keyof Sighting, unknown>>;
  if (typeof key !== 'string' || typeof arrivalMs !== 'number' || typeof id !== 'string') return undefined;
  return { key, arrivalMs, id };
}
