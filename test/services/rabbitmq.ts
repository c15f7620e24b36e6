import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ChannelModel, connect } from 'amqplib';
import { until } from '../unit/until';

/** Where Debian and the generic packages keep the server's own scripts; the ones in the path change the user. */
const SCRIPTS = ['/usr/lib/rabbitmq/bin', '/opt/rabbitmq/sbin', '/usr/local/sbin'];
/** A start takes about five seconds alone on a machine. */
const READY_WITHIN_MS = 90_000;
/** So often it is asked at most when it does not let the question in. */
const MOST_QUESTIONS = 5;

/** What {@link RabbitMq.queued} and {@link RabbitMq.users} ask the server, in its own language. */
const QUEUED = `[[Name, Messages] || Queue <- rabbit_amqqueue:list(),
  [{name, {resource, _, _, Name}}, {messages, Messages}] <- [rabbit_amqqueue:info(Queue, [name, messages])]]`;
const USERS = `#{connections => length(rabbit_networking:connections()), channels => length(rabbit_channel:list()),
  consumers => length(rabbit_amqqueue:consumers_all(<<"/">>))}`;

/** A RabbitMQ of its own: free ports, own node name, data, logs, cookie and port mapper. Nobody else is on it. */
export interface RabbitMq {
  /** `amqp://guest:guest@127.0.0.1:<port>/` */
  readonly url: string;
  readonly port: number;
  /** The end of what the server has logged. */
  log(): string;
  /** Ends it as a power cut does. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data, and waits until it takes connections. */
  start(): Promise<void>;
  /** Stops the process in its tracks: connections stay, nothing is answered. */
  freeze(): void;
  /** Lets a frozen process go on. */
  thaw(): void;
  /** Messages in each queue by its name, those that are out to consumers among them. */
  queued(): Promise<Record<string, number>>;
  /** How many of each there are. */
  users(): Promise<{ connections: number; channels: number; consumers: number }>;
  /** The output of `rabbitmqctl`, which takes about two seconds of processor time. */
  control(...command: string[]): Promise<string>;
  /** The rows of a `list_...` command of `rabbitmqctl`. */
  list<Row = Record<string, unknown>>(...command: string[]): Promise<Row[]>;
  /** Runs `work` on a connection of its own. */
  use<Result>(work: (connection: ChannelModel) => Promise<Result>): Promise<Result>;
  /** Ends it and removes everything that it has written. */
  close(): Promise<void>;
}

/**
 * Ends the server and removes its folder as soon as the pipe from this process is closed, even when this process was
 * killed. A server that is dying still writes for a moment.
 */
const UNDERTAKER = 'read -r _; kill -9 "$(cat "$0/server.pid")" "$1"; sleep 0.5; rm -rf "$0"';

/** What must not outlive this process. */
const running = new Set<Server>();
process.on('exit', () => {
  for (const server of running) server.destroy();
});

/** The folder with the scripts of an installed RabbitMQ. */
export function findRabbitMq(): string | undefined {
  const folders = [...SCRIPTS, process.env['RABBITMQ_SCRIPTS'] ?? ''];
  return folders.find(
    (folder) => existsSync(join(folder, 'rabbitmq-server')) && existsSync(join(folder, 'rabbitmqctl')),
  );
}

/** Starts a broker that the caller may kill and freeze. Close it in `after`. */
export async function startRabbitMq(): Promise<RabbitMq> {
  const server = new Server(await freePorts(3));
  running.add(server);
  try {
    await server.start();
  } catch (error) {
    server.destroy();
    throw error;
  }
  return server;
}

let shared: Promise<RabbitMq> | undefined;

/** One broker for all tests of a run that do it no harm; it ends with the process. They choose names of their own. */
export function sharedRabbitMq(): Promise<RabbitMq> {
  shared ??= startRabbitMq();
  return shared;
}

class Server implements RabbitMq {
  private readonly folder = mkdtempSync(join(tmpdir(), 'rabbitmq-'));
  private readonly name = `contact-${randomBytes(4).toString('hex')}@localhost`;
  private readonly scripts: string;
  private readonly mapper: ChildProcess;
  private readonly undertaker: ChildProcess;
  private readonly environment: NodeJS.ProcessEnv;
  private child: ChildProcess | undefined;
  private exit: Promise<void> = Promise.resolve();
  readonly port: number;

  constructor([port = 0, distribution = 0, mapper = 0]: number[]) {
    const scripts = findRabbitMq();
    if (!scripts) throw new Error('RabbitMQ is not installed.');
    this.scripts = scripts;
    this.port = port;
    const at = (name: string) => join(this.folder, name);
    for (const name of ['data', 'log', 'home']) mkdirSync(at(name));
    writeFileSync(at('plugins'), '[].\n');
    writeFileSync(
      at('rabbitmq.conf'),
      [
        `listeners.tcp.1 = 127.0.0.1:${port}`,
        'log.console = false',
        'log.file.level = info',
        // A test machine with a full disk or a small memory must not raise alarms by itself.
        'disk_free_limit.absolute = 1MB',
        'vm_memory_high_watermark.absolute = 4GB',
        '',
      ].join('\n'),
    );
    this.environment = {
      PATH: process.env['PATH'],
      HOME: at('home'),
      RABBITMQ_HOME: undefined,
      RABBITMQ_NODENAME: this.name,
      RABBITMQ_NODE_PORT: String(port),
      RABBITMQ_DIST_PORT: String(distribution),
      RABBITMQ_MNESIA_BASE: at('data'),
      RABBITMQ_LOG_BASE: at('log'),
      RABBITMQ_PID_FILE: at('pid'),
      RABBITMQ_CONF_ENV_FILE: at('none'),
      RABBITMQ_CONFIG_FILE: at('rabbitmq.conf'),
      RABBITMQ_ENABLED_PLUGINS_FILE: at('plugins'),
      ERL_EPMD_PORT: String(mapper),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      // With this the script replaces itself by the server, so that a signal reaches the server and nothing else.
      RUNNING_UNDER_SYSTEMD: 'true',
      LANG: 'C.UTF-8',
    };
    // Without one of its own the server would start the machine's port mapper and leave it running.
    this.mapper = spawn('epmd', ['-port', String(mapper), '-address', '127.0.0.1'], { stdio: 'ignore' });
    this.mapper.on('error', () => {});
    // A broker that is left running must not keep the tests from ending; it ends with them.
    this.mapper.unref();
    this.undertaker = spawn('sh', ['-c', UNDERTAKER, this.folder, String(this.mapper.pid)], {
      stdio: ['pipe', 'ignore', 'ignore'],
      // A signal to the group of this process must not reach it.
      detached: true,
    });
    this.undertaker.unref();
    (this.undertaker.stdin as Socket).unref();
  }

  get url(): string {
    return `amqp://guest:guest@127.0.0.1:${this.port}/`;
  }

  log(): string {
    const path = join(this.folder, 'log', `${this.name}.log`);
    return existsSync(path) ? readFileSync(path, 'utf8').slice(-8_000) : '';
  }

  async start(): Promise<void> {
    const child = spawn(join(this.scripts, 'rabbitmq-server'), [], {
      env: this.environment,
      cwd: this.folder,
      stdio: 'ignore',
    });
    this.child = child;
    child.unref();
    writeFileSync(join(this.folder, 'server.pid'), String(child.pid));
    let ended = false;
    this.exit = new Promise((resolve) => {
      const end = () => {
        ended = true;
        if (this.child === child) this.child = undefined;
        resolve();
      };
      child.once('exit', end);
      child.once('error', end);
    });
    let ready = false;
    const probe = async (): Promise<void> => {
      while (!ready && !ended) {
        await connect(this.url, { timeout: 2_000 }).then(
          async (connection) => {
            await connection.close();
            ready = true;
          },
          () => new Promise((resolve) => setTimeout(resolve, 100)),
        );
      }
    };
    const probing = probe();
    await until(() => ready || ended, 'RabbitMQ', READY_WITHIN_MS);
    await probing;
    if (!ready) throw new Error(`RabbitMQ ended before it was ready.\n${this.log()}`);
  }

  async kill(): Promise<void> {
    // From here on somebody waits for it.
    this.child?.ref();
    this.child?.kill('SIGKILL');
    await this.exit;
  }

  freeze(): void {
    this.child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.child?.kill('SIGCONT');
  }

  async queued(): Promise<Record<string, number>> {
    return Object.fromEntries(await this.ask<[string, number][]>(QUEUED));
  }

  users(): Promise<{ connections: number; channels: number; consumers: number }> {
    return this.ask(USERS);
  }

  async control(...command: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(join(this.scripts, 'rabbitmqctl'), ['--quiet', ...command], {
      env: this.environment,
    });
    return stdout;
  }

  async list<Row>(...command: string[]): Promise<Row[]> {
    return JSON.parse(await this.control('--formatter', 'json', ...command)) as Row[];
  }

  async use<Result>(work: (connection: ChannelModel) => Promise<Result>): Promise<Result> {
    const connection = await connect(this.url);
    connection.on('error', () => {});
    try {
      return await work(connection);
    } finally {
      await connection.close().catch(() => {});
    }
  }

  /** Has the server itself work out an expression: a hundredth of what starting `rabbitmqctl` costs. */
  private async ask<Answer>(expression: string): Promise<Answer> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.askOnce(expression);
      } catch (thrown) {
        // On a busy machine the server may let it in too late.
        if (attempt === MOST_QUESTIONS || !/failed to connect/.test(String(thrown))) throw thrown;
      }
    }
  }

  private async askOnce<Answer>(expression: string): Promise<Answer> {
    const cookie = readFileSync(join(this.folder, 'home/.erlang.cookie'), 'utf8').trim();
    const asking = promisify(execFile)('erl_call', ['-n', this.name, '-c', cookie, '-e'], { env: this.environment });
    asking.child.stdin?.end(`base64:encode_to_string(rabbit_json:encode(${expression})).\n`);
    const { stdout } = await asking;
    const [, encoded] = /^\{ok, "(.*)"\}/.exec(stdout) ?? [];
    if (encoded === undefined) throw new Error(`RabbitMQ answered ${stdout}`);
    return JSON.parse(Buffer.from(encoded, 'base64').toString('utf8')) as Answer;
  }

  async close(): Promise<void> {
    await this.kill();
    this.destroy();
  }

  /** What can be done without waiting. */
  destroy(): void {
    running.delete(this);
    this.undertaker.stdin?.end();
  }
}

/** Ports that are free now; they are kept open together, so that all are different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
