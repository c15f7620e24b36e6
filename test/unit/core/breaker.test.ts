import assert from 'node:assert/strict';
import FakeTimers from '@sinonjs/fake-timers';
import { Breaker, type BreakerOptions } from '../../../lib/core/breaker';

const SECOND = 1_000;

describe('breaker', () => {
  let time: ReturnType<typeof FakeTimers.install>;
  let breaker: Breaker;
  /** How often a call was really made. */
  let made: number;

  beforeEach(() => {
    time = FakeTimers.install({ now: 1_700_000_000_000, toFake: ['Date'] });
    made = 0;
  });
  afterEach(() => time.uninstall());

  const open = (options: BreakerOptions = {}) => {
    breaker = new Breaker(options);
  };
  const call = (failed: boolean) =>
    breaker.call(async () => {
      made += 1;
      return { failed };
    });
  const calls = async (count: number, failed: boolean) => {
    for (let n = 0; n < count; n += 1) await call(failed);
  };

  for (const [volume, failures, expected] of [
    [1, 1, 'closed'],
    [9, 4, 'closed'],
    [9, 5, 'closed'],
    [9, 9, 'closed'],
    [10, 4, 'closed'],
    [10, 5, 'closed'],
    [10, 6, 'open'],
    [10, 10, 'open'],
    [100, 49, 'closed'],
    [100, 50, 'closed'],
    [100, 51, 'open'],
  ] as const) {
    it(`is ${expected} after ${failures} failures in ${volume} calls of one minute`, async () => {
      open();
      await calls(volume - failures, false);
      await calls(failures, true);
      assert.equal(breaker.state, expected);
    });
  }

  for (const [afterMs, expected] of [
    [0, 'open'],
    [59 * SECOND, 'open'],
    [60 * SECOND - 1, 'open'],
    [60 * SECOND, 'closed'],
    [61 * SECOND, 'closed'],
  ] as const) {
    it(`is ${expected} when the tenth failure comes ${afterMs} ms after the nine before it`, async () => {
      open();
      await calls(9, true);
      time.tick(afterMs);
      await call(true);
      assert.equal(breaker.state, expected);
    });
  }

  it('counts by the second: what came at the end of one leaves the minute together with its beginning', async () => {
    open();
    time.tick(999);
    await calls(9, true);
    time.tick(60 * SECOND - 1_000);
    await call(true);
    assert.equal(breaker.state, 'open', '59.0 s later, in the last second of the window');
    open();
    time.tick(1_000);
    await calls(9, true);
    time.tick(59 * SECOND + 1);
    await call(true);
    assert.equal(breaker.state, 'closed', 'a second further on');
  });

  it('lets only one of many calls through while it is half open', async () => {
    open({ openMs: SECOND });
    await calls(10, true);
    time.tick(SECOND);
    let answer: (result: { failed: boolean }) => void = () => {};
    const probe = breaker.call(() => new Promise<{ failed: boolean }>((resolve) => (answer = resolve)));
    const others = Array.from({ length: 20 }, () => call(false));
    answer({ failed: true });
    await probe;
    assert.deepEqual(new Set(await Promise.all(others)), new Set([undefined]));
    assert.equal(made, 10);
  });

  it('forgets what is older than a minute, also when hardly anything was called in between', async () => {
    open();
    await calls(9, true);
    time.tick(61 * SECOND);
    await call(true);
    assert.equal(breaker.state, 'closed');
    for (let n = 0; n < 20; n += 1) {
      time.tick(10 * SECOND);
      await call(true);
    }
    assert.equal(breaker.state, 'closed', 'six calls a minute are fewer than ten');
  });

  it('remembers what is younger than a minute', async () => {
    open();
    await calls(9, true);
    time.tick(58 * SECOND);
    await call(true);
    assert.equal(breaker.state, 'open');
  });

  it('loses the old half of its window and keeps the young one', async () => {
    open();
    await calls(20, false);
    time.tick(40 * SECOND);
    await calls(15, true);
    assert.equal(breaker.state, 'closed', '15 of 35');
    time.tick(25 * SECOND);
    await call(true);
    assert.equal(breaker.state, 'open', '16 of 16');
  });

  it('makes no call while it is open, and one as a probe after the pause', async () => {
    open({ openMs: 15 * SECOND });
    await calls(10, true);
    assert.equal(await call(false), undefined);
    assert.equal(breaker.refusesForMs, 15 * SECOND);
    time.tick(15 * SECOND - 1);
    assert.equal(await call(false), undefined);
    assert.equal(breaker.refusesForMs, 1);
    assert.equal(made, 10);
    time.tick(1);
    assert.equal(breaker.refusesForMs, 0);
    let answer: (result: { failed: boolean }) => void = () => {};
    const probe = breaker.call(() => new Promise<{ failed: boolean }>((resolve) => (answer = resolve)));
    assert.equal(breaker.state, 'half-open');
    answer({ failed: true });
    await probe;
    assert.equal(breaker.state, 'open', 'the probe has failed');
    assert.equal(await call(false), undefined);
    time.tick(15 * SECOND);
    assert.deepEqual(await call(false), { failed: false });
    assert.equal(breaker.state, 'closed');
  });

  it('starts afresh after a probe that succeeded: one more failure does not open it', async () => {
    open({ openMs: 5 * SECOND });
    await calls(30, true);
    time.tick(5 * SECOND);
    await call(false);
    await calls(8, true);
    assert.equal(breaker.state, 'closed', 'nine calls since then');
    await call(true);
    assert.equal(breaker.state, 'open');
  });

  it('does not take what a call throws for a failure of the remote system', async () => {
    open({ minimumCalls: 1 });
    await assert.rejects(
      breaker.call(() => Promise.reject(new Error('a defect'))),
      /a defect/,
    );
    assert.equal(breaker.state, 'closed');
  });

  it('counts on when the clock of the machine is set back', async () => {
    open();
    await calls(20, false);
    time.setSystemTime(Date.now() - 3_600 * SECOND);
    await calls(10, true);
    assert.equal(breaker.state, 'open');
  });
});
