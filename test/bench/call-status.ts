/**
 * Reading the status of calls over the call API, against the same row read from the same PostgreSQL in a plain script
 * without HTTP, and against the least that Node-RED takes for an HTTP request: a flow of `http in` and `http response`
 * that looks nothing up. 1,000 calls, 16 readers at a time.
 *
 *     npm run bench -- call-status
 */
import { openPostgresqlCallStore } from '../../lib/calls/postgresql-store';
import { someCall } from '../unit/calls/stores';
import type { Benchmark, BenchmarkOptions, Contender } from './harness/benchmark';
import { startCallApiBench, watchProcess } from './harness/call-api';
import { startMeasuredNodeRed, startScript } from './harness/processes';

const CALLS = 1_000;
const CONCURRENCY = 16;
const API = 'call API';
const PLAIN = 'plain pg';
const BARE = 'http in, http response';
const SQL = 'select * from calls where call_id = $1';

export const benchmark: Benchmark = {
  title: `Reading the status of calls, ${CONCURRENCY} at a time`,
  item: 'read',
  items: 5_000,
  rounds: 6,
  targets: [
    { contender: API, against: PLAIN, figure: 'rate', atLeast: 0.08 },
    { contender: API, against: BARE, figure: 'rate', atLeast: 0.4 },
  ],
  async prepare(options) {
    const bench = await startCallApiBench();
    const store = openPostgresqlCallStore({ url: bench.database.url });
    const keys = Array.from({ length: CALLS }, (_, index) => idOf(index));
    for (const callId of keys) await store.register(someCall({ callId }));
    await store.close();
    const load = await startScript('http-load.js', API, options);
    const plain = await startScript('pg-reads.js', PLAIN, options);
    const api: Contender = {
      name: API,
      run: async (items) => {
        const stop = watchProcess(bench.nodeRed.pid);
        const order = {
          method: 'GET',
          // Each of the calls in turn: their ids end with numbers.
          url: `${bench.nodeRed.url}/api/v1/status/${idOf('{number}')}`,
          headers: { authorization: bench.authorization },
          count: items,
          concurrency: CONCURRENCY,
          modulo: CALLS,
        };
        return { items, ...(await load.run(order)), ...stop() };
      },
      close: () => Promise.all([load.close(), bench.close()]).then(() => {}),
    };
    const direct: Contender = {
      name: PLAIN,
      run: async (items) => ({
        items,
        ...(await plain.run({ url: bench.database.url, sql: SQL, keys, count: items, concurrency: CONCURRENCY })),
      }),
      close: () => plain.close(),
    };
    return [api, direct, await bareFlow(options)];
  },
};

/** What Node-RED itself takes for an HTTP request. */
async function bareFlow(options: BenchmarkOptions): Promise<Contender> {
  const nodeRed = await startMeasuredNodeRed(
    BARE,
    [
      { id: 'tab', type: 'tab', label: BARE },
      { id: 'in', type: 'http in', z: 'tab', url: '/bare', method: 'get', wires: [['out']] },
      { id: 'out', type: 'http response', z: 'tab', statusCode: '200', headers: {}, wires: [] },
    ],
    options,
  );
  const load = await startScript('http-load.js', BARE, options);
  return {
    name: BARE,
    run: async (items) => {
      const stop = watchProcess(nodeRed.pid);
      const order = { method: 'GET', url: `${nodeRed.url}/bare`, count: items, concurrency: CONCURRENCY };
      return { items, ...(await load.run(order)), ...stop() };
    },
    close: () => Promise.all([load.close(), nodeRed.stop()]).then(() => {}),
  };
}

function idOf(number: number | string): string {
  return `00000000-0000-4000-8000-000000${typeof number === 'number' ? String(number).padStart(6, '0') : number}`;
}
