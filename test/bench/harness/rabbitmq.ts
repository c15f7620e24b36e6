import assert from 'node:assert/strict';
import { until } from '../../nodes/helper';
import { type RabbitMq, startRabbitMq } from '../../services/rabbitmq';
import type { Contender } from './benchmark';
import { makeEnvelope } from './events';

/** The exchange, the key of the events, and the queue that they end in. */
export const EXCHANGE = 'ocelot.events';
export const ROUTING_KEY = 'comms.call.transcribed';
export const QUEUE = 'bench';

/** A RabbitMQ with a queue for the events. */
export interface BrokerBench {
  broker: RabbitMq;
  /** Throws unless the queue holds `count` events, each once; empties it. */
  checkArrived(count: number): Promise<void>;
  /** Waits until so many events are in the queue. */
  untilArrived(count: number): Promise<void>;
  /** Puts events into the queue, when nobody consumes it. */
  fill(count: number): Promise<void>;
  /** Throws unless the queue is empty and nothing is out. */
  checkEmpty(): Promise<void>;
}

/** Starts a broker of its own; it ends with the process. A quorum queue, as the nodes of the pack declare it. */
export async function startBrokerBench(): Promise<BrokerBench> {
  const broker = await startRabbitMq();
  const look = () => broker.use(async (connection) => (await connection.createChannel()).checkQueue(QUEUE));
  await broker.use(async (connection) => {
    const channel = await connection.createChannel();
    await channel.assertExchange(EXCHANGE, 'topic', { durable: true });
    await channel.assertQueue(QUEUE, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await channel.bindQueue(QUEUE, EXCHANGE, 'comms.#');
  });
  return {
    broker,
    checkArrived: async (count) => {
      const numbers = await broker.use(async (connection) => {
        const channel = await connection.createChannel();
        const { messageCount } = await channel.checkQueue(QUEUE);
        assert.equal(messageCount, count, 'how many events are in the queue');
        const found: string[] = [];
        await new Promise<void>((resolve, reject) => {
          const take = channel.consume(
            QUEUE,
            (message) => {
              assert.equal(message?.properties.deliveryMode, 2, 'whether the message is persistent');
              const { data } = JSON.parse(message!.content.toString()) as { data: { call_id: string } };
              found.push(data.call_id);
              if (found.length === count) resolve();
            },
            { noAck: true },
          );
          take.catch(reject);
        });
        return found;
      });
      assert.equal(new Set(numbers).size, count, 'how many different events are in the queue');
    },
    untilArrived: async (count) => {
      await broker.use(async (connection) => {
        const channel = await connection.createChannel();
        await until(async () => (await channel.checkQueue(QUEUE)).messageCount >= count, `${count} events`, 120_000);
      });
    },
    fill: async (count) => {
      await until(async () => (await look()).consumerCount === 0, 'nobody to consume');
      await broker.use(async (connection) => {
        const channel = await connection.createConfirmChannel();
        for (let number = 0; number < count; number += 1) {
          const event = makeEnvelope(number);
          channel.publish(EXCHANGE, ROUTING_KEY, Buffer.from(JSON.stringify(event)), {
            persistent: true,
            contentType: 'application/json',
            messageId: event.id,
          });
        }
        await channel.waitForConfirms();
      });
    },
    checkEmpty: async () => {
      await until(async () => (await look()).consumerCount === 0, 'nobody to consume');
      assert.equal((await look()).messageCount, 0, 'what is left in the queue');
    },
  };
}

/** The contenders, the last of which to be closed takes the broker along. */
export function sharing({ broker }: BrokerBench, contenders: readonly Contender[]): Contender[] {
  let open = contenders.length;
  return contenders.map((contender) => ({
    ...contender,
    close: async () => {
      await contender.close();
      open -= 1;
      if (open === 0) await broker.close();
    },
  }));
}
