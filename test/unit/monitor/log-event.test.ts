import assert from 'node:assert/strict';
import { util } from '@node-red/util';
import fc from 'fast-check';
import { ContactError } from '../../../lib/core/errors';
import { registerSecret } from '../../../lib/core/redaction';
import { handler, jsonLine } from '../../../lib/monitor/json-log';
import { LOG_LEVELS, type RuntimeLogRecord, toLogEvent } from '../../../lib/monitor/log-event';

const TIME = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const record = (msg: unknown, more: Record<string, unknown> = {}) => ({
  level: LOG_LEVELS.info,
  timestamp: TIME,
  msg,
  ...more,
});
const written = (msg: unknown, more?: Record<string, unknown>) =>
  JSON.parse(jsonLine(record(msg, more))) as Record<string, unknown>;

describe('JSON log', () => {
  it('writes a line with time, level and message for a text of the runtime', () => {
    assert.deepEqual(written('Started flows'), {
      timestamp: '2026-01-02T03:04:05.678Z',
      level: 'info',
      message: 'Started flows',
    });
  });

  it('says which node on which flow has written it', () => {
    const line = written('hello', { id: 'n1', type: 'es-bulk-out', name: 'Index', z: 'tab1' });
    assert.deepEqual(line['node'], { id: 'n1', type: 'es-bulk-out', name: 'Index' });
    assert.equal(line['flow'], 'tab1');
  });

  it('puts fields beside the message, the correlation id among them, and lets none replace a known part', () => {
    const line = written({ message: 'sent', correlationId: 'c-7', attempts: 2, ok: true, level: 'fatal', flow: 'x' });
    assert.equal(line['correlationId'], 'c-7');
    assert.equal(line['attempts'], 2);
    assert.equal(line['ok'], true);
    assert.equal(line['level'], 'info');
    assert.equal(line['message'], 'sent');
  });

  it('tells code but no stack of an expected error, and the stack of a defect', () => {
    const expected = written(new ContactError('UNREACHABLE', { attempted: 'connect' }));
    assert.equal(expected['code'], 'UNREACHABLE');
    assert.ok(!('stack' in expected));
    const defect = written(new TypeError('x is undefined'));
    assert.equal(defect['message'], 'x is undefined');
    assert.match(String(defect['stack']), /log-event\.test/);
    const wrapped = written(new ContactError('INTERNAL', { attempted: 'go on', cause: new TypeError('inner') }));
    assert.match(String(wrapped['stack']), /TypeError: inner/);
  });

  it('writes audit and metric records, which have no message', () => {
    const audit = written(undefined, { level: 98, event: 'flows.set', user: { username: 'me' }, path: '/flows' });
    assert.deepEqual([audit['level'], audit['message'], audit['path']], ['audit', 'flows.set', '/flows']);
    const metric = written(undefined, { level: 99, event: 'node.inject.send', nodeid: 'n1', value: 5 });
    assert.deepEqual(
      [metric['level'], metric['message'], metric['nodeid'], metric['value']],
      ['metric', 'node.inject.send', 'n1', 5],
    );
  });

  it('says the same after the debug sidebar has turned the record into its own encoding', () => {
    const failure = Object.assign(new Error('no luck'), { code: 'ECONNRESET' });
    for (const msg of [
      'plain',
      '{"message":"a text"}',
      { message: 'sent', correlationId: 'c-7', attempts: 2 },
      failure,
    ]) {
      const { stack: _, ...before } = written(msg);
      const encoded = util.encodeObject({ ...record(msg) }, { maxLength: 1_000 }) as unknown as RuntimeLogRecord;
      assert.equal(typeof encoded.msg, 'string');
      const { stack: __, name: ___, ...after } = JSON.parse(jsonLine(encoded)) as Record<string, unknown>;
      assert.deepEqual(after, before);
    }
  });

  it('masks secrets wherever they are', () => {
    registerSecret('log-event-secret');
    const lines = [
      jsonLine(record('with log-event-secret')),
      jsonLine(record(new Error('log-event-secret'))),
      jsonLine(record({ message: 'm', detail: { deep: ['log-event-secret'] }, password: 'hunter22' })),
      jsonLine(record({ not: 'a message', headers: { authorization: 'Bearer abcdefghijkl' } })),
      jsonLine(record('x', { name: 'plain' })),
      jsonLine(record(undefined, { level: 98, event: 'login', password: 'hunter22' })),
    ];
    for (const line of lines) assert.doesNotMatch(line, /log-event-secret|hunter22|abcdefghijkl/);
  });

  it('stays short whatever is logged, even a message with a socket that leads everywhere', () => {
    const loop: Record<string, unknown> = { message: 'big', text: 'x'.repeat(100_000) };
    loop['self'] = loop;
    loop['many'] = Array.from({ length: 10_000 }, (_, index) => ({ index, loop }));
    const line = jsonLine(record(loop));
    assert.ok(line.length < 20_000, `${line.length} characters`);
    assert.equal(JSON.parse(line).message, 'big');
    assert.ok(jsonLine(record('y'.repeat(1_000_000))).length < 5_000);
  });

  it('is one line of JSON for anything that can be logged', () => {
    fc.assert(
      fc.property(fc.anything(), fc.constantFrom(10, 20, 30, 40, 50, 60), (msg, level) => {
        const line = jsonLine({ level, msg, id: 'n1' });
        assert.ok(!line.includes('\n'));
        assert.equal(typeof JSON.parse(line).message, 'string');
        assert.ok(!Number.isNaN(Date.parse(toLogEvent({ level, msg }).timestamp)));
      }),
    );
  });

  it('as a handler ends each line and never throws', () => {
    const lines: string[] = [];
    handler({ destination: { write: (line: string) => lines.push(line) } })(record('first'));
    assert.equal(lines.length, 1);
    assert.ok(lines[0]!.endsWith('}\n'));
    const failing = handler({
      destination: {
        write: () => {
          throw new Error('disk full');
        },
      },
    });
    failing(record('second'));
    const hostile = {
      get message(): string {
        throw new Error('no');
      },
    };
    handler({ destination: { write: (line: string) => lines.push(line) } })(record(hostile));
  });
});
