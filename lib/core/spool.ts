import type { SettledTotals } from './books';
import type { ContactError } from './errors';
import { Queue } from './queue';

/**
 * One thing that waits to be sent. `Context` is what its owner wants back with it and lives in memory only.
 *
 * It is a class and no literal, because V8 makes literals of a kind that mostly survives in the old generation at once:
 * there each dead one keeps its document and its message alive until that generation is collected.
 */
export class Entry<Context> {
  /** How often it was sent; counted anew after it was read back from disk. */
  attempts = 0;

  constructor(
    /** What is sent, ready as it is. */
    readonly body: string,
    readonly bytes: number,
    /** Missing for an entry that was read back from disk, and where nobody needs it any more. */
    public context: Context | undefined,
    /** When it came in, in milliseconds since the epoch. */
    readonly receivedAt: number,
    /** Its place in the order of arrival; given by the spool. */
    public key = 0,
  ) {}
}

/** Who uses a spool. Each entry that was appended, and not evicted since, is told exactly once. */
export interface SpoolOwner<Context> {
  /** The entry is as safe as the spool makes it, and can be taken. */
  stored(entry: Entry<Context>): void;
  /** The entries could not be stored and are forgotten; without any: that entries are settled could not be stored. */
  failed(entries: readonly Entry<Context>[], error: ContactError): void;
}

/**
 * What waits to be sent, oldest first. An entry stays stored from {@link Spool.append} until {@link Spool.settle},
 * also while it is being sent.
 */
export interface Spool<Context> {
  /** All that is kept, being sent or not. */
  readonly count: number;
  readonly bytes: number;
  /** What can be taken now; of a spool on disk the part of it that is in memory. */
  readonly readyCount: number;
  readonly readyBytes: number;
  /** When the entry that {@link Spool.take} would give first came in. */
  readonly oldestAt: number | undefined;
  /** Settled totals of earlier processes with the same spool. */
  readonly earlier: SettledTotals | undefined;
  /** To be set before the first {@link Spool.append}. */
  owner: SpoolOwner<Context> | undefined;
  /** Stores an entry. */
  append(entry: Entry<Context>): void;
  /** Takes the oldest entries, at least one if there is one. */
  take(mostItems: number, mostBytes: number): Entry<Context>[];
  /** Takes back entries that were taken, each to its place. */
  giveBack(entries: readonly Entry<Context>[]): void;
  /** Takes the oldest entry that is not being sent, stored or not; it has to be settled. */
  evict(): Entry<Context> | undefined;
  /** Forgets entries for good. The totals of the books are stored with that, both or neither. */
  settle(entries: readonly Entry<Context>[], totals: SettledTotals): void;
  /** Resolves when everything is stored; gives what was in memory only. Nothing can be done with the spool after it. */
  close(): Promise<Entry<Context>[]>;
}

/** Entries that can be taken, in the order of their keys. */
export class ReadyEntries<Context> {
  bytes = 0;
  private readonly queue = new Queue<Entry<Context>>();

  /** How many there are. */
  get count(): number {
    return this.queue.length;
  }

  /** The one that {@link ReadyEntries.take} would give first. */
  get oldest(): Entry<Context> | undefined {
    return this.queue.first;
  }

  /** Adds an entry that is newer than all others. */
  push(entry: Entry<Context>): void {
    this.queue.push(entry);
    this.bytes += entry.bytes;
  }

  /** As {@link Spool.take}. */
  take(mostItems: number, mostBytes: number): Entry<Context>[] {
    const taken: Entry<Context>[] = [];
    let bytes = 0;
    while (taken.length < mostItems) {
      const next = this.queue.first;
      if (!next || (taken.length > 0 && bytes + next.bytes > mostBytes)) break;
      this.queue.shift();
      bytes += next.bytes;
      taken.push(next);
    }
    this.bytes -= bytes;
    return taken;
  }

  /** As {@link Spool.giveBack}. Only what was given back before can be older than what is given back now. */
  giveBack(entries: readonly Entry<Context>[]): void {
    const newest = entries.at(-1)?.key ?? 0;
    const front = [...entries];
    for (let next = this.queue.first; next && next.key < newest; next = this.queue.first) {
      front.push(next);
      this.queue.shift();
    }
    if (front.length > entries.length) front.sort((one, other) => one.key - other.key);
    this.queue.unshift(front);
    for (const { bytes } of entries) this.bytes += bytes;
  }
}

/** Keeps entries in memory: they end with the process. */
export class MemorySpool<Context> implements Spool<Context> {
  count = 0;
  bytes = 0;
  readonly earlier = undefined;
  owner: SpoolOwner<Context> | undefined;
  private readonly ready = new ReadyEntries<Context>();
  private lastKey = 0;

  get readyCount(): number {
    return this.ready.count;
  }

  get readyBytes(): number {
    return this.ready.bytes;
  }

  get oldestAt(): number | undefined {
    return this.ready.oldest?.receivedAt;
  }

  append(entry: Entry<Context>): void {
    this.lastKey += 1;
    entry.key = this.lastKey;
    this.count += 1;
    this.bytes += entry.bytes;
    this.ready.push(entry);
    this.owner?.stored(entry);
  }

  take(mostItems: number, mostBytes: number): Entry<Context>[] {
    return this.ready.take(mostItems, mostBytes);
  }

  giveBack(entries: readonly Entry<Context>[]): void {
    this.ready.giveBack(entries);
  }

  evict(): Entry<Context> | undefined {
    return this.ready.take(1, 0)[0];
  }

  settle(entries: readonly Entry<Context>[]): void {
    this.count -= entries.length;
    for (const { bytes } of entries) this.bytes -= bytes;
  }

  async close(): Promise<Entry<Context>[]> {
    return this.ready.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
  }
}
