import { randomUUID } from 'node:crypto';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Waiters } from '../waiters';
import { type Answer, badRequest, errorAnswer, genericError, missingPermissions, PlatformError } from './answers';
import { type FaultAnswer, Faults, faultAnswer, gatewayPage } from './faults';
import type { AccessToken } from './oauth';
import { RateLimit, type RateScope } from './rate-limit';
import { RequestLog } from './request-log';
import { Timers } from './timers';
import { Traffic } from './traffic';

/** `request.bytes.max` of the platform. */
const maximumBodyBytes = 512_000;

/** A request as a route sees it. */
export interface ApiRequest {
  method: string;
  path: string;
  /** Values of the placeholders of the route's path. */
  parameters: Record<string, string>;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  body: Buffer;
  correlationId: string;
  /** The valid token of the caller; routes marked `open` have none. */
  token: AccessToken;
}

/** One endpoint. */
export interface Route {
  /** HTTP method, or `*` for any. */
  method: string;
  /** Path with placeholders, for example `/api/v2/notifications/channels/{channelId}`. */
  path: string;
  /** Needs no bearer token, is not counted against the rate limit. */
  open?: boolean;
  /** Permission without which the answer is 403. */
  permission?: string;
  handle(request: ApiRequest): Answer | Promise<Answer>;
}

/** Takes over a socket upgrade, or throws a `PlatformError` to refuse it. */
export type UpgradeHandler = (request: IncomingMessage, socket: Socket, head: Buffer, path: string) => void;

/** Parse a JSON body: 415 for another content type, 400 for text that is not JSON. */
export function jsonBody(request: ApiRequest): unknown {
  if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) throw genericError(415);
  try {
    return JSON.parse(request.body.toString('utf8'));
  } catch {
    throw badRequest('The request body is not valid JSON.');
  }
}

/** A query parameter that may only be `true` or `false`. */
export function booleanParameter(query: URLSearchParams, name: string, standard: boolean): boolean {
  const value = query.get(name) ?? String(standard);
  if (value !== 'true' && value !== 'false') throw badRequest(`The query parameter ${name} must be true or false.`);
  return value === 'true';
}

/**
 * The HTTP half of the simulator: reads requests, applies faults, checks token, rate limit, method and permission in the order
 * of the platform, writes answers. What the endpoints do is in the modules that call `route`.
 */
export class SimulatorServer {
  readonly timers = new Timers();
  readonly faults = new Faults();
  readonly requests: RequestLog;
  readonly rateLimit: RateLimit;
  /** Arrivals by organization. */
  readonly traffic = new Traffic();
  /** Finds the token of an `Authorization` header or throws the 401; set by the OAuth module. */
  authorize: (header: string | undefined) => AccessToken = () => {
    throw genericError(401);
  };
  /** Finds the valid token of an `Authorization` header, if it has one; set by the OAuth module. */
  peek: (header: string | undefined) => AccessToken | undefined = () => undefined;
  /** Handles `Upgrade: websocket`; set by the socket module. */
  upgrade: UpgradeHandler = () => {
    throw genericError(404);
  };
  private readonly routes: (Route & { pattern: RegExp })[] = [];
  private readonly mounts: { prefix: string; handle: Route['handle'] }[] = [];
  private readonly waiters = new Waiters();
  private readonly http = createServer((request, response) => void this.serve(request, response));
  private readonly sockets = new Set<Socket>();
  private closed: Promise<void> | undefined;

  constructor(options: {
    rateLimitPerMinute: number;
    rateLimitWindowMs: number;
    rateLimitScope: RateScope;
    requestLogLimit: number;
  }) {
    this.requests = new RequestLog(options.requestLogLimit);
    this.rateLimit = new RateLimit(options.rateLimitPerMinute, options.rateLimitWindowMs, options.rateLimitScope);
    // Longer than the idle time of any client under test, so that only faults close idle connections.
    this.http.keepAliveTimeout = 65_000;
    this.http.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    this.http.on('upgrade', (request, socket, head) => void this.serveUpgrade(request, socket, head));
  }

  /** `host:port` that the simulator listens on. */
  get host(): string {
    return `127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  /** Add endpoints. */
  route(...routes: Route[]): void {
    for (const route of routes) {
      const pattern = new RegExp(`^${route.path.replace(/\./g, '\\.').replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`);
      this.routes.push({ ...route, pattern });
    }
  }

  /** Serve everything below a prefix outside of the simulated platform: no token, no faults, no log. */
  mount(prefix: string, handle: Route['handle']): void {
    this.mounts.push({ prefix, handle });
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.http.once('error', reject);
      this.http.listen(port, '127.0.0.1', resolve);
    });
  }

  /** Stop listening and cut every connection. */
  close(): Promise<void> {
    this.closed ??= new Promise((resolve) => {
      this.timers.clear();
      this.faults.clear();
      this.http.close(() => resolve());
      // Not closeAllConnections(): it leaves out upgraded connections, answered or not.
      for (const socket of this.sockets) socket.destroy();
    });
    return this.closed;
  }

  /** Tell those who wait in `until` that something is different now. */
  changed(): void {
    this.waiters.changed();
  }

  /** Resolve as soon as `condition` holds; it is looked at after each request, socket and subscription change. */
  until(condition: () => boolean, timeoutMs: number): Promise<void> {
    return this.waiters.until(condition, String(condition), timeoutMs);
  }

  private find(method: string, path: string) {
    let other: string | undefined;
    for (const route of this.routes) {
      const match = route.pattern.exec(path);
      if (!match) continue;
      if (route.method === method || route.method === '*') return { route, parameters: { ...match.groups } };
      other = route.path;
    }
    return { other };
  }

  private async serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = incoming.method ?? 'GET';
    const url = new URL(incoming.url ?? '/', 'http://simulator');
    const path = url.pathname;
    const correlationId = randomUUID();
    const mount = this.mounts.find(({ prefix }) => path.startsWith(prefix));
    const found = this.find(method, path);
    const template = found.route?.path ?? found.other;
    const routeName = template ? `${method} ${template}` : 'unmatched';
    const entry = { method, path, query: url.search.slice(1), status: 0, at: Date.now() };
    if (!mount) this.requests.add(entry, routeName);
    const body = await readBody(incoming, mount ? Number.POSITIVE_INFINITY : maximumBodyBytes);
    if (body === undefined) return;
    const bare = { method, path, query: url.searchParams, headers: incoming.headers, body, correlationId };
    if (mount) {
      send(
        response,
        method,
        await this.answer(() => mount.handle({ ...bare, parameters: {}, token: noToken }), correlationId),
      );
      return;
    }
    const caller = this.peek(incoming.headers.authorization);
    if (caller) this.traffic.add(caller.client.organization.id);
    const fault = this.faults.take(method, path);
    this.changed();
    if (fault === 'hang') return;
    if (fault === 'reset') {
      reset(incoming.socket);
      return;
    }
    if (typeof fault === 'object' && 'delayMs' in fault) await this.timers.pause(fault.delayMs);
    const answer =
      plainFault(fault, path, correlationId) ??
      (await this.answer(() => this.process(bare, found.route, found.parameters ?? {}, found.other), correlationId));
    if (fault === 'reset-after') {
      reset(incoming.socket);
    } else {
      this.requests.answered(entry, answer.status);
      answer.headers = { 'ININ-Correlation-Id': correlationId, ...answer.headers };
      if (fault === 'cut-body') cut(response, answer);
      else send(response, method, answer);
    }
    this.changed();
  }

  private async process(
    bare: Omit<ApiRequest, 'token' | 'parameters'>,
    route: Route | undefined,
    parameters: Record<string, string>,
    other: string | undefined,
  ): Promise<Answer> {
    if (route?.open) return route.handle({ ...bare, parameters, token: noToken });
    if (!bare.path.startsWith('/api/')) throw genericError(404);
    const token = this.authorize(bare.headers.authorization);
    const limitHeaders = this.rateLimit.count(token);
    try {
      if (bare.body.length > maximumBodyBytes) throw genericError(413);
      if (!route) throw genericError(other ? 405 : 404);
      if (route.permission && !token.client.may(route.permission)) throw missingPermissions([route.permission]);
      const answer = await route.handle({ ...bare, parameters, token });
      return { ...answer, headers: { ...limitHeaders, ...answer.headers } };
    } catch (error) {
      const answer = errorAnswer(asPlatformError(error), bare.correlationId);
      return { ...answer, headers: { ...limitHeaders, ...answer.headers } };
    }
  }

  private async answer(work: () => Answer | Promise<Answer>, correlationId: string): Promise<Answer> {
    try {
      return await work();
    } catch (error) {
      return errorAnswer(asPlatformError(error), correlationId);
    }
  }

  private async serveUpgrade(incoming: IncomingMessage, stream: Duplex, head: Buffer): Promise<void> {
    const socket = stream as Socket;
    socket.on('error', () => socket.destroy());
    const url = new URL(incoming.url ?? '/', 'http://simulator');
    const path = url.pathname;
    const correlationId = randomUUID();
    const entry = { method: 'UPGRADE', path, query: url.search.slice(1), status: 0, at: Date.now() };
    this.requests.add(entry, path.startsWith('/channels/') ? 'UPGRADE /channels/{channelId}' : 'unmatched');
    const fault = this.faults.take('UPGRADE', path);
    this.changed();
    if (fault === 'hang') return;
    if (fault === 'reset' || fault === 'reset-after' || fault === 'cut-body') {
      reset(socket);
      return;
    }
    if (typeof fault === 'object' && 'delayMs' in fault) await this.timers.pause(fault.delayMs);
    let answer = plainFault(fault, path, correlationId);
    try {
      if (!answer) this.upgrade(incoming, socket, head, path);
    } catch (error) {
      answer = errorAnswer(asPlatformError(error), correlationId);
    }
    this.requests.answered(entry, answer?.status ?? 101);
    if (answer)
      refuseUpgrade(socket, { ...answer, headers: { 'ININ-Correlation-Id': correlationId, ...answer.headers } });
    this.changed();
  }
}

/** Stands in for the token on routes that need none; a route that reads it by mistake gets a client that may do nothing. */
const noToken: AccessToken = {
  value: '',
  client: { id: '', name: '', organization: { id: '', name: '' }, state: 'inactive', may: () => false },
  issuedAt: 0,
  expiresAt: 0,
};

function plainFault(fault: FaultAnswer | undefined, path: string, correlationId: string): Answer | undefined {
  if (fault === 'not-json') return { status: 200, headers: { 'Content-Type': 'text/html' }, body: gatewayPage };
  return typeof fault === 'object' && 'status' in fault ? faultAnswer(fault, path, correlationId) : undefined;
}

function asPlatformError(error: unknown): PlatformError {
  if (error instanceof PlatformError) return error;
  return new PlatformError(
    500,
    'internal.server.error',
    error instanceof Error ? (error.stack ?? error.message) : String(error),
  );
}

/** The body, cut once it is over the limit (one byte more is enough to see that); undefined when the caller went away. */
async function readBody(incoming: IncomingMessage, limit: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      if (length <= limit) chunks.push(chunk);
      length += chunk.length;
    }
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}

function encode(answer: Answer): { headers: Record<string, string>; body: string } {
  if (answer.body === undefined) return { headers: { ...answer.headers, 'Content-Length': '0' }, body: '' };
  const body = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body);
  return {
    headers: {
      'Content-Type': 'application/json',
      ...answer.headers,
      'Content-Length': String(Buffer.byteLength(body)),
    },
    body,
  };
}

function send(response: ServerResponse, method: string, answer: Answer): void {
  const { headers, body } = encode(answer);
  response.writeHead(answer.status, headers).end(method === 'HEAD' ? undefined : body);
}

function cut(response: ServerResponse, answer: Answer): void {
  const { headers, body } = encode(answer.body === undefined ? { ...answer, body: '{"cut":true}' } : answer);
  response.writeHead(answer.status, headers);
  response.write(body.slice(0, Math.ceil(body.length / 2)), () => response.destroy());
}

function refuseUpgrade(socket: Socket, answer: Answer): void {
  const { headers, body } = encode(answer);
  const lines = Object.entries({ ...headers, Connection: 'close' }).map(([name, value]) => `${name}: ${value}`);
  socket.end(`HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ''}\r\n${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** Ends the TCP connection with RST, as a crashed or blocked peer does. */
function reset(socket: Socket): void {
  socket.resetAndDestroy();
}
