import assert from 'node:assert/strict';
import type { EventEmitter } from 'node:events';
import fc from 'fast-check';
import { LOG_LEVELS, toLogEvent } from '../../../lib/monitor/log-event';
import { type LogLine, LogRecorder, LogRing, parseLevel } from '../../../lib/monitor/logs';

const event = (message: string, level: keyof typeof LOG_LEVELS = 'info', more = {}): LogLine =>
  toLogEvent({ level: LOG_LEVELS[level], msg: message, ...more });
const messages = (events: LogLine[]) => events.map(({ message }) => message);

/** The runtime's log as far as a recorder sees it. */
class Log {
  readonly handlers = new Set<EventEmitter>();
  addHandler = (handler: EventEmitter) => this.handlers.add(handler);
  removeHandler = (handler: EventEmitter) => this.handlers.delete(handler);
  write(level: number, msg: unknown): void {
    for (const handler of this.handlers) handler.emit('log', { level, msg });
  }
}

describe('log ring', () => {
  it('holds the newest lines, within both bounds, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 300 }), { maxLength: 100 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 600, max: 5_000 }),
        (texts, mostEntries, mostBytes) => {
          const ring = new LogRing(mostEntries, mostBytes);
          const events = texts.map((text) => event(text));
          for (const one of events) ring.push(one);
          const kept = ring.newest(1_000);
          assert.ok(kept.length <= mostEntries);
          assert.ok(kept.reduce((sum, one) => sum + 200 + Buffer.byteLength(one.message), 0) <= mostBytes);
          assert.deepEqual(kept, events.slice(events.length - kept.length).reverse());
          const next = events[events.length - kept.length - 1];
          const room = mostBytes - kept.reduce((sum, one) => sum + 200 + Buffer.byteLength(one.message), 0);
          assert.ok(
            !next || kept.length === mostEntries || room < 200 + Buffer.byteLength(next.message),
            'nothing goes without need',
          );
        },
      ),
    );
  });

  it('gives lines that are at least as serious as asked for', () => {
    const ring = new LogRing(10);
    for (const level of ['debug', 'info', 'warn', 'error', 'fatal'] as const) ring.push(event(level, level));
    assert.deepEqual(messages(ring.newest(10, 'warn')), ['fatal', 'error', 'warn']);
    assert.deepEqual(messages(ring.newest(10, 'trace')), ['fatal', 'error', 'warn', 'info', 'debug']);
    assert.deepEqual(messages(ring.newest(2)), ['fatal', 'error']);
    assert.deepEqual(messages(ring.newest(1, 'trace', ({ level }) => level === 'info')), ['info']);
  });

  it('lets the oldest go when it is made smaller', () => {
    const ring = new LogRing(5);
    for (let index = 0; index < 5; index++) ring.push(event(String(index)));
    ring.resize(2);
    assert.deepEqual(messages(ring.newest(10)), ['4', '3']);
  });

  it('knows the levels by the names that people use', () => {
    assert.deepEqual(['WARN', 'warning', 'Critical', 'info', 'trace'].map(parseLevel), [
      'warn',
      'warn',
      'fatal',
      'info',
      'trace',
    ]);
    assert.deepEqual(['', 'off', 'loud', 'toString', '__proto__'].map(parseLevel), Array(5).fill(undefined));
  });
});

describe('log recorder', () => {
  it('has one handler for all who record, as large a ring as the largest wants, and none when all have gone', () => {
    const log = new Log();
    const recorder = new LogRecorder();
    const first = recorder.record(log, LOG_LEVELS.info, 2);
    const second = recorder.record(log, LOG_LEVELS.info, 4);
    assert.equal(log.handlers.size, 1);
    for (let index = 0; index < 6; index++) log.write(LOG_LEVELS.info, String(index));
    assert.equal(recorder.ring.size, 4);
    second();
    second();
    assert.equal(recorder.ring.size, 2);
    assert.equal(log.handlers.size, 1);
    first();
    assert.equal(log.handlers.size, 0);
    assert.deepEqual(messages(recorder.ring.newest(9)), ['5', '4'], 'a redeploy does not empty it');
    recorder.record(log, LOG_LEVELS.info, 2)();
    assert.equal(log.handlers.size, 0);
  });

  it('passes over what is more talkative than wanted, and the measurements of each message', () => {
    const log = new Log();
    const recorder = new LogRecorder();
    const stop = recorder.record(log, LOG_LEVELS.warn, 10);
    for (const level of [LOG_LEVELS.info, LOG_LEVELS.debug, 98, 99]) log.write(level, 'no');
    log.write(LOG_LEVELS.warn, 'yes');
    assert.deepEqual(messages(recorder.ring.newest(9)), ['yes']);
    stop();
  });

  it('does not disturb the one who logs something unreadable', () => {
    const log = new Log();
    const recorder = new LogRecorder();
    const stop = recorder.record(log, LOG_LEVELS.info, 10);
    const hostile = {
      get message(): string {
        throw new Error('no');
      },
    };
    log.write(LOG_LEVELS.error, hostile);
    log.write(LOG_LEVELS.error, 'after');
    assert.deepEqual(messages(recorder.ring.newest(1)), ['after']);
    stop();
  });
});
