import assert from 'node:assert/strict';
import { settleDelivery } from '../../../lib/core/deliveries';
import { ContactError } from '../../../lib/core/errors';
import type { BrokerConnection } from '../../../lib/rabbitmq/connection';
import {
  type ConsumerState,
  QueueConsumer,
  type QueueConsumerOptions,
  type ReceivedMessage,
} from '../../../lib/rabbitmq/consumer';
import type { QueueSpecification } from '../../../lib/rabbitmq/queue-topology';
import { replay } from '../../../lib/rabbitmq/replay';
import { until } from '../until';
import { connectTo, countOf, drain, onChannel, onEachBroker, publish, uniqueName } from './brokers';

for (const type of ['quorum', 'classic'] as const) {
  onEachBroker(`a consumer of a ${type} queue`, (broker) => {
    let connection: BrokerConnection;
    let consumer: QueueConsumer;
    let queue: string;
    let exchange: string;
    let received: ReceivedMessage[];
    let states: ConsumerState[];

    const start = async (
      options: Partial<QueueConsumerOptions> = {},
      specification: Partial<QueueSpecification> = {},
    ) => {
      received = [];
      states = [];
      consumer = new QueueConsumer(connection, {
        queue: {
          name: queue,
          type,
          declare: true,
          exchange,
          bindingKeys: ['test.#'],
          deadLetterQueue: `${queue}.dlq`,
          delaysMs: [100, 300],
          ...specification,
        },
        prefetch: 10,
        retry: { maxAttempts: 3, delaysMs: [100, 300] },
        onMessage: (message) => received.push(message),
        onState: (state) => states.push(state),
        ...options,
      });
      await until(() => consumer.state.kind === 'consuming');
    };
    const send = (...numbers: number[]) =>
      onChannel(connection, async (channel) => {
        for (const number of numbers) {
          const messageId = `id-${number}`;
          await publish(channel, { exchange, routingKey: 'test.numbers', content: String(number), messageId });
        }
      });
    const numbers = () => received.map(({ content }) => Number(content.toString()));
    const settle = (message: ReceivedMessage | undefined, outcome: Parameters<typeof settleDelivery>[1]) =>
      assert.ok(settleDelivery(message!, outcome));
    const failed = () => new ContactError('BUSY', { attempted: 'do it', answer: 'it was busy' });
    const putAside = () => onChannel(connection, (channel) => drain(channel, `${queue}.dlq`));

    beforeEach(() => {
      queue = uniqueName('queue');
      exchange = uniqueName('exchange');
      connection = connectTo(broker.url());
    });
    afterEach(async () => {
      await consumer.close(0);
      await onChannel(connection, async (channel) => {
        for (const name of ['', '.dlq', '.retry.100', '.retry.300']) await channel.deleteQueue(`${queue}${name}`);
        for (const name of [exchange, `${queue}.dlx`]) await channel.deleteExchange(name);
      });
      await connection.close();
    });

    it('gives out messages in order, no more at once than the prefetch, and forgets what is acknowledged', async () => {
      await start({ prefetch: 3 });
      await send(0, 1, 2, 3, 4);
      await until(() => received.length === 3);
      assert.equal(consumer.counts().open, 3);
      for (let index = 0; index < 5; index += 1) {
        await until(() => received.length > index);
        settle(received[index], { kind: 'acknowledge' });
      }
      assert.deepEqual(numbers(), [0, 1, 2, 3, 4]);
      await consumer.close(1_000);
      assert.equal(await countOf(connection, queue), 0);
    });

    it('counts the attempts itself, keeps where the message came from, and waits between the attempts', async () => {
      await start();
      await send(7);
      await until(() => received.length === 1);
      const before = Date.now();
      settle(received[0], { kind: 'retry', error: failed() });
      await until(() => received.length === 2);
      const waited = Date.now() - before;
      assert.ok(waited >= 95, `it waited ${waited} ms`);
      assert.deepEqual(
        received.map(({ delivery, routingKey, exchange: from }) => [delivery.attempt, routingKey, from]),
        [
          [1, 'test.numbers', exchange],
          [2, 'test.numbers', exchange],
        ],
      );
      settle(received[1], { kind: 'acknowledge' });
    });

    it('puts a message aside after its last attempt, with the reason, the attempts and where it came from', async () => {
      await start();
      await send(7);
      for (let attempt = 1; attempt <= 3; attempt += 1) {
        await until(() => received.length === attempt);
        settle(received[attempt - 1], { kind: 'retry', error: failed() });
      }
      await until(() => consumer.counts().putAside === 1);
      await consumer.close(1_000);
      const [message] = await putAside();
      const { headers = {}, messageId } = message!.properties;
      assert.equal(message!.content.toString(), '7');
      assert.equal(messageId, 'id-7');
      assert.equal(headers['x-attempts'], 3);
      assert.equal(headers['x-failure-code'], 'BUSY');
      assert.match(headers['x-failure-reason'], /failed 3 times.*it was busy/);
      assert.equal(headers['x-original-exchange'], exchange);
      assert.equal(headers['x-original-routing-key'], 'test.numbers');
    });

    it('does not count what was not tried, however often it comes back', async () => {
      await start({ retry: { maxAttempts: 1, delaysMs: [100, 300] } });
      await send(7);
      for (let times = 1; times <= 3; times += 1) {
        await until(() => received.length === times);
        settle(received[times - 1], { kind: 'retry', delayMs: 100, isCounted: false });
      }
      await until(() => received.length === 4);
      assert.deepEqual(
        received.map(({ delivery }) => delivery.attempt),
        [1, 1, 1, 1],
      );
      settle(received[3], { kind: 'acknowledge' });
    });

    it('puts a message aside at once when it can never be handled', async () => {
      await start();
      await send(1, 2);
      await until(() => received.length === 2);
      settle(received[0], { kind: 'dead-letter', error: new ContactError('REJECTED', { attempted: 'take it' }) });
      settle(received[1], { kind: 'acknowledge' });
      await consumer.close(1_000);
      const [message] = await putAside();
      assert.equal(message!.content.toString(), '1');
      assert.equal(message!.properties.headers?.['x-failure-code'], 'REJECTED');
      assert.equal(message!.properties.headers?.['x-attempts'], 1);
    });

    it('waits as long as a sink asks for, in several steps when no waiting queue is that long', async () => {
      await start();
      await send(1);
      await until(() => received.length === 1);
      const before = Date.now();
      settle(received[0], { kind: 'retry', delayMs: 700 });
      await until(() => received.length === 2);
      const waited = Date.now() - before;
      assert.ok(waited >= 600, `it waited ${waited} ms`);
      assert.equal(received[1]!.delivery.attempt, 2);
      settle(received[1], { kind: 'acknowledge' });
    });

    it('gives back to the queue what is out when it ends', async () => {
      await start();
      await send(1, 2);
      await until(() => received.length === 2);
      settle(received[0], { kind: 'acknowledge' });
      await consumer.close(50);
      assert.equal(settleDelivery(received[1]!, { kind: 'acknowledge' }), false);
      await until(() => connection.link !== undefined);
      const [message] = await onChannel(connection, (channel) => drain(channel, queue));
      assert.equal(message?.content.toString(), '2');
    });

    it('ends with the last message when that is settled in time', async () => {
      await start();
      await send(1);
      await until(() => received.length === 1);
      const closed = consumer.close(10_000);
      settle(received[0], { kind: 'acknowledge' });
      await closed;
      assert.equal(await countOf(connection, queue), 0);
    });

    it('does not handle a message a second time when the connection was lost meanwhile', async () => {
      await start();
      await send(1, 2, 3);
      await until(() => received.length === 3);
      connection.link!.destroy();
      settle(received[0], { kind: 'acknowledge' });
      settle(received[1], { kind: 'dead-letter', error: failed() });
      await until(() => consumer.counts().recognized === 3, 'the messages again');
      settle(received[2], { kind: 'acknowledge' });
      await until(() => consumer.counts().putAside === 1);
      await consumer.close(2_000);
      assert.deepEqual(numbers(), [1, 2, 3]);
      assert.equal(await countOf(connection, queue), 0);
      assert.equal((await putAside()).length, 1);
    });

    it('makes the queue again when it is deleted, with its bindings', async () => {
      await start();
      await onChannel(connection, (channel) => channel.deleteQueue(queue));
      await until(() => states.some(({ kind }) => kind === 'waiting'));
      await until(() => consumer.state.kind === 'consuming');
      await send(1);
      await until(() => received.length === 1);
      settle(received[0], { kind: 'acknowledge' });
    });

    it('keeps a message until the dead-letter queue is there again', async () => {
      await start();
      await send(1);
      await until(() => received.length === 1);
      await onChannel(connection, (channel) => channel.deleteQueue(`${queue}.dlq`));
      settle(received[0], { kind: 'dead-letter', error: failed() });
      await until(() => consumer.counts().deadLettered === 1);
      await consumer.close(5_000);
      assert.equal((await putAside()).length, 1);
    });

    it('says that it stands still when the whole prefetch is out for too long, and goes on by itself', async () => {
      await start({ prefetch: 2, stallMs: 100 });
      await send(1, 2, 3);
      await until(() => consumer.state.kind === 'stalled');
      settle(received[0], { kind: 'acknowledge' });
      await until(() => received.length === 3);
      assert.equal(consumer.state.kind, 'consuming');
    });

    it('takes back what nobody settles in time, and tries it again', async () => {
      await start({ settleTimeoutMs: 100 });
      await send(1);
      await until(() => received.length === 2);
      assert.equal(received[1]!.delivery.attempt, 2);
      settle(received[1], { kind: 'acknowledge' });
      assert.equal(consumer.counts().expired, 1);
    });

    it('takes nothing while it is paused', async () => {
      await start();
      await consumer.pause();
      await send(1);
      assert.equal(consumer.state.kind, 'paused');
      assert.equal(await countOf(connection, queue), 1);
      await consumer.resume();
      await until(() => received.length === 1);
      settle(received[0], { kind: 'acknowledge' });
    });

    it('consumes once or not at all, however fast it is paused and resumed', async () => {
      await start();
      const consumers = () => onChannel(connection, async (channel) => (await channel.checkQueue(queue)).consumerCount);
      await Promise.all([consumer.resume(), consumer.pause(), consumer.resume(), consumer.resume()]);
      assert.equal(await consumers(), 1);
      await Promise.all([consumer.pause(), consumer.resume(), consumer.pause()]);
      assert.equal(await consumers(), 0);
      assert.equal(consumer.state.kind, 'paused');
    });

    it('replays the dead-letter queue, at the rate asked for and with a new count of attempts', async () => {
      await start();
      await send(1, 2, 3);
      await until(() => received.length === 3);
      for (const message of received) settle(message, { kind: 'dead-letter', error: failed() });
      await until(() => consumer.counts().putAside === 3);
      await until(() => received.length === 3);
      let inside = 0;
      while (inside < 3) inside = await countOf(connection, `${queue}.dlq`);
      const report = await replay(connection, { from: `${queue}.dlq`, to: queue, ratePerSecond: 100, limit: 2 });
      assert.deepEqual(report, { moved: 2, left: 1 });
      await until(() => received.length === 5);
      assert.deepEqual(
        received
          .slice(3)
          .map(({ content, routingKey, delivery }) => [content.toString(), routingKey, delivery.attempt]),
        [
          ['1', 'test.numbers', 1],
          ['2', 'test.numbers', 1],
        ],
      );
      assert.equal(received[3]!.properties.headers?.['x-failure-code'], undefined);
      for (const message of received.slice(3)) settle(message, { kind: 'acknowledge' });
    });

    it('waits for a queue that it must not make', async () => {
      await start();
      const later: ConsumerState[] = [];
      const name = uniqueName('later');
      const second = new QueueConsumer(connection, {
        queue: { name, type, declare: false, delaysMs: [100] },
        prefetch: 1,
        retry: { maxAttempts: 1, delaysMs: [100] },
        onMessage: () => {},
        onState: (state) => later.push(state),
      });
      await until(() => later.some((state) => state.kind === 'failed' && state.error.code === 'NOT_FOUND'));
      await onChannel(connection, (channel) => channel.assertQueue(name, { durable: true }));
      await until(() => second.state.kind === 'consuming', 'the queue');
      await second.close(0);
      await onChannel(connection, async (channel) => {
        for (const each of [name, `${name}.retry.100`]) await channel.deleteQueue(each);
      });
    });
  });
}
