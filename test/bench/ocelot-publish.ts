/**
 * Single platform events of about 600 bytes through Node-RED into RabbitMQ with ocelot-publish, checked against their
 * schema, persistent, mandatory and confirmed, against what else could be used:
 *
 * - `amqplib`: a plain script that publishes such events with confirmations, without Node-RED and without checks;
 * - `node-red-contrib-amqp`: its amqp out node, which waits for no confirmation. It is given the whole event. It is
 *   installed into .work; without a registry it is left out.
 *
 * All publish to the same exchange of one RabbitMQ, with {@link WINDOW} events on their way at most where there are
 * confirmations. A round of the node without them ends when the queue holds all of its events.
 *
 *     npm run bench -- ocelot-publish
 */
import type { Benchmark, BenchmarkOptions, Contender } from './harness/benchmark';
import { installPack } from './harness/packs';
import { askSource, startMeasuredNodeRed, startScript } from './harness/processes';
import { type BrokerBench, EXCHANGE, ROUTING_KEY, sharing, startBrokerBench } from './harness/rabbitmq';

const WINDOW = 1_000;
const OURS = 'ocelot-publish';
const RAW = 'amqplib';
const CONTRIB = 'node-red-contrib-amqp';

export const benchmark: Benchmark = {
  title: 'Confirmed persistent publishes of single events',
  item: 'event',
  items: 20_000,
  rounds: 10,
  targets: [
    { contender: OURS, against: RAW, figure: 'rate', atLeast: 0.8 },
    { contender: OURS, figure: 'cpu', atMost: 100 },
    { contender: OURS, against: CONTRIB, figure: 'rate', atLeast: 0.65 },
  ],
  async prepare(options) {
    const bench = await startBrokerBench();
    const contrib = installPack({ name: CONTRIB, version: '0.4.5', nodes: 'lib' });
    const contenders = await Promise.all([
      ourNode(bench, options),
      amqplib(bench, options),
      ...(contrib ? [contribNode(bench, options, contrib)] : []),
    ]);
    return sharing(bench, contenders);
  },
};

async function ourNode({ broker, checkArrived }: BrokerBench, options: BenchmarkOptions): Promise<Contender> {
  const nodeRed = await startMeasuredNodeRed(
    OURS,
    [
      { id: 'tab', type: 'tab', label: OURS },
      { id: 'broker', type: 'contact-broker', addresses: broker.url },
      { id: 'source', type: 'bench-source', z: 'tab', message: 'event', wires: [['publish']] },
      { id: 'publish', type: 'ocelot-publish', z: 'tab', broker: 'broker', window: WINDOW, wires: [['source'], []] },
    ],
    options,
  );
  return {
    name: OURS,
    run: async (items) => {
      const figures = await askSource(nodeRed, `run?documents=${items}&window=${WINDOW}`);
      await checkArrived(items);
      return { items, ...figures };
    },
    close: async () => {
      await nodeRed.stop();
    },
  };
}

async function amqplib({ broker, checkArrived }: BrokerBench, options: BenchmarkOptions): Promise<Contender> {
  const script = await startScript('amqp-publish.js', RAW, options);
  const order = { url: broker.url, exchange: EXCHANGE, routingKey: ROUTING_KEY, window: WINDOW };
  return {
    name: RAW,
    run: async (items) => {
      const figures = await script.run({ ...order, count: items });
      await checkArrived(items);
      return { items, ...figures };
    },
    close: () => script.close(),
  };
}

async function contribNode(bench: BrokerBench, options: BenchmarkOptions, folder: string): Promise<Contender> {
  const { broker, checkArrived, untilArrived } = bench;
  const nodeRed = await startMeasuredNodeRed(
    CONTRIB,
    [
      { id: 'tab', type: 'tab', label: CONTRIB },
      {
        id: 'server',
        type: 'amqp-server',
        host: '127.0.0.1',
        port: String(broker.port),
        credentials: { user: 'guest', password: 'guest' },
      },
      { id: 'source', type: 'bench-source', z: 'tab', message: 'envelope', wires: [['publish']] },
      {
        id: 'publish',
        type: 'amqp out',
        z: 'tab',
        server: 'server',
        iotype: '3',
        ioname: EXCHANGE,
        routingkey: ROUTING_KEY,
        wires: [],
      },
    ],
    options,
    { nodesDir: [folder] },
  );
  return {
    name: CONTRIB,
    run: async (items) => {
      await nodeRed.request('/bench/meter/start', { method: 'POST' });
      await askSource(nodeRed, `send?documents=${items}`);
      await untilArrived(items);
      const figures = await askSource(nodeRed, 'meter/stop');
      await checkArrived(items);
      return { items, ...figures };
    },
    close: async () => {
      await nodeRed.stop();
    },
  };
}
