import assert from 'node:assert/strict';
import FakeTimers from '@sinonjs/fake-timers';
import { ContactError } from '../../../lib/core/errors';
import { MASK, redact } from '../../../lib/core/redaction';
import { TokenCache } from '../../../lib/core/token-cache';

type Issue = (number: number) => Promise<{ value: string; lifetimeMs: number }>;

const refused = () => new ContactError('REFUSED', { attempted: 'get an access token', answer: 'invalid_client' });

describe('token cache', () => {
  let time: ReturnType<typeof FakeTimers.install>;
  let requests: number;

  beforeEach(() => {
    time = FakeTimers.install({ now: 1_000_000 });
    requests = 0;
  });

  afterEach(() => time.uninstall());

  function cacheOf(issue: Issue): TokenCache {
    return new TokenCache({
      fetch: () => {
        requests += 1;
        return issue(requests);
      },
    });
  }

  /** A remote system that takes 100 ms for a token. */
  const issuing =
    (lifetimeMs: number): Issue =>
    async (number) => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      return { value: `token-number-${number}`, lifetimeMs };
    };

  async function settled<Value>(promise: Promise<Value>): Promise<Value> {
    const guarded = promise.then(
      (value) => () => value,
      (error) => () => {
        throw error;
      },
    );
    await time.tickAsync(200);
    return (await guarded)();
  }

  it('makes one request for a token however many ask at once', async () => {
    const cache = cacheOf(issuing(3_600_000));
    const tokens = await settled(Promise.all(Array.from({ length: 200 }, () => cache.get())));
    assert.equal(requests, 1);
    assert.equal(new Set(tokens.map(({ value }) => value)).size, 1);
  });

  it('makes one request for a new token when 200 requests report the same refused one', async () => {
    const cache = cacheOf(issuing(3_600_000));
    const { value } = await settled(cache.get());
    const renewed = Array.from({ length: 200 }, () => {
      cache.invalidate(value);
      return cache.get();
    });
    const tokens = await settled(Promise.all(renewed));
    assert.equal(requests, 2);
    assert.ok(tokens.every((token) => token.value === 'token-number-2'));
    cache.invalidate(value);
    assert.equal((await settled(cache.get())).value, 'token-number-2');
    assert.equal(requests, 2);
  });

  for (const lifetimeMs of [300_000, 86_400_000]) {
    it(`renews a token of ${lifetimeMs / 1_000} s once, ahead of its end, while the old one still serves`, async () => {
      const cache = cacheOf(issuing(lifetimeMs));
      await settled(cache.get());
      await time.tickAsync(lifetimeMs * 0.79);
      assert.equal((await settled(cache.get())).value, 'token-number-1');
      assert.equal(requests, 1);
      await time.tickAsync(lifetimeMs * 0.02);
      const immediate = await cache.get();
      assert.equal(immediate.value, 'token-number-1');
      await time.tickAsync(200);
      assert.equal((await settled(cache.get())).value, 'token-number-2');
      assert.equal(requests, 2);
    });
  }

  it('never gives out an expired token', async () => {
    const cache = cacheOf(issuing(10_000));
    await settled(cache.get());
    await time.tickAsync(10_000);
    assert.equal(cache.current, undefined);
    assert.equal((await settled(cache.get())).value, 'token-number-2');
  });

  it('renews by itself while someone listens, tells them before the old token ends, and stops with the last', async () => {
    const cache = cacheOf(issuing(300_000));
    const told: string[] = [];
    const leave = cache.onRenewed(({ value }) => told.push(value));
    await settled(cache.get());
    await time.tickAsync(299_000);
    assert.deepEqual(told, ['token-number-1', 'token-number-2']);
    await time.tickAsync(300_000);
    assert.equal(told.length, 3);
    leave();
    await time.tickAsync(1_000_000);
    assert.equal(requests, 3);
  });

  it('renews a token whose lifetime is longer than a timer can wait', async () => {
    const cache = cacheOf(issuing(3_000_000_000));
    cache.onRenewed(() => {});
    await settled(cache.get());
    await time.tickAsync(2_399_000_000);
    assert.equal(requests, 1);
    await time.tickAsync(2_000_000);
    assert.equal(requests, 2);
    cache.close();
  });

  it('does not ask on and on for a token that is due already when it comes, because no newer one can be had', async () => {
    const start = Date.now();
    let [asked, isNewer] = [0, false];
    const cache = new TokenCache({
      fetch: async () => {
        asked += 1;
        return { value: 'token-of-all', lifetimeMs: 3_600_000, obtainedAt: isNewer ? Date.now() : start - 3_000_000 };
      },
    });
    cache.onRenewed(() => {});
    for (let second = 0; second < 60; second += 1) {
      await settled(cache.get());
      await time.tickAsync(800);
    }
    assert.ok(asked >= 5 && asked <= 15, `${asked} requests in a minute`);
    isNewer = true;
    await time.tickAsync(10_000);
    const before = asked;
    await time.tickAsync(600_000);
    assert.equal(asked, before);
    cache.close();
  });

  it('answers from memory after a refusal, with pauses that grow from 5 s to 5 min', async () => {
    const cache = cacheOf(() => Promise.reject(refused()));
    const seen: number[] = [];
    const start = Date.now();
    for (let second = 0; second < 3_600; second++) {
      const before = requests;
      await assert.rejects(cache.get(), (error) => error instanceof ContactError && error.code === 'REFUSED');
      if (requests > before) seen.push(Date.now() - start);
      await time.tickAsync(1_000);
    }
    const gaps = seen.slice(1).map((at, index) => at - seen[index]!);
    assert.ok(requests <= 30, `${requests} requests in an hour`);
    assert.ok(gaps[0]! >= 2_500 && gaps[0]! <= 6_000, `first pause ${gaps[0]}`);
    assert.ok(gaps.every((gap) => gap <= 301_000));
    assert.ok(gaps.at(-1)! >= 150_000, `last pause ${gaps.at(-1)}`);
    assert.equal(cache.report().state, 'refused');
  });

  it('tells of each request that fails, not of each answer from memory', async () => {
    const cache = cacheOf(() => Promise.reject(refused()));
    const told: string[] = [];
    const leave = cache.onFailed(({ code }) => told.push(code));
    for (let count = 0; count < 10; count++) await assert.rejects(settled(cache.get()));
    assert.deepEqual(told, ['REFUSED']);
    leave();
    await time.tickAsync(10_000);
    await assert.rejects(settled(cache.get()));
    assert.equal(told.length, 1);
  });

  it('works again after a refusal as soon as the credentials are good and the pause is over', async () => {
    let good = false;
    const cache = cacheOf((number) => (good ? issuing(60_000)(number) : Promise.reject(refused())));
    await assert.rejects(settled(cache.get()));
    good = true;
    await time.tickAsync(5_000);
    assert.equal((await settled(cache.get())).value, 'token-number-2');
    assert.equal(cache.report().state, 'valid');
    assert.equal(cache.report().reason, undefined);
  });

  it('waits as long as a busy remote system has asked for', async () => {
    const busy = new ContactError('BUSY', { attempted: 'get an access token', retryAfterMs: 42_000 });
    const cache = cacheOf(() => Promise.reject(busy));
    await assert.rejects(settled(cache.get()));
    await time.tickAsync(41_000);
    await assert.rejects(settled(cache.get()));
    assert.equal(requests, 1);
    await time.tickAsync(1_000);
    await assert.rejects(settled(cache.get()));
    assert.equal(requests, 2);
  });

  it('goes on with the old token while its renewal fails, and tries again in pauses', async () => {
    const cache = cacheOf((number) => (number === 1 ? issuing(300_000)(1) : Promise.reject(refused())));
    cache.onRenewed(() => {});
    await settled(cache.get());
    await time.tickAsync(280_000);
    assert.equal((await settled(cache.get())).value, 'token-number-1');
    assert.ok(requests >= 3 && requests <= 7, `${requests} requests`);
    cache.close();
  });

  it('stops asking for tokens when new ones are refused as well', async () => {
    const cache = cacheOf(issuing(3_600_000));
    for (let attempt = 0; attempt < 500; attempt++) {
      const token = await settled(cache.get().catch(() => undefined));
      if (token) cache.invalidate(token.value);
    }
    assert.ok(requests <= 12, `${requests} requests in 100 s`);
    await assert.rejects(
      cache.get(),
      (error) => error instanceof ContactError && error.code === 'REFUSED' && /not accepted/.test(error.message),
    );
  });

  it('makes its tokens known to the redaction', async () => {
    const cache = cacheOf(issuing(3_600_000));
    const { value } = await settled(cache.get());
    assert.equal(redact(`sent with ${value} in it`), `sent with ${MASK} in it`);
  });

  it('keeps a listener that fails from spoiling the token for the others', async () => {
    const cache = cacheOf(issuing(3_600_000));
    cache.onRenewed(() => {
      throw new Error('listener');
    });
    assert.equal((await settled(cache.get())).value, 'token-number-1');
    cache.close();
  });

  it('ends the request under way when it is closed', async () => {
    let aborted = false;
    const cache = new TokenCache({
      fetch: (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            aborted = true;
            reject(new ContactError('CLOSED', { attempted: 'get an access token' }));
          });
        }),
    });
    const waiting = assert.rejects(cache.get());
    cache.close();
    await waiting;
    assert.ok(aborted);
  });
});
