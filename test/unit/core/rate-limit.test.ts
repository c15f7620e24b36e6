import assert from 'node:assert/strict';
import FakeTimers from '@sinonjs/fake-timers';
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
});
