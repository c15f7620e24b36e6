/**
 * The simulator as a process of its own: `npx tsx test/simulators/genesys/main.ts --port 0 --options '{"heartbeatMs":1000}'`.
 * Prints one line `{"url": "...", "pid": ...}` once it listens, obeys `POST <url>/__control/<verb>`, ends on SIGTERM or SIGINT.
 */
import { parseArgs } from 'node:util';
import { serveControl } from './control';
import { type GenesysSimulatorOptions, startGenesysSimulator } from './index';

/** Numbers that JSON cannot write. */
function withInfinity(_name: string, value: unknown): unknown {
  return value === 'Infinity' ? Number.POSITIVE_INFINITY : value;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { port: { type: 'string', default: '0' }, options: { type: 'string', default: '{}' } },
  });
  const options = JSON.parse(values.options, withInfinity) as GenesysSimulatorOptions;
  const genesys = await startGenesysSimulator({ ...options, port: Number(values.port) });
  serveControl(genesys);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void genesys.close());
  process.stdout.write(`${JSON.stringify({ url: genesys.url, pid: process.pid })}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
});
