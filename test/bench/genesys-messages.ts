/**
 * The example flow of Genesys messages as it is shipped, from a real RabbitMQ (a quorum queue) into a simulated Genesys
 * Cloud that takes 50 ms for each message: by the number of organizations at 50 messages a second each, one of them beside
 * another that fails always and gets 100 messages a second, and 1 and 20 of them as fast as it goes (one takes ten calls
 * at a time, so 200 messages a second at best). One contender shares its state in a real Redis, which keeps it in memory; the others have
 * theirs on disk. Only Node-RED is measured, but it shares the processors with RabbitMQ, Redis, the simulator and
 * the publisher. The latency is that of a message from being published until its event `sent` is back, which comes
 * after the answer of Genesys.
 *
 *     npm run bench -- genesys-messages
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FlowEntry, ROOT } from '../services/node-red';
import { type RabbitMq, startRabbitMq } from '../services/rabbitmq';
import { findRedis, startRedis } from '../services/redis';
import { simulated, simulatedTenants } from '../unit/genesys/messaging/sender-harness';
import { until } from '../unit/until';
import type { Benchmark, BenchmarkOptions, Contender } from './harness/benchmark';
import {
  askSource,
  type SimulatorProcess,
  startMeasuredNodeRed,
  startScript,
  startSimulator,
} from './harness/processes';

const MOST_ORGANIZATIONS = 20;
const PER_SECOND = 50;
const ANSWER_AFTER_MS = 50;
/** What an even 50 a second takes: part of a limit is kept back for the edges of the vendor's windows. */
const RATE_LIMIT_PER_MINUTE = 3_600;
const ITEMS = 10_000;

const ONE = '1 organization, 50/s';
const FIVE = '5 organizations, 250/s';
const TWENTY = '20 organizations, 1,000/s';
const TWENTY_REDIS = '20 organizations, 1,000/s, Redis';
const BESIDE_FAILURE = '1 organization, 50/s, beside one that fails';
const ONE_AT_ONCE = '1 organization, all at once';
const AT_ONCE = '20 organizations, all at once';
/** Nothing that is sent to it succeeds. */
const FAILING = MOST_ORGANIZATIONS + 1;

export const benchmark: Benchmark = {
  title: `Messages from RabbitMQ into Genesys Cloud, which answers after ${ANSWER_AFTER_MS} ms`,
  item: 'message',
  items: ITEMS,
  rounds: 5,
  targets: [
    { contender: ONE, figure: 'p95', atMost: 500 },
    { contender: FIVE, figure: 'p95', atMost: 500 },
    { contender: TWENTY, figure: 'p95', atMost: 500 },
    { contender: TWENTY_REDIS, figure: 'p95', atMost: 500 },
    { contender: BESIDE_FAILURE, figure: 'p95', atMost: 500 },
    { contender: ONE_AT_ONCE, figure: 'rate', atLeast: 120 },
    { contender: AT_ONCE, figure: 'rate', atLeast: 1_000 },
  ],
  async prepare(options) {
    const program = findRedis();
    const organizations = Array.from({ length: FAILING }, (_, index) => simulated(`o${index + 1}`));
    const [genesys, rabbit, redis] = await Promise.all([
      startSimulator('genesys', ['--options', JSON.stringify({ rateLimitPerMinute: 'Infinity', organizations })]),
      startRabbitMq(),
      program === undefined ? undefined : startRedis({ program }),
    ]);
    await genesys.control('fail', { path: `integration-o${FAILING}/`, times: 'Infinity', answer: { status: 503 } });
    await genesys.control('fail', {
      path: 'inbound/open/message$',
      times: 'Infinity',
      answer: { delayMs: ANSWER_AFTER_MS },
    });
    const folder = mkdtempSync(join(tmpdir(), 'bench-messages-'));
    const bench = { genesys, rabbit, options, folder };
    const paced = (name: string, count: number, redisUrl?: string) =>
      sender(bench, { name, organizations: count, perSecond: count * PER_SECOND, redisUrl });
    const contenders = [
      await paced(ONE, 1),
      await paced(FIVE, 5),
      await paced(TWENTY, 20),
      ...(redis ? [await paced(TWENTY_REDIS, 20, redis.url)] : []),
      await sender(bench, { name: BESIDE_FAILURE, organizations: 1, perSecond: PER_SECOND, floodPerSecond: 100 }),
      await sender(bench, { name: ONE_AT_ONCE, organizations: 1 }),
      await sender(bench, { name: AT_ONCE, organizations: 20 }),
    ];
    const [last] = contenders.splice(-1) as [Contender];
    const close = async () => {
      await last.close();
      await Promise.all([genesys.close(), rabbit.close(), redis?.close()]);
      rmSync(folder, { recursive: true, force: true });
    };
    return [...contenders, { ...last, close }];
  },
};

interface Bench {
  genesys: SimulatorProcess;
  rabbit: RabbitMq;
  options: BenchmarkOptions;
  folder: string;
}

interface Load {
  name: string;
  organizations: number;
  /** Of all organizations together; as fast as it goes when left out. */
  perSecond?: number;
  /** For the organization that fails. */
  floodPerSecond?: number;
  redisUrl?: string | undefined;
}

/** A Node-RED with the example and a queue of its own. */
async function sender(
  { genesys, rabbit, options, folder }: Bench,
  { name, organizations, perSecond, floodPerSecond, redisUrl }: Load,
): Promise<Contender> {
  const queue = name.replace(/\W+/g, '-');
  const exchange = `${queue}.status`;
  const tenantsFile = join(folder, `${queue}.json`);
  // Without a pace nothing but the machine is to be the limit.
  const limit = perSecond === undefined ? 600_000 : RATE_LIMIT_PER_MINUTE;
  writeFileSync(tenantsFile, simulatedTenants(genesys.url, FAILING, limit));
  const flows = JSON.parse(readFileSync(join(ROOT, 'examples/genesys-messages.json'), 'utf8')) as FlowEntry[];
  const env = {
    RABBITMQ_URL: rabbit.url,
    OUTBOUND_QUEUE: queue,
    STATUS_EXCHANGE: exchange,
    TENANTS_FILE: tenantsFile,
    GENESYS_WEBHOOK_SECRET: 'only for benchmarks',
    ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl }),
  };
  const nodeRed = await startMeasuredNodeRed(name, flows, options, { env });
  await until(async () => {
    const answer = await nodeRed.request('/messages/health');
    return ((await answer.json()) as { status: string }).status === 'healthy';
  }, 'the sender');
  const load = await startScript('queue-load.js', `${name} load`, {});
  return {
    name,
    share:
      perSecond === undefined ? Math.max(0.2, organizations / MOST_ORGANIZATIONS) : organizations / MOST_ORGANIZATIONS,
    run: async (count) => {
      const before = await taken(genesys);
      await askSource(nodeRed, 'meter/start');
      const flood = floodPerSecond && { tenant: `t${FAILING}`, perSecond: floodPerSecond };
      const order = { url: rabbit.url, queue, exchange, organizations, count, perSecond, flood };
      const { seconds, latencyMs } = await load.run(order);
      const figures = await askSource(nodeRed, 'meter/stop');
      const arrived = (await taken(genesys)) - before;
      if (arrived !== count) throw new Error(`${arrived} messages have arrived instead of ${count}.`);
      return { items: count, ...figures, seconds, ...(latencyMs ? { latencyMs } : {}) };
    },
    close: async () => {
      await load.close();
      await nodeRed.stop();
    },
  };
}

/** How many different messages the simulated Genesys has taken. */
async function taken(genesys: SimulatorProcess): Promise<number> {
  const answer = await fetch(`${genesys.url}/__control/state`);
  return ((await answer.json()) as { messages: number }).messages;
}
