import { mkdirSync } from 'node:fs';
import { type Database, open, type RootDatabase } from 'lmdb';
import type { SettledTotals } from './books';
import { ContactError, describe } from './errors';
import { Queue } from './queue';

/** One thing that waits to be sent. `Context` is what its owner wants back with it and lives in memory only. */
export interface Entry<Context> {
  /** What is sent, ready as it is. */
  readonly body: string;
  readonly bytes: number;
  /** Missing for an entry that an earlier process left. */
  readonly context: Context | undefined;
  /** When it came in, in milliseconds since the epoch; for an entry of an earlier process when it was read back. */
  readonly receivedAt: number;
  /** How often it was sent. */
  attempts: number;
  /** Its place on disk; 0 in memory. */
  key: number;
}

/**
 * What waits to be sent, oldest first. An entry stays stored from {@link Spool.append} until {@link Spool.settle},
 * also while it is being sent.
 */
export interface Spool<Context> {
  /** All that is stored, being sent or not. */
  readonly count: number;
  readonly bytes: number;
  /** What can be taken now. */
  readonly readyCount: number;
  readonly readyBytes: number;
  /** When the entry that {@link Spool.take} would give first came in. */
  readonly oldestAt: number | undefined;
  /** Settled totals of earlier processes with the same spool. */
  readonly earlier: SettledTotals | undefined;
  /** Stores an entry; `onSafe` is called once, without an error when it is as safe as the spool makes it. */
  append(entry: Entry<Context>, onSafe: (error?: ContactError) => void): void;
  /** Takes the oldest entries, at least one if there is one. */
  take(mostItems: number, mostBytes: number): Entry<Context>[];
  /** Puts entries that were taken back to the front. */
  giveBack(entries: readonly Entry<Context>[]): void;
  /** Forgets entries for good; the totals of the books are stored with that. */
  settle(entries: readonly Entry<Context>[], totals: SettledTotals): void;
  /** Resolves when everything is stored; gives what waits in memory only. */
  close(): Promise<Entry<Context>[]>;
}

/** Keeps entries in memory: they end with the process. */
export class MemorySpool<Context> implements Spool<Context> {
  count = 0;
  bytes = 0;
  readyBytes = 0;
  readonly earlier = undefined;
  private readonly ready = new Queue<Entry<Context>>();

  get readyCount(): number {
    return this.ready.length;
  }

  get oldestAt(): number | undefined {
    return this.ready.first?.receivedAt;
  }

  append(entry: Entry<Context>, onSafe: (error?: ContactError) => void): void {
    this.count += 1;
    this.bytes += entry.bytes;
    this.readyBytes += entry.bytes;
    this.ready.push(entry);
    onSafe();
  }

  take(mostItems: number, mostBytes: number): Entry<Context>[] {
    const taken: Entry<Context>[] = [];
    let bytes = 0;
    while (taken.length < mostItems) {
      const next = this.ready.first;
      if (!next || (taken.length > 0 && bytes + next.bytes > mostBytes)) break;
      this.ready.shift();
      bytes += next.bytes;
      taken.push(next);
    }
    this.readyBytes -= bytes;
    return taken;
  }

  giveBack(entries: readonly Entry<Context>[]): void {
    this.ready.unshift(entries);
    for (const { bytes } of entries) this.readyBytes += bytes;
  }

  settle(entries: readonly Entry<Context>[]): void {
    this.count -= entries.length;
    for (const { bytes } of entries) this.bytes -= bytes;
  }

  async close(): Promise<Entry<Context>[]> {
    return this.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
  }
}

/** Of what is on disk, this much at most is in memory as well, ready to be sent. */
const WINDOW = { items: 20_000, bytes: 32_000_000 };
const TOTALS = 'totals';

interface StoredTotals extends SettledTotals {
  /** The size of all that is stored, so that a start does not have to read it all. */
  bytes: number;
}

/** An entry on its way to the disk. */
interface Pending<Context> {
  readonly entry: Entry<Context>;
  readonly onSafe: (error?: ContactError) => void;
  state: 'writing' | 'safe' | ContactError;
}

/**
 * Keeps entries on disk, crash-safe. An entry can be sent once it is there, and one that was being sent when the
 * process ended is sent again by the next. Memory holds a bounded part of it. One process at a time.
 */
export class DiskSpool<Context> implements Spool<Context> {
  bytes = 0;
  count = 0;
  readonly earlier: SettledTotals | undefined;
  private readonly root: RootDatabase;
  private readonly entries: Database<string, number>;
  private readonly meta: Database<StoredTotals, string>;
  private readonly window = new MemorySpool<Context>();
  private lastKey = 0;
  /** The last key that was put into the window; everything after it is on disk only. */
  private lastLoaded = 0;
  /** Whether entries wait on disk that are not in the window. */
  private spilled = false;
  private lastSafe = 0;
  private totals: SettledTotals = { delivered: 0, duplicate: 0, rejected: 0, dropped: 0 };
  private readonly writing = new Set<Promise<unknown>>();
  private readonly pending = new Queue<Pending<Context>>();

  /** Opens or makes the spool in a folder. Throws `BUFFER_FAILED` when that cannot be done. */
  constructor(private readonly folder: string) {
    try {
      mkdirSync(folder, { recursive: true });
      this.root = open({ path: folder, maxDbs: 2, compression: false });
      this.entries = this.root.openDB({ name: 'entries', encoding: 'string', keyEncoding: 'ordered-binary' });
      this.meta = this.root.openDB({ name: 'meta', encoding: 'json' });
    } catch (thrown) {
      throw this.failure('open the disk buffer', thrown);
    }
    const stored = this.meta.get(TOTALS);
    if (stored) {
      const { bytes, ...totals } = stored;
      this.totals = totals;
      this.earlier = { ...totals };
      this.bytes = bytes;
    }
    this.count = this.entries.getCount();
    for (const key of this.entries.getKeys({ reverse: true, limit: 1 })) this.lastKey = key;
    this.lastSafe = this.lastKey;
    this.spilled = this.count > 0;
    this.refill();
  }

  get readyCount(): number {
    return this.window.readyCount;
  }

  get readyBytes(): number {
    return this.window.readyBytes;
  }

  get oldestAt(): number | undefined {
    return this.window.oldestAt;
  }

  append(entry: Entry<Context>, onSafe: (error?: ContactError) => void): void {
    this.lastKey += 1;
    const key = this.lastKey;
    entry.key = key;
    this.count += 1;
    this.bytes += entry.bytes;
    // Both writes are made in one turn of the event loop, and those share a transaction.
    this.putTotals();
    const item: Pending<Context> = { entry, onSafe, state: 'writing' };
    this.pending.push(item);
    this.follow(
      this.entries.put(key, entry.body),
      () => {
        item.state = 'safe';
        this.admit();
      },
      (thrown) => {
        item.state = this.failure('store a document in the disk buffer', thrown);
        this.admit();
      },
    );
  }

  /** Lets in what is stored, in the order it came: the writes of one turn need not be reported in their order. */
  private admit(): void {
    for (let item = this.pending.first; item && item.state !== 'writing'; item = this.pending.first) {
      this.pending.shift();
      const { entry, onSafe, state } = item;
      if (state !== 'safe') {
        this.count -= 1;
        this.bytes -= entry.bytes;
        onSafe(state);
        continue;
      }
      this.lastSafe = entry.key;
      if (!this.spilled && this.hasRoom()) {
        this.lastLoaded = entry.key;
        this.window.append(entry, () => {});
      } else {
        this.spilled = true;
      }
      onSafe();
    }
  }

  take(mostItems: number, mostBytes: number): Entry<Context>[] {
    const taken = this.window.take(mostItems, mostBytes);
    if (this.spilled && this.window.readyCount < WINDOW.items / 4) this.refill();
    return taken;
  }

  giveBack(entries: readonly Entry<Context>[]): void {
    this.window.giveBack(entries);
  }

  settle(entries: readonly Entry<Context>[], totals: SettledTotals): void {
    this.totals = totals;
    this.count -= entries.length;
    for (const entry of entries) {
      this.bytes -= entry.bytes;
      this.follow(this.entries.remove(entry.key));
    }
    this.putTotals();
  }

  async close(): Promise<Entry<Context>[]> {
    await Promise.allSettled([...this.writing]);
    await this.root.flushed;
    await this.root.close();
    return [];
  }

  private hasRoom(): boolean {
    return this.window.readyCount < WINDOW.items && this.window.readyBytes < WINDOW.bytes;
  }

  private refill(): void {
    const limit = WINDOW.items - this.window.readyCount;
    if (limit <= 0) return;
    for (const { key, value } of this.entries.getRange({ start: this.lastLoaded + 1, end: this.lastSafe + 1, limit })) {
      if (!this.hasRoom()) return;
      const entry: Entry<Context> = {
        body: value,
        bytes: Buffer.byteLength(value),
        context: undefined,
        receivedAt: Date.now(),
        attempts: 0,
        key,
      };
      this.window.append(entry, () => {});
      this.lastLoaded = key;
    }
    this.spilled = this.lastLoaded < this.lastSafe;
  }

  private putTotals(): void {
    this.follow(this.meta.put(TOTALS, { ...this.totals, bytes: this.bytes }));
  }

  private follow(written: Promise<unknown>, onDone?: () => void, onFailed?: (thrown: unknown) => void): void {
    this.writing.add(written);
    written.then(
      () => {
        this.writing.delete(written);
        onDone?.();
      },
      (thrown) => {
        this.writing.delete(written);
        onFailed?.(thrown);
      },
    );
  }

  private failure(attempted: string, thrown: unknown): ContactError {
    return new ContactError('BUFFER_FAILED', {
      attempted,
      target: this.folder,
      answer: describe(thrown),
      cause: thrown,
    });
  }
}
