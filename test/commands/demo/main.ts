import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type NodeRed, ROOT, startNodeRed } from '../../services/node-red';
import { readAllFlows, type ServiceName, tabOf } from './flows';
import { lookAt, type Progress } from './progress';
import { progressLine, screen } from './screen';
import { environmentOf, type RunningSystem, startSystems } from './systems';
import { type Traffic, trafficOf } from './traffic';

/** How long a check waits for every flow to deliver, in milliseconds. */
const CHECK_WITHIN_MS = 60_000;
const CHECK_EVERY_MS = 250;
const SHOW_EVERY_MS = 2_000;

/**
 * Runs the five flows in one Node-RED until Ctrl-C; with `check` only until each flow that has traffic has delivered
 * something and `/health` says healthy or degraded. The answer is the exit code.
 */
export async function demo({ port, check }: { port: number; check: boolean }): Promise<number> {
  const interrupted = untilInterrupted();
  const ending = new AbortController();
  // What runs at any free port comes and goes; the usual demo keeps what it has stored.
  const isPassing = port === 0;
  const userDir = isPassing ? mkdtempSync(join(tmpdir(), 'start-')) : join(ROOT, '.work/start');
  let systems: RunningSystem[] = [];
  let nodeRed: NodeRed | undefined;
  try {
    systems = await startSystems(process.env);
    const apiPassword = rememberedPassword(userDir);
    const monitorToken = process.env['MONITOR_TOKEN'] || randomBytes(12).toString('hex');
    const env = await environmentOf(systems, { own: process.env, apiPassword, monitorToken });
    const traffic = trafficOf(systems, { ...process.env, ...env }, ending.signal);
    process.stdout.write('Starting Node-RED with the five flows … ');
    const began = Date.now();
    nodeRed = await startNodeRed({ flows: readAllFlows(), env, userDir, port });
    console.log(`${((Date.now() - began) / 1_000).toFixed(1)} s`);
    for (const { start } of traffic) start?.(nodeRed.url);
    const { API_USER: user = 'demo' } = { ...process.env, ...env };
    const apiUser = process.env['API_USER'] ? `user ${user}` : `user ${user}, password ${apiPassword}`;
    console.log(screen({ url: nodeRed.url, systems, traffic, apiUser, monitorToken }));
    if (check) return await untilAllDeliver(nodeRed, traffic, interrupted);
    const line = process.stdout.isTTY ? showProgress(nodeRed, ending.signal) : undefined;
    const end = await Promise.race([interrupted, nodeRed.ended()]);
    line?.();
    if (end === 'interrupted') return 0;
    console.error(`\nNode-RED has ended by itself. The end of its log:\n${nodeRed.log().slice(-4_000)}`);
    return 1;
  } finally {
    ending.abort();
    if (nodeRed?.running) console.log('\nStopping …');
    await nodeRed?.stop();
    await Promise.all(systems.map(({ close }) => close?.()));
    if (isPassing) rmSync(userDir, { recursive: true, force: true });
  }
}

/** The first Ctrl-C ends the demo in good order, the second one at once. */
function untilInterrupted(): Promise<'interrupted'> {
  return new Promise((resolve) => {
    let times = 0;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        times += 1;
        if (times > 1) process.exit(1);
        resolve('interrupted');
      });
    }
  });
}

/** The user of the call API is kept in the user directory, so its password has to stay the same. */
function rememberedPassword(userDir: string): string {
  const file = join(userDir, 'demo-password');
  if (!existsSync(file)) {
    mkdirSync(userDir, { recursive: true });
    writeFileSync(file, randomBytes(9).toString('base64url'), { mode: 0o600 });
  }
  return readFileSync(file, 'utf8');
}

/** Keeps one line at the bottom of the terminal up to date; the answer ends it. */
function showProgress(nodeRed: NodeRed, signal: AbortSignal): () => void {
  const show = async () => {
    const line = progressLine(await lookAt(nodeRed));
    if (!signal.aborted) process.stdout.write(`\r\u001b[K${line.slice(0, process.stdout.columns - 1)}`);
  };
  const timer = setInterval(() => void show(), SHOW_EVERY_MS);
  return () => {
    clearInterval(timer);
    process.stdout.write('\n');
  };
}

async function untilAllDeliver(
  nodeRed: NodeRed,
  traffic: readonly Traffic[],
  interrupted: Promise<unknown>,
): Promise<number> {
  const began = Date.now();
  let stopped = false;
  void interrupted.then(() => {
    stopped = true;
  });
  let progress = await lookAt(nodeRed);
  while (!isWell(progress, traffic) && Date.now() - began < CHECK_WITHIN_MS && nodeRed.running && !stopped) {
    await delay(CHECK_EVERY_MS);
    progress = await lookAt(nodeRed);
  }
  const label = (service: ServiceName) => tabOf(service).label;
  console.log(`\n${progressLine(progress)}`);
  if (isWell(progress, traffic)) {
    const working = traffic.filter(({ start }) => start).map(({ service }) => label(service));
    console.log(`\nIt works: ${working.join(', ')} ${working.length === 1 ? 'has' : 'have'} delivered.`);
    return 0;
  }
  const silent = waitingFor(progress, traffic).map(({ service }) => label(service));
  console.error(
    [
      `\nIt does not work after ${Math.round((Date.now() - began) / 1_000)} seconds.`,
      ...(silent.length > 0 ? [`Nothing was delivered by: ${silent.join(', ')}.`] : []),
      ...progress.complaints,
      `\nThe end of Node-RED's log:\n${nodeRed.log().slice(-4_000)}`,
    ].join('\n'),
  );
  return 1;
}

function waitingFor({ delivered }: Progress, traffic: readonly Traffic[]): Traffic[] {
  return traffic.filter(({ service, start }) => start && delivered[service] === 0);
}

function isWell(progress: Progress, traffic: readonly Traffic[]): boolean {
  return ['healthy', 'degraded'].includes(progress.health) && waitingFor(progress, traffic).length === 0;
}
