import assert from 'node:assert/strict';
import type { Verdict } from '../../../lib/core/verdicts';
import type { BrokerConnection } from '../../../lib/rabbitmq/connection';
import type { PublishRequest } from '../../../lib/rabbitmq/publish-request';
import { Publisher } from '../../../lib/rabbitmq/publisher';
import type { Topology } from '../../../lib/rabbitmq/topology';
import { until } from '../until';
import { connectTo, drain, onChannel, onEachBroker, uniqueName } from './brokers';

const never = new AbortController().signal;

onEachBroker('a publisher', (broker) => {
  let connection: BrokerConnection;
  let exchange: string;
  let queue: string;
  let publisher: Publisher;

  const topology = (): Topology => ({
    exchanges: [{ name: exchange, type: 'topic' }],
    queues: [{ name: queue, type: 'classic' }],
    bindings: [{ queue, exchange, routingKey: 'comms.#' }],
  });
  const request = (number: number, routingKey = 'comms.test'): PublishRequest => ({
    exchange,
    routingKey,
    content: JSON.stringify({ number }),
    messageId: `id-${number}`,
    correlationId: `correlation-${number}`,
  });
  const requests = (count: number) => Array.from({ length: count }, (_, number) => request(number));
  const kinds = (verdicts: Verdict[]) => [...new Set(verdicts.map(({ kind }) => kind))];
  const numbersIn = async () => {
    const messages = await onChannel(connection, (channel) => drain(channel, queue));
    return messages.map(({ content }) => (JSON.parse(content.toString()) as { number: number }).number);
  };

  beforeEach(() => {
    exchange = uniqueName('exchange');
    queue = uniqueName('queue');
    connection = connectTo(broker.url());
    publisher = new Publisher(connection, { topology: topology(), purpose: 'publish a test' });
  });
  afterEach(async () => {
    await publisher.close();
    await onChannel(connection, async (channel) => {
      await channel.deleteQueue(queue);
      await channel.deleteExchange(exchange);
    });
    await connection.close();
  });

  it('declares what it needs, waits for the connection, and publishes in order', async () => {
    assert.deepEqual(kinds(await publisher.send(requests(500), never)), ['delivered']);
    assert.deepEqual(
      await numbersIn(),
      requests(500).map((_, number) => number),
    );
  });

  it('publishes persistent messages with their properties', async () => {
    await publisher.send([{ ...request(1), type: 'test.type', headers: { 'x-kept': 'yes' } }], never);
    const [message] = await onChannel(connection, (channel) => drain(channel, queue));
    const { deliveryMode, contentType, messageId, correlationId, type, headers } = message!.properties;
    assert.deepEqual(
      { deliveryMode, contentType, messageId, correlationId, type, kept: headers?.['x-kept'] },
      {
        deliveryMode: 2,
        contentType: 'application/json',
        messageId: 'id-1',
        correlationId: 'correlation-1',
        type: 'test.type',
        kept: 'yes',
      },
    );
  });

  it('tells which messages no queue was meant to get, and only those', async () => {
    const mixed = Array.from({ length: 100 }, (_, number) =>
      request(number, number % 3 === 0 ? 'nobody.listens' : 'comms.test'),
    );
    const verdicts = await publisher.send(mixed, never);
    for (const [number, verdict] of verdicts.entries()) {
      assert.equal(verdict.kind, number % 3 === 0 ? 'rejected' : 'delivered');
      if (verdict.kind === 'rejected') {
        assert.equal(verdict.error.code, 'UNROUTABLE');
        assert.match(verdict.error.message, new RegExp(`${exchange}, key nobody\\.listens`));
      }
    }
  });

  it('makes an exchange again that was deleted, with the bindings, and publishes what was on its way', async () => {
    await publisher.send([request(0)], never);
    await onChannel(connection, (channel) => channel.deleteExchange(exchange));
    assert.deepEqual(kinds(await publisher.send([request(1), request(2)], never)), ['delivered']);
    assert.deepEqual(await numbersIn(), [0, 1, 2]);
  });

  it('publishes again what was not confirmed when the connection was cut: nothing is lost, the order stays', async () => {
    await until(() => publisher.isOpen);
    const sent = Promise.all(
      [0, 1, 2, 3].map((batch) =>
        publisher.send(
          Array.from({ length: 250 }, (_, index) => request(batch * 250 + index)),
          never,
        ),
      ),
    );
    connection.link!.destroy();
    assert.deepEqual(kinds((await sent).flat()), ['delivered']);
    const numbers = await numbersIn();
    const firstSeen = [...new Set(numbers)];
    assert.deepEqual(
      firstSeen,
      Array.from({ length: 1_000 }, (_, number) => number),
    );
  });

  it('gives back what is open when the caller gives up', async () => {
    const nowhere = connectTo('amqp://127.0.0.1:1');
    const away = new Publisher(nowhere, { topology: {}, purpose: 'publish nowhere' });
    const giveUp = new AbortController();
    const sent = away.send([request(1)], giveUp.signal);
    giveUp.abort();
    assert.deepEqual(kinds(await sent), ['unknown']);
    await away.close();
    await nowhere.close();
  });

  it('says once and clearly that the exchange is there with other properties', async () => {
    const failures: string[] = [];
    const other = new Publisher(connection, {
      topology: { exchanges: [{ name: exchange, type: 'direct' }] },
      purpose: 'publish to it',
      onState: (error) => {
        if (error) failures.push(`${error.code}: ${error.message}`);
      },
    });
    await until(() => failures.length > 0);
    assert.match(failures[0]!, /^CONFIGURATION: .*inequivalent arg 'type' for exchange .*other properties/);
    assert.deepEqual(kinds(await publisher.send([request(1)], never)), ['delivered']);
    assert.equal(failures.length, 1);
    await other.close();
  });
});
