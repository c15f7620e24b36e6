import { randomBytes } from 'node:crypto';
import type { Options } from 'amqplib';
import { type BrokerPlace, readAddresses } from '../../../lib/rabbitmq/address';
import type { AmqpChannel, AmqpMessage } from '../../../lib/rabbitmq/amqp';
import { BrokerConnection, type BrokerConnectionOptions } from '../../../lib/rabbitmq/connection';
import { sharedRabbitMq } from '../../services/rabbitmq';
import { requireService } from '../../services/requirements';
import { until } from '../until';

/** A broker that a contract is tested on. */
export interface BrokerUnderTest {
  name: string;
  /** Address for a broker node. */
  url(): string;
}

/** Runs the same tests on the broker within the process and on a RabbitMQ. */
export function onEachBroker(title: string, tests: (broker: BrokerUnderTest) => void): void {
  describe(`${title}, on the broker in this process`, () => {
    const name = randomBytes(4).toString('hex');
    tests({ name: 'memory', url: () => `memory:${name}` });
  });
  describe(`${title}, on RabbitMQ`, function () {
    this.timeout(120_000);
    requireService('rabbitmq');
    let url = '';
    before('starts RabbitMQ', async () => {
      ({ url } = await sharedRabbitMq());
    });
    tests({ name: 'rabbitmq', url: () => url });
  });
}

/** A name that no other test uses. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${randomBytes(5).toString('hex')}`;
}

/** A connection to the place behind an address; `close` it in `afterEach`. */
export function connectTo(url: string, options: Partial<BrokerConnectionOptions> = {}): BrokerConnection {
  const place: BrokerPlace = readAddresses([url]);
  return new BrokerConnection({ place, connectionName: 'test', backoff: { baseMs: 50, maxMs: 200 }, ...options });
}

/** Waits for the connection, and then works on a channel of its own. */
export async function onChannel<Result>(
  connection: BrokerConnection,
  work: (channel: AmqpChannel) => Promise<Result>,
): Promise<Result> {
  await until(() => connection.link !== undefined, 'a connection');
  return connection.withChannel('test', work);
}

/** Publishes and waits for the confirmation. */
export function publish(
  channel: AmqpChannel,
  {
    exchange = '',
    routingKey,
    content,
    ...options
  }: Options.Publish & { exchange?: string; routingKey: string; content: string },
): Promise<void> {
  return new Promise((resolve, reject) => {
    channel.publish(exchange, routingKey, Buffer.from(content), { persistent: true, ...options }, (error: unknown) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

/** Takes everything out of a queue. */
export async function drain(channel: AmqpChannel, queue: string): Promise<AmqpMessage[]> {
  const messages: AmqpMessage[] = [];
  for (;;) {
    const message = await channel.get(queue);
    if (message === false) return messages;
    channel.ack(message);
    messages.push(message as unknown as AmqpMessage);
  }
}

/** How many messages wait in a queue; those handed out do not count. */
export async function countOf(connection: BrokerConnection, queue: string): Promise<number> {
  return onChannel(connection, async (channel) => (await channel.checkQueue(queue)).messageCount);
}
