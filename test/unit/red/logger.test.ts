import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { registerSecret } from '../../../lib/core/redaction';
import { LOG_LEVELS, type RuntimeLogRecord } from '../../../lib/monitor/log-event';
import { loggedLevel, nodeLogger } from '../../../lib/red/logger';
import { registerNode } from '../../../lib/red/register';
import { type Runtime, startRuntime, until } from '../../nodes/helper';

describe('logger of a node', () => {
  let runtime: Runtime;
  let records: RuntimeLogRecord[];
  let handler: EventEmitter;

  async function start(logging?: Record<string, unknown>, withCatch = false) {
    const catching = [
      { id: 'catch', type: 'catch', z: 'tab', scope: null, uncaught: false, wires: [['caught']] },
      { id: 'caught', type: 'helper', z: 'tab', wires: [] },
    ];
    runtime = await startRuntime(
      [(RED) => registerNode(RED, 'test-node', () => {})],
      [
        { id: 'tab', type: 'tab', label: 'Tab' },
        { id: 'tested', type: 'test-node', z: 'tab', name: 'mine', wires: [] },
        ...(withCatch ? catching : []),
      ],
      { settings: { logging } },
    );
    records = [];
    handler = new EventEmitter();
    handler.on('log', (record: RuntimeLogRecord) => {
      if (record.level <= LOG_LEVELS.trace) records.push(record);
    });
    runtime.RED.log.addHandler(handler);
    return nodeLogger(runtime.RED, runtime.node('tested'));
  }

  afterEach(async () => {
    runtime.RED.log.removeHandler(handler);
    await runtime.stop();
  });

  it('writes in the name of its node, with the fields beside the message', async () => {
    const logger = await start();
    logger.warn('the socket was closed', { attempt: 3, correlationId: 'c-1' });
    const [record] = records;
    assert.deepEqual(
      [record!.level, record!.id, record!.type, record!.name, record!.z],
      [LOG_LEVELS.warn, 'tested', 'test-node', 'mine', 'tab'],
    );
    const { message, attempt, correlationId } = record!.msg as Record<string, unknown>;
    assert.deepEqual([message, attempt, correlationId], ['the socket was closed', 3, 'c-1']);
    assert.equal(String(record!.msg), 'the socket was closed', 'handlers that want a text get the message');
    logger.warn('without fields');
    assert.equal(records[1]!.msg, 'without fields');
  });

  it('writes nothing below the most talkative level of the settings', async () => {
    const at = async (logging?: Record<string, unknown>) => {
      const logger = await start(logging);
      for (const level of ['error', 'warn', 'info', 'debug'] as const) logger[level](level);
      const seen = records.map(({ msg }) => String(msg));
      runtime.RED.log.removeHandler(handler);
      await runtime.stop();
      return seen;
    };
    assert.deepEqual(await at(), ['error', 'warn', 'info']);
    assert.deepEqual(await at({ console: { level: 'warn' } }), ['error', 'warn']);
    assert.deepEqual(await at({ console: { level: 'warn' }, json: { level: 'debug' } }), [
      'error',
      'warn',
      'info',
      'debug',
    ]);
    assert.deepEqual(await at({ console: { level: 'off' } }), ['error']);
    await start({ console: { level: 'nonsense' } });
    assert.equal(loggedLevel(runtime.RED), LOG_LEVELS.info);
  });

  it('takes errors to Catch nodes with message and code', async () => {
    const logger = await start(undefined, true);
    const caught = runtime.received('caught');
    logger.error('Could not renew the token', { code: 'REFUSED' });
    const { error } = (await until(() => caught[0])) as unknown as { error: Record<string, unknown> };
    assert.deepEqual([error['message'], error['code']], ['Could not renew the token', 'REFUSED']);
  });

  it('masks secrets in message and fields', async () => {
    registerSecret('logger-secret');
    const logger = await start();
    logger.info('with logger-secret', { detail: 'logger-secret', password: 'x', inner: { clientSecret: 'y' } });
    const { message, detail, password, inner } = records[0]!.msg as Record<string, unknown>;
    assert.deepEqual([message, detail, password, inner], ['with ***', '***', '***', { clientSecret: '***' }]);
  });
});
