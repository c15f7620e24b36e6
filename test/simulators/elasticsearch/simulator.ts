import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { gunzipSync, gzipSync, inflateSync } from 'node:zlib';
import { refuseCredentials, type SimulatorAuth } from './auth';
import { BulkHandler } from './bulk';
import { Cluster } from './cluster';
import type { StoredDocument, StoreMode, WriteBlock } from './elastic-index';
import { ElasticError, SimpleError, unauthorized } from './errors';
import { type BulkFault, Faults } from './faults';
import { compileFilterPath, matches } from './filter-path';
import { negotiate } from './media-type';
import { Operations } from './operations';
import { RequestLog, type RequestLogEntry } from './request-log';
import { type ApiRequest, findRoute } from './routes';

/** How the simulator is set up. */
export interface ElasticsearchSimulatorOptions {
  /** 0 (default) for any free port. */
  port?: number;
  /** Right credentials; without any, everyone is let in. */
  auth?: SimulatorAuth;
  /** Serves https with this key and certificate (PEM). */
  tls?: { key: string; cert: string };
  /** How much later each answer comes, in milliseconds; 0 by default. */
  latencyMs?: number;
  /** `http.max_content_length`, for the unpacked body; 100 MB by default. */
  maxContentLengthBytes?: number;
  /** What is kept of documents; `documents` by default. The other two do not parse documents. */
  store?: StoreMode;
  /** The release it says it is; 8.19.2 by default. It speaks the compatible versions of its major and the one before. */
  version?: string;
  /** `action.auto_create_index`; true by default. */
  autoCreateIndex?: boolean;
  /** Opens `POST /__control/<verb>`: see `control.ts`; false by default. */
  control?: (simulator: ElasticsearchSimulator, verb: string, body: Record<string, unknown>) => Promise<ControlReply>;
}

/** What a control verb says. */
export interface ControlReply {
  status: number;
  body: string;
  contentType: string;
}

/** How often an id was really written. */
export interface AppliedWrites {
  /** As a new document. */
  created: number;
  /** Over the document that was there. */
  updated: number;
}

interface Answer {
  status: number;
  body: string;
  headers: Record<string, string | string[]>;
  product: boolean;
}

const DEFAULT_MAX_CONTENT_LENGTH = 100 * 1_024 * 1_024;
const CONTROL_PREFIX = '/__control/';

/**
 * An Elasticsearch that keeps everything in memory, refuses what the real one refuses, and fails on command. It
 * departs from the real one in this: documents are found without a refresh; there are no pipelines, aliases, scripts
 * or rollovers; duplicate keys in a document pass; positions in parsing errors are rough.
 */
export class ElasticsearchSimulator {
  readonly cluster: Cluster;
  readonly operations: Operations;
  readonly faults = new Faults();
  readonly requests = new RequestLog();
  /** The right credentials; may be changed at any time. */
  auth: SimulatorAuth | undefined;
  readonly #options: ElasticsearchSimulatorOptions;
  readonly #server: Server;
  readonly #bulk: BulkHandler;
  readonly #version: string;
  readonly #maxContentLength: number;
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #latencyMs: number;
  #port = 0;
  #held: (() => void)[] | undefined;

  constructor(options: ElasticsearchSimulatorOptions = {}) {
    this.#options = options;
    this.#version = options.version ?? '8.19.2';
    this.#maxContentLength = options.maxContentLengthBytes ?? DEFAULT_MAX_CONTENT_LENGTH;
    this.#latencyMs = options.latencyMs ?? 0;
    this.auth = options.auth;
    this.cluster = new Cluster(options.store ?? 'documents');
    this.cluster.autoCreate = options.autoCreateIndex ?? true;
    this.operations = new Operations(this.cluster);
    this.#bulk = new BulkHandler(this.operations);
    const onRequest = (request: IncomingMessage, response: ServerResponse) => this.#receive(request, response);
    this.#server = options.tls ? createSecureServer(options.tls, onRequest) : createServer(onRequest);
    // The server never ends an idle connection; a client must not meet a race that does not exist in reality.
    this.#server.keepAliveTimeout = 0;
    this.#server.requestTimeout = 0;
    this.#server.headersTimeout = 0;
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('clientError', (_error, socket) => socket.destroy());
  }

  /** Where it listens, without a slash at the end. */
  get url(): string {
    return `${this.#options.tls ? 'https' : 'http'}://127.0.0.1:${this.#port}`;
  }

  /** The port it has kept since it was started, also while it is down. */
  get port(): number {
    return this.#port;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Starts listening; after a {@link down} on the same port as before. */
  async up(): Promise<void> {
    if (this.#server.listening) return;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#port || (this.#options.port ?? 0), '127.0.0.1', () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Cuts all connections and refuses new ones. What was applied stays. */
  async down(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#held = this.#held && [];
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Ends everything. */
  async close(): Promise<void> {
    this.#held = undefined;
    if (this.#server.listening) await this.down();
  }

  /** From now on requests are taken in but neither applied nor answered. */
  pause(): void {
    this.#held ??= [];
  }

  /** Goes on like a process after a long pause: what came meanwhile is applied and answered, or dropped unanswered. */
  resume(held: 'process' | 'drop' = 'process'): void {
    const waiting = this.#held ?? [];
    this.#held = undefined;
    if (held === 'process') for (const go of waiting) go();
  }

  /** How much later each answer comes, in milliseconds. */
  setLatency(latencyMs: number): void {
    this.#latencyMs = latencyMs;
  }

  /**
   * Makes an index (or data stream) refuse writes: `write` and `read_only` with 403, `read_only_allow_delete`, the
   * block of a full disk, with 429; `false` lifts all blocks. The index is made when it is missing.
   */
  setReadOnly(index: string, block: WriteBlock | boolean = true): void {
    const { settings } = this.cluster.writeTarget(index);
    for (const name of ['write', 'read_only', 'read_only_allow_delete']) settings.delete(`index.blocks.${name}`);
    if (block !== false) settings.set(`index.blocks.${block === true ? 'write' : block}`, 'true');
  }

  /** Takes the right to write to indices that match (`*` allowed) from the user: 403 per item. `undefined` gives it back. */
  setForbidden(pattern: string | undefined): void {
    const user = this.auth?.basic?.username ?? 'writer';
    this.operations.forbidden =
      pattern === undefined
        ? undefined
        : (index) =>
            matches(pattern, index)
              ? unauthorized('indices:data/write/bulk[s]', user, index, 'create_doc,create,delete,index,write,all')
              : undefined;
  }

  /** `action.auto_create_index`. */
  setAutoCreate(allowed: boolean): void {
    this.cluster.autoCreate = allowed;
  }

  /** The documents of an index, a data stream or a pattern; empty when there is none. */
  documents(index: string): Map<string, StoredDocument> {
    const found = new Map<string, StoredDocument>();
    for (const one of this.#find(index))
      for (const [id, document] of one.documents) if (!document.deleted) found.set(id, document);
    return found;
  }

  /** How many documents there are, in all indices or in some. */
  count(index = '*'): number {
    return this.#find(index).reduce((sum, one) => sum + one.count, 0);
  }

  /** The names of all indices, backing indices of data streams among them. */
  indices(): string[] {
    return [...this.cluster.indices.keys()];
  }

  /** How often each id was really written, deleted ones included. Not kept in the mode `none`. */
  applied(index = '*'): Map<string, AppliedWrites> {
    const found = new Map<string, AppliedWrites>();
    for (const one of this.#find(index))
      for (const [id, { created, updated }] of one.documents) {
        const before = found.get(id);
        found.set(id, { created: created + (before?.created ?? 0), updated: updated + (before?.updated ?? 0) });
      }
    return found;
  }

  /** Forgets all indices, data streams and templates. Faults and the request log stay. */
  clear(): void {
    this.cluster.reset();
  }

  #find(expression: string) {
    try {
      return this.cluster.resolve(expression);
    } catch {
      return [];
    }
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const uri = request.url ?? '/';
    const question = uri.indexOf('?');
    const path = question < 0 ? uri : uri.slice(0, question);
    const controlled = this.#options.control !== undefined && path.startsWith(CONTROL_PREFIX);
    const exchange = new Exchange(request, response, {
      method: request.method ?? 'GET',
      path,
      querystring: question < 0 ? '' : uri.slice(question + 1),
      status: 0,
      bytes: 0,
      items: 0,
      at: Date.now(),
    });
    const bulk =
      !controlled && /^(\/[^/]+)?\/_bulk\/?$/.test(path) && (request.method === 'POST' || request.method === 'PUT');
    if (!controlled) {
      if (bulk) this.requests.bulkStarted();
      exchange.onDone = (entry) => this.requests.note(entry, bulk);
    }
    const fault = bulk ? this.faults.take() : undefined;
    if (fault) exchange.entry.fault = describeFault(fault);
    if (fault?.answer === 'reset-before-body-sent') {
      exchange.reset();
      return;
    }
    exchange.readBody(this.#maxContentLength, (body) => {
      if (controlled) void this.#control(exchange, path.slice(CONTROL_PREFIX.length), body);
      else if (this.#held) this.#held.push(() => this.#handle(exchange, uri, body, fault));
      else this.#handle(exchange, uri, body, fault);
    });
  }

  async #control(exchange: Exchange, verb: string, body: Buffer): Promise<void> {
    let reply: ControlReply;
    try {
      const parsed = body.length === 0 ? {} : (JSON.parse(body.toString()) as Record<string, unknown>);
      reply = await this.#options.control!(this, verb, parsed);
    } catch (error) {
      reply = {
        status: 400,
        body: `${JSON.stringify({ error: (error as Error).message })}\n`,
        contentType: 'application/json',
      };
    }
    const headers = { 'Content-Type': reply.contentType };
    exchange.send({ status: reply.status, body: reply.body, headers, product: false });
  }

  #handle(exchange: Exchange, uri: string, raw: Buffer, fault: BulkFault | undefined): void {
    if (fault?.answer === 'reset-before') {
      exchange.reset();
      return;
    }
    const { request } = exchange;
    let answer: Answer;
    let contentType = 'application/json';
    try {
      const refused = refuseCredentials(this.auth, request.headers.authorization, uri);
      if (refused) throw refused;
      contentType = negotiate(request.headers, raw.length > 0, Number.parseInt(this.#version, 10));
      const body = unpack(raw, request.headers['content-encoding'], this.#maxContentLength);
      if (body === undefined) {
        exchange.send(TOO_LARGE);
        return;
      }
      answer = this.#answer(exchange, uri, body, contentType, fault);
    } catch (error) {
      answer = errorAnswer(error, contentType);
    }
    const delayMs =
      this.#latencyMs + (typeof fault?.answer === 'object' && 'delayMs' in fault.answer ? fault.answer.delayMs : 0);
    const finish = () => misbehave(exchange, answer, fault);
    if (delayMs <= 0) finish();
    else this.#later(delayMs, finish);
  }

  #answer(exchange: Exchange, uri: string, body: Buffer, contentType: string, fault: BulkFault | undefined): Answer {
    const { entry, request } = exchange;
    const parameters = new URLSearchParams(entry.querystring);
    const api: ApiRequest = {
      method: entry.method,
      uri,
      path: entry.path,
      parameters,
      body,
      wantsJson: request.headers.accept?.includes('json') ?? false,
    };
    const { handler, names, bulk } = findRoute(api);
    if (bulk) {
      const reply = this.#bulk.handle(api, names['index'], fault);
      entry.items = reply.items;
      const pretty = isPretty(parameters) && reply.status === 200;
      const text = pretty ? `${JSON.stringify(JSON.parse(reply.body), null, 2)}\n` : reply.body;
      return { ...reply, body: text, headers: { 'Content-Type': contentType, ...reply.headers } };
    }
    const reply = handler({ cluster: this.cluster, operations: this.operations, version: this.#version }, api, names);
    const headers = { 'Content-Type': contentType, ...reply.headers };
    return { status: reply.status, body: render(reply.body, parameters), headers, product: true };
  }

  #later(delayMs: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, delayMs);
    this.#timers.add(timer);
  }
}

/** Starts a simulator and waits until it listens. */
export async function startElasticsearchSimulator(
  options: ElasticsearchSimulatorOptions = {},
): Promise<ElasticsearchSimulator> {
  const simulator = new ElasticsearchSimulator(options);
  await simulator.up();
  return simulator;
}

/** One request and its answer. */
class Exchange {
  onDone: ((entry: RequestLogEntry) => void) | undefined;

  constructor(
    readonly request: IncomingMessage,
    readonly response: ServerResponse,
    readonly entry: RequestLogEntry,
  ) {
    response.once('close', () => this.done());
  }

  /** Collects the body; one that is too long is answered at once and thrown away. */
  readBody(limit: number, whenComplete: (body: Buffer) => void): void {
    const { request, entry } = this;
    if (Number(request.headers['content-length'] ?? 0) > limit) {
      this.send(TOO_LARGE);
      request.resume();
      return;
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => {
      entry.bytes += chunk.length;
      if (entry.bytes <= limit) chunks.push(chunk);
      else if (!this.response.headersSent) this.send(TOO_LARGE);
    });
    request.once('end', () => {
      if (entry.bytes <= limit) whenComplete(Buffer.concat(chunks));
    });
  }

  send(answer: Answer): void {
    const { response, request, entry } = this;
    if (response.destroyed || response.headersSent) return;
    let body: Buffer | string = answer.body;
    const headers: Record<string, string | string[] | number> = { ...answer.headers };
    if (answer.product) headers['X-elastic-product'] = 'Elasticsearch';
    if (
      body.length > 0 &&
      request.method !== 'HEAD' &&
      /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))
    ) {
      body = gzipSync(body, { level: 3 });
      headers['Content-Encoding'] = 'gzip';
    }
    headers['Content-Length'] = Buffer.byteLength(body);
    entry.status = answer.status;
    response.writeHead(answer.status, headers);
    // Noted before the client can know, so that who has the answer finds the request in the log.
    this.done();
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  /** Announces the whole body, sends a part of it and breaks the connection. */
  sendPart(answer: Answer, part: number): void {
    const { response, entry } = this;
    if (response.destroyed) return;
    const bytes = Buffer.from(answer.body);
    const headers: Record<string, string | string[] | number> = { ...answer.headers, 'Content-Length': bytes.length };
    if (answer.product) headers['X-elastic-product'] = 'Elasticsearch';
    entry.status = answer.status;
    response.writeHead(answer.status, headers);
    this.done();
    response.write(bytes.subarray(0, Math.max(1, Math.min(bytes.length - 1, Math.round(bytes.length * part)))), () =>
      this.response.socket?.destroy(),
    );
  }

  /** Breaks the connection with a reset. */
  reset(): void {
    const { socket } = this.request;
    this.done();
    if (socket instanceof TLSSocket) socket.destroy();
    else socket.resetAndDestroy();
  }

  done(): void {
    const { onDone } = this;
    this.onDone = undefined;
    onDone?.(this.entry);
  }
}

const TOO_LARGE: Answer = { status: 413, body: '', headers: {}, product: false };
const CUT_AT = { first: 0.02, middle: 0.5, last: 1, all: 0 };

function misbehave(exchange: Exchange, answer: Answer, fault: BulkFault | undefined): void {
  const kind = fault?.answer;
  if (kind === 'hang') exchange.done();
  else if (kind === 'reset-after') exchange.reset();
  else if (kind === 'cut-body') {
    // With items that fail the position is theirs.
    const position = fault!.itemStatus === undefined ? fault!.position : undefined;
    exchange.sendPart(answer, CUT_AT[position ?? 'middle']);
  } else if (kind === 'broken-json') {
    const half = answer.body.slice(0, Math.ceil(answer.body.length / 2));
    exchange.send({ ...answer, body: `${half}\u0000<<<` });
  } else exchange.send(answer);
}

function describeFault({ answer, itemStatus, position }: BulkFault): string {
  const whole = typeof answer === 'object' ? JSON.stringify(answer) : answer;
  const items = itemStatus === undefined ? undefined : `items ${position ?? 'all'} ${itemStatus}`;
  return [whole, items].filter((part) => part !== undefined).join(', ');
}

function errorAnswer(error: unknown, contentType: string): Answer {
  const known =
    error instanceof ElasticError
      ? error
      : new SimpleError(500, { type: 'simulator', reason: `defect of the simulator: ${(error as Error).stack}` });
  const headers = { 'Content-Type': contentType, ...known.headers };
  return { status: known.status, body: JSON.stringify(known.body()), headers, product: true };
}

function isPretty(parameters: URLSearchParams): boolean {
  const value = parameters.get('pretty');
  return value === '' || value === 'true';
}

function render(body: object | string | undefined, parameters: URLSearchParams): string {
  if (body === undefined) return '';
  if (typeof body === 'string') return body;
  const path = parameters.get('filter_path');
  const kept = path ? (compileFilterPath(path)(body) ?? {}) : body;
  return isPretty(parameters) ? `${JSON.stringify(kept, null, 2)}\n` : JSON.stringify(kept);
}

/** Unpacks a body; `undefined` when it is too long then. */
function unpack(raw: Buffer, encoding: string | undefined, limit: number): Buffer | undefined {
  if (encoding === undefined || encoding === 'identity' || raw.length === 0) return raw;
  try {
    if (encoding === 'gzip' || encoding === 'x-gzip') return gunzipSync(raw, { maxOutputLength: limit });
    if (encoding === 'deflate') return inflateSync(raw, { maxOutputLength: limit });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return undefined;
    throw new ElasticError(400, { type: 'decompression_exception', reason: (error as Error).message });
  }
  // An encoding that the server does not know is not unpacked, and the bytes are no JSON then.
  return raw;
}
