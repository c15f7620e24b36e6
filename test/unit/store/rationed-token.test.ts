import assert from 'node:assert/strict';
import FakeTimers, { type Clock as FakeClock } from '@sinonjs/fake-timers';
import type { Clock } from '../../../lib/core/clock';
import { ContactError } from '../../../lib/core/errors';
import { TokenCache } from '../../../lib/core/token-cache';
import { MemoryStore, type MemoryValues } from '../../../lib/store/memory';
import { RationedToken, type TokenWithFacts } from '../../../lib/store/rationed-token';

const HOUR = 3_600_000;
const throttled = () => new ContactError('BUSY', { attempted: 'get an access token', retryAfterMs: 300_000 });

describe('rationed token', () => {
  let time: FakeClock;
  let clock: Clock;
  let values: MemoryValues;
  let asked: number[];
  let answer: (number: number) => Promise<TokenWithFacts>;

  beforeEach(() => {
    time = FakeTimers.createClock(1_700_000_000_000);
    clock = {
      now: () => time.now,
      setTimeout: (callback, delayMs) => time.setTimeout(callback, delayMs) as never,
      clearTimeout: (timer) => time.clearTimeout(timer as never),
    };
    values = new Map();
    asked = [];
    answer = async (number) => ({ value: `token-number-${number}`, lifetimeMs: HOUR, facts: { domain: 'example' } });
  });

  /** One process: with the same store, but a memory of its own. */
  const process = (secret = 'client-secret') => {
    const shared = new RationedToken({
      store: new MemoryStore(clock, values),
      name: 'account',
      secret,
      request: () => {
        asked.push(time.now);
        return answer(asked.length);
      },
      allowance: { requests: 10, windowMs: 600_000 },
      clock,
    });
    const cache = new TokenCache({ fetch: (signal) => shared.fetch(signal), clock });
    return { shared, cache };
  };
  /** Lets time pass until the promise has settled. */
  const settled = async <Value>(promise: Promise<Value>): Promise<Value> => {
    let done = false;
    const end = () => {
      done = true;
    };
    promise.then(end, end);
    while (!done) await time.tickAsync(50);
    return promise;
  };

  it('is asked for once, however many processes need it at the same time', async () => {
    answer = async (number) => {
      await new Promise((resolve) => time.setTimeout(() => resolve(undefined), 1_000));
      return { value: `token-number-${number}`, lifetimeMs: HOUR };
    };
    const caches = Array.from({ length: 10 }, () => process().cache);
    const tokens = await settled(Promise.all(caches.map((cache) => cache.get())));
    assert.equal(asked.length, 1);
    assert.deepEqual([...new Set(tokens.map(({ value }) => value))], ['token-number-1']);
  });

  it('outlives a restart, with what came with it', async () => {
    await process().cache.get();
    await time.tickAsync(HOUR / 2);
    const fetched = await process().shared.fetch(new AbortController().signal);
    assert.deepEqual([fetched.value, fetched.isShared, fetched.facts], ['token-number-1', true, { domain: 'example' }]);
    assert.equal(asked.length, 1);
  });

  it('is in the store only encrypted, and with another secret it cannot be read', async () => {
    await process().cache.get();
    assert.doesNotMatch(JSON.stringify([...values]), /token-number|client-secret/);
    assert.equal((await process('another-secret').cache.get()).value, 'token-number-2');
  });

  it('is renewed before it expires, by one of the processes', async () => {
    const caches = [process().cache, process().cache];
    for (let quarter = 0; quarter < 40; quarter++) {
      for (const cache of caches) {
        const token = await settled(cache.get());
        assert.ok(token.expiresAt > time.now);
      }
      await time.tickAsync(HOUR / 4);
    }
    assert.ok(asked.length <= 14, `${asked.length} requests in ten hours`);
  });

  it('is replaced when it was not accepted, once for all processes', async () => {
    const [one, other] = [process(), process()];
    const { value } = await one.cache.get();
    await other.cache.get();
    await time.tickAsync(600_000);
    for (const { shared, cache } of [one, other]) {
      shared.reject(value);
      cache.invalidate(value);
      assert.equal((await settled(cache.get())).value, 'token-number-2');
    }
    assert.equal(asked.length, 2);
  });

  it('is never asked for more often than allowed, over processes and restarts, failures included', async () => {
    answer = () => Promise.reject(new ContactError('UNREACHABLE', { attempted: 'get an access token' }));
    for (let minute = 0; minute < 120; minute++) {
      for (let each = 0; each < 5; each++)
        await process()
          .cache.get()
          .catch(() => {});
      await time.tickAsync(60_000);
    }
    for (const start of asked) {
      const within = asked.filter((at) => at >= start && at < start + 600_000);
      assert.ok(within.length <= 10, `${within.length} requests in ten minutes`);
    }
    assert.ok(asked.length >= 100);
  });

  it('keeps the one that still works when no new one may be asked for', async () => {
    const { shared } = process();
    const { signal } = new AbortController();
    await shared.fetch(signal);
    await time.tickAsync(HOUR * 0.85);
    answer = () => Promise.reject(throttled());
    await assert.rejects(shared.fetch(signal));
    assert.equal((await shared.fetch(signal)).value, 'token-number-1');
    assert.equal(asked.length, 2);
  });

  it('waits a lock-out out, twice as long each time, also in other processes and after a restart', async () => {
    answer = () => Promise.reject(throttled());
    const waits: number[] = [];
    for (let second = 0; second < 3 * 3_600; second += 10) {
      await process()
        .cache.get()
        .catch(() => {});
      await time.tickAsync(10_000);
    }
    for (const [index, at] of asked.entries()) if (index > 0) waits.push(Math.round((at - asked[index - 1]!) / 1_000));
    assert.deepEqual(waits.slice(0, 4), [300, 600, 900, 900]);
    answer = async () => ({ value: 'after-all', lifetimeMs: HOUR });
    await time.tickAsync(900_000);
    assert.equal((await process().cache.get()).value, 'after-all');
  });
});
