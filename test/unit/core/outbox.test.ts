import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { isBalanced } from '../../../lib/core/books';
import { DiskSpool } from '../../../lib/core/disk-spool';
import { ContactError } from '../../../lib/core/errors';
import { type Ending, Outbox, type OutboxOptions } from '../../../lib/core/outbox';
import type { Verdict } from '../../../lib/core/verdicts';
import { type Given, OutboxHarness, type Sent } from './outbox-harness';

const MINUTE_MS = 60_000;
const DELIVERED: Verdict = { kind: 'delivered' };
const error = new ContactError('BUSY', { attempted: 'send' });
const BUSY: Verdict = { kind: 'busy', fault: 'failure', error };
const LIMIT: Verdict = { kind: 'busy', fault: 'limit', error };
const REFUSED: Verdict = { kind: 'refused', error };
const UNKNOWN: Verdict = { kind: 'unknown', error };

for (const kind of ['memory', 'disk'] as const) {
  describe(`an outbox with its spool ${kind === 'memory' ? 'in memory' : 'on disk'}`, () => {
    let harness: OutboxHarness;
    beforeEach(() => {
      harness = new OutboxHarness(kind);
    });
    afterEach(() => harness.end());

    const open = (options?: Partial<OutboxOptions<string>>) => harness.open(options);
    const offer = (...bodies: string[]) => harness.offer(...bodies);
    const tick = (ms: number) => harness.tick(ms);
    const answer = (number: number, given: Given) => harness.answer(number, given);
    const settled = () => harness.settled();
    const bodies = () => harness.batches;
    const close = async (withinMs?: number) => harness.found(await harness.close(withinMs));

    it('sends a full batch at once and a smaller one when its oldest entry is old enough', async () => {
      open();
      await offer('a', 'b', 'c');
      assert.deepEqual(bodies(), ['ab']);
      await tick(999);
      assert.deepEqual(bodies(), ['ab']);
      await tick(1);
      assert.deepEqual(bodies(), ['ab', 'c']);
    });

    it('sends what waits at once when it is told to, also during a pause, and then waits again for batches', async () => {
      open();
      await offer('a');
      harness.outbox.flush();
      assert.deepEqual(bodies(), ['a']);
      await answer(0, BUSY);
      harness.outbox.flush();
      assert.deepEqual(bodies(), ['a', 'a']);
      await answer(1, DELIVERED);
      await tick(1);
      await offer('b');
      assert.deepEqual(bodies(), ['a', 'a']);
      await tick(1_000);
      assert.deepEqual(bodies(), ['a', 'a', 'b']);
    });

    it('cuts a batch by its bytes', async () => {
      open({ batch: { items: 100, bytes: 10, ageMs: 1_000 } });
      await offer('aaaa', 'bbbb', 'cccc');
      assert.deepEqual(bodies(), ['aaaabbbb']);
    });

    it('sends what waits when the clock of the machine is set back, and ends its pauses', async () => {
      open();
      await offer('a');
      harness.time.setSystemTime(Date.now() - 60 * MINUTE_MS);
      await tick(1_000);
      assert.deepEqual(bodies(), ['a']);
      await answer(0, BUSY);
      harness.time.setSystemTime(Date.now() - 60 * MINUTE_MS);
      await tick(1_000);
      assert.deepEqual(bodies(), ['a', 'a']);
    });

    it('goes on with the other entries while one waits after a verdict of its own', async () => {
      open();
      await offer('a', 'b', 'c', 'd');
      await answer(0, [LIMIT, DELIVERED]);
      await answer(1, DELIVERED);
      await offer('e', 'f');
      assert.deepEqual(bodies(), ['ab', 'cd', 'ef']);
      assert.equal(harness.outbox.state.state, 'retrying');
      await answer(2, DELIVERED);
      await tick(1_000);
      assert.deepEqual(bodies(), ['ab', 'cd', 'ef', 'a']);
      await answer(3, DELIVERED);
      assert.equal(harness.outbox.state.state, 'working');
      assert.equal(harness.outbox.snapshot().delivered, 6);
    });

    it('keeps the order of arrival when it sends one batch at a time, also after failures', async () => {
      open({ concurrency: 1 });
      await offer('a', 'b', 'c', 'd', 'e');
      await answer(0, BUSY);
      await tick(1_000);
      await answer(1, [DELIVERED, LIMIT]);
      await answer(2, BUSY);
      await tick(8_000);
      await answer(3, DELIVERED);
      await tick(1_000);
      await answer(4, DELIVERED);
      assert.deepEqual(bodies(), ['ab', 'ab', 'cd', 'cd', 'be'], 'b waits by itself for two seconds');
    });

    it('puts batches that fail back in the order of arrival, whichever fails first', async () => {
      open();
      await offer('a', 'b', 'c', 'd', 'e', 'f');
      await answer(1, BUSY);
      await answer(0, BUSY);
      await tick(2_000);
      assert.deepEqual(bodies(), ['ab', 'cd', 'ab'], 'one request at a time probes');
      await answer(2, DELIVERED);
      assert.deepEqual(bodies(), ['ab', 'cd', 'ab', 'cd', 'ef']);
    });

    it('ends a pause when another batch gets through, and does not shorten one by a shorter one', async () => {
      open({ limits: { items: 100, bytes: 1_000 } });
      await offer('a', 'b', 'c', 'd', 'e', 'f');
      await answer(0, BUSY);
      await answer(1, DELIVERED);
      assert.deepEqual(bodies(), ['ab', 'cd', 'ab', 'ef']);
      const asked = new ContactError('BUSY', { attempted: 'send', retryAfterMs: MINUTE_MS });
      await answer(2, { ...LIMIT, error: asked });
      await answer(3, BUSY);
      await tick(MINUTE_MS - 1);
      assert.equal(harness.sent.length, 4);
      await tick(1);
      assert.equal(harness.sent.length, 5);
      await answer(4, BUSY);
      harness.outbox.retryNow();
      await settled();
      assert.equal(harness.sent.length, 6, 'what was at fault has been put right');
    });

    it('pauses longer and longer while credentials are refused, keeps all, and says so', async () => {
      open({ refusedPauseMs: 4_000 });
      await offer('a', 'b', 'c', 'd');
      await answer(0, REFUSED);
      await answer(1, REFUSED);
      assert.deepEqual(harness.states, ['refused']);
      for (const [index, pause] of [2_000, 4_000, 4_000].entries()) {
        await tick(pause - 1);
        assert.equal(harness.sent.length, 2 + index);
        await tick(1);
        assert.equal(harness.sent.length, 3 + index);
        await answer(2 + index, REFUSED);
      }
      assert.equal(harness.outbox.snapshot().queued, 4);
      await tick(4_000);
      await answer(5, DELIVERED);
      assert.deepEqual(harness.states, ['refused', 'working']);
    });

    it('waits as long as the remote system asks, but never longer than an hour', async () => {
      open();
      await offer('a', 'b');
      await answer(0, { ...LIMIT, error: new ContactError('BUSY', { attempted: 'send', retryAfterMs: 90_000 }) });
      await tick(89_999);
      assert.equal(harness.sent.length, 1);
      await tick(1);
      await answer(1, { ...LIMIT, error: new ContactError('BUSY', { attempted: 'send', retryAfterMs: 1e12 }) });
      await tick(60 * MINUTE_MS - 1);
      assert.equal(harness.sent.length, 2);
      await tick(1);
      assert.equal(harness.sent.length, 3);
    });

    for (const [name, given] of [
      ['too few verdicts', () => harness.sent[0]?.answer([DELIVERED])],
      ['no verdict at all', () => harness.sent[0]?.answer([])],
      ['an error', () => harness.sent[0]?.fail(new Error('a defect'))],
      ['something that is no error', () => harness.sent[0]?.fail(undefined)],
      ['an unknown outcome', () => harness.sent[0]?.answer(UNKNOWN)],
    ] as const) {
      it(`sends again what it has no verdict for: ${name}`, async () => {
        open();
        await offer('a', 'b');
        given();
        await settled();
        await tick(1_000);
        await answer(1, DELIVERED);
        assert.equal(harness.outbox.snapshot().delivered, 2);
        assert.equal(harness.sent[1]?.bodies.at(-1), 'b');
        assert.equal(harness.ended.length, 2);
      });
    }

    it('survives a sender that throws before it has begun', async () => {
      open({
        send: () => {
          throw new Error('a defect');
        },
      });
      await offer('a', 'b');
      assert.equal(harness.outbox.state.state, 'retrying');
      assert.match(harness.outbox.state.error?.message ?? '', /a defect/);
      assert.equal(harness.outbox.snapshot().queued, 2);
    });

    it('counts unknown outcomes and failures for the breaker, probes with one batch, and is itself again', async () => {
      open({ breaker: { minimumCalls: 4, openMs: 40_000 }, limits: { items: 100, bytes: 1_000 } });
      await offer(...'abcdefghij');
      for (let n = 0; n < 5; n += 1) {
        await answer(n, n % 2 === 0 ? UNKNOWN : BUSY);
        await tick(8_000);
      }
      assert.equal(harness.outbox.breakerState, 'open');
      assert.equal(harness.outbox.state.state, 'breaker-open');
      const before = harness.sent.length;
      await tick(20_000);
      assert.equal(harness.sent.length, before);
      await tick(30_000);
      assert.equal(harness.sent.length, before + 1);
      assert.equal(harness.outbox.breakerState, 'half-open');
      await tick(60_000);
      assert.equal(harness.sent.length, before + 1, 'only the probe is on its way');
      await answer(before, DELIVERED);
      assert.equal(harness.outbox.breakerState, 'closed');
      assert.equal(harness.outbox.state.state, 'working');
      assert.equal(harness.sent.length, before + 3);
    });

    describe('that overflows', () => {
      const many = Array.from({ length: 25 }, (_, n) => `${n}`);
      const paused = { batch: { items: 100, bytes: 1_000, ageMs: MINUTE_MS } };
      const kept = () => harness.outbox.snapshot().queued;
      const ends = (kindOfEnd: Ending['kind']) =>
        harness.ended.filter(([, end]) => end === kindOfEnd).map(([body]) => body);

      for (const [overflow, expected] of [
        ['refuse', { end: 'rejected', gone: many.slice(10), kept: many.slice(0, 10) }],
        ['drop-newest', { end: 'dropped', gone: many.slice(10), kept: many.slice(0, 10) }],
        ['drop-oldest', { end: 'dropped', gone: many.slice(0, 15), kept: many.slice(15) }],
      ] as const) {
        for (const pace of ['all at once', 'one by one'] as const) {
          it(`keeps exactly what ${overflow} promises when they come ${pace}`, async () => {
            open({ overflow, ...paused });
            if (pace === 'all at once') await offer(...many);
            else for (const body of many) await offer(body);
            assert.deepEqual(ends(expected.end), expected.gone);
            assert.equal(harness.ended.length, 15);
            assert.equal(kept(), 10);
            const books = harness.outbox.snapshot();
            assert.equal(books[expected.end], 15);
            const closed = harness.outbox.close(0);
            await settled();
            assert.deepEqual(bodies(), [expected.kept.join('')]);
            harness.sent[0]?.answer(DELIVERED);
            await closed;
          });
        }
      }

      it('counts what is being sent, and drops the new one when there is nothing else to drop', async () => {
        open({ overflow: 'drop-oldest', limits: { items: 4, bytes: 1_000 } });
        await offer('a', 'b', 'c', 'd');
        assert.deepEqual(bodies(), ['ab', 'cd']);
        await offer('e');
        assert.deepEqual(harness.ended, [['e', 'dropped']]);
        await answer(0, DELIVERED);
        await offer('f', 'g', 'h');
        assert.deepEqual(ends('dropped'), ['e', kind === 'memory' ? 'h' : 'f'], 'f is not on the disk yet');
        assert.equal(harness.sent.length, 3);
      });

      it('by bytes drops as many as make room, and none for a document that can never fit', async () => {
        open({ overflow: 'drop-oldest', ...paused, limits: { items: 10, bytes: 20 } });
        await offer('aaaaaaaa', 'bbbb', 'cccc', 'dddd');
        await offer('eeeeeeeeee');
        assert.deepEqual(ends('dropped'), ['aaaaaaaa', 'bbbb']);
        await offer('x'.repeat(21));
        assert.deepEqual(ends('dropped'), ['aaaaaaaa', 'bbbb', 'x'.repeat(21)]);
        assert.equal(kept(), 3);
      });

      it('says whether it is worth to come again', async () => {
        const told: [string, boolean][] = [];
        const onEnding: OutboxOptions<string>['onEnding'] = ({ body }, ending) => {
          if ('error' in ending) told.push([body, ending.error.retryable]);
        };
        open({ ...paused, limits: { items: 1, bytes: 4 }, onEnding });
        await offer('a', 'full', 'too large');
        assert.deepEqual(told, [
          ['full', true],
          ['too large', false],
        ]);
      });
    });

    describe('that is closed', () => {
      it('sends what waits, however little, and answers only then', async () => {
        open();
        await offer('a', 'b', 'c');
        const closed = harness.outbox.close(5_000);
        await settled();
        assert.deepEqual(bodies(), ['ab', 'c']);
        harness.sent[0]?.answer(DELIVERED);
        harness.sent[1]?.answer(DELIVERED);
        assert.deepEqual(await closed, []);
        assert.equal(harness.outbox.snapshot().delivered, 3);
        assert.equal(harness.timers, 0);
      });

      it('twice is closed once', async () => {
        open();
        await offer('a', 'b', 'c');
        const [first, second] = [harness.outbox.close(0), harness.outbox.close(5_000)];
        await tick(500);
        assert.equal(await first, await second);
      });

      it('gives back what is being sent after the limit, even if the sender never answers', async () => {
        open();
        await offer('a', 'b', 'c', 'd', 'e');
        assert.deepEqual(await close(1_000), ['a', 'b', 'c', 'd', 'e']);
        assert.ok(harness.sent.every(({ signal }) => signal.aborted));
        for (const batch of harness.sent) batch.answer(DELIVERED);
        await settled();
        assert.deepEqual(harness.ended, [], 'an answer after the end counts no more');
        assert.equal(harness.timers, 0);
      });

      for (const [name, verdict] of [
        ['while it waits for the remote system', BUSY],
        ['while its credentials are refused', REFUSED],
      ] as const) {
        it(`${name} sends nothing more and keeps everything in its order`, async () => {
          open();
          await offer('a', 'b', 'c', 'd', 'e', 'f');
          await answer(0, verdict);
          await answer(1, verdict);
          assert.deepEqual(await close(), ['a', 'b', 'c', 'd', 'e', 'f']);
          assert.equal(harness.sent.length, 2);
          assert.equal(harness.timers, 0);
        });
      }

      it('while entries wait by themselves sends them once more and keeps what still does not get through', async () => {
        open();
        await offer('a', 'b', 'c', 'd', 'e');
        await answer(0, [LIMIT, DELIVERED]);
        await answer(1, [REFUSED, DELIVERED]);
        const closed = close();
        await settled();
        assert.deepEqual(bodies().slice(2), ['ac', 'e']);
        harness.sent[2]?.answer([LIMIT, DELIVERED]);
        harness.sent[3]?.answer([LIMIT]);
        assert.deepEqual(await closed, ['a', 'e']);
        assert.equal(harness.sent.length, 4);
        assert.equal(harness.timers, 0);
      });

      it('turns away what comes later, with an end for each and balanced books', async () => {
        open();
        await offer('a');
        const closed = harness.outbox.close(5_000);
        harness.outbox.offer('late', 'late');
        await settled();
        harness.sent[0]?.answer(DELIVERED);
        await closed;
        harness.outbox.offer('too late', 'too late');
        harness.outbox.refuse();
        assert.deepEqual(harness.ended, [
          ['late', 'rejected'],
          ['a', 'delivered'],
          ['too late', 'rejected'],
        ]);
        assert.ok(isBalanced(harness.outbox.snapshot()));
      });

      it('hands over to the next one, whatever the limits of that are', async () => {
        open();
        await offer('a', 'b', 'c', 'd', 'e');
        await answer(0, BUSY);
        await answer(1, BUSY);
        const left = await harness.outbox.close(0);
        harness.sent.length = 0;
        open({ inherited: left, limits: { items: 1, bytes: 1 } });
        await settled();
        assert.deepEqual(harness.outbox.snapshot().queued + harness.outbox.snapshot().inFlight, 5);
        await offer('f');
        assert.deepEqual(harness.ended, [['f', 'rejected']]);
        await answer(0, DELIVERED);
        await answer(1, DELIVERED);
        assert.deepEqual(bodies(), ['ab', 'cd']);
        assert.equal(harness.outbox.snapshot().delivered, 4);
      });
    });

    it('sends nothing else once very many entries wait by themselves', async function () {
      this.timeout(30_000);
      const items = 2_000;
      open({
        batch: { items, bytes: 1e9, ageMs: 1_000 },
        concurrency: 1,
        limits: { items: 100_000, bytes: 1e9 },
        send: async (entries) => {
          harness.sent.push({ bodies: entries.map(({ body }) => body) } as Sent);
          return entries.map((): Verdict => LIMIT);
        },
      });
      await offer(...Array.from({ length: 10 * items }, (_, n) => `${n}`));
      assert.equal(harness.sent.length, 5);
      assert.equal(harness.outbox.snapshot().queued, 10 * items);
      await tick(2_000);
      assert.equal(harness.sent.length, 10);
    });
  });
}

describe('an outbox with its spool on disk', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'outbox-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('goes on with its books where the process before it stopped, and says at once how many documents it has', async () => {
    const run = async (documents: number, verdict: Verdict) => {
      let stored = 0;
      const outbox = new Outbox<number>({
        spool: new DiskSpool(folder),
        batch: { items: 10, bytes: 1e6, ageMs: 5 },
        concurrency: 2,
        limits: { items: 25, bytes: 1e6 },
        overflow: 'drop-newest',
        backoff: { baseMs: 1, maxMs: 2 },
        send: async () => verdict,
        onStored: () => {
          stored += 1;
        },
        onEnding: () => {},
      });
      const before = outbox.snapshot();
      for (let n = 0; n < documents; n += 1) outbox.offer(String(n), n);
      outbox.refuse();
      while (stored < Math.min(documents, 25 - before.queued)) await new Promise((resolve) => setImmediate(resolve));
      await outbox.close(1_000);
      return { before, after: outbox.snapshot() };
    };
    const none = { delivered: 0, duplicate: 0, rejected: 0, dropped: 0, inFlight: 0 };
    const first = await run(20, DELIVERED);
    assert.deepEqual(first.before, { ...none, received: 0, queued: 0 });
    const second = await run(30, REFUSED);
    assert.deepEqual(second.before, { ...none, received: 21, delivered: 20, rejected: 1, queued: 0 });
    const third = await run(0, { kind: 'duplicate' });
    const { queued, inFlight, ...settled } = third.before;
    assert.deepEqual(settled, { received: 52, delivered: 20, duplicate: 0, rejected: 2, dropped: 5 });
    assert.equal(queued + inFlight, 25);
    const { after } = third;
    assert.deepEqual(after, {
      ...none,
      received: 53,
      delivered: 20,
      duplicate: 25,
      rejected: 3,
      dropped: 5,
      queued: 0,
    });
  });
});
