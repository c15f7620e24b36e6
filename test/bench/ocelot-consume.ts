/**
 * Platform events of about 600 bytes out of RabbitMQ into Node-RED, each acknowledged, with ocelot-in (which checks
 * every event) and contact-queue-in, both wired to contact-settle, against a plain script that does the same with
 * amqplib alone: read the JSON, acknowledge. All have the same prefetch: the larger it is, the less the script waits for
 * the broker, and the more it is the CPU time that counts. A round begins with a full queue and ends with an empty one.
 *
 *     npm run bench -- ocelot-consume
 */
import type { Benchmark, BenchmarkOptions, Contender } from './harness/benchmark';
import { askSource, startMeasuredNodeRed, startScript } from './harness/processes';
import { type BrokerBench, QUEUE, sharing, startBrokerBench } from './harness/rabbitmq';

const PREFETCH = 100;
const QUEUE_IN = 'contact-queue-in';
const OCELOT_IN = 'ocelot-in, checked';
const RAW = 'amqplib';

export const benchmark: Benchmark = {
  title: 'Consuming and acknowledging single events',
  item: 'event',
  items: 20_000,
  rounds: 10,
  targets: [
    { contender: QUEUE_IN, against: RAW, figure: 'rate', atLeast: 0.7 },
    { contender: OCELOT_IN, against: RAW, figure: 'rate', atLeast: 0.7 },
  ],
  async prepare(options) {
    const bench = await startBrokerBench();
    const contenders = await Promise.all([
      ourNode(bench, options, QUEUE_IN, 'contact-queue-in'),
      ourNode(bench, options, OCELOT_IN, 'ocelot-in'),
      amqplib(bench, options),
    ]);
    return sharing(bench, contenders);
  },
};

async function ourNode(
  { broker, fill, checkEmpty }: BrokerBench,
  options: BenchmarkOptions,
  name: string,
  type: string,
): Promise<Contender> {
  const nodeRed = await startMeasuredNodeRed(
    name,
    [
      { id: 'tab', type: 'tab', label: name },
      { id: 'broker', type: 'contact-broker', addresses: broker.url },
      { id: 'source', type: 'bench-source', z: 'tab', counted: 'in', wires: [['in']] },
      {
        id: 'in',
        type,
        z: 'tab',
        broker: 'broker',
        queue: QUEUE,
        declare: false,
        deadLetter: false,
        prefetch: PREFETCH,
        wires: [['settle']],
      },
      { id: 'settle', type: 'contact-settle', z: 'tab', wires: [[]] },
    ],
    options,
  );
  // It consumes from the start, and must not while others do.
  await askSource(nodeRed, 'receive?documents=0');
  return {
    name,
    run: async (items) => {
      await fill(items);
      const figures = await askSource(nodeRed, `receive?documents=${items}`);
      await checkEmpty();
      return { items, ...figures };
    },
    close: async () => {
      await nodeRed.stop();
    },
  };
}

async function amqplib({ broker, fill, checkEmpty }: BrokerBench, options: BenchmarkOptions): Promise<Contender> {
  const script = await startScript('amqp-consume.js', RAW, options);
  return {
    name: RAW,
    run: async (items) => {
      await fill(items);
      const figures = await script.run({ url: broker.url, queue: QUEUE, prefetch: PREFETCH, count: items });
      await checkEmpty();
      return { items, ...figures };
    },
    close: () => script.close(),
  };
}
