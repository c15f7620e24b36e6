import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../services/node-red';
import { type RedisServer, startRedis } from '../services/redis';
import { requireService } from '../services/requirements';
import { read } from '../unit/design/checkout';
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
      /^(healthy|degraded): audiohook [1-9].* cody2zoho [1-9].* ocelot [1-9].* calls [1-9].* messages [1-9]/m,
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
      const [, token = ''] = /Bearer (\w+)/.exec(output) ?? [];
      for (const address of addresses) {
        const { status } = await fetch(address, { headers: { Authorization: `Bearer ${token}` } });
        // Nothing has been stored yet when the documents are asked for at once.
        assert.ok(status === 200 || (status === 404 && address.includes('_search')), `${address} answers ${status}`);
      }
      assert.ok(Number(await redis?.client().dbsize()) > 0);
      const [base = ''] = addresses;
      const [, password = ''] = /password (\S+)/.exec(output) ?? [];
      for (const script of readmeRequests(base, password)) {
        const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script]);
        assert.match(stdout, /"success": ?true|"status": ?"ended"/, `${script}\n${stdout}`);
      }
      for (const path of readmeAddresses()) {
        const { status } = await fetch(new URL(path, base), { headers: { Authorization: `Bearer ${token}` } });
        assert.equal(status, 200, path);
      }
      demo.kill('SIGINT');
      assert.deepEqual(await exited, [0, null]);
      await assert.rejects(fetch(addresses[0] ?? ''));
    });
  });
});

/** The requests that the README shows, for the demo: its own address, user and password, and what `jq` would do. */
function readmeRequests(url: string, password: string): string[] {
  const blocks = [...read('README.md').matchAll(/^```\n((?:TOKEN=)?\$?\(?curl .*?)^```/gms)].map(
    ([, code = '']) => code,
  );
  assert.equal(blocks.length, 2);
  const jq = `jq() { node -p 'JSON.parse(require("fs").readFileSync(0))'"$2"; }\n`;
  return blocks.map(
    (code) =>
      jq +
      code
        .replaceAll('localhost:1880/', url)
        .replace('username=alice', 'username=demo')
        .replace('password=...', `password=${password}`),
  );
}

/** The addresses of the README that are asked for with GET and need neither an id nor a user. */
function readmeAddresses(): string[] {
  const cells = [...read('README.md').matchAll(/^\| (`(?:GET )?\/[^|]*)\|/gm)].map(([, cell = '']) => cell);
  const paths = cells
    .flatMap((cell) => [...cell.matchAll(/`(?:GET )?(\/[^`{]*)`/g)].map(([, path = '']) => path))
    .filter((path) => !path.startsWith('/api/v1/calls'));
  assert.ok(paths.length >= 6, paths.join());
  return [
    ...paths.map((path) => path.replace(/=(?=&|$)/g, '=1').replace('level=1', 'level=info')),
    '/audiohook/health',
  ];
}

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
