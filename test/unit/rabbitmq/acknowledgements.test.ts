import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { Acknowledgements } from '../../../lib/rabbitmq/acknowledgements';
import type { AmqpMessage } from '../../../lib/rabbitmq/amqp';
import { until } from '../until';
import { connectTo, countOf, drain, onChannel, onEachBroker, publish, uniqueName } from './brokers';

onEachBroker('acknowledgements', (broker) => {
  it('settle what was acknowledged, in whatever order and turn, and nothing else', async () => {
    const connection = connectTo(broker.url());
    const seat = connection.take({ topology: {}, purpose: 'test', onOpen() {}, onLost() {}, onFailed() {} });
    const run = (count: number, order: number[], kept: number, turns: boolean[]) =>
      onChannel(connection, async (channel) => {
        const queue = uniqueName('acknowledgements');
        await channel.assertQueue(queue, { durable: true });
        for (let n = 0; n < count; n += 1) await publish(channel, { routingKey: queue, content: String(n) });
        await connection.withChannel('consume', async (consuming) => {
          const messages: AmqpMessage[] = [];
          const acknowledgements = new Acknowledgements(consuming);
          await consuming.consume(queue, (message) => {
            acknowledgements.add(message!);
            messages.push(message!);
          });
          await until(() => messages.length === count);
          for (const [index, n] of order.slice(kept).entries()) {
            acknowledgements.acknowledge(messages[n]!);
            if (turns[index]) await nextTurn();
          }
          acknowledgements.flush();
        });
        await until(async () => (await countOf(connection, queue)) === kept, 'what is kept to be back');
        const left = (await drain(channel, queue)).map(({ content }) => Number(content.toString()));
        await channel.deleteQueue(queue);
        assert.deepEqual(
          left,
          order.slice(0, kept).toSorted((a, b) => a - b),
        );
      });
    try {
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 12 }).chain((count) =>
            fc.tuple(
              fc.constant(count),
              fc.shuffledSubarray(
                Array.from({ length: count }, (_, n) => n),
                { minLength: count },
              ),
              fc.integer({ min: 0, max: count }),
              fc.array(fc.boolean(), { minLength: count, maxLength: count }),
            ),
          ),
          ([count, order, kept, turns]) => run(count, order, kept, turns),
        ),
        { numRuns: 30 },
      );
    } finally {
      await seat.close();
      await connection.close();
    }
  });
});
