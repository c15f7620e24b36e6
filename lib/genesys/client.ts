import { abortable } from '../core/abort';
import { type BackoffOptions, backoffDelayMs } from '../core/backoff';
import { type Clock, delay, systemClock } from '../core/clock';
import { ContactError, toContactError } from '../core/errors';
import type { HttpVerb } from '../core/http';
import type { Verdict } from '../core/verdicts';
import { judgeAnswer, remoteCountOf } from './answers';
import type { GenesysAccess } from './oauth';

/** One call of the platform API. */
export interface GenesysCall {
  query?: Record<string, string | number | boolean | undefined>;
  /** Sent as JSON, a text as the JSON it is; nothing when left out. */
  body?: unknown;
  signal?: AbortSignal;
  /** What is attempted, as a clause for errors: `create a notification channel`. */
  what: string;
  /**
   * Whether sending it twice is harmless, so that it may be tried again when it is not known whether it took effect.
   * True for every method but POST when left out.
   */
  repeatable?: boolean;
  /**
   * Called each time before the call is sent, when it has its token and its turn, and waited for: from here on it may
   * take effect.
   */
  beforeSend?(): Promise<void>;
}

/** Settings of a {@link GenesysClient}. */
export interface GenesysClientOptions {
  /** Base address of the platform API, without a slash at the end. */
  apiUrl: string;
  access: Pick<GenesysAccess, 'tokens' | 'limit' | 'http'>;
  /** For one exchange, in milliseconds; default 15,000. */
  timeoutMs?: number;
  /** How often a call is sent at most before its error is told; default 4. */
  attempts?: number;
  /** The wait between attempts when the answer does not say; default 0.5 s to 10 s. */
  backoff?: BackoffOptions;
  clock?: Clock;
}

/** What one exchange has come to. */
export interface GenesysExchange {
  verdict: Verdict;
  /** The parsed JSON of the answer; `undefined` when it has no body, or is none that was asked for. */
  body?: unknown;
  /** False when nothing can have reached Genesys: there was no token, nobody listened, or a pause was kept. */
  hasArrived: boolean;
}

/** The vendor's SDKs give up at the same wait: beyond it a daily limit speaks, not a busy minute. */
export const LONGEST_WAIT_MS = 180_000;

/**
 * Calls the platform API: takes its turn under the rate limit, adds the token, renews it once when it is not accepted,
 * waits as long as a 429 asks (and lets all calls with the same token wait as well), and tries again what may be tried
 * again. What it rejects with is a {@link ContactError} with the remote status, code and context id in its text.
 */
export class GenesysClient {
  private readonly options: Required<GenesysClientOptions>;
  /** Set while Genesys has asked for a wait that nobody should sit out; `until` in milliseconds since the epoch. */
  private parked: { until: number; error: ContactError } | undefined;

  constructor(options: GenesysClientOptions) {
    this.options = {
      timeoutMs: 15_000,
      attempts: 4,
      backoff: { baseMs: 500, maxMs: 10_000 },
      clock: systemClock,
      ...options,
    };
  }

  /** Makes a call and gives back the parsed JSON of its answer; `undefined` when that has no body. */
  async request(method: HttpVerb, path: string, call: GenesysCall): Promise<unknown> {
    const { attempts, clock } = this.options;
    for (let attempt = 1; ; attempt++) {
      const exchange = await this.exchange(method, path, call);
      const { verdict } = exchange;
      if (verdict.kind === 'delivered' || verdict.kind === 'duplicate') return exchange.body;
      const { error } = verdict;
      const waitMs = this.waitFor(exchange, attempt, isRepeatable(method, call));
      if (waitMs === undefined || attempt >= attempts) throw error;
      await delay(waitMs, { clock, ...(call.signal ? { signal: call.signal } : {}) });
      if (call.signal?.aborted) throw new ContactError('CLOSED', { attempted: call.what });
    }
  }

  /**
   * Sends a call once, or twice when its token is no longer accepted, and says what the answer means. What a 429 asks
   * for is seen to: the next turn under the rate limit comes after the pause. Rejects only with `CLOSED`, and with what
   * {@link GenesysCall.beforeSend} rejects with.
   */
  async exchange(method: HttpVerb, path: string, call: GenesysCall): Promise<GenesysExchange> {
    const first = await this.attempt(method, path, call);
    if (statusOf(first.verdict) !== 401 || first.token === undefined) return first;
    this.options.access.tokens.invalidate(first.token);
    return this.attempt(method, path, call);
  }

  private async attempt(
    method: HttpVerb,
    path: string,
    { query, body, signal, what, beforeSend }: GenesysCall,
  ): Promise<GenesysExchange & { token?: string }> {
    const { apiUrl, access, timeoutMs } = this.options;
    const parked = this.whileParked(what);
    if (parked) return { verdict: parked, hasArrived: false };
    const current = async () => (await abortable(access.tokens.get(), signal, what)).value;
    let token: string;
    try {
      // Genesys counts by token: a new one brings new turns, so it is not waited for behind those of the old one.
      if (!access.tokens.current) await current();
      await access.limit.acquire(signal);
      token = await current();
    } catch (thrown) {
      return { verdict: withoutToken(toContactError(thrown, what)), hasArrived: false };
    }
    await beforeSend?.();
    const answer = await access.http
      .send({
        method,
        url: `${apiUrl}${path}`,
        headers: {
          Authorization: `Bearer ${token}`,
          ...(typeof body === 'string' ? { 'Content-Type': 'application/json' } : {}),
        },
        what,
        timeoutMs,
        ...(query ? { query } : {}),
        ...(body === undefined ? {} : { body }),
        ...(signal ? { signal } : {}),
      })
      .catch((thrown: unknown) => toContactError(thrown, what));
    if (answer instanceof ContactError) {
      if (answer.code === 'CLOSED') throw answer;
      const hasArrived = answer.code !== 'UNREACHABLE';
      return {
        verdict: hasArrived ? { kind: 'unknown', error: answer } : { kind: 'busy', error: answer, fault: 'failure' },
        hasArrived,
      };
    }
    const count = remoteCountOf(answer);
    if (count) access.limit.learn(count);
    const verdict = judgeAnswer(method, what, answer);
    this.heed(verdict);
    if (verdict.kind !== 'delivered' || answer.text === '') return { verdict, token, hasArrived: true };
    try {
      return { verdict, body: JSON.parse(answer.text), token, hasArrived: true };
    } catch (thrown) {
      const facts = { attempted: what, answer: `HTTP ${answer.status} with a body that is no JSON`, cause: thrown };
      return { verdict: { kind: 'unknown', error: new ContactError('PROTOCOL', facts) }, token, hasArrived: true };
    }
  }

  /** Does what a 429 asks for, for all calls with the same token. */
  private heed(verdict: Verdict): void {
    if (verdict.kind !== 'busy' || verdict.error.retryAfterMs === undefined) return;
    const { access, clock } = this.options;
    const { retryAfterMs } = verdict.error;
    if (retryAfterMs > LONGEST_WAIT_MS) this.parked = { until: clock.now() + retryAfterMs, error: verdict.error };
    else access.limit.pauseFor(retryAfterMs);
  }

  /** What a call is told in place of being sent; a rest of the wait that can be sat out is. */
  private whileParked(what: string): Verdict | undefined {
    const { access, clock } = this.options;
    const leftMs = (this.parked?.until ?? 0) - clock.now();
    if (!this.parked || leftMs <= 0) return undefined;
    if (leftMs <= LONGEST_WAIT_MS) {
      access.limit.pauseFor(leftMs);
      return undefined;
    }
    const { summary: answer, status = 429 } = this.parked.error;
    const error = new ContactError('BUSY', { attempted: what, answer, status, retryAfterMs: leftMs });
    return { kind: 'busy', fault: 'limit', error };
  }

  /** How long to wait before the call is sent again; `undefined` when it must not be. */
  private waitFor({ verdict, hasArrived }: GenesysExchange, attempt: number, repeatable: boolean): number | undefined {
    if (verdict.kind === 'busy' && verdict.error.retryAfterMs !== undefined) {
      // The turn under the rate limit comes only after the pause, for this call as for all others.
      return verdict.error.retryAfterMs > LONGEST_WAIT_MS ? undefined : 0;
    }
    const isPassing = verdict.kind === 'busy' || verdict.kind === 'unknown';
    return isPassing && (repeatable || !hasArrived) ? backoffDelayMs(attempt, this.options.backoff) : undefined;
  }
}

function statusOf(verdict: Verdict): number | undefined {
  return 'error' in verdict ? verdict.error.status : undefined;
}

/** Nothing was sent: there is no token to send it with. */
function withoutToken(error: ContactError): Verdict {
  if (error.code === 'CLOSED') throw error;
  return error.code === 'REFUSED' ? { kind: 'refused', error } : { kind: 'busy', fault: 'failure', error };
}

function isRepeatable(method: HttpVerb, { repeatable }: GenesysCall): boolean {
  return repeatable ?? method !== 'POST';
}
