import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { asteriskTime, type Behaviour, behaviourOf, CAUSE_TEXTS, type Channel } from './channel';

/** Settings of the simulator; everything can be left out. */
export interface AriSimulatorOptions {
  user?: string;
  password?: string;
  port?: number;
  /** All waiting of the called parties and the dialplan is divided by this; default 1. */
  speed?: number;
  /** The dialplan: `context/extension/priority`, each of which ends with its cause after some milliseconds. */
  dialplan?: Record<string, { lastsMs: number; cause: number }>;
  /** The release whose manners it has: 16 tells no cause when its timer ends the ringing. Default 22. */
  release?: 16 | 22;
}

/** What goes wrong on the way of the events. */
export interface EventFaults {
  /** The chance that an event is lost. */
  drop?: number;
  /** The chance that it arrives twice. */
  duplicate?: number;
  /** Each event is held back for up to so long, so that they overtake each other. */
  delayMs?: number;
}

/** A request as it arrived. */
export interface AriRequest {
  method: string;
  path: string;
  query: Record<string, string>;
  body: unknown;
}

/** A simulated Asterisk with ARI, as strict as the real one and stricter: what that would silently take wrongly is refused. */
export interface AriSimulator {
  /** `http://127.0.0.1:<port>/ari`. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /** `PJSIP/{number}@trunk`. */
  readonly endpoint: string;
  readonly channels: ReadonlyMap<string, Channel>;
  readonly requests: readonly AriRequest[];
  /** The numbers that were dialed, each as often as it was. */
  readonly dialed: readonly string[];
  /** The ids of all calls that were accepted. */
  readonly made: ReadonlySet<string>;
  /** What a real Asterisk would have taken without a word, wrongly. */
  readonly violations: readonly string[];
  /** How many sockets are open. */
  readonly sockets: number;
  faults: EventFaults;
  /** Requests are not answered until {@link AriSimulator.resume}, nor are events sent. */
  pause(): void;
  resume(): void;
  /** From now on every request is answered so; `undefined` ends it. */
  refuse(answer: { status: number; body: string } | undefined): void;
  /** The next originate requests are carried out, and their answers are lost. */
  loseAnswers(count: number): void;
  /** Cuts the events sockets. */
  cut(): void;
  /** Sends the events sockets something. */
  send(event: Record<string, unknown>): void;
  /** Ends as a killed Asterisk does: calls are gone, connections too. */
  down(): Promise<void>;
  /** Comes back on the same port. */
  up(): Promise<void>;
  close(): Promise<void>;
}

const DIALPLAN = {
  'outbound-ivr/s/1': { lastsMs: 1_500, cause: 16 },
  'outbound-ivr/short/1': { lastsMs: 0, cause: 16 },
  'outbound-ivr/hold/1': { lastsMs: 60_000, cause: 16 },
  'outbound-ivr/steps/2': { lastsMs: 200, cause: 16 },
};
const ENDPOINTS = [{ technology: 'PJSIP', resource: 'trunk', state: 'online', channel_ids: [] }];
const SOUNDS = [{ id: 'hello-world', text: 'Hello world', formats: [{ language: 'en', format: 'gsm' }] }];
/** No kind of call here lasts longer than a test. */
const MOST_REQUESTS = 200_000;

interface Running {
  channel: Channel;
  app: string | undefined;
  timers: Set<NodeJS.Timeout>;
  inStasis: boolean;
  playing: string | undefined;
}

/** Starts a simulated Asterisk on a free port of the loopback address. */
export async function startAriSimulator(options: AriSimulatorOptions = {}): Promise<AriSimulator> {
  const simulator = new Simulator(options);
  await simulator.up();
  return simulator;
}

class Simulator implements AriSimulator {
  readonly user: string;
  readonly password: string;
  readonly endpoint = 'PJSIP/{number}@trunk';
  readonly requests: AriRequest[] = [];
  readonly dialed: string[] = [];
  readonly made = new Set<string>();
  readonly violations: string[] = [];
  faults: EventFaults = {};
  private readonly options: Required<Omit<AriSimulatorOptions, 'user' | 'password'>>;
  private readonly running = new Map<string, Running>();
  private readonly connections = new Set<Socket>();
  private readonly apps = new Map<string, WebSocket>();
  private readonly filters = new Map<string, Set<string>>();
  private readonly websockets = new WebSocketServer({ noServer: true });
  private server: Server | undefined;
  private port: number;
  private paused: (() => void)[] | undefined;
  private refusal: { status: number; body: string } | undefined;
  private answersToLose = 0;
  private lastNumber = 0;
  private bootedAt = Date.now();

  constructor(options: AriSimulatorOptions) {
    const { user = 'simulated', password = 'simulated secret', port = 0 } = options;
    this.user = user;
    this.password = password;
    this.port = port;
    this.options = { port, speed: 1, dialplan: DIALPLAN, release: 22, ...options };
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/ari`;
  }

  get channels(): ReadonlyMap<string, Channel> {
    return new Map([...this.running].map(([id, { channel }]) => [id, channel]));
  }

  get sockets(): number {
    return this.websockets.clients.size;
  }

  pause(): void {
    this.paused ??= [];
  }

  resume(): void {
    const waiting = this.paused ?? [];
    this.paused = undefined;
    for (const go of waiting) go();
  }

  refuse(answer: { status: number; body: string } | undefined): void {
    this.refusal = answer;
  }

  loseAnswers(count: number): void {
    this.answersToLose = count;
  }

  cut(): void {
    for (const socket of this.websockets.clients) socket.terminate();
    this.apps.clear();
  }

  send(event: Record<string, unknown>): void {
    for (const socket of this.apps.values()) socket.send(JSON.stringify(event));
  }

  async down(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    for (const { timers } of this.running.values()) for (const timer of timers) clearTimeout(timer);
    this.running.clear();
    this.cut();
    for (const connection of this.connections) connection.destroy();
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  }

  async up(): Promise<void> {
    const server = createServer((request, response) => this.serve(request, response));
    server.on('connection', (connection) => {
      this.connections.add(connection);
      connection.on('close', () => this.connections.delete(connection));
    });
    server.on('upgrade', (request, socket, head) =>
      this.whenRunning(() => this.upgrade(request, socket as Socket, head)),
    );
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve));
    this.port = (server.address() as AddressInfo).port;
    this.bootedAt = Date.now();
    this.server = server;
  }

  async close(): Promise<void> {
    this.resume();
    await this.down();
  }

  private whenRunning(action: () => void): void {
    if (this.paused) this.paused.push(action);
    else action();
  }

  private isAuthorized(request: IncomingMessage): boolean {
    const wanted = `Basic ${Buffer.from(`${this.user}:${this.password}`).toString('base64')}`;
    return request.headers.authorization === wanted;
  }

  private upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const { searchParams, pathname } = new URL(request.url ?? '', this.url);
    const app = searchParams.get('app') ?? '';
    const status = this.refusal
      ? `${this.refusal.status} Refused`
      : !this.isAuthorized(request)
        ? '401 Unauthorized'
        : pathname !== '/ari/events'
          ? '404 Not Found'
          : app === ''
            ? '400 Bad Request'
            : undefined;
    if (searchParams.has('api_key')) this.violations.push('The password is in the address of the events socket');
    if (searchParams.has('subscribeAll')) this.violations.push('subscribeAll can make Asterisk 22 stand still');
    if (status !== undefined) {
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`);
      return;
    }
    this.websockets.handleUpgrade(request, socket, head, (websocket) => {
      // The one before stays open and silent.
      this.apps
        .get(app)
        ?.send(JSON.stringify({ type: 'ApplicationReplaced', application: app, timestamp: asteriskTime(Date.now()) }));
      this.apps.set(app, websocket);
      websocket.on('close', () => {
        if (this.apps.get(app) === websocket) this.apps.delete(app);
      });
      websocket.on('message', () => this.violations.push('Something was sent on the events socket'));
    });
  }

  private serve(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () =>
      this.whenRunning(() => {
        const text = Buffer.concat(chunks).toString();
        const { status, body } = this.answer(request, text);
        if (status === 0) {
          request.socket.destroy();
          return;
        }
        const isHtml = typeof body === 'string';
        response.writeHead(status, { 'Content-Type': isHtml ? 'text/html' : 'application/json' });
        response.end(body === undefined ? '' : isHtml ? body : JSON.stringify(body));
      }),
    );
  }

  private answer(request: IncomingMessage, text: string): { status: number; body?: unknown } {
    const url = new URL(request.url ?? '', this.url);
    const { method = 'GET' } = request;
    const path = url.pathname.replace(/^\/ari\//, '');
    const query = Object.fromEntries(url.searchParams);
    if (this.refusal) return this.refusal;
    if (!this.isAuthorized(request)) return failure(401, 'Authentication required');
    let body: unknown;
    try {
      body = text === '' ? undefined : JSON.parse(text);
    } catch {
      return failure(400, 'Error parsing request body');
    }
    if (text.length > 40_000) return failure(413, 'Request body too large');
    this.requests.push({ method, path, query, body });
    if (this.requests.length > MOST_REQUESTS) this.requests.shift();
    const [resource, id, action, more] = path.split('/').map(decodeURIComponent);
    if (resource === 'asterisk' && id === 'info' && method === 'GET') {
      return { status: 200, body: { status: { startup_time: asteriskTime(this.bootedAt), last_reload_time: '' } } };
    }
    if (method === 'GET' && id === undefined && resource === 'endpoints') return { status: 200, body: ENDPOINTS };
    if (method === 'GET' && id === undefined && resource === 'sounds') return { status: 200, body: SOUNDS };
    if (resource === 'applications' && id !== undefined) return this.application(method, id, action, query, body);
    if (resource === 'channels' && id === undefined) {
      if (method === 'GET') return { status: 200, body: [...this.running.values()].map(({ channel }) => channel) };
      if (method === 'POST') return this.originate(query, body);
    }
    if (resource === 'channels' && id !== undefined) return this.onChannel(method, id, action, more, query);
    return { status: 404, body: '<html><title>404 Not Found</title></html>' };
  }

  private application(
    method: string,
    app: string,
    action: string | undefined,
    query: Record<string, string>,
    body: unknown,
  ) {
    if (!this.apps.has(app)) return failure(404, 'Application not found');
    if (method === 'PUT' && action === 'eventFilter') {
      const { disallowed = [] } = (body ?? {}) as { disallowed?: { type: string }[] };
      this.filters.set(app, new Set(disallowed.map(({ type }) => type)));
      return { status: 200, body: { name: app } };
    }
    if (method === 'POST' && action === 'subscription') {
      if (!/^endpoint:PJSIP\/\w+$/.test(query['eventSource'] ?? '')) return failure(422, 'Event source does not exist');
      return { status: 200, body: { name: app } };
    }
    return { status: 200, body: { name: app, channel_ids: [...this.running.keys()] } };
  }

  private originate(query: Record<string, string>, body: unknown): { status: number; body?: unknown } {
    const order = { ...query, ...(body as Record<string, unknown>) } as Record<string, unknown>;
    const { endpoint, app, channelId, callerId, timeout, priority, variables, appArgs } = order;
    const known = [
      'endpoint',
      'app',
      'appArgs',
      'channelId',
      'callerId',
      'timeout',
      'variables',
      'context',
      'extension',
      'priority',
    ];
    for (const name of Object.keys(order)) if (!known.includes(name)) this.violations.push(`Unknown field ${name}`);
    for (const [name, value] of Object.entries({ timeout, priority })) {
      if (value !== undefined && typeof value !== 'number')
        this.violations.push(`${name} is no number and would be ignored`);
    }
    if (Object.keys(query).length > 0) this.violations.push('Originate parameters in the query');
    if (typeof endpoint !== 'string' || !endpoint.includes('/')) return failure(400, 'Invalid endpoint specified');
    const number = /^PJSIP\/(\+?\d{2,15})@trunk$/.exec(endpoint)?.[1];
    if (number === undefined) {
      if (!/^PJSIP\/\+?\d+@(deadqualified|unregistered)$/.test(endpoint))
        this.violations.push(`Hostile endpoint ${endpoint}`);
      return { status: 500, body: { error: 'Allocation failed' } };
    }
    if (typeof callerId === 'string' && !/^("[A-Za-z0-9 _.'+-]*" <\+?\d*>|\+?\d+)$/.test(callerId)) {
      this.violations.push(`Hostile caller id ${callerId}`);
    }
    for (const [name, value] of Object.entries((variables ?? {}) as Record<string, unknown>)) {
      if (!/^\w+$/.test(name) || typeof value !== 'string' || /[\n\r$]/.test(value))
        this.violations.push(`Hostile variable ${name}`);
    }
    if (app === undefined && order['extension'] === undefined)
      return failure(400, 'Application or extension must be specified');
    const id = typeof channelId === 'string' ? channelId : `simulated-${this.lastNumber}`;
    if ([...this.running.keys()].some((live) => live.startsWith(id))) {
      return failure(409, 'Channel with given unique ID already exists');
    }
    this.lastNumber += 1;
    const person = { name: '', number: String(callerId ?? '') };
    const channel: Channel = {
      id,
      name: `PJSIP/trunk-${this.lastNumber.toString(16).padStart(8, '0')}`,
      state: 'Down',
      caller: person,
      connected: person,
      accountcode: '',
      dialplan: { context: 'from-trunk', exten: 's', priority: 1, app_name: 'AppDial2', app_data: '(Outgoing Line)' },
      creationtime: asteriskTime(Date.now()),
      language: 'en',
    };
    const run: Running = {
      channel,
      app: typeof app === 'string' ? app : [...this.apps.keys()][0],
      timers: new Set(),
      inStasis: false,
      playing: undefined,
    };
    this.running.set(id, run);
    this.made.add(id);
    this.dialed.push(number);
    const place =
      typeof app === 'string' ? undefined : `${order['context']}/${order['extension']}/${order['priority'] ?? 1}`;
    // The answer and the first events race each other.
    setImmediate(() =>
      this.dial(run, behaviourOf(number), typeof timeout === 'number' ? timeout : 30, {
        appArgs: String(appArgs ?? ''),
        place,
      }),
    );
    if (this.answersToLose > 0) {
      this.answersToLose -= 1;
      return { status: 0 };
    }
    return { status: 200, body: structuredClone(channel) };
  }

  private onChannel(
    method: string,
    id: string,
    action: string | undefined,
    more: string | undefined,
    query: Record<string, string>,
  ): { status: number; body?: unknown } {
    const run = this.running.get(id);
    if (!run) return failure(404, 'Channel not found');
    const { channel } = run;
    if (action === undefined && method === 'GET') return { status: 200, body: channel };
    if (action === undefined && method === 'DELETE') {
      this.emit(run, 'ChannelHangupRequest', { cause: 32, soft: true, channel });
      this.destroy(run, 16, undefined);
      return { status: 204 };
    }
    if (action === 'variable' && method === 'GET') {
      const [, place = ''] = /^DIALPLAN_EXISTS\((.*)\)$/.exec(query['variable'] ?? '') ?? [];
      return { status: 200, body: { value: place.replaceAll(',', '/') in this.options.dialplan ? '1' : '0' } };
    }
    if (!run.inStasis) return failure(409, 'Channel not in Stasis application');
    if (action === 'continue' && method === 'POST') {
      const { context, extension, priority } = query;
      this.leave(run);
      this.enter(run, `${context}/${extension}/${priority}`);
      return { status: 204 };
    }
    if (action === 'play' && method === 'POST') return this.play(run, more ?? '', query['media'] ?? '');
    return failure(404, 'Invalid method');
  }

  private play(run: Running, id: string, media: string): { status: number; body?: unknown } {
    if (media === '') return failure(500, 'Failed to queue media for playback');
    const playback = { id, media_uri: media, target_uri: `channel:${run.channel.id}`, language: 'en', state: 'queued' };
    run.playing = id;
    this.emit(run, 'PlaybackStarted', { playback: { ...playback, state: 'playing' } });
    // Asterisk does not tell the end of a kind of media that it does not know.
    if (!/^[a-z]+:/.test(media) || media.startsWith('unknown:')) return { status: 201, body: playback };
    this.after(run, media.includes('missing') ? 0 : 500, () => {
      run.playing = undefined;
      this.emit(run, 'PlaybackFinished', {
        playback: { ...playback, state: media.includes('missing') ? 'failed' : 'done' },
      });
    });
    return { status: 201, body: playback };
  }

  private dial(
    run: Running,
    behaviour: Behaviour,
    timeoutS: number,
    to: { appArgs: string; place: string | undefined },
  ): void {
    const { channel } = run;
    this.emitDial(run, '');
    if (behaviour.kind === 'refuse') {
      const { cause, techCause, dialStatus } = behaviour;
      const sip = this.options.release === 22 ? { tech_cause: techCause } : {};
      this.emit(run, 'ChannelHangupRequest', { cause, ...sip, channel });
      this.emitDial(run, dialStatus);
      this.destroy(run, cause, techCause);
      return;
    }
    const isOld = this.options.release === 16;
    this.after(run, timeoutS * 1_000, () => {
      if (channel.state !== 'Up') this.destroy(run, isOld ? 0 : 19, 480);
    });
    if (behaviour.kind === 'silence') return;
    if (behaviour.kind === 'answer' && behaviour.earlyMedia) this.emitDial(run, 'PROGRESS');
    else {
      channel.state = 'Ringing';
      const ringing = [() => this.emit(run, 'ChannelStateChange', { channel }), () => this.emitDial(run, 'RINGING')];
      // They come in either order.
      for (const emit of this.lastNumber % 2 === 0 ? ringing : ringing.reverse()) emit();
    }
    if (behaviour.kind === 'ring') return;
    this.after(run, behaviour.afterMs, () => {
      channel.state = 'Up';
      this.emit(run, 'ChannelStateChange', { channel });
      this.emitDial(run, 'ANSWER');
      if (to.place !== undefined) this.enter(run, to.place);
      else if (run.app !== undefined && this.apps.has(run.app)) {
        run.inStasis = true;
        channel.dialplan.app_name = 'Stasis';
        channel.dialplan.app_data = `${run.app},${to.appArgs}`;
        this.emit(run, 'ChannelVarset', { variable: 'STASISSTATUS', value: '', channel });
        this.emit(run, 'StasisStart', { args: to.appArgs.split(','), channel });
      } else {
        // Nobody is there for the application: the call is dropped.
        this.destroy(run, 0, undefined);
        return;
      }
      if (!behaviour.hangsUp) return;
      this.after(run, 1_000, () => {
        this.emit(run, 'ChannelHangupRequest', { channel });
        this.destroy(run, isOld ? 16 : 0, undefined);
      });
    });
  }

  /** The dialplan at a place; nothing, and the end, when there is none. */
  private enter(run: Running, place: string): void {
    const { channel } = run;
    const [context = '', exten = '', priority = '1'] = place.split('/');
    const step = this.options.dialplan[place];
    channel.dialplan = { context, exten, priority: Number(priority), app_name: 'Wait', app_data: '' };
    if (!step) {
      this.emit(run, 'ChannelHangupRequest', { cause: 16, channel });
      this.destroy(run, 0, undefined);
      return;
    }
    this.emit(run, 'ChannelDialplan', { dialplan_app: 'Wait', dialplan_app_data: '', channel });
    this.after(run, step.lastsMs, () => {
      this.emit(run, 'ChannelHangupRequest', { cause: step.cause, channel });
      this.destroy(run, step.cause, undefined);
    });
  }

  private leave(run: Running): void {
    if (!run.inStasis) return;
    run.inStasis = false;
    this.emit(run, 'StasisEnd', { channel: run.channel });
  }

  private destroy(run: Running, cause: number, techCause: number | undefined): void {
    const { channel, timers } = run;
    if (!this.running.delete(channel.id)) return;
    for (const timer of timers) clearTimeout(timer);
    this.leave(run);
    const sip = this.options.release === 22 && techCause !== undefined ? { tech_cause: techCause } : {};
    this.emit(run, 'ChannelDestroyed', { cause, cause_txt: CAUSE_TEXTS[cause] ?? 'Unknown', ...sip, channel });
  }

  private after(run: Running, delayMs: number, action: () => void): void {
    const timer = setTimeout(() => {
      run.timers.delete(timer);
      if (this.running.has(run.channel.id)) this.whenRunning(action);
    }, delayMs / this.options.speed);
    run.timers.add(timer);
  }

  private emitDial(run: Running, dialstatus: string): void {
    this.emit(run, 'Dial', { dialstatus, forward: '', dialstring: '', peer: run.channel });
  }

  private emit({ app }: Running, type: string, properties: Record<string, unknown>): void {
    if (app === undefined || this.filters.get(app)?.has(type)) return;
    const text = JSON.stringify({
      type,
      timestamp: asteriskTime(Date.now()),
      ...properties,
      asterisk_id: '00:11:22:33:44:55',
      application: app,
    });
    const { drop = 0, duplicate = 0, delayMs = 0 } = this.faults;
    const send = () => this.apps.get(app)?.send(text);
    if (Math.random() < drop) return;
    for (let copies = Math.random() < duplicate ? 2 : 1; copies > 0; copies -= 1) {
      if (delayMs > 0) setTimeout(send, Math.random() * delayMs);
      else send();
    }
  }
}

function failure(status: number, message: string): { status: number; body: unknown } {
  return { status, body: { message } };
}
