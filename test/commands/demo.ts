import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { mergeFlows } from '../../lib/command/flows';
import { type FlowEntry, type NodeRed, ROOT, startNodeRed } from '../services/node-red';
import { type RunningSystem, SYSTEMS } from './demo-systems';

/** How long a check waits for its documents, in milliseconds. */
const CHECK_WITHIN_MS = 60_000;
const CHECK_EVERY_MS = 250;

/** One part of the demo, as it is printed. */
interface Part extends Partial<RunningSystem> {
  name: string;
  simulated: boolean;
}

/**
 * Runs all examples in one Node-RED until Ctrl-C; with `check` only until documents have arrived and `/health` says
 * 200. The answer is the exit code.
 */
export async function demo({ port, check }: { port: number; check: boolean }): Promise<number> {
  const interrupted = new Promise<'interrupted'>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve('interrupted'));
  });
  const parts: Part[] = [];
  for (const { name, isReal, simulate } of SYSTEMS) {
    parts.push(isReal(process.env) ? { name, simulated: false } : { name, simulated: true, ...(await simulate()) });
  }
  const flows = readExampleFlows();
  const monitorToken = process.env['MONITOR_TOKEN'] ?? randomBytes(12).toString('hex');
  const userDir = check ? mkdtempSync(join(tmpdir(), 'start-check-')) : join(ROOT, '.work/start');
  let nodeRed: NodeRed | undefined;
  try {
    const environment = Object.assign({}, ...parts.map(({ environment: own }) => own));
    const env = { METRICS_ENABLED: 'true', ...environment, MONITOR_TOKEN: monitorToken };
    nodeRed = await startNodeRed({ flows, env, userDir, port });
    for (const { makeTraffic } of parts) makeTraffic?.(nodeRed.url);
    console.log(screen({ nodeRed, parts, flows, monitorToken }));
    if (check) return await untilDocumentsArrive(nodeRed, parts);
    console.log('\nCtrl-C stops everything. The flows are laid out anew at each start.');
    if ((await Promise.race([interrupted, nodeRed.ended()])) === 'interrupted') return 0;
    console.error(`\nNode-RED has ended by itself:\n${nodeRed.log().slice(-4_000)}`);
    return 1;
  } finally {
    if (nodeRed?.running) console.log('\nStopping …');
    await nodeRed?.stop();
    for (const { close } of parts) await close?.();
    if (check) rmSync(userDir, { recursive: true, force: true });
  }
}

/** All examples as one flow file. */
function readExampleFlows(): FlowEntry[] {
  const folder = join(ROOT, 'examples');
  const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
  return mergeFlows(files.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8'))));
}

function screen(demo: { nodeRed: NodeRed; parts: Part[]; flows: FlowEntry[]; monitorToken: string }): string {
  const { nodeRed, parts, flows, monitorToken } = demo;
  const tabs = flows.filter(({ type }) => type === 'tab').map(({ label }) => String(label));
  const line = (name: string, ...rest: string[]) => `  ${name.padEnd(15)} ${rest.join('  ')}`;
  return [
    '',
    `Node-RED runs these flows: ${tabs.join(', ')}.`,
    '',
    ...parts.map(({ name, simulated, note = 'as the environment says' }) =>
      line(name, simulated ? 'simulated' : 'real     ', note),
    ),
    '',
    line('Editor', `${nodeRed.url}/`),
    ...['health', 'stats', 'metrics'].map((path) => line(`/${path}`, `${nodeRed.url}/${path}`)),
    line('Call API', `${nodeRed.url}/docs`),
    line('/logs', `curl -H "Authorization: Bearer ${monitorToken}" ${nodeRed.url}/logs`),
    ...parts.flatMap(({ look }) => (look ? [line(look.name, look.url)] : [])),
  ].join('\n');
}

/** What a check asks for, as it stands. */
interface Progress {
  documents: number;
  health: number;
  report: string;
}

async function untilDocumentsArrive(nodeRed: NodeRed, parts: Part[]): Promise<number> {
  const began = Date.now();
  let progress: Progress = { documents: 0, health: 0, report: '' };
  while (Date.now() - began < CHECK_WITHIN_MS && nodeRed.running) {
    progress = await lookAt(nodeRed, parts);
    if (progress.documents > 0 && progress.health === 200) {
      console.log(`\nIt works: ${progress.documents} documents have arrived, and /health says 200.`);
      return 0;
    }
    await delay(CHECK_EVERY_MS);
  }
  console.error(
    [
      `\nIt does not work: after ${Math.round((Date.now() - began) / 1_000)} seconds ${progress.documents} documents have arrived, and /health says ${progress.health}:`,
      progress.report,
      `\nThe end of Node-RED's log:\n${nodeRed.log().slice(-4_000)}`,
    ].join('\n'),
  );
  return 1;
}

/** Counts in the simulated Elasticsearch; a real one may be shared, so there the books of the sinks count. */
async function lookAt(nodeRed: NodeRed, parts: Part[]): Promise<Progress> {
  const health = await nodeRed.request('/health');
  const report = await health.text();
  const counted = parts.find(({ countDocuments }) => countDocuments);
  const documents = counted?.countDocuments ? await counted.countDocuments() : await deliveredByTheBooks(nodeRed);
  return { documents, health: health.status, report };
}

async function deliveredByTheBooks(nodeRed: NodeRed): Promise<number> {
  const answer = await nodeRed.request('/stats');
  if (!answer.ok) return 0;
  const { services } = (await answer.json()) as {
    services: Record<string, { nodes: { books?: { delivered: number } }[] }>;
  };
  const nodes = Object.values(services).flatMap((service) => service.nodes);
  return nodes.reduce((sum, { books }) => sum + (books?.delivered ?? 0), 0);
}
