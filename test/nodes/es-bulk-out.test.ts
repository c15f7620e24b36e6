import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  let userDir: string;
  let done: unknown[];
  let caught: { error: { message: string } }[];
  let failures: Failed[];
  let reports: { payload: { documents: number; delivered: number } }[];

  beforeEach(async () => {
    elastic = await startElasticsearchSimulator();
    userDir = mkdtempSync(join(tmpdir(), 'es-bulk-out-'));
  });
  afterEach(async () => {
    await runtime.stop();
    await elastic.close();
    rmSync(userDir, { recursive: true, force: true });
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
    { id: 'catch', type: 'catch', z: 'tab', scope: ['bulk'], uncaught: false, wires: [['caught']] },
    { id: 'caught', type: 'helper', z: 'tab', wires: [] },
  ];
  const start = async (properties: Record<string, unknown> = {}) => {
    runtime = await startRuntime([source, esConnection, esBulkOut], flow(properties), { settings: { userDir } });
    done = runtime.received('done');
    caught = runtime.received('caught') as never;
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

  it('gives deliveries back for which there was no room, and dead-letters those that were dropped', async () => {
    for (const [overflow, expected] of [
      ['refuse', { acknowledged: 10, retried: 15, deadLettered: 0 }],
      ['drop-newest', { acknowledged: 10, retried: 0, deadLettered: 15 }],
      ['drop-oldest', { acknowledged: 10, retried: 0, deadLettered: 15 }],
    ] as const) {
      await start({ bufferDocuments: 10, batchDocuments: 5, overflow });
      const deliveries = new DeliverySource<string>({ name: 'test', settle: () => {} });
      elastic.pause();
      for (let n = 0; n < 25; n += 1) send({ payload: { n }, delivery: deliveries.open(`${n}`) });
      await until(() => failures.length === 15);
      elastic.resume();
      await until(() => deliveries.counts().open === 0);
      const { acknowledged, retried, deadLettered } = deliveries.counts();
      assert.deepEqual({ acknowledged, retried, deadLettered }, expected);
      assert.equal(failures[0]?.error.retryable, overflow === 'refuse');
      await runtime.stop();
    }
    await start();
  });

  it('says in red that it is not configured, sends messages out of output 2 and gives deliveries back', async () => {
    await start({ connection: '' });
    const deliveries = new DeliverySource<string>({ name: 'test', settle: () => {} });
    send({ payload: { n: 1 }, delivery: deliveries.open('token') });
    await until(() => failures.length === 1 && caught.length === 1);
    assert.equal(failures[0]?.error.code, 'CONFIGURATION');
    assert.equal(report().state, 'not-configured');
    assert.equal(deliveries.counts().retried, 1);
  });

  it('names an index that Elasticsearch would not take before any document is lost to it', async () => {
    await start({ index: 'Events-{YYYY}' });
    assert.equal(report().state, 'not-configured');
    assert.match(report().reason ?? '', /property index must be a name.*Events-/);
  });

  it('takes the ids of the documents of an array from an array', async () => {
    await start();
    send({ payload: [{ n: 1 }, { n: 2 }, { n: 3 }], documentId: ['one', undefined, 'three'] });
    await until(() => done.length === 1);
    const ids = [...elastic.documents('events').keys()];
    assert.equal(ids.length, 3);
    assert.ok(ids.includes('one') && ids.includes('three') && !ids.includes('undefined'));
  });

  it('sets a status a second at most, whatever comes in', async () => {
    await start();
    const began = Date.now();
    const { status } = runtime.node('bulk') as unknown as { status: { callCount: number } };
    for (let n = 0; n < 500; n += 1) send({ payload: { n } });
    await until(() => elastic.count('events') === 500);
    await until(() => report().state === 'connected');
    assert.ok(status.callCount <= 2 + (Date.now() - began) / 1_000, `${status.callCount} statuses`);
  });

  describe('with the buffer on disk', () => {
    const folder = () => join(userDir, 'contact-center', 'spool', 'bulk');

    it('is done with a message when it is on the disk, and sends it when it can', async () => {
      await start({ buffer: 'disk' });
      await elastic.down();
      const deliveries = new DeliverySource<string>({ name: 'test', settle: () => {} });
      for (let n = 0; n < 20; n += 1) send({ payload: [{ n }, { n }], delivery: deliveries.open(`${n}`) });
      await until(() => done.length === 20);
      assert.equal(deliveries.counts().acknowledged, 20);
      await elastic.up();
      await until(() => elastic.count('events') === 40);
      await until(settled);
      assert.deepEqual([done.length, caught.length, failures.length], [20, 0, 0]);
    });

    it('sends what is rejected later out of output 2, and does not fail a message that was done', async () => {
      await start({ buffer: 'disk' });
      elastic.faults.bulk({ itemStatus: 400 });
      send({ payload: [{ n: 1 }, { n: 2 }], documentId: ['one', 'two'], kept: 'no' });
      send({ payload: { n: 3 }, kept: 'yes' });
      await until(() => failures.length === 3);
      assert.deepEqual(
        failures.map(({ kept }) => kept),
        [undefined, undefined, undefined],
      );
      await until(() => done.length === 2);
      assert.equal(caught.length, 0);
    });

    it('says in red why it cannot use its folder, sends messages out of output 2 and gives deliveries back', async () => {
      writeFileSync(join(userDir, 'contact-center'), 'no folder');
      await start({ buffer: 'disk' });
      const deliveries = new DeliverySource<string>({ name: 'test', settle: () => {} });
      for (let n = 0; n < 3; n += 1) send({ payload: { n }, delivery: deliveries.open(`${n}`) });
      await until(() => failures.length === 3 && caught.length === 3);
      assert.equal(failures[0]?.error.code, 'BUFFER_FAILED');
      assert.deepEqual(failures[0]?.payload, { n: 0 });
      assert.equal(deliveries.counts().retried, 3);
      assert.equal(report().state, 'failed');
      assert.match(report().reason ?? '', /ENOTDIR|EEXIST/);
    });

    it('keeps what waits through a deploy, with its books', async () => {
      await start({ buffer: 'disk' });
      send({ payload: { n: 50 } });
      await until(() => report().books?.delivered === 1);
      await elastic.down();
      for (let n = 0; n < 50; n += 1) send({ payload: { n } });
      await until(() => done.length === 51);
      await runtime.deploy(flow({ buffer: 'disk', name: 'renamed' }), 'nodes');
      await elastic.up();
      await until(() => elastic.count('events') === 51);
      await until(() => report().books?.delivered === 51);
      assert.equal(report().books?.received, 51);
    });

    it('keeps what waits when the node is deleted, and goes on when it is there again', async () => {
      await start({ buffer: 'disk' });
      await elastic.down();
      for (let n = 0; n < 5; n += 1) send({ payload: { n } });
      await until(() => done.length === 5);
      const without = flow({ buffer: 'disk' }).filter(({ id }) => id !== 'bulk');
      await runtime.deploy(without, 'nodes');
      assert.ok(existsSync(folder()));
      assert.equal(caught.length + failures.length, 0);
      await elastic.up();
      await runtime.deploy(flow({ buffer: 'disk' }), 'nodes');
      await until(() => elastic.count('events') === 5);
    });

    it('sends what is left there after the buffer was changed to memory', async () => {
      await start({ buffer: 'disk' });
      await elastic.down();
      for (let n = 0; n < 5; n += 1) send({ payload: { n } });
      await until(() => done.length === 5);
      await runtime.deploy(flow({ buffer: 'memory' }), 'nodes');
      send({ payload: { n: 5 } });
      await until(() => report().books?.received === 6);
      await elastic.up();
      await until(() => elastic.count('events') === 6);
      await until(() => report().books?.delivered === 6);
      await until(() => done.length === 6);
    });
  });

  describe('that is deployed again while documents wait in memory', () => {
    let deliveries: DeliverySource<string>;
    /** Puts messages in, of which none is done. */
    const fill = async (properties: Record<string, unknown> = {}) => {
      await start(properties);
      deliveries = new DeliverySource<string>({ name: 'test', settle: () => {} });
      await elastic.down();
      for (let n = 0; n < 30; n += 1) send({ payload: [{ n }, { n }], delivery: deliveries.open(`${n}`) });
      await until(() => report().books?.received === 60);
      assert.equal(done.length, 0);
    };
    const sentOnce = async () => {
      await elastic.up();
      await until(() => elastic.count('events') === 60);
      await until(() => done.length === 30);
      assert.deepEqual([done.length, caught.length, failures.length], [30, 0, 0]);
      const { acknowledged, open } = deliveries.counts();
      assert.deepEqual({ acknowledged, open }, { acknowledged: 30, open: 0 });
      assert.ok(
        [...elastic.applied('events').values()].every(({ created, updated }) => created === 1 && updated === 0),
      );
    };

    for (const [name, properties] of [
      ['as it was', { name: 'renamed' }],
      ['with another index', { index: 'others' }],
      ['with smaller limits', { bufferDocuments: 3, bufferBytes: 100 }],
      ['with a smaller buffer that drops the oldest', { bufferDocuments: 3, overflow: 'drop-oldest' }],
      ['with the buffer on disk', { buffer: 'disk' }],
    ] as const) {
      it(`${name}, it sends them, and each message is done once`, async () => {
        await fill();
        await runtime.deploy(flow(properties), 'nodes');
        await sentOnce();
      });
    }

    it('and once more, and with everything else', async () => {
      await fill();
      await runtime.deploy(flow({ name: 'one' }), 'nodes');
      await runtime.deploy(flow({ name: 'two' }), 'nodes');
      await sentOnce();
    });

    it('with a mistake, it keeps them until the mistake is corrected', async () => {
      await fill();
      await runtime.deploy(flow({ index: 'A Mistake' }), 'nodes');
      assert.equal(report().state, 'not-configured');
      await runtime.deploy(flow({ name: 'correct' }), 'nodes');
      await sentOnce();
    });

    const without = () => flow({}).filter(({ id }) => id !== 'bulk');
    const givenBack = async () => {
      await until(() => deliveries.counts().retried === 30);
      assert.equal(deliveries.counts().open, 0);
      assert.equal(done.length, 0);
      assert.equal(elastic.count('events'), 0);
    };

    it('without the node, each message has failed once, and its delivery goes back', async () => {
      await fill();
      await runtime.deploy(without(), 'nodes');
      await givenBack();
    });

    it('with a mistake and then without the node, each message has failed once, and its delivery goes back', async () => {
      await fill();
      await runtime.deploy(flow({ index: 'A Mistake' }), 'nodes');
      await runtime.deploy(without(), 'nodes');
      await givenBack();
    });
  });
});
