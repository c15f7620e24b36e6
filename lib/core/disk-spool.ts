import { setImmediate } from 'node:timers/promises';
import type { Database } from 'lmdb';
import type { SettledTotals } from './books';
import { DiskDatabase } from './disk-database';
import { type ContactError, toContactError } from './errors';
import { Queue } from './queue';
import { Entry, ReadyEntries, type Spool, type SpoolOwner } from './spool';

/** Of what is on disk, this much at most is in memory as well, ready to be sent; it is filled up so much at a time. */
const WINDOW = { items: 10_000, bytes: 32_000_000, step: 1_000 };
/** The key of an entry is the time it came in, times this, and then the next one that is free: room until the year 2109. */
const KEYS_PER_MS = 2_048;
const TOTALS = 'totals';

interface StoredTotals extends SettledTotals {
  /** The size of all that is stored, so that a start does not have to read it all. */
  bytes: number;
}

/**
 * Keeps entries on disk: they survive a kill of the process and a power cut. An entry can be sent once it is there, and
 * one that was being sent when the process ended is sent again by the next. Memory holds a bounded part of them; an
 * entry that is read back has lost its context. One user in one process at a time.
 */
export class DiskSpool<Context> implements Spool<Context> {
  bytes = 0;
  count = 0;
  readonly earlier: SettledTotals | undefined;
  owner: SpoolOwner<Context> | undefined;
  private readonly database: DiskDatabase;
  private readonly entries: Database<string, number>;
  private readonly meta: Database<StoredTotals, string>;
  private readonly ready = new ReadyEntries<Context>();
  /** What the next write takes along: entries to store, keys to forget. */
  private arriving = new Queue<Entry<Context>>();
  private leaving: number[] = [];
  private totals: SettledTotals = { delivered: 0, duplicate: 0, rejected: 0, dropped: 0 };
  /** Whether anything has changed since the last write began. */
  private isChanged = false;
  /** What the write that is under way stores. */
  private storing = new Queue<Entry<Context>>();
  private writing: Promise<void> | undefined;
  private closing: Promise<Entry<Context>[]> | undefined;
  private lastKey = 0;
  /** The last key that is on disk, and the last one that was made ready: what is between them is on disk only. */
  private lastStored = 0;
  private lastReady = 0;

  /** Opens or makes the spool in a folder. Throws `BUFFER_FAILED` when that cannot be done. */
  constructor(folder: string) {
    this.database = new DiskDatabase(folder);
    const { root } = this.database;
    try {
      this.entries = root.openDB({ name: 'entries', encoding: 'string', keyEncoding: 'ordered-binary' });
      this.meta = root.openDB({ name: 'meta', encoding: 'json' });
      const stored = this.meta.get(TOTALS);
      if (stored) {
        const { bytes, ...totals } = stored;
        this.bytes = bytes;
        this.totals = totals;
        this.earlier = totals;
      }
      this.count = this.entries.getCount();
      for (const key of this.entries.getKeys({ reverse: true, limit: 1 })) this.lastKey = key;
      this.lastStored = this.lastKey;
      this.readMore();
    } catch (thrown) {
      this.database.close().catch(() => {});
      throw this.database.failure('read the disk buffer', thrown);
    }
  }

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
    this.lastKey = Math.max(this.lastKey + 1, entry.receivedAt * KEYS_PER_MS);
    entry.key = this.lastKey;
    this.count += 1;
    this.bytes += entry.bytes;
    this.arriving.push(entry);
    this.change();
  }

  take(mostItems: number, mostBytes: number): Entry<Context>[] {
    const taken = this.ready.take(mostItems, mostBytes);
    try {
      this.readMore();
    } catch (thrown) {
      // What cannot be read stays where it is; what comes after it goes on.
      this.lastReady = this.lastStored;
      this.owner?.failed([], this.database.failure('read the disk buffer', thrown));
    }
    return taken;
  }

  giveBack(entries: readonly Entry<Context>[]): void {
    this.ready.giveBack(entries);
  }

  evict(): Entry<Context> | undefined {
    return this.take(1, 0)[0] ?? this.storing.shift() ?? this.arriving.shift();
  }

  settle(entries: readonly Entry<Context>[], totals: SettledTotals): void {
    this.totals = totals;
    this.count -= entries.length;
    for (const { key, bytes } of entries) {
      this.bytes -= bytes;
      this.leaving.push(key);
    }
    this.change();
  }

  close(): Promise<Entry<Context>[]> {
    this.closing ??= this.finish();
    return this.closing;
  }

  private async finish(): Promise<Entry<Context>[]> {
    if (this.isChanged) this.writing ??= this.write();
    await this.writing;
    await this.database.close();
    return [];
  }

  private change(): void {
    if (this.closing !== undefined) return;
    this.isChanged = true;
    this.writing ??= this.write();
  }

  /**
   * Writes what there is to write, in one transaction at a time: all that changes while one is under way is in the next.
   * So entries are stored in their order, and totals never without the entries that they count.
   */
  private async write(): Promise<void> {
    // What comes in the same turn of the event loop goes along.
    await setImmediate();
    while (this.isChanged) {
      this.isChanged = false;
      [this.storing, this.arriving] = [this.arriving, this.storing];
      const leaving = this.leaving;
      this.leaving = [];
      try {
        await this.database.write('store documents in the disk buffer', () => {
          for (const { key, body } of this.storing) void this.entries.put(key, body);
          for (const key of leaving) void this.entries.remove(key);
          void this.meta.put(TOTALS, { ...this.totals, bytes: this.bytes });
        });
      } catch (thrown) {
        this.leaving = leaving.concat(this.leaving);
        // Without new entries there may be room enough to forget the settled ones. If not, the next change tries again.
        if (!this.fail(toContactError(thrown, 'store documents'))) break;
      }
      this.admit();
    }
    this.writing = undefined;
  }

  /** What has been stored can be taken, unless entries before it are on disk only. */
  private admit(): void {
    const stored = [...this.storing];
    this.storing = new Queue();
    for (const entry of stored) {
      if (this.lastReady === this.lastStored && this.hasRoom()) {
        this.ready.push(entry);
        this.lastReady = entry.key;
      }
      this.lastStored = entry.key;
    }
    for (const entry of stored) this.owner?.stored(entry);
  }

  /** Nothing was written. Answers whether there were entries to store. */
  private fail(error: ContactError): boolean {
    const failed = [...this.storing];
    this.storing = new Queue();
    this.count -= failed.length;
    for (const { bytes } of failed) this.bytes -= bytes;
    this.isChanged = true;
    this.owner?.failed(failed, error);
    return failed.length > 0 || this.arriving.length > 0;
  }

  private hasRoom(): boolean {
    return this.ready.count < WINDOW.items && this.ready.bytes < WINDOW.bytes;
  }

  /** Reads on where memory ends. */
  private readMore(): void {
    const limit = WINDOW.items - this.ready.count;
    if (this.lastReady === this.lastStored || limit < WINDOW.step) return;
    const range = { start: this.lastReady + 1, end: this.lastStored + 1, limit };
    for (const { key, value } of this.entries.getRange(range)) {
      if (!this.hasRoom()) return;
      const receivedAt = Math.min(Date.now(), Math.floor(key / KEYS_PER_MS));
      this.ready.push(new Entry<Context>(value, Buffer.byteLength(value), undefined, receivedAt, key));
      this.lastReady = key;
    }
  }
}
