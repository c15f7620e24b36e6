import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { isBalanced } from '../../../lib/core/books';
import type { ContactError } from '../../../lib/core/errors';
import { type Ending, Outbox } from '../../../lib/core/outbox';
import { DiskSpool, type Entry, MemorySpool, type Spool } from '../../../lib/core/spool';
import type { Verdict } from '../../../lib/core/verdicts';
import { until } from '../until';

const TOTALS = { delivered: 0, duplicate: 0, rejected: 0, dropped: 0 };
const bodies = (entries: readonly Entry<unknown>[]) => entries.map(({ body }) => body);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spool-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function append(spool: Spool<undefined>, body: string): Promise<void> {
  const bytes = Buffer.byteLength(body);
  return new Promise((resolve, reject) => {
    spool.append({ body, bytes, context: undefined, receivedAt: 0, attempts: 0, key: 0 }, (error?: ContactError) =>
      error ? reject(error) : resolve(),
    );
  });
}

for (const kind of ['memory', 'disk'] as const) {
  describe(`a spool on ${kind}`, () => {
    const open = () => (kind === 'disk' ? new DiskSpool<undefined>(folder) : new MemorySpool<undefined>());

    it('gives back what came in, oldest first, and counts it until it is settled', async () => {
      const spool = open();
      for (const body of ['a', 'bb', 'ccc']) await append(spool, body);
      assert.deepEqual([spool.count, spool.bytes, spool.readyCount], [3, 6, 3]);
      const taken = spool.take(2, 100);
      assert.deepEqual(bodies(taken), ['a', 'bb']);
      assert.deepEqual([spool.count, spool.readyCount], [3, 1]);
      spool.giveBack(taken);
      assert.deepEqual(bodies(spool.take(10, 3)), ['a', 'bb']);
      spool.settle(taken, TOTALS);
      assert.deepEqual([spool.count, spool.bytes], [1, 3]);
      await spool.close();
    });

    it('gives at least one entry, however large it is', async () => {
      const spool = open();
      await append(spool, 'x'.repeat(100));
      assert.equal(spool.take(10, 5).length, 1);
      await spool.close();
    });
  });
}

describe('a spool on disk', () => {
  it('still has what was not settled when it is opened again, also what was being sent', async () => {
    const first = new DiskSpool<undefined>(folder);
    await Promise.all(Array.from({ length: 30_000 }, (_, n) => append(first, `entry ${n}`)));
    const sent = first.take(100, 1e9);
    first.settle(sent.slice(0, 60), { ...TOTALS, delivered: 60 });
    await first.close();

    const second = new DiskSpool<undefined>(folder);
    assert.equal(second.count, 29_940);
    assert.deepEqual(second.earlier, { ...TOTALS, delivered: 60 });
    const rest: string[] = [];
    for (let taken = second.take(1_000, 1e9); taken.length > 0; taken = second.take(1_000, 1e9)) {
      rest.push(...bodies(taken));
      second.settle(taken, TOTALS);
    }
    assert.deepEqual(
      rest,
      Array.from({ length: 29_940 }, (_, n) => `entry ${n + 60}`),
    );
    assert.deepEqual([second.count, second.bytes], [0, 0]);
    await second.close();
  });
});

describe('an outbox', () => {
  const create = (spool: Spool<number>, overrides: Partial<ConstructorParameters<typeof Outbox<number>>[0]> = {}) => {
    const endings: [number | undefined, Ending['kind']][] = [];
    const outbox = new Outbox<number>({
      spool,
      batch: { items: 10, bytes: 1e6, ageMs: 5 },
      concurrency: 2,
      limits: { items: 20, bytes: 1e6 },
      overflow: 'refuse',
      backoff: { baseMs: 1, maxMs: 2 },
      send: async () => ({ kind: 'delivered' }) as Verdict,
      onEnding: (entry, ending) => endings.push([entry.context, ending.kind]),
      ...overrides,
    });
    return { outbox, endings };
  };

  for (const [overflow, expected] of [
    ['refuse', { rejected: 30, dropped: 0, kept: [0, 19] }],
    ['drop-newest', { rejected: 0, dropped: 30, kept: [0, 19] }],
    ['drop-oldest', { rejected: 0, dropped: 30, kept: [30, 49] }],
  ] as const) {
    it(`that overflows with the policy ${overflow} keeps exactly what it promises`, async () => {
      const batch = { items: 100, bytes: 1e6, ageMs: 60_000 };
      const { outbox, endings } = create(new MemorySpool(), { overflow, batch });
      for (let n = 0; n < 50; n += 1) outbox.offer(String(n), n, () => {});
      const { rejected, dropped, queued } = outbox.snapshot();
      assert.deepEqual(
        { rejected, dropped, queued },
        { rejected: expected.rejected, dropped: expected.dropped, queued: 20 },
      );
      await outbox.close(1_000);
      const delivered = endings.filter(([, kind]) => kind === 'delivered').map(([n]) => n);
      assert.deepEqual([delivered[0], delivered.at(-1)], expected.kept);
      assert.ok(isBalanced(outbox.snapshot()));
    });
  }

  it('goes on with its books where the process before it stopped', async () => {
    const away: Verdict = { kind: 'refused', error: { message: 'away' } as ContactError };
    const first = create(new DiskSpool(folder));
    for (let n = 0; n < 15; n += 1) first.outbox.offer(String(n), n, () => {});
    await until(() => first.endings.length === 15);
    await first.outbox.close(1_000);
    const second = create(new DiskSpool(folder), { send: async () => away });
    for (let n = 0; n < 7; n += 1) second.outbox.offer(String(n), n, () => {});
    await until(() => second.outbox.state.state === 'refused');
    await second.outbox.close(100);
    const third = create(new DiskSpool(folder));
    assert.deepEqual(third.outbox.snapshot().received, 22);
    await until(() => third.outbox.snapshot().delivered === 22);
    assert.ok(isBalanced(third.outbox.snapshot()));
    await third.outbox.close(1_000);
  });
});
