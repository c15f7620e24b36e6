import { type ChildProcess, spawn } from 'node:child_process';
import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The checkout: where package.json lies. */
export const ROOT = join(__dirname, '../..');

/** The name under which a user directory knows the pack. */
export const PACK_NAME: string = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).name;

/** Where Node-RED 5 and the Node 24 it runs on are installed; see node-red-5.ts. */
export const NODE_RED_5_FOLDER = join(ROOT, '.work/node-red-5');

/** The releases that the pack is tested with: 4.1 on the Node that runs the tests, 5 on Node 24. */
export type NodeRedVersion = '4.1' | '5';

/** One entry of a flow file. */
export interface FlowEntry {
  id: string;
  type: string;
  z?: string;
  [property: string]: unknown;
}

/** How much of a deploy is restarted, in the words of the admin API. `full` is what the editor calls by that name. */
export type DeployType = 'full' | 'nodes' | 'flows' | 'reload';

/** What {@link startNodeRed} may be told; everything can be left out. */
export interface NodeRedOptions {
  /** What runs from the start. A node may carry `credentials`. Without it: what the user directory holds. */
  flows?: readonly FlowEntry[];
  /** Variables on top of this process's own; `undefined` takes one away. */
  env?: Record<string, string | undefined>;
  /** A folder of the caller, which stays. Without it: a temporary one, removed by `stop()` or when this process ends. */
  userDir?: string;
  /** 4.1 when left out. */
  version?: NodeRedVersion;
  /** Arguments for Node itself, such as `--max-old-space-size=256`. */
  nodeOptions?: readonly string[];
  /** Merged over the settings: data, or the source of a JavaScript object where a setting needs a function. */
  settings?: Record<string, unknown> | string;
  /** The port; a free one when left out. A restart keeps the port. */
  port?: number;
  /** Whether the user directory gets a link to this checkout (which must be built); true when left out. */
  pack?: boolean;
  /** How long a start or a deploy may take, in milliseconds; 60,000 when left out. */
  readyWithinMs?: number;
}

/** A Node-RED that runs as its own process. */
export interface NodeRed {
  /** Where it answers, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** The process of the latest start. */
  readonly pid: number;
  readonly userDir: string;
  /** Whether the process runs at this moment. */
  readonly running: boolean;
  /** What it printed so far, over all its starts: the latest 4 MB. */
  log(): string;
  /** Replaces the flows and waits until they have started. `reload` takes them from the file again. */
  deploy(flows: readonly FlowEntry[], options?: { type?: DeployType }): Promise<void>;
  /** An HTTP request to a path of this Node-RED. */
  request(path: string, init?: RequestInit): Promise<Response>;
  /** Resolves when the process of the latest start has ended, for whatever reason. */
  ended(): Promise<void>;
  /** Ends it as a service manager does (SIGTERM), and says how long that took, in milliseconds. */
  stop(): Promise<number>;
  /** Ends it as a power cut does (SIGKILL). The user directory stays for a restart. */
  kill(): Promise<void>;
  /** Starts it again on the same port and user directory; one that still runs is stopped first. */
  restart(options?: { env?: Record<string, string | undefined> }): Promise<void>;
}

const MOST_LOG_CHARACTERS = 4_000_000;
const STOP_WITHIN_MS = 30_000;
const CREDENTIAL_SECRET = 'a fixed secret, so that a restart can read what was stored';

/** What must not outlive this process: a test that fails half-way leaves both behind. */
const processes = new Set<ChildProcess>();
const folders = new Set<string>();
process.on('exit', () => {
  for (const child of processes) child.kill('SIGKILL');
  for (const folder of folders) removeFolder(folder);
});

/** Starts Node-RED and waits until it answers and its flows run. Fails with the end of the log when it does not. */
export async function startNodeRed(options: NodeRedOptions = {}): Promise<NodeRed> {
  const server = new Server(options);
  await server.start();
  return server;
}

class Server implements NodeRed {
  readonly userDir: string;
  port: number;
  private child: ChildProcess | undefined;
  private exit: Promise<void> = Promise.resolve();
  private output = '';
  /** Characters that the log has seen, of which `output` holds the last ones. */
  private seen = 0;
  private listeners = new Set<() => void>();

  constructor(private readonly options: NodeRedOptions) {
    this.port = options.port ?? 0;
    this.userDir = options.userDir ?? mkdtempSync(join(tmpdir(), 'node-red-'));
    if (!options.userDir) folders.add(this.userDir);
    this.layOutUserDir();
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  get running(): boolean {
    return this.child !== undefined;
  }

  log(): string {
    return this.output;
  }

  async start(env: Record<string, string | undefined> = {}): Promise<void> {
    const { node, script } = program(this.options.version ?? '4.1');
    writeFileSync(join(this.userDir, 'settings.js'), this.settingsSource());
    const started = this.seen;
    const child = spawn(node, [...(this.options.nodeOptions ?? []), script, '--userDir', this.userDir], {
      cwd: this.userDir,
      env: { ...process.env, ...this.options.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.child = child;
    processes.add(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.record(text));
    }
    this.exit = new Promise((resolve) => {
      const ended = (reason: string) => {
        processes.delete(child);
        if (this.child === child) this.child = undefined;
        this.record(`\n[${reason}]\n`);
        resolve();
      };
      child.once('error', (error) => ended(`Node-RED could not be started: ${error.message}`));
      child.once('close', (code, signal) => ended(`Node-RED ended: ${signal ?? `exit code ${code}`}`));
    });
    try {
      const listening = await this.logged(/Server now running at https?:\/\/[^\s:]+:(\d+)/, started);
      this.port = Number(listening[1]);
      await this.logged(/Started flows/, started);
    } catch (error) {
      await this.kill();
      this.forget();
      throw error;
    }
  }

  async deploy(flows: readonly FlowEntry[], { type = 'full' }: { type?: DeployType } = {}): Promise<void> {
    const before = this.seen;
    const answer = await this.request('/flows', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Node-RED-Deployment-Type': type },
      body: JSON.stringify(flows),
    });
    if (!answer.ok) throw new Error(`The deploy was answered with ${answer.status}: ${await answer.text()}`);
    // The answer comes before the flows have started; the log tells when they have.
    await this.logged(/Started (modified )?(flows|nodes)/, before);
  }

  request(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(new URL(path, this.url), init);
  }

  ended(): Promise<void> {
    return this.exit;
  }

  async stop(): Promise<number> {
    const began = Date.now();
    await this.terminate();
    this.forget();
    return Date.now() - began;
  }

  async kill(): Promise<void> {
    this.child?.kill('SIGKILL');
    await this.exit;
  }

  async restart({ env }: { env?: Record<string, string | undefined> } = {}): Promise<void> {
    await this.terminate();
    await this.start(env);
  }

  private async terminate(): Promise<void> {
    const { child } = this;
    if (!child) return;
    child.kill('SIGTERM');
    const patience = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
    await this.exit;
    clearTimeout(patience);
    if (child.signalCode === 'SIGKILL') {
      throw new Error(`Node-RED did not stop within ${STOP_WITHIN_MS} ms.\n${this.tail()}`);
    }
  }

  private forget(): void {
    if (folders.delete(this.userDir)) removeFolder(this.userDir);
  }

  private record(text: string): void {
    this.seen += text.length;
    this.output = (this.output + text).slice(-MOST_LOG_CHARACTERS);
    for (const listener of this.listeners) listener();
  }

  /** Waits for a line that was printed after the first `since` characters of the log. */
  private logged(pattern: RegExp, since: number): Promise<RegExpMatchArray> {
    const withinMs = this.options.readyWithinMs ?? 60_000;
    return new Promise((resolve, reject) => {
      const settle = (action: () => void) => {
        clearTimeout(timer);
        this.listeners.delete(look);
        action();
      };
      const fail = (reason: string) => settle(() => reject(new Error(`${reason}\n${this.tail()}`)));
      const timer = setTimeout(() => fail(`Node-RED was not ready within ${withinMs} ms.`), withinMs);
      const look = () => {
        const text = this.output.slice(Math.max(0, this.output.length - (this.seen - since)));
        const match = text.match(pattern);
        const missing = text.match(/Waiting for missing types[^-]*-[^-]*- (.+)\n/);
        if (match) settle(() => resolve(match));
        else if (!this.child) fail('Node-RED ended before it was ready.');
        else if (missing) fail(`A flow uses the node type ${missing[1]}, which is not there.`);
        else if (text.includes('Flows stopped in safe mode')) fail('The flows were not started.');
      };
      this.listeners.add(look);
      look();
    });
  }

  private tail(): string {
    return `The end of its log:\n${this.output.slice(-4_000)}`;
  }

  private layOutUserDir(): void {
    mkdirSync(this.userDir, { recursive: true });
    const write = (name: string, content: unknown) =>
      writeFileSync(join(this.userDir, name), JSON.stringify(content, null, 2));
    if (this.options.flows) {
      const credentials = this.options.flows.flatMap(({ id, credentials: own }) => (own ? [[id, own]] : []));
      write('flows_cred.json', encrypted(Object.fromEntries(credentials)));
      write(
        'flows.json',
        this.options.flows.map(({ credentials: _kept, ...entry }) => entry),
      );
    }
    const packages = join(this.userDir, 'package.json');
    const linked = this.options.pack !== false;
    if (!existsSync(packages)) {
      write('package.json', {
        name: 'node-red-project',
        version: '0.0.1',
        private: true,
        dependencies: linked ? { [PACK_NAME]: `file:${ROOT}` } : {},
      });
    }
    const link = join(this.userDir, 'node_modules', PACK_NAME);
    if (linked && !existsSync(link)) {
      mkdirSync(join(link, '..'), { recursive: true });
      symlinkSync(ROOT, link, 'junction');
    }
  }

  /** No question, no tour and no request to the outside: nothing that a test has not asked for. */
  private settingsSource(): string {
    const own = {
      uiHost: '127.0.0.1',
      uiPort: this.port,
      flowFile: 'flows.json',
      credentialSecret: CREDENTIAL_SECRET,
      lang: 'en-US',
      telemetry: { enabled: false, updateNotification: false },
      diagnostics: { enabled: false },
      editorTheme: { tours: false, projects: { enabled: false }, palette: { catalogues: [] } },
      logging: { console: { level: 'info', metrics: false, audit: false } },
    };
    const { settings = {} } = this.options;
    const extra = typeof settings === 'string' ? settings : JSON.stringify(settings, null, 2);
    return [
      '// A Node-RED must not outlive the process that has started it, not even when that one was killed.',
      "process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));",
      `module.exports = Object.assign(${JSON.stringify(own, null, 2)}, ${extra});`,
    ].join('\n');
  }
}

/** The Node and the start script of a release. */
function program(version: NodeRedVersion): { node: string; script: string } {
  if (version === '4.1') return { node: process.execPath, script: require.resolve('node-red/red.js') };
  const packages = join(NODE_RED_5_FOLDER, 'node_modules');
  return {
    node: join(packages, `node-${process.platform}-${process.arch}/bin/node`),
    script: join(packages, 'node-red/red.js'),
  };
}

/** The form in which Node-RED keeps the credentials of a flow file. */
function encrypted(credentials: Record<string, unknown>): { $: string } {
  const start = randomBytes(16);
  const cipher = createCipheriv('aes-256-ctr', createHash('sha256').update(CREDENTIAL_SECRET).digest(), start);
  const text = cipher.update(JSON.stringify(credentials), 'utf8', 'base64') + cipher.final('base64');
  return { $: start.toString('hex') + text };
}

function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}
