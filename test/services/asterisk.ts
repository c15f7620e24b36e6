import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { calleeScenario } from './asterisk/callee';
import { freePort } from './postgresql';

/** One line of Asterisk's own record (channel event logging). */
export interface ChannelRecord {
  event: 'CHAN_START' | 'ANSWER' | 'HANGUP' | 'CHAN_END';
  at: number;
  /** The id of the channel. */
  channel: string;
  /** Of a hang-up: `hangupcause` and more. */
  extra: Record<string, unknown>;
}

/** An Asterisk of its own, on free ports of the loopback address, with SIPp as the called party. */
export interface Asterisk {
  /** The address of ARI: `http://127.0.0.1:<port>/ari`. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /** Calls SIPp, which does what the last four digits of the number say; see asterisk/callee.ts. */
  readonly endpoint: string;
  /** A request to ARI. */
  ari(method: string, path: string): Promise<{ status: number; body: unknown }>;
  /** Asterisk's own record of the channels so far. */
  record(): ChannelRecord[];
  /** Ends Asterisk as its service does. SIPp goes on. */
  stop(): Promise<void>;
  /** Ends Asterisk as a power cut does. */
  kill(): Promise<void>;
  /** Starts Asterisk again, on the same ports, and waits until ARI answers. */
  start(): Promise<void>;
  /** Holds Asterisk where it is: connections stay open, nothing answers. */
  pause(): void;
  resume(): void;
  /** Ends everything for good. */
  close(): Promise<void>;
}

const START_WITHIN_MS = 30_000;
const USER = 'tests';
const PASSWORD = 'only for tests';
const INSTALL = join(__dirname, 'asterisk/install');
/** Files that must be there, but need say nothing. */
const EMPTY = ['acl', 'ccss', 'cli', 'features', 'manager', 'musiconhold', 'pjproject', 'sorcery', 'stasis', 'udptl'];

const processes = new Set<ChildProcess>();
const folders = new Set<string>();
process.on('exit', () => {
  for (const child of processes) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** The folder with the programs of Asterisk and SIPp; with `mayInstall` they are put there. */
export function findAsterisk(mayInstall: boolean): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const found = spawnSync(INSTALL, mayInstall ? [] : ['--find'], { encoding: 'utf8' });
  return found.status === 0 ? found.stdout.trim() : undefined;
}

/** Starts an Asterisk and its callee from the programs in a folder. */
export async function startAsterisk(prefix: string): Promise<Asterisk> {
  const run = mkdtempSync(join(tmpdir(), 'asterisk-'));
  folders.add(run);
  const ports = {
    http: await freePort(),
    sip: await freeUdpPort(),
    sipp: await freeUdpPort(),
    dead: await freeUdpPort(),
  };
  configure(prefix, run, ports);
  const url = `http://127.0.0.1:${ports.http}/ari`;
  const authorization = `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}`;
  const ari = async (method: string, path: string) => {
    const answer = await fetch(`${url}/${path}`, { method, headers: { authorization } });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
  };

  let asterisk: ChildProcess | undefined;
  const start = async () => {
    const child = launch(prefix, 'usr/sbin/asterisk', ['-f', '-C', join(run, 'etc/asterisk.conf')], run);
    asterisk = child;
    const end = Date.now() + START_WITHIN_MS;
    for (;;) {
      const answer = await ari('GET', 'asterisk/info?only=status').catch(() => undefined);
      if (answer?.status === 200) return;
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > end) {
        throw new Error(`Asterisk did not start:\n${readLog(run)}`);
      }
      await delay(50);
    }
  };
  const end = async (signal: NodeJS.Signals) => {
    const child = asterisk;
    asterisk = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  };

  const scenario = join(run, 'callee.xml');
  writeFileSync(scenario, calleeScenario());
  const callee = launch(
    prefix,
    'usr/bin/sipp',
    ['-sf', scenario, '-i', '127.0.0.1', '-mi', '127.0.0.1', '-ci', '127.0.0.1', '-p', String(ports.sipp), '-nostdin'],
    run,
  );
  await start();

  return {
    url,
    user: USER,
    password: PASSWORD,
    endpoint: 'PJSIP/{number}@trunk',
    ari,
    record: () => readRecord(run),
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    start,
    pause: () => asterisk?.kill('SIGSTOP'),
    resume: () => asterisk?.kill('SIGCONT'),
    async close() {
      await end('SIGKILL');
      if (callee.exitCode === null && callee.signalCode === null) {
        const exit = once(callee, 'exit');
        callee.kill('SIGKILL');
        await exit;
      }
      folders.delete(run);
      rmSync(run, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** The programs bring their libraries with them, those of the C library too, and so their own loader. */
function launch(prefix: string, program: string, parameters: string[], run: string): ChildProcess {
  const { loader, libraries } = librariesOf(prefix);
  const child = spawn(loader, ['--library-path', libraries.join(':'), join(prefix, program), ...parameters], {
    cwd: run,
    stdio: 'ignore',
    env: { ...process.env, TERM: 'dumb', TERMINFO: join(prefix, 'usr/share/terminfo') },
  });
  processes.add(child);
  child.once('exit', () => processes.delete(child));
  return child;
}

const known = new Map<string, { loader: string; libraries: string[] }>();

function librariesOf(prefix: string): { loader: string; libraries: string[] } {
  const found = known.get(prefix) ?? search(prefix);
  known.set(prefix, found);
  return found;
}

function search(prefix: string): { loader: string; libraries: string[] } {
  const listed = execFileSync('find', [prefix, '-name', '*.so*', '-path', '*/lib*', '-not', '-path', '*/modules/*'], {
    encoding: 'utf8',
  });
  const files = listed.split('\n').filter(Boolean);
  const loader = files.find((file) => /\/ld-linux[^/]*\.so\.\d+$/.test(file));
  if (!loader) throw new Error(`There is no loader below ${prefix}`);
  return { loader, libraries: [...new Set(files.map((file) => dirname(file)))] };
}

function configure(
  prefix: string,
  run: string,
  ports: { http: number; sip: number; sipp: number; dead: number },
): void {
  for (const name of ['etc', 'cache', 'lib/keys', 'spool', 'run', 'log/cel-custom']) {
    mkdirSync(join(run, name), { recursive: true });
  }
  const modules = execFileSync('find', [join(prefix, 'usr/lib'), '-name', 'res_ari.so'], { encoding: 'utf8' });
  const values: Record<string, string | number> = {
    RUN: run,
    PREFIX: prefix,
    MODULES: dirname(modules.trim()),
    USER,
    PASSWORD,
    HTTP_PORT: ports.http,
    SIP_PORT: ports.sip,
    SIPP_PORT: ports.sipp,
    DEAD_PORT: ports.dead,
  };
  const templates = join(__dirname, 'asterisk/conf');
  for (const name of readdirSync(templates)) {
    const template = readFileSync(join(templates, name), 'utf8');
    writeFileSync(
      join(run, 'etc', name),
      template.replaceAll(/@([A-Z_]+)@/g, (_whole, key: string) => String(values[key])),
    );
  }
  for (const name of [...EMPTY, 'websocket_client']) writeFileSync(join(run, 'etc', `${name}.conf`), '; nothing\n');
}

function readRecord(run: string): ChannelRecord[] {
  const file = join(run, 'log/cel-custom/events.csv');
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [event, time, channel, ...rest] = line.split(',');
      const extra = rest.join(',').replace(/^"|"$/g, '').replaceAll('""', '"');
      return {
        event: event as ChannelRecord['event'],
        at: Math.round(Number(time) * 1_000),
        channel: channel!,
        extra: extra === '' ? {} : (JSON.parse(extra) as Record<string, unknown>),
      };
    });
}

function readLog(run: string): string {
  const file = join(run, 'log/messages');
  return existsSync(file) ? readFileSync(file, 'utf8').slice(-2_000) : 'It has written no log.';
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}
