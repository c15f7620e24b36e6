import assert from 'node:assert/strict';
import FakeTimers from '@sinonjs/fake-timers';
import { systemClock } from '../../../lib/core/clock';

describe('system clock', () => {
  let time: ReturnType<typeof FakeTimers.install>;

  beforeEach(() => {
    time = FakeTimers.install();
  });
  afterEach(() => time.uninstall());

  it('waits for as long as a timer can where a longer one would go off at once', () => {
    let [isOver, isOverSoon] = [false, false];
    systemClock.setTimeout(() => (isOver = true), 365 * 86_400_000);
    systemClock.setTimeout(() => (isOverSoon = true), 1_000);
    time.tick(24 * 86_400_000);
    assert.deepEqual([isOver, isOverSoon], [false, true]);
    time.tick(86_400_000);
    assert.equal(isOver, true);
  });
});
