/**
 * The example flow of the AudioHook collector as it is shipped, end to end: events arrive on the socket of a simulated
 * Genesys Cloud as fast as it is read, are normalised and stored in a simulated Elasticsearch that keeps nothing but
 * ids. Only Node-RED is measured, but all three processes share the processors. A round ends when everything is stored.
 *
 * Against each other: the example's buffer on disk, and the same with a buffer in memory.
 *
 *     npm run bench -- audiohook
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type FlowEntry, ROOT } from '../services/node-red';
import { defaultClient } from '../simulators/genesys';
import type { Benchmark, BenchmarkOptions, Contender } from './harness/benchmark';
import { checkStored } from './harness/elasticsearch';
import { askSource, type SimulatorProcess, startMeasuredNodeRed, startSimulator } from './harness/processes';

const DISK = 'buffer on disk, as shipped';
const MEMORY = 'buffer in memory';
const LOOK_EVERY_MS = 20;
const CHANNEL_WITHIN_MS = 30_000;

export const benchmark: Benchmark = {
  title: 'AudioHook events from the socket into Elasticsearch',
  item: 'event',
  items: 40_000,
  rounds: 8,
  targets: [
    { contender: DISK, figure: 'rate', atLeast: 15_000 },
    { contender: MEMORY, figure: 'rate', atLeast: 15_000 },
    { contender: DISK, against: MEMORY, figure: 'rate', atLeast: 0.6 },
  ],
  prepare: (options) => Promise.all([collector(options, DISK, 'disk'), collector(options, MEMORY, 'memory')]),
};

/** A collector with simulators of its own. */
async function collector(options: BenchmarkOptions, name: string, buffer: 'disk' | 'memory'): Promise<Contender> {
  const [genesys, server] = await Promise.all([
    startSimulator('genesys', ['--options', '{"rateLimitPerMinute":"Infinity"}']),
    startSimulator('elasticsearch', ['--store', 'ids']),
  ]);
  const example = JSON.parse(readFileSync(join(ROOT, 'examples/audiohook-collector.json'), 'utf8')) as FlowEntry[];
  const flows = example.map((entry) => (entry.type === 'es-bulk-out' ? { ...entry, buffer } : entry));
  const env = {
    GENESYS_LOGIN_URL: genesys.url,
    GENESYS_API_URL: genesys.url,
    GENESYS_CLIENT_ID: defaultClient.id,
    GENESYS_CLIENT_SECRET: defaultClient.secret,
    ELASTIC_URL: server.url,
    BULK_MAX_DOCS: '1000',
    BULK_MAX_SECONDS: '0.1',
  };
  const nodeRed = await startMeasuredNodeRed(name, flows, options, { env });
  await subscribed(genesys);
  let startNumber = 0;
  return {
    name,
    run: async (count) => {
      await askSource(nodeRed, 'meter/start');
      await genesys.control('generate', { count, startNumber });
      startNumber += count;
      while ((await stored(server)) < count) await delay(LOOK_EVERY_MS);
      const figures = await askSource(nodeRed, 'meter/stop');
      await checkStored(server, count);
      return { items: count, ...figures };
    },
    close: async () => {
      await nodeRed.stop();
      await Promise.all([genesys.close(), server.close()]);
    },
  };
}

async function subscribed(genesys: SimulatorProcess): Promise<void> {
  const until = Date.now() + CHANNEL_WITHIN_MS;
  while (Date.now() < until) {
    const answer = await fetch(`${genesys.url}/__control/state`);
    const { channels } = (await answer.json()) as { channels: { sockets: number; topics: unknown[] }[] };
    if (channels.some(({ sockets, topics }) => sockets === 1 && topics.length > 0)) return;
    await delay(LOOK_EVERY_MS);
  }
  throw new Error(`There is no channel with topics after ${CHANNEL_WITHIN_MS} ms.`);
}

async function stored(server: SimulatorProcess): Promise<number> {
  const { count } = (await (await server.control('count')).json()) as { count: number };
  return count;
}
