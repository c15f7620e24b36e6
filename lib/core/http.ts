import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { AxiosInstance } from 'axios';
import { ContactError, describe } from './errors';
import { redact } from './redaction';
import { type Span, tracing } from './trace';
import { UndiciClient, type WireAnswer, type WireRequest } from './undici-client';
import { packageVersion } from './version';

/** The methods that the remote systems use. */
export type HttpVerb = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** A request to a remote system. */
export interface HttpRequest {
  method: HttpVerb;
  /** The whole address, without query. */
  url: string;
  /** Those that are `undefined` are left out. */
  query?: Record<string, string | number | boolean | undefined>;
  headers?: Record<string, string>;
  /** A text is sent as it is, anything else as JSON; nothing when left out. */
  body?: unknown;
  /** Aborting it rejects with `CLOSED`. */
  signal?: AbortSignal;
  /** For the whole exchange, in milliseconds; default 15,000. */
  timeoutMs?: number;
  /** What was attempted, for errors: `create a channel`; the method and the address when left out. */
  what?: string;
}

/** What came back, whatever its status. */
export interface HttpAnswer {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string>;
  text: string;
}

const DEFAULT_TIMEOUT_MS = 15_000;
const LARGEST_ANSWER_BYTES = 64 * 1024 * 1024;
/** With these no request has reached the other side, so that sending it again cannot do anything twice. */
const NEVER_ARRIVED = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'ERR_INVALID_URL',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const USER_AGENT = `node-red-contact-center/${packageVersion}`;
/** Some servers put it before a text, where JSON must not have it. */
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const PROXY = ['http_proxy', 'https_proxy', 'all_proxy'];
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ERR_TLS|ERR_SSL/;

/** Settings of an {@link HttpClient}. */
export interface HttpClientOptions {
  /**
   * `undici` costs less than half the processor time for each request; default `axios`. With a proxy in the
   * environment (`HTTPS_PROXY` and so on) it is always `axios`, which knows proxies.
   */
  transport?: 'axios' | 'undici';
  /** Connections to one host at most; default 256 with `undici`, and no limit without. */
  connections?: number;
}

/**
 * Sends requests over connections that are kept open. An answer of any status is a result; what rejects is
 * `UNREACHABLE` (it did not arrive), `OUTCOME_UNKNOWN` (it may have arrived, but there is no whole answer) or `CLOSED`.
 */
export class HttpClient {
  private readonly httpAgent: HttpAgent;
  private readonly httpsAgent: HttpsAgent;
  private readonly undici: UndiciClient | undefined;
  private instance: AxiosInstance | undefined;

  constructor({ transport = 'axios', connections }: HttpClientOptions = {}) {
    const options = {
      keepAlive: true,
      ...(connections === undefined ? {} : { maxSockets: connections }),
    };
    this.httpAgent = new HttpAgent(options);
    this.httpsAgent = new HttpsAgent(options);
    if (transport !== 'undici' || hasProxy()) return;
    this.undici = new UndiciClient({ largestAnswerBytes: LARGEST_ANSWER_BYTES, connections: connections ?? 256 });
  }

  /** Sends one request, once. */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    const { status, headers, bytes } = await this.sendForBytes(request);
    return { status, headers, text: bytes.toString('utf8', hasMark(bytes) ? BYTE_ORDER_MARK.length : 0) };
  }

  /** Sends one request, once, for an answer that is no text. */
  sendForBytes(request: HttpRequest): Promise<WireAnswer> {
    return tracing.isOn ? this.exchangeTraced(request) : this.exchange(request);
  }

  private async exchangeTraced(request: HttpRequest): Promise<WireAnswer> {
    const span = beginSpan(request);
    try {
      return await tracing.run(span.context, async () => {
        const headers = { ...request.headers, ...tracing.headers() };
        const answer = await this.exchange({ ...request, headers });
        span.set('http.response.status_code', answer.status);
        span.end(answer.status >= 400 ? `HTTP ${answer.status}` : undefined);
        return answer;
      });
    } catch (thrown) {
      span.end(thrown);
      throw thrown;
    }
  }

  private async exchange(request: HttpRequest): Promise<WireAnswer> {
    const { method, url, query, body, signal, timeoutMs = DEFAULT_TIMEOUT_MS } = request;
    const abort = new AbortController();
    const stop = () => abort.abort();
    if (signal?.aborted) throw closedError(request);
    signal?.addEventListener('abort', stop, { once: true });
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      stop();
    }, timeoutMs);
    const wire: WireRequest = {
      method,
      url,
      query,
      headers: headersOf(request),
      body: isJson(body) ? JSON.stringify(body) : (body as string | Buffer | undefined),
      signal: abort.signal,
    };
    try {
      return await (this.undici ? this.undici.send(wire) : this.sendOverAxios(wire));
    } catch (thrown) {
      if (signal?.aborted) throw closedError(request);
      throw failure(request, thrown, timedOut ? `no whole answer within ${timeoutMs / 1_000} s` : undefined);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    }
  }

  private async sendOverAxios({ query, body, headers: given, ...request }: WireRequest): Promise<WireAnswer> {
    const { status, headers, data } = await this.axios.request<Buffer | undefined>({
      ...request,
      // Of a body without a type axios would say that it is a form.
      headers: { 'content-type': false, ...given },
      ...(query ? { params: query } : {}),
      ...(body === undefined ? {} : { data: body }),
    });
    const received: Record<string, string> = {};
    for (const [name, value] of Object.entries(headers)) received[name.toLowerCase()] = String(value);
    return { status, headers: received, bytes: data ?? Buffer.alloc(0) };
  }

  /** Closes the connections that are kept open. */
  close(): void {
    this.httpAgent.destroy();
    this.httpsAgent.destroy();
    this.undici?.close();
  }

  private get axios(): AxiosInstance {
    if (this.instance) return this.instance;
    // Loading it takes a fifth of a second, which a flow without remote systems need not wait for.
    const axios = require('axios') as typeof import('axios');
    const asItIs = (data: unknown): unknown => data;
    this.instance = axios.create({
      httpAgent: this.httpAgent,
      httpsAgent: this.httpsAgent,
      responseType: 'arraybuffer',
      // A redirect would carry the credentials to another place.
      maxRedirects: 0,
      maxContentLength: LARGEST_ANSWER_BYTES,
      transformRequest: [asItIs],
      transformResponse: [asItIs],
      validateStatus: () => true,
    });
    return this.instance;
  }
}

/** Named by what is attempted: a path with ids in it would be another name each time. Queries may hold secrets. */
function beginSpan({ method, url, what }: HttpRequest): Span {
  const { hostname, port, protocol, pathname } = URL.canParse(url) ? new URL(url) : new URL('http://invalid');
  return tracing.start(what ?? method, {
    kind: 'client',
    attributes: {
      'http.request.method': method,
      'server.address': hostname,
      'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
      'url.path': redact(pathname),
    },
  });
}

function hasProxy(): boolean {
  return PROXY.some((name) => process.env[name] || process.env[name.toUpperCase()]);
}

/** What is given goes over what is usual, whatever the case of its names. */
function headersOf({ headers = {}, body }: HttpRequest): Record<string, string> {
  const all: Record<string, string> = { accept: 'application/json', 'user-agent': USER_AGENT };
  if (isJson(body)) all['content-type'] = 'application/json';
  for (const [name, value] of Object.entries(headers)) all[name.toLowerCase()] = value;
  return all;
}

function hasMark(bytes: Buffer): boolean {
  return bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK);
}

function isJson(body: unknown): boolean {
  return body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body);
}

function closedError(request: HttpRequest): ContactError {
  return new ContactError('CLOSED', { attempted: attempted(request) });
}

function failure(request: HttpRequest, thrown: unknown, timeout: string | undefined): ContactError {
  const code = String((thrown as { code?: unknown }).code ?? '');
  const never = NEVER_ARRIVED.has(code) || CERTIFICATE.test(code);
  return new ContactError(never ? 'UNREACHABLE' : 'OUTCOME_UNKNOWN', {
    attempted: attempted(request),
    target: URL.canParse(request.url) ? new URL(request.url).origin : request.url,
    answer: timeout ?? describe(thrown),
    cause: thrown,
  });
}

function attempted({ what, method, url }: HttpRequest): string {
  return what ?? `${method} ${URL.canParse(url) ? new URL(url).pathname : url}`;
}
