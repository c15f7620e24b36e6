import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import FakeTimers from '@sinonjs/fake-timers';
import { open } from 'lmdb';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type BooksSnapshot, isBalanced } from '../../../lib/core/books';
import { DiskDatabase } from '../../../lib/core/disk-database';
import { DiskSpool } from '../../../lib/core/disk-spool';
import { ContactError } from '../../../lib/core/errors';
import { type Entry, MemorySpool, type Spool } from '../../../lib/core/spool';
import { repetitions } from '../../services/requirements';
import { until } from '../until';

const TOTALS = { delivered: 0, duplicate: 0, rejected: 0, dropped: 0 };
const PROCESS = join(__dirname, 'spool-process.ts');
const bodies = (entries: readonly Entry<unknown>[]) => entries.map(({ body }) => body);
const texts = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => `entry ${from + n}`);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spool-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A spool, and what it has told its owner. */
function owned<Context>(spool: Spool<Context>) {
  const stored: string[] = [];
  const failed: [string[], ContactError][] = [];
  spool.owner = {
    stored: ({ body }) => stored.push(body),
    failed: (entries, error) => failed.push([bodies(entries), error]),
  };
  const append = (...list: string[]) => {
    for (const body of list) {
      const bytes = Buffer.byteLength(body);
      spool.append({
        body,
        bytes,
        context: undefined as Context,
        receivedAt: Date.now(),
        attempts: 0,
        key: 0,
      });
    }
  };
  const store = async (...list: string[]) => {
    const expected = stored.length + list.length;
    append(...list);
    await until(() => stored.length === expected, 'everything stored');
  };
  return { spool, stored, failed, append, store };
}

for (const kind of ['memory', 'disk'] as const) {
  describe(`a spool ${kind === 'memory' ? 'in memory' : 'on disk'}`, () => {
    const create = () => owned(kind === 'disk' ? new DiskSpool<string>(folder) : new MemorySpool<string>());

    it('gives back what came in, oldest first, and keeps it until it is settled', async () => {
      const { spool, store, stored } = create();
      await store('a', 'bb', 'ccc');
      assert.deepEqual(stored, ['a', 'bb', 'ccc']);
      assert.deepEqual([spool.count, spool.bytes, spool.readyCount, spool.readyBytes], [3, 6, 3, 6]);
      const taken = spool.take(2, 100);
      assert.deepEqual(bodies(taken), ['a', 'bb']);
      assert.deepEqual([spool.count, spool.readyCount, spool.readyBytes], [3, 1, 3]);
      spool.giveBack(taken);
      assert.deepEqual(bodies(spool.take(10, 3)), ['a', 'bb']);
      spool.settle(taken, TOTALS);
      assert.deepEqual([spool.count, spool.bytes], [1, 3]);
      await spool.close();
    });

    it('gives at least one entry, however large it is', async () => {
      const { spool, store } = create();
      await store('x'.repeat(100), 'y');
      assert.equal(spool.take(10, 5).length, 1);
      await spool.close();
    });

    it('puts entries back to their places, in whatever order they are given back', async () => {
      const { spool, store } = create();
      await store('a', 'b', 'c', 'd', 'e', 'f', 'g');
      const [one, two, three] = [spool.take(2, 100), spool.take(2, 100), spool.take(2, 100)];
      spool.giveBack(two);
      spool.giveBack(one.slice(1));
      spool.giveBack(three);
      spool.giveBack(one.slice(0, 1));
      assert.equal(spool.readyBytes, 7);
      assert.deepEqual(bodies(spool.take(10, 100)), ['a', 'b', 'c', 'd', 'e', 'f', 'g']);
      await spool.close();
    });

    it('gives up the oldest entry first, whether it is stored by then or not', async () => {
      const { spool, store, append, stored } = create();
      await store('a', 'b');
      append('c', 'd', 'e');
      const evicted: string[] = [];
      for (let n = 0; n < 4; n += 1) {
        const entry = spool.evict() as Entry<string>;
        evicted.push(entry.body);
        spool.settle([entry], { ...TOTALS, dropped: n + 1 });
      }
      assert.deepEqual(evicted, ['a', 'b', 'c', 'd']);
      await until(() => stored.includes('e'));
      assert.deepEqual([spool.count, spool.bytes], [1, 1]);
      assert.deepEqual(bodies(spool.take(10, 100)), ['e']);
      assert.equal(spool.evict(), undefined);
      await spool.close();
    });

    it('can be closed twice', async () => {
      const { spool, store } = create();
      await store('a');
      const [first] = await Promise.all([spool.close(), spool.close()]);
      assert.deepEqual(bodies(first), kind === 'memory' ? ['a'] : []);
    });
  });
}

describe('a spool on disk', () => {
  it('still has what was not settled when it is opened again, also what was being sent', async () => {
    const first = owned(new DiskSpool<undefined>(folder));
    await first.store(...texts(0, 30_000));
    const sent = first.spool.take(100, 1e9);
    first.spool.settle(sent.slice(0, 60), { ...TOTALS, delivered: 60 });
    await first.spool.close();

    const second = new DiskSpool<undefined>(folder);
    assert.equal(second.count, 29_940);
    assert.deepEqual(second.earlier, { ...TOTALS, delivered: 60 });
    const rest: string[] = [];
    for (let taken = second.take(1_000, 1e9); taken.length > 0; taken = second.take(1_000, 1e9)) {
      rest.push(...bodies(taken));
      second.settle(taken, TOTALS);
    }
    assert.deepEqual(rest, texts(60, 30_000));
    assert.deepEqual([second.count, second.bytes], [0, 0]);
    await second.close();
  });

  it('stores what is appended while it is written, in its order, and all of it when it is closed at once', async () => {
    const { spool, append } = owned(new DiskSpool<undefined>(folder));
    append(...texts(0, 10));
    await new Promise((resolve) => setImmediate(resolve));
    append(...texts(10, 50));
    await spool.close();
    const again = new DiskSpool<undefined>(folder);
    assert.deepEqual(bodies(again.take(100, 1e6)), texts(0, 50));
    await again.close();
  });

  it('gives up an entry that is being written, which is never told as stored and not there later', async () => {
    const { spool, append, stored } = owned(new DiskSpool<undefined>(folder));
    append('a', 'b');
    await new Promise((resolve) => setImmediate(resolve));
    append('c');
    for (const [dropped, body] of ['a', 'b'].entries()) {
      const entry = spool.evict() as Entry<undefined>;
      assert.equal(entry.body, body);
      spool.settle([entry], { ...TOTALS, dropped: dropped + 1 });
    }
    await until(() => stored.length > 0);
    assert.deepEqual(stored, ['c']);
    await spool.close();
    const again = new DiskSpool<undefined>(folder);
    assert.deepEqual(bodies(again.take(10, 100)), ['c']);
    assert.deepEqual([again.count, again.bytes, again.earlier?.dropped], [1, 1, 2]);
    await again.close();
  });

  for (const last of ['with the next write', 'when it is closed'] as const) {
    it(`says that it could not store what was settled, and does it ${last}`, async () => {
      const { spool, store, append, failed, stored } = owned(new DiskSpool<undefined>(folder));
      await store('a', 'b', 'c');
      const { write } = DiskDatabase.prototype;
      const error = new ContactError('BUFFER_FAILED', { attempted: 'write' });
      DiskDatabase.prototype.write = () => Promise.reject(error);
      try {
        spool.settle(spool.take(1, 1), { ...TOTALS, delivered: 1 });
        await until(() => failed.length === 1);
        append('d');
        await until(() => failed.length === 3);
        assert.deepEqual(failed, [
          [[], error],
          [['d'], error],
          [[], error],
        ]);
      } finally {
        DiskDatabase.prototype.write = write;
      }
      assert.deepEqual([spool.count, spool.bytes], [2, 2]);
      if (last === 'with the next write') {
        await store('e');
        assert.deepEqual(stored, ['a', 'b', 'c', 'e']);
      }
      await spool.close();
      const again = new DiskSpool<undefined>(folder);
      const rest = last === 'with the next write' ? ['b', 'c', 'e'] : ['b', 'c'];
      assert.deepEqual(bodies(again.take(10, 100)), rest);
      assert.deepEqual([again.count, again.earlier?.delivered], [rest.length, 1]);
      await again.close();
    });
  }

  it('says when an entry came in after years in a drawer, and never that it comes from the future', async () => {
    const time = FakeTimers.install({ now: 1_700_000_000_123, toFake: ['Date'] });
    try {
      const first = owned(new DiskSpool<undefined>(folder));
      await first.store('old');
      time.setSystemTime(1_700_000_050_000);
      await first.store('new');
      time.setSystemTime(1_600_000_000_000);
      await first.store('set back');
      await first.spool.close();
      time.setSystemTime(1_700_000_060_000);
      const second = new DiskSpool<undefined>(folder);
      const entries = second.take(10, 100);
      assert.deepEqual(bodies(entries), ['old', 'new', 'set back']);
      assert.deepEqual(
        entries.map(({ receivedAt }) => receivedAt),
        [1_700_000_000_123, 1_700_000_050_000, 1_700_000_050_000],
      );
      await second.close();
      time.setSystemTime(1_650_000_000_000);
      const third = new DiskSpool<undefined>(folder);
      assert.equal(third.oldestAt, 1_650_000_000_000);
      await third.close();
    } finally {
      time.uninstall();
    }
  });

  it(`holds ${repetitions(100_000, 1_000_000)} entries and keeps a bounded part of them in memory`, async function () {
    this.timeout(120_000);
    const count = repetitions(100_000, 1_000_000);
    const { spool, store } = owned(new DiskSpool<undefined>(folder));
    for (let n = 0; n < count; n += 10_000) await store(...texts(n, n + 10_000));
    assert.equal(spool.count, count);
    assert.ok(spool.readyCount <= 10_000, `${spool.readyCount} entries are in memory`);
    let expected = 0;
    for (let taken = spool.take(5_000, 1e9); taken.length > 0; taken = spool.take(5_000, 1e9)) {
      assert.ok(spool.readyCount <= 10_000);
      for (const { body } of taken) {
        assert.equal(body, `entry ${expected}`);
        expected += 1;
      }
      spool.settle(taken, { ...TOTALS, delivered: expected });
    }
    assert.equal(expected, count);
    await spool.close();
  });

  it('keeps the order when entries are evicted while others wait on disk only', async () => {
    const { spool, store } = owned(new DiskSpool<undefined>(folder));
    await store(...texts(0, 15_000));
    const evicted: string[] = [];
    for (let n = 0; n < 14_000; n += 1) {
      const entry = spool.evict() as Entry<undefined>;
      evicted.push(entry.body);
      spool.settle([entry], { ...TOTALS, dropped: n + 1 });
    }
    assert.deepEqual(evicted, texts(0, 14_000));
    await store('last');
    assert.deepEqual(bodies(spool.take(2_000, 1e9)), [...texts(14_000, 15_000), 'last']);
    await spool.close();
  });
});

describe('the folder of a spool on disk', () => {
  const failure = (pattern: RegExp) => (thrown: unknown) => {
    assert.ok(thrown instanceof ContactError);
    assert.equal(thrown.code, 'BUFFER_FAILED');
    assert.match(thrown.message, pattern);
    assert.ok(thrown.message.includes(folder), thrown.message);
    return true;
  };
  const children: ChildProcess[] = [];
  const start = (what: string, shell = '') => {
    const command = `${shell} exec "${process.execPath}" --import tsx "${PROCESS}" "${what}" "${folder}"`;
    const child = spawn('bash', ['-c', command], { stdio: ['ignore', 'pipe', 'ignore'] });
    children.push(child);
    return { child, lines: createInterface(child.stdout) };
  };
  const kill = async (child: ChildProcess) => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  afterEach(() => Promise.all(children.splice(0).map((child) => child.exitCode ?? child.signalCode ?? kill(child))));

  it('is for one user in a process', async () => {
    const spool = new DiskSpool(folder);
    assert.throws(() => new DiskSpool(`${folder}/.`), failure(/another node of this process is using it/));
    await spool.close();
    await new DiskSpool(folder).close();
  });

  it('is for one process, and free as soon as that one is gone, even by a kill', async function () {
    this.timeout(30_000);
    const { child, lines } = start('hold');
    await once(lines, 'line');
    assert.throws(() => new DiskSpool(folder), failure(new RegExp(`the process ${child.pid} is using it`)));
    await kill(child);
    await new DiskSpool(folder).close();
  });

  it('that is none is told as such', () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'x');
    assert.throws(() => new DiskSpool(file), failure(/EEXIST|ENOTDIR/));
    assert.throws(() => new DiskSpool(join(file, 'below')), failure(/ENOTDIR/));
  });

  describe('with a damaged file', () => {
    const path = () => join(folder, 'data.mdb');
    beforeEach(async () => {
      const { spool, store } = owned(new DiskSpool<undefined>(folder));
      await store(...texts(0, 5_000));
      await spool.close();
    });

    for (const [name, damage] of [
      ['other contents', () => writeFileSync(path(), Buffer.alloc(300_000, 'no database'))],
      ['hardly anything in it', () => truncateSync(path(), 3_000)],
      ['its first page only', () => truncateSync(path(), 4_096)],
    ] as const) {
      it(`is refused: ${name}`, () => {
        damage();
        assert.throws(() => new DiskSpool(folder), failure(/damaged/));
      });
    }

    it('is refused: its second half is missing', () => {
      truncateSync(path(), Math.floor(statSync(path()).size / 2));
      assert.throws(() => new DiskSpool(folder), failure(/MDB_CORRUPTED/));
    });

    it('can be used again once the file is whole', async () => {
      const copy = join(folder, 'copy');
      cpSync(path(), copy);
      truncateSync(path(), 3_000);
      assert.throws(() => new DiskSpool(folder), failure(/damaged/));
      cpSync(copy, path());
      const spool = new DiskSpool(folder);
      assert.equal(spool.count, 5_000);
      await spool.close();
    });
  });

  it('on a full disk: every document is told, what is stored is sent, and then there is room again', async function () {
    this.timeout(60_000);
    const { lines } = start('fill up', 'ulimit -f 4000;');
    const [line] = (await once(lines, 'line')) as [string];
    type Told = { stored: number; failed: number; books: BooksSnapshot };
    const { full, after } = JSON.parse(line) as {
      full: Told & { state: string; reason: string };
      after: Told & { left: number };
    };
    assert.equal(full.stored + full.failed, 8_000);
    assert.ok(full.stored > 500 && full.failed > 500, `${full.stored} were stored, ${full.failed} failed`);
    assert.match(full.reason, /^BUFFER_FAILED .*store documents.*free space/);
    assert.equal(full.state, 'failed');
    assert.ok(isBalanced(full.books));
    assert.equal(full.books.rejected, full.failed);
    assert.equal(after.books.delivered, after.stored);
    assert.equal(after.stored, full.stored + 1);
    assert.ok(isBalanced(after.books));
    const again = new DiskSpool(folder);
    assert.deepEqual([again.count, again.bytes], [0, 0]);
    assert.deepEqual(again.earlier, { delivered: after.stored, duplicate: 0, rejected: full.failed, dropped: 0 });
    await again.close();
  });

  it(`is exact after ${repetitions(6, 60)} kills: each document is stored or counted, never both`, async function () {
    this.timeout(600_000);
    for (let round = 0; round < repetitions(6, 60); round += 1) {
      const { child, lines } = start('work');
      const seen = 1 + Math.floor(Math.random() * 30);
      for (let n = 0; n < seen; n += 1) await once(lines, 'line');
      await kill(child);

      const spool = new DiskSpool(folder);
      const { delivered = 0, duplicate = 0 } = spool.earlier ?? {};
      const size = spool.bytes;
      await spool.close();
      const stored = readAll();
      assert.equal(spool.count, stored.length);
      assert.equal(
        size,
        stored.reduce((sum, body) => sum + Buffer.byteLength(body), 0),
      );
      // Batches may overtake one another, so it is not always the oldest that are settled.
      const numbers = stored.map((body) => Number(body.split(' ')[0]));
      const received = delivered + duplicate + stored.length;
      assert.equal(new Set(numbers).size, numbers.length);
      assert.ok(numbers.every((number) => number < received));
      const all = Math.ceil(received / 3);
      assert.equal(duplicate + numbers.filter((number) => number % 3 === 0).length, all, 'a third are duplicates');
    }
  });

  /** Reads the file as it is, without the spool. */
  function readAll(): string[] {
    const root = open({ path: folder, readOnly: true, maxDbs: 8 });
    const entries = root.openDB<string, number>({
      name: 'entries',
      encoding: 'string',
      keyEncoding: 'ordered-binary',
    });
    const found = [...entries.getRange({})].map(({ value }) => value);
    root.close().catch(() => {});
    return found;
  }
});
