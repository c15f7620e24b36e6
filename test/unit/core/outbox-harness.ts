import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import FakeTimers from '@sinonjs/fake-timers';
import { isBalanced } from '../../../lib/core/books';
import { DiskSpool } from '../../../lib/core/disk-spool';
import { type Ending, Outbox, type OutboxOptions } from '../../../lib/core/outbox';
import { type Entry, MemorySpool, type Spool } from '../../../lib/core/spool';
import type { Verdict } from '../../../lib/core/verdicts';

/** What a sender answers. */
export type Given = Verdict | readonly Verdict[];

/** A batch on its way; it stays there until one of the functions is called, or the signal is aborted. */
export interface Sent {
  bodies: string[];
  signal: AbortSignal;
  answer(given: Given): void;
  fail(thrown: unknown): void;
}

/** An outbox of texts whose time is moved by hand and whose remote system is the test. Disks take real time. */
export class OutboxHarness {
  readonly sent: Sent[] = [];
  readonly ended: [string, Ending['kind']][] = [];
  readonly states: string[] = [];
  readonly stored = new Set<string>();
  readonly time: ReturnType<typeof FakeTimers.install>;
  outbox!: Outbox<string>;
  spool!: Spool<string>;
  private readonly folder = mkdtempSync(join(tmpdir(), 'outbox-'));

  constructor(readonly kind: 'memory' | 'disk') {
    this.time = FakeTimers.install({ now: 1_700_000_000_000, toFake: ['Date', 'setTimeout', 'clearTimeout'] });
  }

  open(options: Partial<OutboxOptions<string>> = {}): void {
    this.spool = this.kind === 'disk' ? new DiskSpool(this.folder) : new MemorySpool();
    this.outbox = new Outbox<string>({
      spool: this.spool,
      batch: { items: 2, bytes: 1_000, ageMs: 1_000 },
      concurrency: 2,
      limits: { items: 10, bytes: 1_000 },
      overflow: 'refuse',
      backoff: { baseMs: 1_000, maxMs: 8_000, random: () => 1 },
      send: (entries, signal) =>
        new Promise((answer, fail) => {
          this.sent.push({ bodies: entries.map(({ body }) => body), signal, answer, fail });
        }),
      onStored: ({ body }) => this.stored.add(body),
      onEnding: ({ body }, ending) => this.ended.push([body, ending.kind]),
      onState: ({ state }) => this.states.push(state),
      ...options,
    });
  }

  /** Waits until nothing moves by itself any more. */
  async settled(): Promise<void> {
    let before = '';
    for (let same = 0; same < 4; same += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      const { outbox, spool } = this;
      const now = [outbox.snapshot(), this.sent.length, this.ended.length, spool.count, spool.readyCount];
      if (JSON.stringify(now) !== before || this.isWriting) same = 0;
      before = JSON.stringify(now);
    }
    const books = this.outbox.snapshot();
    assert.ok(isBalanced(books), JSON.stringify(books));
    assert.equal(books.queued + books.inFlight, this.spool.count);
  }

  async offer(...bodies: string[]): Promise<void> {
    for (const body of bodies) this.outbox.offer(body, body);
    await this.settled();
  }

  async tick(ms: number): Promise<void> {
    await this.time.tickAsync(ms);
    await this.settled();
  }

  async answer(number: number, given: Given): Promise<void> {
    this.sent[number]?.answer(given);
    await this.settled();
  }

  /** The contents of each batch that was sent. */
  get batches(): string[] {
    return this.sent.map(({ bodies }) => bodies.join(''));
  }

  /** Closes the outbox; answers what it still held, for the next one. It fails when that takes too long. */
  async close(withinMs = 1_000): Promise<Entry<string>[]> {
    let left: Entry<string>[] | undefined;
    const closed = this.outbox.close(withinMs).then((entries) => {
      left = entries;
    });
    for (let waitedMs = 0; !left; ) {
      for (let n = 0; n < 20; n += 1) await new Promise((resolve) => setImmediate(resolve));
      if (left || this.isWriting) continue;
      assert.ok(waitedMs <= withinMs + 500, `it was not closed within ${withinMs} ms and a half second`);
      waitedMs += 100;
      await this.time.tickAsync(100);
    }
    await closed;
    const books = this.outbox.snapshot();
    assert.ok(isBalanced(books));
    assert.equal(books.inFlight, 0);
    return left;
  }

  /** What a closed outbox still had: in memory the answer of {@link close}, on disk what the next one will find. */
  async found(left: readonly Entry<string>[]): Promise<string[]> {
    if (this.kind === 'memory') return left.map(({ body }) => body);
    const spool = new DiskSpool(this.folder);
    const entries = spool.take(1_000, 1e9);
    await spool.close();
    return entries.map(({ body }) => body);
  }

  /** Timers that run; the database of a disk has some of its own, so only in memory this can be known. */
  get timers(): number {
    return this.kind === 'memory' ? this.time.countTimers() : 0;
  }

  async end(): Promise<void> {
    await this.close();
    this.time.uninstall();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private get isWriting(): boolean {
    return (this.spool as { writing?: unknown }).writing !== undefined;
  }
}
