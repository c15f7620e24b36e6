import { type ChildProcess, fork, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type FlowEntry, type NodeRed, ROOT, startNodeRed } from '../../services/node-red';
import type { BenchmarkOptions, Measurement } from './benchmark';

/** A simulator in a process of its own, so that its work is not counted. */
export interface SimulatorProcess {
  url: string;
  /** Carries out a command of its control interface. */
  control(verb: string, body?: object): Promise<Response>;
  close(): Promise<void>;
}

/** A plain script that measures itself, whenever it is told to. */
export interface ScriptProcess {
  /** Sends `order` and waits for the figures. */
  run(order: object): Promise<Omit<Measurement, 'items'>>;
  close(): Promise<void>;
}

const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/** Starts `test/simulators/<system>/main.ts`. */
export async function startSimulator(system: string, parameters: readonly string[] = []): Promise<SimulatorProcess> {
  const script = join(ROOT, 'test/simulators', system, 'main.ts');
  const stdio: StdioOptions = ['ignore', 'pipe', 'inherit'];
  const child = kept(spawn(process.execPath, ['--import', 'tsx', script, ...parameters], { cwd: ROOT, stdio }));
  const [line] = (await Promise.race([once(createInterface(child.stdout!), 'line'), tooEarly(child, system)])) as [
    string,
  ];
  const { url } = JSON.parse(line) as { url: string };
  return {
    url,
    control: async (verb, body = {}) => {
      const answer = await fetch(`${url}/__control/${verb}`, { method: 'POST', body: JSON.stringify(body) });
      if (!answer.ok) throw new Error(`${system} answered ${verb} with ${answer.status}: ${await answer.text()}`);
      return answer;
    },
    close: () => end(child),
  };
}

/** Starts a script of `test/bench/scripts`. */
export async function startScript(
  name: string,
  contender: string,
  { profileFolder }: BenchmarkOptions,
): Promise<ScriptProcess> {
  const script = join(__dirname, '../scripts', name);
  const child = kept(fork(script, { execArgv: [], env: { ...process.env, ...profiling(profileFolder, contender) } }));
  const ended = tooEarly(child, name);
  ended.catch(() => {});
  return {
    run: async (order) => {
      child.send(order);
      const [figures] = await Promise.race([once(child, 'message'), ended]);
      return figures as Omit<Measurement, 'items'>;
    },
    close: async () => {
      // A process that is killed writes no profile.
      child.disconnect();
      await once(child, 'exit');
    },
  };
}

/** Starts a Node-RED that has the nodes of `test/bench/nodes` besides those of the pack. */
export function startMeasuredNodeRed(
  contender: string,
  flows: readonly FlowEntry[],
  { profileFolder }: BenchmarkOptions,
  { env = {}, nodesDir = [] }: { env?: Record<string, string>; nodesDir?: readonly string[] } = {},
): Promise<NodeRed> {
  return startNodeRed({
    flows,
    env: { ...env, ...profiling(profileFolder, contender) },
    settings: { nodesDir: [join(__dirname, '../nodes'), ...nodesDir] },
  });
}

/** Asks a measured Node-RED for something of its bench-source. */
export async function askSource(nodeRed: NodeRed, path: string): Promise<Omit<Measurement, 'items'>> {
  const answer = await nodeRed.request(`/bench/${path}`, { method: 'POST' });
  if (!answer.ok) throw new Error(`Node-RED answered ${path} with ${answer.status}.\n${nodeRed.log().slice(-4_000)}`);
  return (await answer.json()) as Omit<Measurement, 'items'>;
}

/** Where the profile of a contender is; see meter.js. */
export function profileFile(folder: string, contender: string): string {
  return join(folder, `${contender.replace(/\W+/g, '-')}.cpuprofile`);
}

function profiling(folder: string | undefined, contender: string): Record<string, string> {
  return folder === undefined ? {} : { BENCH_PROFILE: profileFile(folder, contender) };
}

function kept<Child extends ChildProcess>(child: Child): Child {
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

/** Rejects when the process ends. */
async function tooEarly(child: ChildProcess, name: string): Promise<never> {
  const [code, signal] = await once(child, 'exit');
  throw new Error(`${name} ended too early: ${signal ?? `exit code ${code}`}.`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}
