import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { isBalanced } from '../../lib/core/books';
import { type DeliveryOutcome, DeliverySource } from '../../lib/core/deliveries';
import { monitored } from '../../lib/monitor/registry';
import { registerNode } from '../../lib/red/register';
import esBulkOut from '../../nodes/es-bulk-out';
import esConnection from '../../nodes/es-connection';
import { type ElasticsearchSimulator, startElasticsearchSimulator } from '../simulators/elasticsearch';
import { type FlowNode, type NodeModule, type Runtime, startRuntime, until } from './helper';

/** Sends a message into the flow under test. */
const source: NodeModule = (RED) => registerNode(RED, 'test-source', () => {});
type Failed = {
  error: { code: string; status?: number; attempts: number; retryable: boolean };
  payload: unknown;
  kept?: string;
};

describe('es-bulk-out', () => {
  let runtime: Runtime;
  let elastic: ElasticsearchSimulator;
  let done: unknown[];
  let failures: Failed[];
  let reports: { payload: { documents: number; delivered: number } }[];

  beforeEach(async () => {
    elastic = await startElasticsearchSimulator();
  });
  afterEach(async () => {
    await runtime.stop();
    await elastic.close();
  });

  const flow = (properties: Record<string, unknown>): FlowNode[] => [
    { id: 'tab', type: 'tab', label: 'Test' },
    { id: 'elastic', type: 'es-connection', nodes: elastic.url },
    { id: 'source', type: 'test-source', z: 'tab', wires: [['bulk']] },
    {
      id: 'bulk',
      type: 'es-bulk-out',
      z: 'tab',
      connection: 'elastic',
      index: 'events',
      batchSeconds: 0.1,
      retryBaseSeconds: 0.1,
      retryMaxSeconds: 0.2,
      wires: [['reports'], ['failures']],
      ...properties,
    },
    { id: 'reports', type: 'helper', z: 'tab', wires: [] },
    { id: 'failures', type: 'helper', z: 'tab', wires: [] },
    { id: 'complete', type: 'complete', z: 'tab', scope: ['bulk'], uncaught: false, wires: [['done']] },
    { id: 'done', type: 'helper', z: 'tab', wires: [] },
  ];
  const start = async (properties: Record<string, unknown> = {}) => {
    runtime = await startRuntime([source, esConnection, esBulkOut], flow(properties));
    done = runtime.received('done');
    failures = runtime.received('failures') as never;
    reports = runtime.received('reports') as never;
  };
  const send = (message: Record<string, unknown>) => runtime.node('source').send(message);
  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'bulk')!
      .report();
  const settled = () => {
    const { books } = report();
    return books !== undefined && books.queued === 0 && books.inFlight === 0;
  };

  it('stores one document a message under its own id, and is done with the message only then', async () => {
    await start();
    elastic.pause();
    send({ payload: { n: 1 }, documentId: 'one' });
    await until(() => report().books?.inFlight === 1);
    assert.equal(done.length, 0);
    elastic.resume();
    await until(() => done.length === 1);
    assert.deepEqual(elastic.documents('events').get('one')?._source, { n: 1 });
  });

  it('stores all documents of an array, and reports the batch', async () => {
    await start();
    send({ payload: Array.from({ length: 450 }, (_, n) => ({ n })) });
    await until(() => done.length === 1);
    assert.equal(elastic.count('events'), 450);
    assert.equal(
      reports.reduce((sum, { payload }) => sum + payload.delivered, 0),
      450,
    );
  });

  it('takes the day of the document for the name of the index, and msg.index before that', async () => {
    await start({ index: 'events-{yyyy.MM.dd}' });
    send({ payload: { '@timestamp': '2026-01-15T23:59:59.999Z' } });
    send({ payload: { n: 1 }, index: 'elsewhere' });
    await until(() => done.length === 2);
    assert.equal(elastic.count('events-2026.01.15'), 1);
    assert.equal(elastic.count('elsewhere'), 1);
  });

  it('counts what a data stream has already as a duplicate', async () => {
    await start({ dataStream: true, index: 'logs-audiohook-default' });
    const message = { payload: { '@timestamp': '2026-01-15T00:00:00Z' }, documentId: 'same' };
    send({ ...message });
    await until(settled);
    send({ ...message });
    await until(() => done.length === 2);
    assert.equal(report().books?.duplicate, 1);
    assert.equal(report().books?.delivered, 1);
  });

  it('sends a rejected document out of output 2 with the reason, and dead-letters its delivery', async () => {
    await start();
    const outcomes: DeliveryOutcome[] = [];
    const deliveries = new DeliverySource<string>({
      name: 'test',
      settle: (_token, outcome) => outcomes.push(outcome),
    });
    elastic.faults.bulk({ position: 'all', itemStatus: 400 });
    send({ payload: { n: 1 }, delivery: deliveries.open('token'), kept: 'yes' });
    await until(() => failures.length === 1);
    const [failed] = failures;
    assert.equal(failed?.error.code, 'REJECTED');
    assert.equal(failed?.error.status, 400);
    assert.equal(failed?.kept, 'yes');
    assert.deepEqual(failed?.payload, { n: 1 });
    assert.equal(outcomes[0]?.kind, 'dead-letter');
  });

  it('acknowledges the delivery of what it has stored', async () => {
    await start();
    const outcomes: DeliveryOutcome[] = [];
    const deliveries = new DeliverySource<string>({
      name: 'test',
      settle: (_token, outcome) => outcomes.push(outcome),
    });
    send({ payload: { n: 1 }, delivery: deliveries.open('token') });
    await until(() => outcomes.length === 1);
    assert.equal(outcomes[0]?.kind, 'acknowledge');
  });

  it('sends what is no document out of output 2', async () => {
    await start();
    for (const payload of [42, null, 'no JSON', '[1]']) send({ payload });
    await until(() => failures.length === 4);
    assert.ok(isBalanced(report().books!));
    assert.equal(report().books?.rejected, 4);
  });

  it('keeps everything while the credentials are refused, says so in red, and goes on by itself', async () => {
    await start();
    const fault = elastic.faults.bulk({ times: 'always', answer: { status: 401 } });
    send({ payload: { n: 1 } });
    await until(() => report().state === 'refused');
    assert.match(report().reason ?? '', /password/);
    fault.cancel();
    await until(() => elastic.count('events') === 1);
  });

  it('sends new documents away when the buffer is full, exactly those that do not fit', async () => {
    await start({ bufferDocuments: 10 });
    elastic.pause();
    for (let n = 0; n < 25; n += 1) send({ payload: { n } });
    await until(() => failures.length === 15);
    assert.equal(failures[0]?.error.code, 'BUFFER_FULL');
    elastic.resume();
    await until(() => elastic.count('events') === 10);
    assert.ok(isBalanced(report().books!));
  });

  it('hands what waits in memory to the next deploy: nothing is lost, nothing doubled', async () => {
    await start();
    await elastic.down();
    for (let n = 0; n < 50; n += 1) send({ payload: { n } });
    await until(() => report().books?.received === 50);
    await runtime.deploy(flow({ name: 'renamed' }));
    await elastic.up();
    await until(() => elastic.count('events') === 50);
    await until(settled);
    assert.ok([...elastic.applied('events').values()].every(({ created, updated }) => created === 1 && updated === 0));
  });
});
