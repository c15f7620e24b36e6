import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ROOT } from '../services/node-red';
import { environmentNames, readExamples } from '../unit/design/examples';

/** What of the environment would make the demo look for a real system. */
const everythingSimulated = Object.fromEntries(
  readExamples().flatMap(({ entries }) => environmentNames(entries).map((name) => [name, undefined])),
);

describe('npm start', function () {
  this.timeout(120_000);

  it('shows events flowing into Elasticsearch, and ends cleanly', async () => {
    const { code, output } = await start(['--check'], {});
    assert.equal(code, 0, output);
    assert.match(output, /Genesys Cloud +simulated/);
    assert.match(output, /Elasticsearch +simulated/);
    assert.match(output, /It works: \d+ documents have arrived, and \/health says 200\./);
  });

  it('says in one sentence that its port is taken', async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
    });
    try {
      const { code, output } = await start([], { PORT: String(port) });
      assert.equal(code, 1);
      assert.match(output, new RegExp(`^Port ${port} is taken: .*PORT\\.$`, 'm'));
    } finally {
      server.close();
    }
  });
});

function start(args: string[], env: Record<string, string>): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const environment = { ...process.env, PORT: undefined, ...everythingSimulated, ...env };
    const command = [join(ROOT, 'test/commands/start.mjs'), ...args];
    execFile(process.execPath, command, { env: environment, timeout: 100_000 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, output: stdout + stderr });
    });
  });
}
