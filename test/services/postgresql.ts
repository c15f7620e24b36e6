import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** A PostgreSQL server of its own, on a free port, with its own data. */
export interface Postgresql {
  /** `postgresql://postgres@127.0.0.1:<port>/postgres`. */
  readonly url: string;
  /** Makes an empty database and gives its address. */
  createDatabase(): Promise<string>;
  /** Ends it as a power cut does. The data stay. */
  kill(): Promise<void>;
  /** Starts it again, on the same port with the same data. */
  start(): Promise<void>;
  /** Holds all its processes where they are, as an overloaded machine does; {@link Postgresql.resume} lets them go on. */
  pause(): void;
  resume(): void;
  /** Ends it for good and removes the data. */
  close(): Promise<void>;
}

const START_WITHIN_MS = 30_000;
const servers = new Set<ChildProcess>();
const folders = new Set<string>();
process.on('exit', () => {
  for (const server of servers) server.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** The folder with the programs of PostgreSQL; `POSTGRESQL_BIN`, or where Debian has the newest release. */
export function findPostgresql(): string | undefined {
  const debian = '/usr/lib/postgresql';
  const releases = existsSync(debian) ? readdirSync(debian).sort((one, other) => Number(other) - Number(one)) : [];
  const usual = [process.env['POSTGRESQL_BIN'], ...releases.map((release) => join(debian, release, 'bin'))];
  return usual.find((folder) => folder && existsSync(join(folder, 'initdb')));
}

/** Starts a server. With `durable` it waits for the disk at each commit, as a production server does. */
export async function startPostgresql(programs: string, { durable = false } = {}): Promise<Postgresql> {
  const folder = mkdtempSync(join(tmpdir(), 'postgresql-'));
  folders.add(folder);
  const owner = unprivileged();
  if (owner) chownSync(folder, owner.uid, owner.gid);
  const data = join(folder, 'data');
  const init = ['-D', data, '-A', 'trust', '-U', 'postgres', '--no-sync', '--encoding=UTF8', '--locale=C'];
  execFileSync(join(programs, 'initdb'), init, { cwd: folder, stdio: 'pipe', ...owner });
  const port = await freePort();
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: durable ? 'on' : 'off',
    full_page_writes: durable ? 'on' : 'off',
  };
  const parameters = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  let server: ChildProcess | undefined;
  let databases = 0;

  const sql = (database: string, text: string) =>
    execFileSync(join(programs, 'psql'), ['-qAt', '-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', database], {
      input: text,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  const start = async () => {
    const end = Date.now() + START_WITHIN_MS;
    while (Date.now() < end) {
      const child = spawn(join(programs, 'postgres'), ['-D', data, '-p', String(port), ...parameters], {
        cwd: folder,
        stdio: 'ignore',
        ...owner,
      });
      servers.add(child);
      child.once('exit', () => servers.delete(child));
      while (child.exitCode === null && child.signalCode === null && Date.now() < end) {
        try {
          sql('postgres', 'select 1');
          server = child;
          return;
        } catch {
          await delay(50);
        }
      }
      // After a kill the last processes of the old server may still hold its memory.
      await delay(100);
    }
    throw new Error('PostgreSQL did not start');
  };
  const end = async (signal: 'SIGKILL' | 'SIGINT') => {
    const child = server;
    server = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  };
  const signalAll = (signal: 'SIGSTOP' | 'SIGCONT') => {
    const { pid } = server ?? {};
    if (pid === undefined) return;
    for (const each of [pid, ...childrenOf(pid)]) process.kill(each, signal);
  };

  await start();
  const urlOf = (database: string) => `postgresql://postgres@127.0.0.1:${port}/${database}`;
  return {
    url: urlOf('postgres'),
    async createDatabase() {
      databases += 1;
      sql('postgres', `create database test_${databases}`);
      return urlOf(`test_${databases}`);
    },
    kill: () => end('SIGKILL'),
    start,
    pause: () => signalAll('SIGSTOP'),
    resume: () => signalAll('SIGCONT'),
    async close() {
      await end('SIGINT');
      folders.delete(folder);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** PostgreSQL refuses to run as root: then it runs as the user that its Debian package makes. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (what: '-u' | '-g') => Number(execFileSync('id', [what, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

function childrenOf(pid: number): number[] {
  const listed = execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' });
  return listed.split('\n').map(Number).filter(Boolean);
}

/** A port of the loopback address that nobody uses at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
