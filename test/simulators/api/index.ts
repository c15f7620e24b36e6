import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Waiters } from '../waiters';

/** A request as a route sees it. */
export interface ApiRequest {
  method: string;
  path: string;
  /** Values of the placeholders of the route's path. */
  parameters: Record<string, string>;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** What is sent back: a text as it is, anything else as JSON, no body when left out. */
export interface ApiAnswer {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

/** One endpoint. */
export interface ApiRoute {
  method: string;
  /** With placeholders, for example `/messages/{id}`. */
  path: string;
  handle(request: ApiRequest): ApiAnswer | Promise<ApiAnswer>;
}

/**
 * What happens to a request that a rule takes: another answer; the real one later; `reset` before it takes effect,
 * `reset-after` afterwards; `hang` for ever before it takes effect, `hang-after` afterwards; `cut-body`: it takes
 * effect, and the answer breaks off; `not-json`: an HTML page with status 200, without effect.
 */
export type FaultAnswer =
  | ApiAnswer
  | { delayMs: number }
  | 'reset'
  | 'reset-after'
  | 'hang'
  | 'hang-after'
  | 'cut-body'
  | 'not-json';

/** Which requests go wrong, how many of them, and how. */
export interface FaultRule {
  /** Any when left out. */
  method?: string;
  /** Matched with path and query. */
  path: RegExp;
  /** Matched with the text of the body; any when left out. */
  body?: RegExp;
  /** How many requests it takes; default 1. */
  times?: number;
  /** How many matching requests pass before it begins; default 0. */
  skip?: number;
  /** Decides for each request anew when it is a function. */
  answer: FaultAnswer | (() => FaultAnswer | undefined);
  /** Called when the rule takes a request; for those that take effect, after they have. */
  onHit?: () => void;
}

/** A rule at work. */
export interface Fault {
  readonly hits: number;
  remove(): void;
}

/** One request that arrived. */
export interface LoggedRequest {
  method: string;
  path: string;
  query: string;
  /** 0 until it is answered, and when it never is. */
  status: number;
  /** In milliseconds since the epoch, on the clock of the simulator. */
  at: number;
}

/** Thrown by a route to answer with this. */
export class Refusal extends Error {
  constructor(readonly answer: ApiAnswer) {
    super(JSON.stringify(answer));
  }
}

const GATEWAY_PAGE = '<html><body><h1>502 Bad Gateway</h1></body></html>';
const LOGGED_REQUESTS = 5_000;

/** The HTTP half of a simulated API: routes, faults, latency and a log of what came in. */
export class SimulatedApi {
  /** How long each answer takes at least, in milliseconds. */
  latencyMs = 0;
  /** Requests by `METHOD /route/{template}`. */
  counts: Record<string, number> = {};
  /** The latest requests, oldest first. */
  readonly log: LoggedRequest[] = [];
  /** Requests that are being answered. */
  inFlight = 0;
  private readonly routes: (ApiRoute & { pattern: RegExp })[] = [];
  private faults: { rule: FaultRule; hits: number; seen: number; remove(): void }[] = [];
  private readonly waiters = new Waiters();
  private readonly sockets = new Set<Socket>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private readonly server = createServer((request, response) => void this.serve(request, response));

  constructor(
    readonly now: () => number = Date.now,
    private readonly notFound: ApiAnswer = { status: 404 },
  ) {
    // Longer than a client under test keeps a connection idle: only faults cut connections.
    this.server.keepAliveTimeout = 65_000;
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
  }

  /** Without a slash at the end. */
  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Requests in all. */
  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  route(...routes: ApiRoute[]): void {
    for (const route of routes) {
      const pattern = new RegExp(`^${route.path.replace(/\./g, '\\.').replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`);
      this.routes.push({ ...route, pattern });
    }
  }

  /** Makes requests go wrong. */
  fail(rule: FaultRule): Fault {
    const fault = {
      rule,
      hits: 0,
      seen: 0,
      remove: () => {
        this.faults = this.faults.filter((other) => other !== fault);
      },
    };
    this.faults.push(fault);
    return fault;
  }

  /** Forgets all faults. */
  clearFaults(): void {
    this.faults = [];
  }

  /** Forgets what was counted. */
  clearCounts(): void {
    this.counts = {};
    this.log.length = 0;
  }

  /** Resolves as soon as `condition` holds, which is looked at after each request. */
  until(condition: () => boolean, what?: string, withinMs?: number): Promise<void> {
    return this.waiters.until(condition, what, withinMs);
  }

  /** Tells those who wait that something is different now. */
  changed(): void {
    this.waiters.changed();
  }

  listen(port = 0): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, '127.0.0.1', resolve);
    });
  }

  /** Stops listening and cuts every connection. */
  close(): Promise<void> {
    for (const timer of this.timers) clearTimeout(timer);
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      for (const socket of this.sockets) socket.destroy();
    });
  }

  private take(method: string, path: string, body: string): FaultRule | undefined {
    for (const fault of this.faults) {
      const { rule } = fault;
      if (rule.method !== undefined && rule.method !== method) continue;
      if (path.search(rule.path) < 0 || (rule.body && body.search(rule.body) < 0)) continue;
      fault.seen += 1;
      if (fault.seen <= (rule.skip ?? 0)) continue;
      fault.hits += 1;
      if (fault.hits >= (rule.times ?? 1)) fault.remove();
      return rule;
    }
    return undefined;
  }

  private async serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = incoming.method ?? 'GET';
    const url = new URL(incoming.url ?? '/', 'http://simulator');
    const path = url.pathname;
    const body = await read(incoming);
    if (!body) return;
    const found = this.find(method, path);
    const name = found ? `${method} ${found.route.path}` : `${method} unknown`;
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    const entry: LoggedRequest = { method, path, query: url.search.slice(1), status: 0, at: this.now() };
    this.log.push(entry);
    if (this.log.length > LOGGED_REQUESTS) this.log.shift();
    const rule = this.take(method, path + url.search, body.toString('utf8'));
    const fault = typeof rule?.answer === 'function' ? rule.answer() : rule?.answer;
    if (fault === 'hang' || fault === 'reset') {
      rule?.onHit?.();
      if (fault === 'reset') incoming.socket.resetAndDestroy();
      this.changed();
      return;
    }
    this.inFlight += 1;
    const delayMs = this.latencyMs + (typeof fault === 'object' && 'delayMs' in fault ? fault.delayMs : 0);
    if (delayMs > 0) await this.pause(delayMs);
    const request = { method, path, query: url.searchParams, headers: incoming.headers, body };
    const answer = await this.answer(fault, () =>
      found ? found.route.handle({ ...request, parameters: found.parameters }) : this.notFound,
    );
    this.inFlight -= 1;
    rule?.onHit?.();
    if (fault === 'reset-after') incoming.socket.resetAndDestroy();
    else if (fault !== 'hang-after') {
      entry.status = answer.status;
      send(response, answer, fault === 'cut-body');
    }
    this.changed();
  }

  private async answer(
    fault: FaultAnswer | undefined,
    handle: () => ApiAnswer | Promise<ApiAnswer>,
  ): Promise<ApiAnswer> {
    if (fault === 'not-json') return { status: 200, headers: { 'Content-Type': 'text/html' }, body: GATEWAY_PAGE };
    if (typeof fault === 'object' && 'status' in fault) return fault;
    try {
      return await handle();
    } catch (thrown) {
      if (thrown instanceof Refusal) return thrown.answer;
      return { status: 500, body: { message: thrown instanceof Error ? thrown.stack : String(thrown) } };
    }
  }

  private find(method: string, path: string) {
    for (const route of this.routes) {
      const match = route.pattern.exec(path);
      if (match && route.method === method) return { route, parameters: { ...match.groups } };
    }
    return undefined;
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.timers.delete(timer);
        resolve();
      }, ms);
      this.timers.add(timer);
    });
  }
}

async function read(incoming: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, { status, headers, body }: ApiAnswer, cut: boolean): void {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
  const type: Record<string, string> = body === undefined ? {} : { 'Content-Type': 'application/json' };
  response.writeHead(status, { ...type, ...headers, 'Content-Length': String(Buffer.byteLength(text)) });
  if (!cut) {
    response.end(text);
    return;
  }
  response.write(text.slice(0, Math.floor(text.length / 2)), () => response.destroy());
}
