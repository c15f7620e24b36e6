import assert from 'node:assert/strict';
import { createClock } from '@sinonjs/fake-timers';
import { beforeEach, describe, it } from 'mocha';
import type { Clock, Timer } from '../../../lib/core/clock';
import { type DeliveryOutcome, DeliverySource, settleDelivery, sourceLoad } from '../../../lib/core/deliveries';
import { ContactError } from '../../../lib/core/errors';

describe('a delivery', () => {
  const time = createClock();
  const clock: Clock = {
    now: () => time.now,
    setTimeout: (callback, delayMs) => time.setTimeout(callback, delayMs) as unknown as Timer,
    clearTimeout: (timer) => time.clearTimeout(timer as never),
  };
  let settled: [string, DeliveryOutcome['kind']][];
  let stalls: boolean[];
  const source = (options: { timeoutMs?: number; capacity?: number } = {}) =>
    new DeliverySource<string>({
      name: 'queue',
      clock,
      settle: (token, { kind }) => settled.push([token, kind]),
      onStall: (stalled) => stalls.push(stalled),
      ...options,
    });

  beforeEach(() => {
    settled = [];
    stalls = [];
  });

  it('is settled once, by whoever holds a copy of the message', () => {
    const delivery = source().open('a', 3);
    assert.equal(delivery.attempt, 3);
    const message = { delivery };
    const copy = structuredClone(message);
    assert.equal(settleDelivery(copy, { kind: 'acknowledge' }), true);
    assert.equal(settleDelivery(message, { kind: 'retry' }), false);
    assert.deepEqual(settled, [['a', 'acknowledge']]);
  });

  it('that a message does not carry is not settled', () => {
    assert.equal(settleDelivery({}, { kind: 'acknowledge' }), false);
    assert.equal(settleDelivery({ delivery: { id: 'made up' } }, { kind: 'acknowledge' }), false);
  });

  it('tells how busy its source is, as long as it is open and the source has a limit', () => {
    const limited = source({ capacity: 5 });
    const [first, second] = [limited.open('a'), limited.open('b')];
    assert.deepEqual(sourceLoad({ delivery: first }), { open: 2, capacity: 5 });
    settleDelivery({ delivery: first }, { kind: 'acknowledge' });
    assert.equal(sourceLoad({ delivery: first }), undefined);
    assert.deepEqual(sourceLoad({ delivery: second }), { open: 1, capacity: 5 });
    const unlimited = source();
    assert.equal(sourceLoad({ delivery: unlimited.open('c') }), undefined);
    assert.equal(sourceLoad({ payload: 'none' }), undefined);
    limited.close();
    unlimited.close();
  });

  it('that nobody settles in time goes back to its source, and is counted', () => {
    const queue = source({ timeoutMs: 10_000 });
    const delivery = queue.open('late');
    time.tick(9_000);
    assert.deepEqual(settled, []);
    time.tick(3_000);
    assert.deepEqual(settled, [['late', 'retry']]);
    assert.deepEqual(queue.counts(), { open: 0, acknowledged: 0, retried: 1, deadLettered: 0, expired: 1 });
    assert.equal(settleDelivery({ delivery }, { kind: 'acknowledge' }), false);
  });

  it('makes its source stalled when all that may be out is out and nothing moves for 30 seconds', () => {
    const queue = source({ timeoutMs: 0, capacity: 2 });
    const first = queue.open('a');
    time.tick(60_000);
    assert.deepEqual(stalls, []);
    queue.open('b');
    time.tick(40_000);
    assert.deepEqual(stalls, [true]);
    settleDelivery(
      { delivery: first },
      { kind: 'dead-letter', error: new ContactError('REJECTED', { attempted: 'x' }) },
    );
    assert.deepEqual(stalls, [true, false]);
    queue.close();
  });

  it('is given back when its source closes, oldest first, and leaves no timer', () => {
    const queue = source();
    const message = { delivery: queue.open('a') };
    queue.open('b');
    assert.equal(queue.oldest, 'a');
    assert.deepEqual(queue.close(), ['a', 'b']);
    assert.equal(settleDelivery(message, { kind: 'acknowledge' }), false);
    assert.equal(time.countTimers(), 0);
  });
});
