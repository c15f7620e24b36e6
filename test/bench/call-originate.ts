/**
 * Calls at 50 a second through the call API (HTTP, token, checks, a row in PostgreSQL before the call, ARI), against the
 * bare ARI request that makes the same call. Both from the same plain script, to the same real Asterisk, whose callee is
 * busy; PostgreSQL waits for the disk at each commit.
 *
 *     npm run bench -- call-originate
 */
import type { Benchmark, BenchmarkOptions, Contender, Measurement } from './harness/benchmark';
import { type CallApiBench, startCallApiBench, watchProcess } from './harness/call-api';
import { startScript } from './harness/processes';

const PER_SECOND = 50;
const API = 'call API, PostgreSQL';
const RAW = 'bare ARI request';

export const benchmark: Benchmark = {
  title: `Calls at ${PER_SECOND} a second`,
  item: 'call',
  items: 500,
  rounds: 6,
  targets: [
    { contender: API, against: RAW, figure: 'p50', atMost: 3 },
    { contender: API, against: RAW, figure: 'p95', atMost: 10 },
  ],
  async prepare(options) {
    const bench = await startCallApiBench();
    const api = await contender(API, options, {
      method: 'POST',
      url: `${bench.nodeRed.url}/api/v1/calls`,
      headers: { 'content-type': 'application/json', authorization: bench.authorization },
      body: '{"phone_number":"+15{number}0486"}',
    });
    const raw = await contender(RAW, options, {
      method: 'POST',
      url: `${bench.asterisk.url}/channels`,
      headers: { 'content-type': 'application/json', authorization: basic(bench) },
      body: '{"endpoint":"PJSIP/+16{number}0486@trunk","app":"bench","timeout":30,"channelId":"bench-{number}"}',
    });
    const measured: Contender = {
      ...api,
      run: async (items) => {
        const stop = watchProcess(bench.nodeRed.pid);
        return { ...(await api.run(items)), ...stop() };
      },
      close: () => Promise.all([api.close(), bench.close()]).then(() => {}),
    };
    return [measured, raw];
  },
};

async function contender(name: string, options: BenchmarkOptions, order: object): Promise<Contender> {
  const script = await startScript('http-load.js', name, options);
  return {
    name,
    run: async (items): Promise<Measurement> => ({
      items,
      ...(await script.run({ ...order, count: items, perSecond: PER_SECOND })),
    }),
    close: () => script.close(),
  };
}

function basic({ asterisk }: CallApiBench): string {
  return `Basic ${Buffer.from(`${asterisk.user}:${asterisk.password}`).toString('base64')}`;
}
