import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { settleDelivery } from '../../lib/core/deliveries';
import { monitored } from '../../lib/monitor/registry';
import type { AmqpChannel } from '../../lib/rabbitmq/amqp';
import { dialMemory } from '../../lib/rabbitmq/memory/link';
import { registerNode } from '../../lib/red/register';
import contactBroker from '../../nodes/contact-broker';
import contactQueueIn from '../../nodes/contact-queue-in';
import contactSettle from '../../nodes/contact-settle';
import esBulkOut from '../../nodes/es-bulk-out';
import esConnection from '../../nodes/es-connection';
import { type ElasticsearchSimulator, startElasticsearchSimulator } from '../simulators/elasticsearch';
import { drain, publish, uniqueName } from '../unit/rabbitmq/brokers';
import { type FlowNode, type NodeModule, type Runtime, startRuntime, until } from './helper';

const source: NodeModule = (RED) => registerNode(RED, 'test-source', () => {});
type Received = {
  payload: unknown;
  topic: string;
  correlationId: string;
  amqp: Record<string, unknown>;
  delivery: { id: string; attempt: number };
};

describe('contact-queue-in', () => {
  let runtime: Runtime;
  let channel: AmqpChannel;
  let queue: string;
  let received: Received[];

  beforeEach(async () => {
    queue = uniqueName('queue');
    channel = await dialMemory('queue-in').createChannel();
  });
  afterEach(async () => {
    await runtime.stop();
    await channel.close();
  });

  const flow = (properties: Record<string, unknown>, wires: string[] = ['out']): FlowNode[] => [
    { id: 'tab', type: 'tab', label: 'Test' },
    { id: 'broker', type: 'contact-broker', addresses: 'memory:queue-in' },
    {
      id: 'in',
      type: 'contact-queue-in',
      z: 'tab',
      broker: 'broker',
      queue,
      retrySeconds: '0.05',
      wires: [wires],
      ...properties,
    },
    { id: 'out', type: 'helper', z: 'tab', wires: [] },
    { id: 'source', type: 'test-source', z: 'tab', wires: [['in']] },
    { id: 'complete', type: 'complete', z: 'tab', scope: ['in'], uncaught: false, wires: [['done']] },
    { id: 'done', type: 'helper', z: 'tab', wires: [] },
    { id: 'catch', type: 'catch', z: 'tab', scope: null, uncaught: false, wires: [['caught']] },
    { id: 'caught', type: 'helper', z: 'tab', wires: [] },
  ];
  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'in')!
      .report();
  const start = async (properties: Record<string, unknown> = {}) => {
    runtime = await startRuntime([source, contactBroker, contactQueueIn], flow(properties));
    received = runtime.received('out') as never;
    await until(() => report().state === 'connected');
  };
  const send = (content: string, options: Record<string, unknown> = {}) =>
    publish(channel, { routingKey: queue, content, ...options });
  const counts = () => report().details?.['deliveries'] as Record<string, number>;

  it('gives out the content with what belongs to it, and a delivery that is plain data', async () => {
    await start();
    await send('{"a":1}', {
      contentType: 'application/json',
      messageId: 'm1',
      correlationId: 'c1',
      headers: { kept: 1 },
    });
    await until(() => received.length === 1);
    const { payload, topic, correlationId, amqp, delivery } = received[0]!;
    assert.deepEqual(payload, { a: 1 });
    assert.equal(topic, queue);
    assert.equal(correlationId, 'c1');
    assert.deepEqual(amqp, {
      exchange: '',
      routingKey: queue,
      headers: { kept: 1 },
      messageId: 'm1',
      contentType: 'application/json',
    });
    assert.deepEqual(JSON.parse(JSON.stringify(delivery)), delivery);
    assert.equal(delivery.attempt, 1);
    settleDelivery(received[0]!, { kind: 'acknowledge' });
    await until(() => counts()['acknowledged'] === 1);
  });

  it('binds the queue to a topic exchange', async () => {
    const exchange = uniqueName('exchange');
    await start({ exchange, bindingKeys: 'orders.*, payments.#' });
    for (const routingKey of ['orders.created', 'payments.card.failed']) {
      await publish(channel, { exchange, routingKey, content: '1', mandatory: true });
    }
    await until(() => received.length === 2);
    assert.deepEqual(
      received.map(({ topic }) => topic),
      ['orders.created', 'payments.card.failed'],
    );
  });

  it('puts aside what should be JSON and is not, and goes on', async () => {
    await start({ format: 'json' });
    await send('{"a":');
    await send('{"a":2}');
    await until(() => received.length === 1);
    assert.deepEqual(received[0]!.payload, { a: 2 });
    await until(() => counts()['putAside'] === 1);
    const [message] = await drain(channel, `${queue}.dlq`);
    assert.equal(message?.properties.headers?.['x-failure-code'], 'INVALID_INPUT');
    assert.match(message?.properties.headers?.['x-failure-reason'], /content as JSON/);
  });

  it('follows pause, resume and replay', async () => {
    await start({ maxAttempts: 1 });
    const done = runtime.received('done') as { replay?: unknown }[];
    await send('1');
    await until(() => received.length === 1);
    settleDelivery(received[0]!, { kind: 'retry' });
    await until(() => counts()['putAside'] === 1);
    runtime.node('source').send({ payload: 'pause' });
    await until(() => report().state === 'paused');
    runtime.node('source').send({ payload: { command: 'replay', ratePerSecond: 50 } });
    await until(() => done.length === 2);
    assert.deepEqual(done[1]!.replay, { moved: 1, left: 0 });
    assert.equal(received.length, 1);
    runtime.node('source').send({ topic: 'resume', payload: '' });
    await until(() => received.length === 2);
    settleDelivery(received[1]!, { kind: 'acknowledge' });
  });

  it('refuses a command that it does not know', async () => {
    await start();
    const caught = runtime.received('caught') as unknown as { error: { message: string } }[];
    runtime.node('source').send({ payload: 'dance' });
    runtime.node('source').send({ payload: { command: 'replay', limit: 'all' } });
    await until(() => caught.length === 2);
    assert.match(caught[0]!.error.message, /pause, resume or replay/);
    assert.match(caught[1]!.error.message, /limit must be a number/);
  });

  it('turns red when nothing is settled, in the status and in the metrics', async () => {
    await start({ prefetch: 2, stallSeconds: 0.1 });
    const stalled = () =>
      report().metrics?.find(({ name }) => name === 'contact_center_deliveries_stalled')?.value as number;
    for (const number of [1, 2, 3]) await send(String(number));
    await until(() => report().state === 'stalled');
    assert.equal(stalled(), 1);
    assert.match(report().reason ?? '', /nothing settles them/);
    settleDelivery(received[0]!, { kind: 'acknowledge' });
    await until(() => report().state === 'connected');
    assert.equal(stalled(), 0);
  });

  it('says clearly that the queue is there with other properties', async () => {
    await channel.assertQueue(queue, { arguments: { 'x-message-ttl': 5 } });
    runtime = await startRuntime([source, contactBroker, contactQueueIn], flow({}));
    await until(() => report().state === 'failed');
    assert.match(report().reason ?? '', /inequivalent arg .*set the node to these, or delete it/);
  });

  it('names what is not configured', async () => {
    runtime = await startRuntime([source, contactBroker, contactQueueIn], flow({ queue: '', retrySeconds: 'soon' }));
    assert.equal(report().state, 'not-configured');
    assert.match(report().reason ?? '', /queue is not set.*retrySeconds must be seconds/);
  });

  it('gives back at a deploy what is still in the flow', async () => {
    await start({ prefetch: 5 });
    for (let number = 0; number < 10; number += 1) await send(String(number));
    await until(() => received.length === 5);
    settleDelivery(received[1]!, { kind: 'acknowledge' });
    await until(() => received.length === 6);
    await runtime.deploy(flow({ prefetch: 20 }));
    received = runtime.received('out') as never;
    await until(() => received.length === 9);
    assert.deepEqual(received.map(({ payload }) => payload).toSorted(), [0, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (const message of received) assert.ok(settleDelivery(message, { kind: 'acknowledge' }));
  });

  describe('with es-bulk-out behind it', () => {
    let elastic: ElasticsearchSimulator;
    beforeEach(async () => {
      elastic = await startElasticsearchSimulator();
      runtime = await startRuntime(
        [source, contactBroker, contactQueueIn, contactSettle, esConnection, esBulkOut],
        [
          ...flow({ maxAttempts: 2 }, ['bulk']),
          { id: 'elastic', type: 'es-connection', nodes: elastic.url },
          {
            id: 'bulk',
            type: 'es-bulk-out',
            z: 'tab',
            connection: 'elastic',
            index: 'messages',
            batchSeconds: 0.1,
            wires: [[], []],
          },
        ],
      );
      await until(() => report().state === 'connected');
    });
    afterEach(() => elastic.close());

    it('is settled by the sink: acknowledged when stored, put aside when rejected', async () => {
      await send('{"n":1}');
      await until(() => counts()['acknowledged'] === 1);
      assert.equal(elastic.count('messages'), 1);
      elastic.faults.bulk({ position: 'all', itemStatus: 400 });
      await send('{"n":2}');
      await until(() => counts()['putAside'] === 1);
      const [message] = await drain(channel, `${queue}.dlq`);
      assert.equal(message?.content.toString(), '{"n":2}');
      assert.equal(message?.properties.headers?.['x-failure-code'], 'REJECTED');
    });
  });
});
