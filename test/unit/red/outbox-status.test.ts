import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import FakeTimers from '@sinonjs/fake-timers';
import { type BooksSnapshot, sumOfBooks } from '../../../lib/core/books';
import type { Clock, Timer } from '../../../lib/core/clock';
import { ContactError } from '../../../lib/core/errors';
import type { OutboxState } from '../../../lib/core/outbox';
import type { RuntimeNode } from '../../../lib/red/node';
import { type Obstacle, OutboxStatus, outboxReport } from '../../../lib/red/outbox-status';
import type { Status, StatusOptions } from '../../../lib/red/status';

const error = new ContactError('UNREACHABLE', { attempted: 'index documents' });

/** An outbox that says what it is told to say. */
class Outbox {
  books = sumOfBooks([]);
  state: OutboxState = { state: 'working' };
  breakerState = 'closed' as const;
  buffered = { items: 3, bytes: 100 };
  looks = 0;
  snapshot(): BooksSnapshot {
    this.looks += 1;
    return { ...this.books };
  }
}

describe('the status of a node with an outbox', () => {
  const time = FakeTimers.createClock(1_000_000);
  const clock: Clock = {
    now: () => time.now,
    setTimeout: (callback, delayMs) => time.setTimeout(callback, delayMs) as unknown as Timer,
    clearTimeout: (timer) => time.clearTimeout(timer as never),
  };
  let outbox: Outbox;
  let other: Outbox;
  let shown: [string, StatusOptions | undefined][];
  let node: EventEmitter;
  let status: OutboxStatus;

  beforeEach(() => {
    [outbox, other] = [new Outbox(), new Outbox()];
    shown = [];
    node = new EventEmitter();
    const set = (state: string, options?: StatusOptions) => shown.push([state, options]);
    status = new OutboxStatus(node as RuntimeNode, { set } as unknown as Status, [outbox, other], clock);
  });
  afterEach(() => node.emit('close'));

  const last = () => {
    const [state, { text, values } = {}] = shown.at(-1) ?? [];
    return [state, text, values];
  };

  it('tells how many were sent when there is nothing to do', () => {
    outbox.books.delivered = 7;
    time.tick(2_000);
    assert.deepEqual(last(), ['connected', 'sent', { count: 7 }]);
  });

  it('tells how many wait and how many a second have got through, looking once a second', () => {
    outbox.books.queued = 10;
    outbox.books.inFlight = 5;
    other.books.queued = 1;
    outbox.books.delivered = 1_200;
    other.books.duplicate = 34;
    time.tick(1_000);
    assert.deepEqual(last(), ['working', 'sending', { count: 16, rate: 1_234 }]);
    outbox.books.delivered += 3;
    time.tick(1_000);
    assert.deepEqual(last(), ['working', 'sending', { count: 16, rate: 3 }]);
    const { looks } = outbox;
    time.tick(10_000);
    assert.ok(outbox.looks - looks <= 20, 'two looks a second are the most');
  });

  it('tells a rate that is less than one a second only where there is one', () => {
    outbox.books.delivered = 1;
    time.tick(1_000);
    assert.deepEqual(last(), ['working', 'sending', { count: 0, rate: 1 }]);
    time.tick(1_000);
    assert.deepEqual(last(), ['connected', 'sent', { count: 1 }]);
  });

  it('tells the rate over the time that has really passed', () => {
    outbox.books.delivered = 1_000;
    time.setSystemTime(time.now + 1_000);
    time.tick(1_000);
    assert.deepEqual(last(), ['working', 'sending', { count: 0, rate: 500 }]);
  });

  it('does not count what it began with', () => {
    outbox.books.delivered = 1_000_000;
    node.emit('close');
    new OutboxStatus(node as RuntimeNode, { set: (...given: never) => shown.push(given) } as never, [outbox], clock);
    time.tick(1_000);
    assert.deepEqual(last(), ['connected', 'sent', { count: 1_000_000 }]);
  });

  for (const [state, expected] of [
    ['retrying', 'degraded'],
    ['refused', 'refused'],
    ['breaker-open', 'breaker-open'],
    ['failed', 'failed'],
  ] as const) {
    it(`is ${expected} with the reason when the outbox, or the one beside it, is ${state}`, () => {
      other.state = { state, error };
      status.show();
      assert.equal(shown.at(-1)?.[0], expected);
      assert.equal(shown.at(-1)?.[1]?.reason, error.message);
    });
  }

  it('tells how many wait while it buffers', () => {
    outbox.state = { state: 'retrying', error };
    outbox.books.queued = 12;
    time.tick(1_000);
    assert.deepEqual(last(), ['degraded', 'buffering', { count: 12 }]);
  });

  it('shows what the sender waits for: as buffering while something waits, and in its own words otherwise', () => {
    let obstacle: ReturnType<Obstacle> = { state: 'disconnected', reason: 'no route' };
    node.emit('close');
    const set = { set: (...given: never) => shown.push(given) } as never;
    const waiting = new OutboxStatus(node as RuntimeNode, set, [outbox], clock, () => obstacle);
    assert.deepEqual(shown.at(-1), ['disconnected', { reason: 'no route' }]);
    outbox.books.queued = 12;
    waiting.show();
    assert.deepEqual(shown.at(-1), ['degraded', { text: 'buffering', values: { count: 12 }, reason: 'no route' }]);
    obstacle = { state: 'refused', reason: 'wrong password' };
    waiting.show();
    assert.deepEqual(shown.at(-1), ['refused', { reason: 'wrong password' }]);
    obstacle = undefined;
    waiting.show();
    assert.deepEqual(last(), ['working', 'sending', { count: 12, rate: 0 }]);
  });

  it('looks no more after the node was closed', () => {
    node.emit('close');
    const before = shown.length;
    time.tick(10_000);
    assert.equal(shown.length, before);
    assert.equal(time.countTimers(), 0);
  });

  it('goes into the report as one set of books and one buffer', () => {
    outbox.books.delivered = 1;
    other.books.delivered = 2;
    const { books, details } = outboxReport(() => [outbox, other]);
    assert.equal(books?.().delivered, 3);
    assert.deepEqual(details?.(), { breaker: 'closed', buffer: { items: 6, bytes: 200 }, error: undefined });
    const none = outboxReport(() => []);
    assert.equal(none.books?.().received, 0);
  });
});
