/**
 * The example flow from Cody to Zoho CRM as it is shipped, end to end: conversations that have settled appear in a
 * simulated Cody, are found by the next poll, and become Cases in a simulated Zoho. Every call takes 20 ms at least. Only
 * Node-RED is measured, but all processes share the processors. A round ends when each conversation has its Case.
 *
 * The calls are those of the CRM API: a new Case with a contact that is known takes a look-up and a request.
 *
 * Against each other: the example, which has 4 Cases under way at a time, and the same with 10.
 *
 *     npm run bench -- cody-to-zoho
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type FlowEntry, ROOT } from '../services/node-red';
import { defaultApiKey } from '../simulators/cody';
import { defaultZoho } from '../simulators/zoho';
import type { Benchmark, BenchmarkOptions, Contender } from './harness/benchmark';
import { askSource, type SimulatorProcess, startMeasuredNodeRed, startSimulator } from './harness/processes';

const SHIPPED = '4 at a time, as shipped';
const MORE = '10 at a time';
const LATENCY_MS = 20;
const LOOK_EVERY_MS = 20;
const SILENT_MS = 3_600_000;

export const benchmark: Benchmark = {
  title: `Conversations of Cody into Cases of Zoho CRM, ${LATENCY_MS} ms a call`,
  item: 'conversation',
  items: 300,
  rounds: 6,
  targets: [
    { contender: SHIPPED, figure: 'calls', atMost: 2 },
    { contender: MORE, figure: 'calls', atMost: 2 },
    { contender: SHIPPED, figure: 'rate', atLeast: 40 },
    { contender: MORE, against: SHIPPED, figure: 'rate', atLeast: 1.2 },
  ],
  prepare: (options) => Promise.all([flow(options, SHIPPED, 4), flow(options, MORE, 10)]),
};

interface ZohoState {
  cases: number;
  conversations: number;
  calls: number;
}

/** The example with simulators of its own. */
async function flow(options: BenchmarkOptions, name: string, concurrency: number): Promise<Contender> {
  const scopes = [...defaultZoho.scopes, 'ZohoCRM.coql.READ'];
  const [cody, zoho] = await Promise.all([
    startSimulator('cody', ['--options', JSON.stringify({ latencyMs: LATENCY_MS })]),
    startSimulator('zoho', ['--options', JSON.stringify({ latencyMs: LATENCY_MS, concurrency: 20, scopes })]),
  ]);
  const example = JSON.parse(readFileSync(join(ROOT, 'examples/cody-to-zoho.json'), 'utf8')) as FlowEntry[];
  const flows = example.map((entry) => (entry.type === 'zoho-case-out' ? { ...entry, concurrency } : entry));
  const env = {
    CODY_API_URL: `${cody.url}/api/v1`,
    CODY_API_KEY: defaultApiKey,
    ZOHO_ACCOUNTS_BASE_URL: zoho.url,
    ZOHO_CLIENT_ID: defaultZoho.clientId,
    ZOHO_CLIENT_SECRET: defaultZoho.clientSecret,
    ZOHO_REFRESH_TOKEN: defaultZoho.refreshToken,
    POLL_INTERVAL_SECONDS: '0.5',
    START_FROM: 'all',
  };
  const nodeRed = await startMeasuredNodeRed(name, flows, options, { env });
  return {
    name,
    run: async (items) => {
      const before = await stateOf(zoho);
      await askSource(nodeRed, 'meter/start');
      await cody.control('chat', { count: items, agoMs: SILENT_MS });
      let state = before;
      while (state.cases < before.cases + items) {
        await delay(LOOK_EVERY_MS);
        state = await stateOf(zoho);
      }
      const figures = await askSource(nodeRed, 'meter/stop');
      if (state.cases !== before.cases + items || state.conversations !== state.cases) {
        throw new Error(`${name}: ${state.cases} Cases of ${state.conversations} conversations`);
      }
      return { items, calls: state.calls - before.calls, ...figures };
    },
    close: async () => {
      await nodeRed.stop();
      await Promise.all([cody.close(), zoho.close()]);
    },
  };
}

async function stateOf(zoho: SimulatorProcess): Promise<ZohoState> {
  return (await (await zoho.control('state')).json()) as ZohoState;
}
