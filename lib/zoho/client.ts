import { abortable } from '../core/abort';
import { businessEvents } from '../core/business-events';
import type { Clock } from '../core/clock';
import { type ContactError, toContactError } from '../core/errors';
import type { HttpAnswer, HttpClient, HttpVerb } from '../core/http';
import { type Reading, readAnswer, unsettled } from './verdicts';

/** Where a token comes from. */
export interface ZohoAccess {
  open(): Promise<{ token: string; apiUrl: string }>;
  invalidate(token: string): void;
}

/** One call of the CRM API. */
export interface ZohoCall {
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** What is attempted, as a clause: `create a Case`. */
  what: string;
}

/** Settings of a {@link ZohoClient}. */
export interface ZohoClientOptions {
  access: ZohoAccess;
  http: HttpClient;
  /** Such as `v8`. */
  version: string;
  /** For one exchange, in milliseconds; default 15,000. */
  timeoutMs?: number;
  clock: Clock;
}

/** What was called, in numbers since the start. */
export interface CallCounters {
  calls: number;
  /** How long they took in all, in milliseconds. */
  tookMs: number;
  /** Calls that were not answered as hoped for. */
  failures: number;
  rateLimitHits: number;
  /** API credits that are left of the day; Zoho tells only when half of them are used. */
  creditsRemaining: number | undefined;
}

/** What came back, and how large it was. */
interface Exchanged {
  reading: Reading;
  bytes: number;
}

/** Codes that say that a token is no good; a scope that is missing is not among them: no new token would have it. */
const TOKEN_CODES = new Set(['INVALID_TOKEN', 'INVALID_OAUTHTOKEN', 'AUTHENTICATION_FAILURE']);

/** Calls the CRM API: adds the token, renews it once when it is not accepted, and reads what comes back. */
export class ZohoClient {
  readonly counters: CallCounters = { calls: 0, tookMs: 0, failures: 0, rateLimitHits: 0, creditsRemaining: undefined };
  /** For one exchange, in milliseconds. */
  readonly timeoutMs: number;

  constructor(private readonly options: ZohoClientOptions) {
    this.timeoutMs = options.timeoutMs ?? 15_000;
  }

  /** Makes a call. It rejects only with `CLOSED`; everything else is told by what it gives back. */
  async call(method: HttpVerb, path: string, call: ZohoCall): Promise<Reading> {
    const first = await this.once(method, path, call);
    const { reading, token } = first;
    if (token === undefined || !isTokenAtFault(reading)) return reading;
    this.options.access.invalidate(token);
    return (await this.once(method, path, call)).reading;
  }

  private async once(method: HttpVerb, path: string, call: ZohoCall): Promise<{ reading: Reading; token?: string }> {
    const { access, clock } = this.options;
    let opened: { token: string; apiUrl: string };
    try {
      opened = await abortable(access.open(), call.signal, call.what);
    } catch (thrown) {
      return { reading: withoutToken(toContactError(thrown, call.what)) };
    }
    const began = clock.now();
    const { reading, bytes } = await this.exchange(
      method,
      `${opened.apiUrl}/crm/${this.options.version}${path}`,
      call,
      opened.token,
    );
    this.count(reading, clock.now() - began);
    if (businessEvents.isOn) tell(reading, call.what, clock.now() - began, bytes);
    return { reading, token: opened.token };
  }

  private async exchange(method: HttpVerb, url: string, call: ZohoCall, token: string): Promise<Exchanged> {
    const { what, query, body, headers, signal } = call;
    let answer: HttpAnswer;
    try {
      answer = await this.options.http.send({
        method,
        url,
        headers: { Authorization: `Zoho-oauthtoken ${token}`, ...headers },
        what,
        timeoutMs: this.timeoutMs,
        ...(query ? { query } : {}),
        ...(body === undefined ? {} : { body }),
        ...(signal ? { signal } : {}),
      });
    } catch (thrown) {
      const error = toContactError(thrown, what);
      // What was under way when the node was closed may have been done.
      const isSent = error.code !== 'UNREACHABLE';
      const told = isSent ? unsettled(method, error) : ({ kind: 'busy', fault: 'failure', error } as const);
      return { reading: refusal(told), bytes: 0 };
    }
    const credits = Number(answer.headers['x-api-credits-remaining'] ?? Number.NaN);
    if (Number.isFinite(credits)) this.counters.creditsRemaining = credits;
    return { reading: readAnswer(method, what, answer), bytes: Buffer.byteLength(answer.text) };
  }

  private count(reading: Reading, tookMs: number): void {
    this.counters.calls += 1;
    this.counters.tookMs += tookMs;
    if (reading.kind !== 'refusal') return;
    this.counters.failures += 1;
    if (reading.refusal.kind === 'busy' && reading.refusal.fault === 'limit') this.counters.rateLimitHits += 1;
  }
}

/** A gateway in between says 401 without a code. */
function isTokenAtFault(reading: Reading): boolean {
  if (reading.kind !== 'refusal') return false;
  return reading.code === undefined ? reading.refusal.error.status === 401 : TOKEN_CODES.has(reading.code);
}

function tell(reading: Reading, what: string, tookMs: number, bytes: number): void {
  businessEvents.tell({ kind: 'api-call', api: 'zoho', what, tookMs, isSuccess: reading.kind !== 'refusal', bytes });
  if (reading.kind !== 'refusal' || reading.refusal.kind !== 'busy' || reading.refusal.fault !== 'limit') return;
  businessEvents.tell({ kind: 'rate-limit', api: 'zoho', retryAfterMs: reading.refusal.error.retryAfterMs });
}

/** Without a token nothing was sent, so nothing was done. */
function withoutToken(error: ContactError): Reading {
  if (error.code === 'CLOSED') throw error;
  if (error.code === 'REFUSED') return refusal({ kind: 'refused', error });
  return refusal({ kind: 'busy', fault: error.reason === 'token_limit' ? 'limit' : 'failure', error });
}

function refusal(told: Extract<Reading, { kind: 'refusal' }>['refusal']): Reading {
  return { kind: 'refusal', code: undefined, details: {}, refusal: told };
}
