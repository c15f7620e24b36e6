import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import FakeTimers from '@sinonjs/fake-timers';
import fc from 'fast-check';
import { ContactError } from '../../../lib/core/errors';
import { RateLimit } from '../../../lib/core/rate-limit';

describe('rate limit', () => {
  let time: ReturnType<typeof FakeTimers.install>;

  beforeEach(() => {
    time = FakeTimers.install({ now: 1_000_000 });
  });

  afterEach(() => time.uninstall());

  /** Asks for `count` turns and returns the numbers of those that got theirs, in the order they did. */
  function ask(limit: RateLimit, count: number): number[] {
    const given: number[] = [];
    for (let number = 0; number < count; number++) {
      void limit.acquire().then(() => given.push(number));
    }
    return given;
  }

  it('gives no more turns in a window than allowed, and all of them in order in the end', async () => {
    const limit = new RateLimit({ turns: 5, windowMs: 1_000 });
    const given = ask(limit, 12);
    await time.tickAsync(0);
    assert.equal(given.length, 5);
    assert.equal(limit.waiting, 7);
    await time.tickAsync(1_000);
    assert.equal(given.length, 10);
    await time.tickAsync(1_000);
    assert.deepEqual(given, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert.equal(limit.waiting, 0);
  });

  it('gives no turn during a pause, and the longest of several pauses counts', async () => {
    const limit = new RateLimit({ turns: 5, windowMs: 1_000 });
    limit.pauseFor(60_000);
    limit.pauseFor(10_000);
    assert.equal(limit.pausedForMs, 60_000);
    const given = ask(limit, 3);
    await time.tickAsync(59_999);
    assert.equal(given.length, 0);
    await time.tickAsync(1);
    assert.equal(given.length, 3);
  });

  it('also holds back those who already waited when the pause began', async () => {
    const limit = new RateLimit({ turns: 1, windowMs: 1_000 });
    const given = ask(limit, 2);
    await time.tickAsync(0);
    limit.pauseFor(30_000);
    await time.tickAsync(29_000);
    assert.equal(given.length, 1);
    await time.tickAsync(2_000);
    assert.equal(given.length, 2);
  });

  it('begins a new window when it is reset, but sits out a pause', async () => {
    const limit = new RateLimit({ turns: 2, windowMs: 60_000 });
    const given = ask(limit, 6);
    await time.tickAsync(0);
    await limit.reset();
    await time.tickAsync(0);
    assert.equal(given.length, 4);
    limit.pauseFor(5_000);
    await limit.reset();
    await time.tickAsync(4_999);
    assert.equal(given.length, 4);
    await time.tickAsync(1);
    assert.equal(given.length, 6);
  });

  it('lets a caller give up at once, without taking the turn of another', async () => {
    const limit = new RateLimit({ turns: 1, windowMs: 1_000 });
    const stop = new AbortController();
    const outcomes: string[] = [];
    const note = (name: string, turn: Promise<void>) =>
      turn.then(
        () => outcomes.push(name),
        (error: unknown) => outcomes.push(`${name} ${error instanceof ContactError ? error.code : error}`),
      );
    void note('first', limit.acquire());
    void note('second', limit.acquire(stop.signal));
    void note('third', limit.acquire());
    await time.tickAsync(0);
    stop.abort();
    await time.tickAsync(0);
    assert.deepEqual(outcomes, ['first', 'second CLOSED']);
    await time.tickAsync(1_000);
    assert.deepEqual(outcomes, ['first', 'second CLOSED', 'third']);
  });

  describe('given out evenly', () => {
    /** The most turns in any stretch of a minute. */
    function peak(times: readonly number[]): number {
      return Math.max(...times.map((start) => times.filter((at) => at >= start && at < start + 60_000).length));
    }

    it('never has more turns in any minute than allowed, whenever they are asked for, and loses few', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 400 }),
          fc.array(fc.tuple(fc.integer({ min: 0, max: 70_000 }), fc.integer({ min: 1, max: 100 })), { maxLength: 12 }),
          async (turns, asked) => {
            const limit = new RateLimit({ turns, windowMs: 60_000, even: true });
            const times: number[] = [];
            const stop = new AbortController();
            setMaxListeners(0, stop.signal);
            for (const [pauseMs, count] of asked) {
              for (let n = 0; n < count; n++) {
                void limit.acquire(stop.signal).then(
                  () => times.push(time.now),
                  () => {},
                );
              }
              await time.tickAsync(pauseMs);
            }
            await time.tickAsync(60_000);
            stop.abort();
            await time.tickAsync(0);
            assert.ok(times.length === 0 || peak(times) <= turns, `${peak(times)} turns where ${turns} are allowed`);
          },
        ),
        { numRuns: 60 },
      );
    });

    for (const [turns, least] of [
      [60, 0.7],
      [300, 0.85],
      [3_000, 0.9],
    ] as const) {
      it(`gives at least ${least * 100} % of ${turns} turns a minute to those who always want one`, async () => {
        const limit = new RateLimit({ turns, windowMs: 60_000, even: true });
        const given = ask(limit, turns * 6);
        await time.tickAsync(300_000);
        assert.ok(given.length >= turns * 5 * least, `${given.length} in five minutes`);
      });
    }

    it('gives some turns at once after a quiet time', async () => {
      const limit = new RateLimit({ turns: 300, windowMs: 60_000, even: true });
      const given = ask(limit, 100);
      await time.tickAsync(0);
      assert.equal(given.length, 29);
    });

    it('goes on with a changed limit without a new burst', async () => {
      const limit = new RateLimit({ turns: 300, windowMs: 60_000, even: true });
      const given = ask(limit, 2_000);
      await time.tickAsync(0);
      limit.setTurns(600);
      await time.tickAsync(999);
      const before = given.length;
      assert.ok(before <= 29 + 8 + 25, `${before}`);
      await time.tickAsync(60_000);
      assert.ok(given.length > before + 450 && given.length <= 600 + before, `${given.length}`);
    });
  });

  it('keeps to the remote limit where that is lower, and to its own again where it is not', () => {
    const limit = new RateLimit({ turns: 300, windowMs: 60_000 });
    limit.learn({ count: 1, allowed: 180, resetMs: 50_000 });
    assert.equal(limit.turns, 180);
    limit.learn({ count: 1, allowed: 3_000, resetMs: 50_000 });
    assert.equal(limit.turns, 300);
    assert.equal(limit.pausedForMs, 0);
  });

  it('waits for the next remote window when others have used this one up', async () => {
    const limit = new RateLimit({ turns: 300, windowMs: 60_000 });
    limit.learn({ count: 295, allowed: 300, resetMs: 20_000 });
    const given = ask(limit, 1);
    await time.tickAsync(19_999);
    assert.equal(given.length, 0);
    await time.tickAsync(1);
    assert.equal(given.length, 1);
  });
});
