import { createHash } from 'node:crypto';
import { businessEvents } from '../core/business-events';
import { type Clock, systemClock } from '../core/clock';
import { toContactError } from '../core/errors';
import { HttpClient } from '../core/http';
import type { Logger } from '../core/log';
import { registerSecret } from '../core/redaction';
import { TokenCache } from '../core/token-cache';
import { RationedToken } from '../store/rationed-token';
import type { StateStore } from '../store/store';
import { ZohoClient } from './client';
import { apiUrlOf } from './data-centers';
import { refreshAccess, type ZohoCredentials, type ZohoGrant } from './oauth';

/** Settings of a {@link ZohoAccount}. */
export interface ZohoAccountOptions extends ZohoCredentials {
  /** Address of the API, without a slash at the end; what the token answer names when left out. */
  apiUrl: string | undefined;
  /** Such as `v8`. */
  apiVersion: string;
  /** Where the token is kept, for other processes and over restarts. */
  store: StateStore;
  /** How long an answer is waited for, in milliseconds; default 15,000. */
  timeoutMs?: number;
  clock?: Clock;
  logger?: Logger;
}

/** What was done about tokens, in numbers since the start. */
export interface TokenCounters {
  attempts: number;
  successes: number;
  failures: number;
  /** Answers that said that too many tokens were asked for. */
  rateLimitHits: number;
  /** How long the requests took in all, in milliseconds. */
  tookMs: number;
}

/** The vendor gives out so many access tokens of a refresh token in ten minutes; the rest is for clocks that differ. */
const ALLOWANCE = { requests: 10, windowMs: 605_000 };

/** A user of a Zoho organization whose refresh token we have: its tokens, and the API that they open. */
export class ZohoAccount {
  readonly tokens: TokenCache;
  readonly client: ZohoClient;
  /** Tells accounts apart without revealing them. */
  readonly key: string;
  readonly counters: TokenCounters = { attempts: 0, successes: 0, failures: 0, rateLimitHits: 0, tookMs: 0 };
  private readonly http = new HttpClient();
  private readonly rationed: RationedToken;
  private readonly clock: Clock;
  private apiDomain: string | undefined;

  constructor(private readonly options: ZohoAccountOptions) {
    const { accountsUrl, clientId, clientSecret, refreshToken, store, clock = systemClock, logger } = options;
    this.clock = clock;
    registerSecret(clientSecret);
    registerSecret(refreshToken);
    const name = JSON.stringify(['zoho', accountsUrl, clientId, hash(refreshToken)]);
    this.key = hash(name).slice(0, 16);
    this.rationed = new RationedToken({
      store,
      name,
      secret: clientSecret + refreshToken,
      request: (signal) => this.request(signal),
      allowance: ALLOWANCE,
      clock,
    });
    this.tokens = new TokenCache({
      fetch: async (signal) => {
        const token = await this.rationed.fetch(signal);
        this.apiDomain = token.facts?.['apiDomain'] ?? this.apiDomain;
        return token;
      },
      clock,
      ...(logger ? { logger } : {}),
    });
    this.client = new ZohoClient({
      access: this,
      http: this.http,
      version: options.apiVersion,
      clock,
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    });
  }

  /** Where the API is, as far as is known now: a token answer may name another place. */
  get apiUrl(): string {
    const { apiUrl, accountsUrl } = this.options;
    return apiUrlOf({ configured: apiUrl, named: this.apiDomain, accountsUrl });
  }

  /** A valid token and where to use it. */
  async open(): Promise<{ token: string; apiUrl: string }> {
    const { value } = await this.tokens.get();
    return { token: value, apiUrl: this.apiUrl };
  }

  /** The API has not accepted this token. */
  invalidate(token: string): void {
    this.rationed.reject(token);
    this.tokens.invalidate(token);
  }

  /** For `/stats`. */
  report(): Record<string, unknown> {
    return { apiUrl: this.apiUrl, tokens: this.tokens.report(), calls: this.client.counters };
  }

  close(): void {
    this.tokens.close();
    this.http.close();
  }

  private async request(signal: AbortSignal): Promise<ZohoGrant & { facts: Record<string, string> }> {
    const began = this.clock.now();
    this.counters.attempts += 1;
    let isSuccess = false;
    try {
      const grant = await refreshAccess(this.http, this.options, signal);
      this.counters.successes += 1;
      isSuccess = true;
      const { apiDomain } = grant;
      return { ...grant, facts: apiDomain === undefined ? {} : { apiDomain } };
    } catch (thrown) {
      const error = toContactError(thrown, 'get an access token from Zoho');
      this.counters.failures += 1;
      if (error.reason === 'token_limit') {
        this.counters.rateLimitHits += 1;
        if (businessEvents.isOn) {
          businessEvents.tell({ kind: 'rate-limit', api: 'zoho', retryAfterMs: error.retryAfterMs });
        }
      }
      throw error;
    } finally {
      const tookMs = this.clock.now() - began;
      this.counters.tookMs += tookMs;
      if (businessEvents.isOn) businessEvents.tell({ kind: 'token-refresh', api: 'zoho', tookMs, isSuccess });
    }
  }
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
