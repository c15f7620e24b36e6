import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { isBalanced } from '../../lib/core/books';
import { type DeliveryOutcome, DeliverySource } from '../../lib/core/deliveries';
import { monitored } from '../../lib/monitor/registry';
import type { OcelotEvent } from '../../lib/ocelot/event';
import { KNOWN_EVENT_TYPES } from '../../lib/ocelot/schemas';
import type { AmqpChannel } from '../../lib/rabbitmq/amqp';
import { dialMemory } from '../../lib/rabbitmq/memory/link';
import { registerNode } from '../../lib/red/register';
import contactBroker from '../../nodes/contact-broker';
import ocelotPublish from '../../nodes/ocelot-publish';
import { VALID_DATA } from '../unit/ocelot/events';
import { drain, uniqueName } from '../unit/rabbitmq/brokers';
import { type FlowNode, type NodeModule, type Runtime, startRuntime, until } from './helper';

const source: NodeModule = (RED) => registerNode(RED, 'test-source', () => {});
type Failed = {
  payload: unknown;
  error: { code: string; message: string; problems?: { field: string; problem: string }[] };
};

describe('ocelot-publish', () => {
  let runtime: Runtime;
  let channel: AmqpChannel;
  let exchange: string;
  let queue: string;
  let published: { payload: OcelotEvent; topic: string; correlationId: string; kept?: unknown }[];
  let failed: Failed[];
  let done: unknown[];

  beforeEach(async () => {
    exchange = uniqueName('events');
    queue = uniqueName('queue');
    channel = await dialMemory('publish').createChannel();
    await channel.assertExchange(exchange, 'topic', { durable: true });
    await channel.assertQueue(queue);
    await channel.bindQueue(queue, exchange, 'comms.#');
  });
  afterEach(async () => {
    await runtime.stop();
    await channel.close();
  });

  const flow = (properties: Record<string, unknown>, addresses = 'memory:publish'): FlowNode[] => [
    { id: 'tab', type: 'tab', label: 'Test' },
    { id: 'broker', type: 'contact-broker', addresses },
    { id: 'source', type: 'test-source', z: 'tab', wires: [['publish']] },
    {
      id: 'publish',
      type: 'ocelot-publish',
      z: 'tab',
      broker: 'broker',
      exchange,
      organizationId: 'org-1',
      wires: [['published'], ['failed']],
      ...properties,
    },
    { id: 'published', type: 'helper', z: 'tab', wires: [] },
    { id: 'failed', type: 'helper', z: 'tab', wires: [] },
    { id: 'complete', type: 'complete', z: 'tab', scope: ['publish'], uncaught: false, wires: [['done']] },
    { id: 'done', type: 'helper', z: 'tab', wires: [] },
  ];
  const listen = () => {
    published = runtime.received('published') as never;
    failed = runtime.received('failed') as never;
    done = runtime.received('done');
  };
  const start = async (properties: Record<string, unknown> = {}, addresses?: string) => {
    runtime = await startRuntime([source, contactBroker, ocelotPublish], flow(properties, addresses));
    listen();
  };
  const send = (message: Record<string, unknown>) => runtime.node('source').send(message);
  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'publish')!
      .report();
  const inQueue = async () =>
    (await drain(channel, queue)).map(({ content }) => JSON.parse(content.toString()) as OcelotEvent);

  it('publishes each of the five types under its routing key, with its envelope and its properties', async () => {
    await start();
    for (const eventType of KNOWN_EVENT_TYPES) {
      send({ eventType, payload: VALID_DATA[eventType], userId: 'user-1', correlationId: 'c-1', kept: 'yes' });
    }
    await until(() => done.length === 5);
    const messages = await drain(channel, queue);
    assert.deepEqual(
      messages.map(({ fields }) => fields.routingKey),
      KNOWN_EVENT_TYPES.map((type) => `comms.${type}`),
    );
    for (const [index, { content, properties }] of messages.entries()) {
      const event = JSON.parse(content.toString()) as OcelotEvent;
      const { payload, topic, correlationId, kept } = published[index]!;
      assert.deepEqual(payload, event);
      assert.equal(topic, messages[index]!.fields.routingKey);
      assert.equal(kept, 'yes');
      assert.equal(correlationId, 'c-1');
      assert.equal(event.organizationId, 'org-1');
      assert.equal(event.userId, 'user-1');
      assert.deepEqual(event.metadata, { version: '1.0.0', module: 'cc-lite' });
      assert.match(event.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.equal(properties.deliveryMode, 2);
      assert.equal(properties.contentType, 'application/json');
      assert.equal(properties.messageId, event.id);
      assert.equal(properties.correlationId, 'c-1');
      assert.equal(properties.type, event.type);
    }
  });

  it('takes type, organization and user from the node, and prefers organization and user of the message', async () => {
    await start({ eventType: 'call.ended', userId: 'user-of-node', moduleName: 'voice' });
    send({ payload: VALID_DATA['call.ended'] });
    send({ payload: VALID_DATA['call.ended'], organizationId: 'org-2', userId: 'user-2' });
    await until(() => done.length === 2);
    assert.deepEqual(
      (await inQueue()).map(({ type, organizationId, userId, metadata }) => [
        type,
        organizationId,
        userId,
        metadata.module,
      ]),
      [
        ['call.ended', 'org-1', 'user-of-node', 'voice'],
        ['call.ended', 'org-2', 'user-2', 'voice'],
      ],
    );
  });

  it('sends an invalid event out of output 2 with everything that is wrong, and publishes nothing of it', async () => {
    await start({ organizationId: '' });
    send({ eventType: 'call.ended', payload: { call_id: 'c', duration: -1, outcome: 'maybe' }, kept: 'yes' });
    await until(() => failed.length === 1);
    const { error, payload } = failed[0]!;
    assert.equal(error.code, 'INVALID_INPUT');
    assert.deepEqual(error.problems?.map(({ field }) => field).toSorted(), [
      'data.duration',
      'data.outcome',
      'organizationId',
    ]);
    assert.deepEqual(payload, { call_id: 'c', duration: -1, outcome: 'maybe' });
    assert.deepEqual(await inQueue(), []);
    assert.equal(report().books?.rejected, 1);
  });

  it('sends an event that nobody receives out of output 2, whole', async () => {
    await start();
    await channel.unbindQueue(queue, exchange, 'comms.#');
    send({ eventType: 'custom.event', payload: { n: 1 } });
    await until(() => failed.length === 1);
    const { error, payload } = failed[0]!;
    assert.equal(error.code, 'UNROUTABLE');
    assert.match(error.message, new RegExp(`${exchange}, key comms\\.custom\\.event`));
    assert.deepEqual((payload as OcelotEvent).data, { n: 1 });
    assert.equal(done.length, 0);
  });

  it('is done with a message when the event is confirmed, and acknowledges its delivery', async () => {
    await start();
    const outcomes: DeliveryOutcome[] = [];
    const deliveries = new DeliverySource<string>({
      name: 'test',
      settle: (_token, outcome) => outcomes.push(outcome),
    });
    send({ eventType: 'custom.event', payload: {}, delivery: deliveries.open('token') });
    send({ eventType: 'call.ended', payload: {}, delivery: deliveries.open('token') });
    await until(() => outcomes.length === 2);
    assert.deepEqual(outcomes.map(({ kind }) => kind).toSorted(), ['acknowledge', 'dead-letter']);
    await until(() => done.length === 1);
  });

  it('keeps the order of many events, and its books', async () => {
    await start({ window: 50 });
    for (let n = 0; n < 2_000; n += 1) send({ eventType: 'custom.event', payload: { n } });
    await until(() => done.length === 2_000, 'all events', 15_000);
    assert.deepEqual(
      (await inQueue()).map(({ data }) => data['n']),
      Array.from({ length: 2_000 }, (_, n) => n),
    );
    assert.ok(isBalanced(report().books!));
    assert.equal(report().books?.delivered, 2_000);
  });

  it('keeps events while there is no broker, says so, and hands them to the next deploy in order', async () => {
    await start({}, 'amqp://127.0.0.1:1');
    for (let n = 0; n < 300; n += 1) send({ eventType: 'custom.event', payload: { n } });
    await until(() => report().state === 'degraded');
    assert.match(report().reason ?? '', /ECONNREFUSED/);
    const { queued, inFlight } = report().books!;
    assert.equal(queued + inFlight, 300);
    const began = Date.now();
    await runtime.deploy(flow({}, 'memory:publish'));
    assert.ok(Date.now() - began < 3_000);
    listen();
    await until(() => report().books?.delivered === 300);
    assert.deepEqual(
      (await inQueue()).map(({ data }) => data['n']),
      Array.from({ length: 300 }, (_, n) => n),
    );
  });

  it('refuses what does not fit into the buffer, exactly that', async () => {
    await start({ bufferEvents: 10 }, 'amqp://127.0.0.1:1');
    for (let n = 0; n < 25; n += 1) send({ eventType: 'custom.event', payload: { n } });
    await until(() => failed.length === 15);
    assert.equal(failed[0]!.error.code, 'BUFFER_FULL');
    assert.equal((failed[0]!.payload as OcelotEvent).data['n'], 10);
  });

  it('says clearly that the exchange is there with another type', async () => {
    const direct = uniqueName('direct');
    await channel.assertExchange(direct, 'direct', { durable: true });
    await start({ exchange: direct });
    await until(() => report().state === 'failed');
    assert.match(report().reason ?? '', /inequivalent arg 'type' for exchange/);
  });

  it('goes on when its exchange is deleted', async () => {
    await start();
    send({ eventType: 'custom.event', payload: { n: 1 } });
    await until(() => done.length === 1);
    await channel.deleteExchange(exchange);
    send({ eventType: 'custom.event', payload: { n: 2 } });
    // The exchange is there again, but nobody has bound a queue to it.
    await until(() => failed.length === 1);
    assert.equal(failed[0]!.error.code, 'UNROUTABLE');
    await channel.bindQueue(queue, exchange, 'comms.#');
    send({ eventType: 'custom.event', payload: { n: 3 } });
    await until(() => done.length === 2);
  });

  it('names what is not configured, and gives messages back', async () => {
    runtime = await startRuntime([source, contactBroker, ocelotPublish], flow({ broker: '', window: 'wide' }));
    listen();
    assert.equal(report().state, 'not-configured');
    assert.match(report().reason ?? '', /broker must name a contact-broker node.*window must be a whole number/);
    send({ eventType: 'custom.event', payload: {} });
    await until(() => failed.length === 1);
    assert.equal(failed[0]!.error.code, 'CONFIGURATION');
  });
});
