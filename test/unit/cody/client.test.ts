import assert from 'node:assert/strict';
import { CodyClient, type CodyClientOptions } from '../../../lib/cody/client';
import { systemClock } from '../../../lib/core/clock';
import { type CodySimulator, defaultApiKey, startCodySimulator } from '../../simulators/cody';
import { until } from '../until';
import { HOUR } from './harness';

describe('client of Cody', () => {
  let cody: CodySimulator;
  let client: CodyClient;
  const open = (options: Partial<CodyClientOptions> = {}) => {
    client = new CodyClient({ apiUrl: cody.url, apiKey: defaultApiKey, timeoutMs: 2_000, ...options });
  };

  beforeEach(async () => {
    cody = await startCodySimulator();
  });
  afterEach(async () => {
    client.close();
    await cody.close();
  });

  for (const skewMs of [-HOUR, HOUR]) {
    it(`waits until the time that Cody names, by Cody's clock: ours is ${skewMs / HOUR} h off`, async () => {
      open({ clock: { ...systemClock, now: () => Date.now() + skewMs } });
      const reset = String(Math.floor(Date.now() / 1_000) + 5);
      cody.fail({ path: /conversations/, answer: { status: 429, headers: { 'x-ratelimit-reset': reset } } });
      const stop = new AbortController();
      const listed = client.conversations(1, { signal: stop.signal });
      await until(() => client.counters.rateLimitHits === 1);
      assert.ok(client.pausedForMs > 3_000 && client.pausedForMs <= 6_000, `${client.pausedForMs} ms`);
      stop.abort();
      await assert.rejects(listed, { code: 'CLOSED' });
    });
  }

  it('comes back later each time when it is told to come back at once and turned away again', async () => {
    let now = 0;
    const waits: number[] = [];
    const clock = {
      ...systemClock,
      now: () => now,
      setTimeout: (callback: () => void, delayMs: number) => {
        waits.push(delayMs);
        now += delayMs;
        return setTimeout(callback, 0);
      },
    };
    open({ clock, backoff: { baseMs: 100, maxMs: 10_000 } });
    cody.fail({ path: /conversations/, times: 5, answer: { status: 429, headers: { 'retry-after': '0' } } });
    await client.conversations(1);
    assert.equal(waits.length, 5);
    assert.deepEqual(
      waits,
      waits.toSorted((one, other) => one - other),
    );
    assert.ok(waits.at(-1)! >= 800, `${waits}`);
  });

  it('takes a redirect for the answer of somebody else, not for a fault of what it has asked', async () => {
    open({ attempts: 1 });
    cody.fail({ path: /conversations/, answer: { status: 301, headers: { location: 'https://elsewhere' } } });
    await assert.rejects(client.conversations(1), { code: 'PROTOCOL', retryable: true });
  });
});
