import { parseArgs } from 'node:util';
import { Refusal, type SimulatedApi } from './index';

/** A simulator on a {@link SimulatedApi}. */
interface Simulator {
  readonly api: SimulatedApi;
  close(): Promise<void>;
}

/** Carries out a command: the JSON body of `POST /__control/<name>`. What it gives back is the answer. */
export type Command<Of extends Simulator> = (simulator: Of, body: Record<string, unknown>) => unknown;

/**
 * Runs a simulator in a process of its own: `npx tsx test/simulators/<name>/main.ts --options '{"latencyMs":20}'`.
 * Prints one line `{"url": "..."}` when it listens, obeys `POST <url>/__control/<command>`, ends on SIGTERM or SIGINT.
 */
export function runAsProcess<Of extends Simulator>(
  start: (options: Record<string, unknown>) => Promise<Of>,
  commands: Record<string, Command<Of>>,
): void {
  run(start, commands).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exitCode = 1;
  });
}

async function run<Of extends Simulator>(
  start: (options: Record<string, unknown>) => Promise<Of>,
  commands: Record<string, Command<Of>>,
): Promise<void> {
  const { values } = parseArgs({ options: { options: { type: 'string', default: '{}' } } });
  const simulator = await start(JSON.parse(values.options) as Record<string, unknown>);
  simulator.api.route({
    method: 'POST',
    path: '/__control/{command}',
    handle: ({ parameters, body }) => {
      const command = commands[parameters['command'] ?? ''];
      if (!command) throw new Refusal({ status: 404, body: { known: Object.keys(commands) } });
      const given = body.length === 0 ? {} : (JSON.parse(body.toString('utf8')) as Record<string, unknown>);
      return { status: 200, body: command(simulator, given) ?? {} };
    },
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void simulator.close());
  process.stdout.write(`${JSON.stringify({ url: simulator.api.url, pid: process.pid })}\n`);
}
