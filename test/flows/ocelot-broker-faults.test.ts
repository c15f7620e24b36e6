import assert from 'node:assert/strict';
import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { ChannelModel } from 'amqplib';
import { isBalanced } from '../../lib/core/books';
import type { OcelotEvent } from '../../lib/ocelot/event';
import { until } from '../nodes/helper';
import type { NodeRed } from '../services/node-red';
import { type RabbitMq, startRabbitMq } from '../services/rabbitmq';
import { repetitions, requireService } from '../services/requirements';
import { publishingFlow, publishNumbers, remembered, startBrokerFlow, statsOf, untilState } from './broker-flow';

const EVENTS = repetitions(4_000, 20_000);
const KILLS = repetitions(1, 10);
/** The broker stands still for so long, in seconds. */
const FREEZES = repetitions(0, 1) === 1 ? [10, 60] : [6];
const MOST_LOG_LINES = 10;

describe('publishing while RabbitMQ fails', function () {
  this.timeout(20 * 60_000);
  requireService('rabbitmq');
  let broker: RabbitMq;
  let nodeRed: NodeRed;

  before(async () => {
    broker = await startRabbitMq();
  });
  after(() => broker.close());
  afterEach(() => nodeRed?.stop());

  const declare = (queue: string, type: string) =>
    broker.use(async (connection) => {
      const channel = await connection.createChannel();
      await channel.assertExchange('ocelot.events', 'topic', { durable: true });
      await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': type } });
      await channel.bindQueue(queue, 'ocelot.events', 'comms.test.numbered');
    });
  const remove = (queue: string) =>
    broker.use(async (connection) => {
      const channel = await connection.createChannel();
      await channel.deleteQueue(queue);
      await channel.deleteExchange('ocelot.events');
    });
  const doneCount = async () => (await statsOf(nodeRed, 'publish')).books!['delivered']!;
  const allDone = (count: number, withinMs = 120_000) =>
    until(async () => (await doneCount()) >= count, `${count} events confirmed`, withinMs);
  const start = async (url = broker.url, publish: Record<string, unknown> = {}) => {
    nodeRed = await startBrokerFlow(publishingFlow(url, publish));
    await untilState(nodeRed, 'publish', ['connected']);
  };
  /** Every number is in the queue, each under one id, and all that was done is among them. */
  const assertComplete = async (queue: string, count: number, queueType: string) => {
    const events = await broker.use((connection) => drained(connection, queue, queueType));
    const { done } = await remembered(nodeRed);
    const ids = new Map<string, number>();
    for (const { id, data } of events) ids.set(id, Number(data['n']));
    const numbers = [...ids.values()];
    const arrived = new Set(numbers);
    assert.equal(arrived.size, count, 'every event is there');
    assert.equal(numbers.length, count, 'after removing what has the same id, each is there once');
    assert.deepEqual(
      done.filter((n) => !arrived.has(n)),
      [],
    );
    assert.equal(done.length, count);
    // Second copies come from confirmations that were lost with the connection: never more than the window.
    assert.ok(events.length - count <= 1_000 * (KILLS + 1), `${events.length - count} second copies`);
    const inOrder = numbers.filter((n, index) => index === 0 || n > numbers[index - 1]!).length;
    assert.ok(isBalanced((await statsOf(nodeRed, 'publish')).books as never));
    return { copies: events.length - count, inOrder };
  };

  for (const type of ['quorum', 'classic']) {
    it(`loses none of ${EVENTS} events when it is killed ${KILLS} times, with a ${type} queue`, async () => {
      const queue = `kills.${type}`;
      await declare(queue, type);
      await start();
      const share = EVENTS / KILLS;
      const perKill: number[] = [];
      for (let kill = 0; kill < KILLS; kill += 1) {
        await publishNumbers(nodeRed, { from: kill * share, count: share, each: 40 });
        await until(async () => (await doneCount()) > (kill + 0.25) * share, 'a quarter of the events', 120_000);
        const before = linesOf(nodeRed).length;
        await broker.kill();
        await untilState(nodeRed, 'publish', ['degraded']);
        await broker.start();
        await untilState(nodeRed, 'publish', ['connected', 'working'], 60_000);
        perKill.push(linesOf(nodeRed).length - before);
      }
      await allDone(EVENTS);
      const { copies, inOrder } = await assertComplete(queue, EVENTS, type);
      assert.ok(Math.max(...perKill) <= MOST_LOG_LINES, `log lines for each outage: ${perKill.join(', ')}`);
      console.log(`      ${copies} second copies, ${inOrder} of ${EVENTS} in order, log lines ${perKill.join(' ')}`);
      await remove(queue);
    });
  }

  for (const seconds of FREEZES) {
    it(`goes on by itself when it stood still for ${seconds} s`, async () => {
      const queue = 'freeze';
      await declare(queue, 'quorum');
      await start();
      await publishNumbers(nodeRed, { count: 2_000, each: 10 });
      await until(async () => (await doneCount()) > 500, '500 events', 60_000);
      broker.freeze();
      const frozen = delay(seconds * 1_000);
      // Two heartbeats of five seconds later the connection counts as dead.
      if (seconds > 30) await untilState(nodeRed, 'publish', ['degraded'], 40_000);
      await frozen;
      broker.thaw();
      await allDone(2_000);
      await assertComplete(queue, 2_000, 'quorum');
      await remove(queue);
    });
  }

  it('waits while it is short of memory, says so, and goes on by itself', async () => {
    const queue = 'alarm';
    await declare(queue, 'classic');
    await start();
    await broker.control('set_vm_memory_high_watermark', 'absolute', '1000000');
    await publishNumbers(nodeRed, { count: 500, each: 10 });
    const { reason } = await untilState(nodeRed, 'publish', ['degraded']);
    assert.match(reason ?? '', /takes no more messages for now.*memory/);
    assert.equal(((await (await nodeRed.request('/health')).json()) as { status: string }).status, 'degraded');
    await broker.control('set_vm_memory_high_watermark', 'absolute', '4GB');
    await allDone(500);
    await assertComplete(queue, 500, 'classic');
    await remove(queue);
  });

  it('gives back what is published while its queue is deleted, and goes on when the queue is there again', async () => {
    const queue = 'deleted-queue';
    await declare(queue, 'quorum');
    await start();
    await publishNumbers(nodeRed, { count: 10 });
    await allDone(10);
    await broker.use(async (connection) => (await connection.createChannel()).deleteQueue(queue));
    await publishNumbers(nodeRed, { from: 10, count: 10 });
    await until(async () => (await remembered(nodeRed)).failed.length === 10, 'returned events', 20_000);
    await declare(queue, 'quorum');
    await publishNumbers(nodeRed, { from: 20, count: 10 });
    await allDone(20);
    const { done, failed } = await remembered(nodeRed);
    assert.ok(failed.every(({ n, code }) => n >= 10 && n < 20 && code === 'UNROUTABLE'));
    assert.deepEqual(done, [...numbersFrom(0, 10), ...numbersFrom(20, 10)]);
    await remove(queue);
  });

  it('makes a deleted exchange again, and gives back what nobody receives', async () => {
    const queue = 'deleted';
    await declare(queue, 'quorum');
    await start();
    await publishNumbers(nodeRed, { count: 10 });
    await allDone(10);
    await broker.use(async (connection) => (await connection.createChannel()).deleteExchange('ocelot.events'));
    await publishNumbers(nodeRed, { from: 10, count: 10 });
    await until(async () => (await remembered(nodeRed)).failed.length === 10, 'returned events', 20_000);
    await declare(queue, 'quorum');
    await publishNumbers(nodeRed, { from: 20, count: 10 });
    await allDone(20);
    const { failed } = await remembered(nodeRed);
    assert.deepEqual(
      failed.toSorted((a, b) => a.n - b.n),
      numbersFrom(10, 10).map((n) => ({ n, code: 'UNROUTABLE' })),
    );
    await remove(queue);
  });

  it('gives back what has a key that no queue is bound with, and nothing else', async () => {
    const queue = 'unroutable';
    await declare(queue, 'classic');
    await start();
    await publishNumbers(nodeRed, { count: 200 });
    await publishNumbers(nodeRed, { from: 200, count: 200, key: 'elsewhere' });
    await until(async () => (await remembered(nodeRed)).failed.length === 200, 'returned events', 20_000);
    await allDone(200);
    await assertComplete(queue, 200, 'classic');
    await remove(queue);
  });

  it('notices a connection that is half open, and makes another one', async () => {
    const queue = 'half-open';
    await declare(queue, 'quorum');
    const proxy = await startProxy(broker.port);
    try {
      await start(`amqp://guest:guest@127.0.0.1:${proxy.port}/`);
      await publishNumbers(nodeRed, { count: 3_000, each: 5 });
      await until(async () => (await doneCount()) > 200, '200 events', 60_000);
      proxy.swallow();
      const { reason } = await untilState(nodeRed, 'publish', ['degraded'], 40_000);
      assert.match(reason ?? '', /Heartbeat timeout/);
      await allDone(3_000);
      await assertComplete(queue, 3_000, 'quorum');
    } finally {
      proxy.close();
    }
    await remove(queue);
  });
});

function numbersFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

/** The lines that the runtime has logged as information, warning or error. */
function linesOf(nodeRed: NodeRed): string[] {
  return nodeRed
    .log()
    .split('\n')
    .filter((line) => /\[(info|warn|error)\]/.test(line));
}

/** Takes everything out of a queue, in its order. */
async function drained(connection: ChannelModel, queue: string, type: string): Promise<OcelotEvent[]> {
  const channel = await connection.createChannel();
  const { messageCount } = await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': type } });
  const events: OcelotEvent[] = [];
  await new Promise<void>((resolve, reject) => {
    if (messageCount === 0) resolve();
    channel
      .consume(queue, (message) => {
        if (!message) return;
        events.push(JSON.parse(message.content.toString()) as OcelotEvent);
        channel.ack(message);
        if (events.length === messageCount) resolve();
      })
      .catch(reject);
  });
  await channel.close();
  return events;
}

/** Stands between Node-RED and the broker, and can leave open connections hanging while new ones get through. */
async function startProxy(target: number): Promise<{ port: number; swallow(): void; close(): void }> {
  const pairs: [Socket, Socket][] = [];
  const server: Server = createServer((client) => {
    const remote = connectSocket(target, '127.0.0.1');
    pairs.push([client, remote]);
    for (const socket of [client, remote]) socket.on('error', () => {});
    client.pipe(remote);
    remote.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as { port: number }).port,
    swallow: () => {
      for (const [client, remote] of pairs) {
        client.unpipe(remote);
        remote.unpipe(client);
        for (const socket of [client, remote]) socket.resume();
      }
    },
    close: () => {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
      server.close();
    },
  };
}
