import assert from 'node:assert/strict';
import FakeTimers from '@sinonjs/fake-timers';
import { isBalanced } from '../../../lib/core/books';
import { ContactError } from '../../../lib/core/errors';
import { type Ending, Outbox, type OutboxOptions } from '../../../lib/core/outbox';
import { MemorySpool } from '../../../lib/core/spool';
import type { Verdict } from '../../../lib/core/verdicts';

const error = new ContactError('BUSY', { attempted: 'send' });
const FAILURE: Verdict = { kind: 'busy', fault: 'failure', error };
const TOO_FAST: Verdict = { kind: 'busy', fault: 'limit', error };
const REFUSED: Verdict = { kind: 'refused', error };

describe('outbox that sends one by one', () => {
  let time: ReturnType<typeof FakeTimers.install>;
  let sent: string[];
  let ended: { body: string; ending: Ending; attempts: number }[];
  let answer: (body: string) => Verdict | Verdict[];
  let outbox: Outbox<undefined>;

  beforeEach(() => {
    time = FakeTimers.install({ now: 1_000_000 });
    sent = [];
    ended = [];
  });

  afterEach(() => time.uninstall());

  function open(options: Partial<OutboxOptions<undefined>> = {}): void {
    outbox = new Outbox<undefined>({
      spool: new MemorySpool(),
      batch: { items: 1, bytes: 1_000, ageMs: 0 },
      concurrency: 4,
      limits: { items: 1_000, bytes: 1_000_000 },
      overflow: 'refuse',
      backoff: { baseMs: 100, maxMs: 1_000 },
      send: async ([entry]) => {
        sent.push(entry?.body ?? '');
        return answer(entry?.body ?? '');
      },
      onEnding: ({ body, attempts }, ending) => ended.push({ body, attempts, ending }),
      ...options,
    });
  }

  const offer = (...bodies: string[]) => {
    for (const body of bodies) outbox.offer(body, undefined);
  };

  it('lets the others pass while an entry with a verdict of its own waits', async () => {
    answer = (body) => [body === 'bad' && sent.length < 3 ? FAILURE : { kind: 'delivered' }];
    open();
    offer('bad', 'good', 'better');
    await time.tickAsync(0);
    assert.deepEqual(
      ended.map(({ body }) => body),
      ['good', 'better'],
    );
    await time.tickAsync(100);
    assert.deepEqual(
      ended.map(({ body }) => body),
      ['good', 'better', 'bad'],
    );
  });

  it('gives an entry up after so many attempts, with the last error, and keeps the books', async () => {
    answer = (body) => (body === 'bad' ? [FAILURE] : { kind: 'delivered' });
    open({ attempts: 3 });
    offer('bad', 'good');
    await time.tickAsync(10_000);
    const [, bad] = ended;
    assert.equal(sent.filter((body) => body === 'bad').length, 3);
    assert.deepEqual([bad?.body, bad?.attempts, bad?.ending.kind], ['bad', 3, 'rejected']);
    assert.equal(bad?.ending.kind === 'rejected' && bad.ending.error, error);
    const books = outbox.snapshot();
    assert.deepEqual([books.delivered, books.rejected, books.queued, books.inFlight], [1, 1, 0, 0]);
    assert.ok(isBalanced(books));
  });

  it('gives up after so many attempts when the whole outbox is told to wait, too', async () => {
    answer = () => TOO_FAST;
    open({ attempts: 2 });
    offer('one', 'two');
    await time.tickAsync(20_000);
    assert.equal(ended.length, 2);
    assert.ok(isBalanced(outbox.snapshot()));
    assert.equal(outbox.snapshot().rejected, 2);
  });

  it('never gives up because of refused credentials', async () => {
    answer = () => REFUSED;
    open({ attempts: 2 });
    offer('one');
    await time.tickAsync(600_000);
    assert.ok(sent.length > 5);
    assert.equal(ended.length, 0);
    assert.equal(outbox.state.state, 'refused');
  });

  it('opens the breaker when more than half of the entries fail, each with a verdict of its own, and probes with one', async () => {
    answer = () => [FAILURE];
    open({ breaker: { minimumCalls: 10, openMs: 15_000 } });
    offer(...Array.from({ length: 9 }, (_, n) => `${n}`));
    await time.tickAsync(0);
    assert.equal(outbox.breakerState, 'closed');
    await time.tickAsync(200);
    assert.equal(outbox.breakerState, 'open');
    assert.equal(outbox.state.state, 'breaker-open');
    const before = sent.length;
    await time.tickAsync(10_000);
    assert.equal(sent.length, before);
    answer = () => ({ kind: 'delivered' });
    await time.tickAsync(20_000);
    assert.equal(outbox.breakerState, 'closed');
    assert.equal(ended.length, 9);
  });

  it('counts an entry that must not be sent again as a failure when the remote system was unwell', async () => {
    answer = () => [{ kind: 'rejected', error, fault: 'failure' }];
    open({ breaker: { minimumCalls: 10 } });
    offer(...Array.from({ length: 10 }, (_, n) => `${n}`));
    await time.tickAsync(0);
    assert.equal(outbox.breakerState, 'open');
    assert.equal(ended.length, 10);
  });

  it('does not count limits and refusals as failures', async () => {
    for (const verdict of [TOO_FAST, REFUSED]) {
      answer = () => verdict;
      open({ breaker: { minimumCalls: 1 }, refusedPauseMs: 200 });
      offer(...Array.from({ length: 20 }, (_, n) => `${n}`));
      await time.tickAsync(30_000);
      assert.equal(outbox.breakerState, 'closed');
    }
  });
});
