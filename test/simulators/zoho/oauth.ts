import { randomBytes } from 'node:crypto';
import type { ApiAnswer, ApiRequest, SimulatedApi } from '../api';
import { refusal } from './errors';

export interface OAuthOptions {
  clientId: string;
  clientSecret: string;
  refreshToken: string;
  scopes: string[];
  /** Lifetime of an access token, in seconds; the vendor's is 3,600. */
  tokenLifetimeSeconds: number;
  /** What is told as `api_domain`; the simulator's own address when left out, nothing when `null`. */
  apiDomain?: string | null;
  /** Access tokens of a refresh token in ten minutes. */
  tokensPerWindow: number;
  windowMs: number;
  /** How long a lock-out lasts after the last request. */
  lockOutMs: number;
  /** Status of the throttling answer: reports differ. */
  throttleStatus: 200 | 400;
  /** The older form of the answer has `expires_in_sec`, and `expires_in` in milliseconds. */
  expiresInMilliseconds: boolean;
}

interface Token {
  value: string;
  refreshToken: string;
  expiresAt: number;
}

/** The vendor keeps so many access tokens of a refresh token; the next one ends the oldest. */
const LIVE_TOKENS = 15;
const CODE_LIFETIME_MS = 180_000;

/** The accounts server: grants, tokens, and their limits. */
export class OAuth {
  scopes: Set<string>;
  /** Refresh tokens that work. */
  readonly refreshTokens: Set<string>;
  /** Times of the requests for a token that were not refused for being too many. */
  readonly issued: number[] = [];
  /** Requests for a token, whatever became of them. */
  requests = 0;
  /** Requests that came during a lock-out. */
  throttled = 0;
  private tokens: Token[] = [];
  private attempts: number[] = [];
  private lockedUntil = 0;
  private readonly codes = new Map<string, number>();

  constructor(
    private readonly api: SimulatedApi,
    readonly options: OAuthOptions,
  ) {
    this.scopes = new Set(options.scopes);
    this.refreshTokens = new Set([options.refreshToken]);
    api.route({ method: 'POST', path: '/oauth/v2/token', handle: (request) => this.token(request) });
  }

  /** Access tokens that are valid now, oldest first. */
  get live(): string[] {
    return this.tokens.filter(({ expiresAt }) => this.api.now() < expiresAt).map(({ value }) => value);
  }

  /** Makes all access tokens invalid. */
  revokeAccess(): void {
    this.tokens = [];
  }

  /** A grant code of a self client, good for one use within three minutes. */
  grantCode(): string {
    const code = `1000.${randomBytes(16).toString('hex')}.${randomBytes(16).toString('hex')}`;
    this.codes.set(code, this.api.now() + CODE_LIFETIME_MS);
    return code;
  }

  /** Lets a request in, or throws what the API answers. Any of `scopes` opens the door. */
  authorize(header: string | undefined, scopes: readonly string[]): void {
    const value = /^Zoho-oauthtoken (\S+)$/.exec(header ?? '')?.[1];
    if (value === undefined) throw refusal(401, 'AUTHENTICATION_FAILURE', 'Authentication failed');
    if (!this.live.includes(value)) throw refusal(401, 'INVALID_TOKEN', 'invalid oauth token');
    if (!scopes.some((scope) => this.scopes.has(scope))) {
      throw refusal(401, 'OAUTH_SCOPE_MISMATCH', 'invalid oauth scope to access this URL');
    }
  }

  private token({ query, headers, body }: ApiRequest): ApiAnswer {
    this.requests += 1;
    if ([...query.keys()].length > 0) {
      // The vendor takes them there; proxies write them into their logs.
      return { status: 400, body: { error: 'parameters_in_the_address', error_description: 'Send them in the body.' } };
    }
    if (!/^application\/x-www-form-urlencoded/i.test(headers['content-type'] ?? '')) return { status: 415 };
    const throttle = this.throttle();
    if (throttle) return throttle;
    const form = new URLSearchParams(body.toString('utf8'));
    const { options } = this;
    if (form.get('client_id') !== options.clientId) return { status: 200, body: { error: 'invalid_client' } };
    if (form.get('client_secret') !== options.clientSecret) {
      return { status: 200, body: { error: 'invalid_client_secret' } };
    }
    const grant = form.get('grant_type');
    if (grant === 'refresh_token') return this.refresh(form.get('refresh_token') ?? '');
    if (grant === 'authorization_code') return this.exchange(form.get('code') ?? '');
    return { status: 200, body: { error: 'unsupported_grant_type' } };
  }

  private throttle(): ApiAnswer | undefined {
    const { tokensPerWindow, windowMs, lockOutMs, throttleStatus } = this.options;
    const now = this.api.now();
    this.attempts = this.attempts.filter((at) => now - at < windowMs);
    const isLocked = now < this.lockedUntil || this.attempts.length >= tokensPerWindow;
    if (!isLocked) {
      this.attempts.push(now);
      return undefined;
    }
    // Who goes on asking stays locked out.
    this.lockedUntil = now + lockOutMs;
    this.throttled += 1;
    const error_description = 'You have made too many requests continuously. Please try again after some time.';
    return { status: throttleStatus, body: { error_description, error: 'Access Denied', status: 'failure' } };
  }

  private refresh(refreshToken: string): ApiAnswer {
    if (!this.refreshTokens.has(refreshToken)) return { status: 200, body: { error: 'invalid_code' } };
    return { status: 200, body: this.issue(refreshToken) };
  }

  private exchange(code: string): ApiAnswer {
    const until = this.codes.get(code);
    this.codes.delete(code);
    if (until === undefined || this.api.now() > until) return { status: 200, body: { error: 'invalid_code' } };
    const refreshToken = `1000.${randomBytes(16).toString('hex')}.${randomBytes(16).toString('hex')}`;
    this.refreshTokens.add(refreshToken);
    return { status: 200, body: { ...this.issue(refreshToken), refresh_token: refreshToken } };
  }

  private issue(refreshToken: string): Record<string, unknown> {
    const { tokenLifetimeSeconds: seconds, expiresInMilliseconds, apiDomain } = this.options;
    const now = this.api.now();
    const value = `1000.${randomBytes(16).toString('hex')}.${randomBytes(16).toString('hex')}`;
    this.tokens.push({ value, refreshToken, expiresAt: now + seconds * 1_000 });
    this.issued.push(now);
    const own = this.tokens.filter((token) => token.refreshToken === refreshToken && now < token.expiresAt);
    if (own.length > LIVE_TOKENS) this.tokens = this.tokens.filter((token) => token !== own[0]);
    const domain = apiDomain === undefined ? this.api.url : apiDomain;
    return {
      access_token: value,
      scope: [...this.scopes].join(' '),
      ...(domain === null ? {} : { api_domain: domain }),
      token_type: 'Bearer',
      ...(expiresInMilliseconds ? { expires_in_sec: seconds, expires_in: seconds * 1_000 } : { expires_in: seconds }),
    };
  }
}
