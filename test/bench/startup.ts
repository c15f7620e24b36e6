/**
 * What the pack costs a Node-RED that uses none of its nodes: the start, from the beginning of the process until the
 * flows run, and the memory that it holds then. The two start in turn, each with an empty flow.
 *
 *     npm run bench -- startup
 */
import { type FlowEntry, startNodeRed } from '../services/node-red';
import type { Benchmark, Contender, Measurement } from './harness/benchmark';

const WITH = 'with the pack';
const WITHOUT = 'Node-RED alone';
const FLOW: FlowEntry[] = [{ id: 'tab', type: 'tab', label: 'Empty' }];
const FIGURES = '/figures';

/** Answers with what the process has used since it began; a setting, because it has to be there without any node. */
const SETTINGS = `{
  httpAdminMiddleware: (request, response, next) => {
    if (request.path !== '${FIGURES}') return next();
    response.json({ memory: process.memoryUsage(), cpu: process.cpuUsage() });
  },
}`;

export const benchmark: Benchmark = {
  title: 'The start of Node-RED',
  item: 'start',
  items: 1,
  rounds: 15,
  targets: [
    { contender: WITH, against: WITHOUT, figure: 'p50', atMost: 150 },
    { contender: WITH, against: WITHOUT, figure: 'memory', atMost: 15 },
  ],
  prepare: async () => [contender(WITH, true), contender(WITHOUT, false)],
};

function contender(name: string, pack: boolean): Contender {
  return { name, run: () => start(pack), close: async () => {} };
}

async function start(pack: boolean): Promise<Measurement> {
  const began = performance.now();
  const nodeRed = await startNodeRed({ flows: FLOW, pack, settings: SETTINGS });
  const ms = performance.now() - began;
  try {
    const { memory, cpu } = (await (await nodeRed.request(FIGURES)).json()) as {
      memory: NodeJS.MemoryUsage;
      cpu: NodeJS.CpuUsage;
    };
    return {
      items: 1,
      seconds: ms / 1_000,
      cpuMicroseconds: cpu.user + cpu.system,
      rssBytes: memory.rss,
      heapBytes: memory.heapUsed,
      latencyMs: { p50: ms, p95: ms },
    };
  } finally {
    await nodeRed.stop();
  }
}
