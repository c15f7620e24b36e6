import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ROOT } from '../services/node-red';
import { type RedisServer, startRedis } from '../services/redis';
import { requireService } from '../services/requirements';
import { environmentNames, readExamples } from '../unit/design/examples';

/** What of the environment would make the demo look for a real system. */
const everythingSimulated = Object.fromEntries(
  readExamples().flatMap(({ entries }) => environmentNames(entries).map((name) => [name, undefined])),
);
const COMMAND = join(ROOT, 'test/commands/start.mjs');

const environment = (env: Record<string, string>) => ({
  ...process.env,
  PORT: undefined,
  ...everythingSimulated,
  ...env,
});

describe('npm start', function () {
  this.timeout(120_000);

  it('proves with --check that all five flows deliver, and ends cleanly', async () => {
    const { code, output } = await start(['--check'], {});
    assert.equal(code, 0, output);
    for (const name of ['Genesys Cloud', 'Elasticsearch', 'Cody', 'Zoho CRM', 'Asterisk']) {
      assert.match(output, new RegExp(`^ +${name} +simulated `, 'm'));
    }
    assert.match(output, /^ +RabbitMQ +in memory /m);
    for (const name of ['PostgreSQL', 'Redis']) assert.match(output, new RegExp(`^ +${name} +on disk `, 'm'));
    assert.match(
      output,
      /^Delivered: audiohook [1-9].* cody2zoho [1-9].* ocelot [1-9].* calls [1-9].* messages [1-9]/m,
    );
    assert.match(output, /It works: AudioHook collector, Cody to Zoho CRM, Ocelot events, Call API, Genesys messages/);
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

  describe('until Ctrl-C', () => {
    const program = requireService('redis');
    let redis: RedisServer | undefined;
    let demo: ChildProcess | undefined;

    before(async () => {
      redis = await startRedis({ program: program.location });
    });
    after(async () => {
      demo?.kill('SIGKILL');
      await redis?.close();
    });

    it('uses the real server that the environment names, answers at every address that it shows, and stops', async () => {
      demo = spawn(process.execPath, [COMMAND], { env: environment({ PORT: '0', REDIS_URL: redis?.url ?? '' }) });
      const exited = once(demo, 'exit');
      const output = await printed(demo, /Ctrl-C stops everything/);
      assert.match(output, /^ +Redis +real +REDIS_URL/m);
      const addresses = [...output.matchAll(/http:\S+/g)].map(([address]) => address);
      assert.equal(addresses.length, 11);
      const [, token] = /Bearer (\w+)/.exec(output) ?? [];
      for (const address of addresses) {
        const { status } = await fetch(address, { headers: { Authorization: `Bearer ${token}` } });
        // Nothing has been stored yet when the documents are asked for at once.
        assert.ok(status === 200 || (status === 404 && address.includes('_search')), `${address} answers ${status}`);
      }
      assert.ok(Number(await redis?.client().dbsize()) > 0);
      demo.kill('SIGINT');
      assert.deepEqual(await exited, [0, null]);
      await assert.rejects(fetch(addresses[0] ?? ''));
    });
  });
});

function start(args: string[], env: Record<string, string>): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const options = { env: environment(env), timeout: 100_000 };
    execFile(process.execPath, [COMMAND, ...args], options, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, output: stdout + stderr });
    });
  });
}

/** What a process has printed when it has printed this; it fails when the process ends before. */
function printed(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    const take = (chunk: Buffer) => {
      output += chunk;
      if (pattern.test(output)) resolve(output);
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.once('exit', () => reject(new Error(`It ended before it was ready:\n${output}`)));
  });
}
