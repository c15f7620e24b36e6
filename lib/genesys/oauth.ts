import { createHash } from 'node:crypto';
import { parseJson } from '../core/answers';
import { type Clock, systemClock, type Timer } from '../core/clock';
import { ContactError } from '../core/errors';
import { type HttpAnswer, HttpClient } from '../core/http';
import { RateLimit } from '../core/rate-limit';
import { registerSecret, registerToken } from '../core/redaction';
import { TokenCache } from '../core/token-cache';
import { RationedToken } from '../store/rationed-token';
import type { StateStore } from '../store/store';
import { errorTextOf, retryAfterMsOf } from './answers';

/** What it takes to get a token from Genesys Cloud with the grant "client credentials". */
export interface GenesysCredentials {
  /** Base address of the token endpoint, without a slash at the end. */
  loginUrl: string;
  clientId: string;
  clientSecret: string;
}

/** The vendor's default limit for one client-credentials token. */
const CALLS_A_MINUTE = 300;
/** A deploy stops every node before it starts the next ones: a token outlives that, so that a deploy costs none. */
const KEPT_AFTER_LAST_USE_MS = 60_000;

/** One token for all in this process who use the same credentials, and what is limited by that token. */
export interface GenesysAccess {
  readonly tokens: TokenCache;
  /** The calls that the token may make. */
  readonly limit: RateLimit;
  readonly http: HttpClient;
  /** Keeps the token in a store from now on, encrypted, for other processes too. Gives back the function that ends this. */
  shareThrough(store: StateStore): () => void;
}

interface SharedAccess extends GenesysAccess {
  users: number;
  ending: Timer | undefined;
}

const shared = new Map<string, SharedAccess>();

/**
 * The access with these credentials, shared by all who ask for the same; every caller gets a function with which it
 * gives it back. A minute after the last one has, the token is forgotten.
 */
export function useAccess(
  credentials: GenesysCredentials,
  clock: Clock = systemClock,
): { access: GenesysAccess; release: () => void } {
  const { loginUrl, clientId, clientSecret } = credentials;
  registerSecret(clientSecret);
  const secretHash = createHash('sha256').update(clientSecret).digest('base64url');
  const key = JSON.stringify([loginUrl, clientId, secretHash]);
  const access = shared.get(key) ?? createAccess(credentials, clock);
  shared.set(key, access);
  access.users += 1;
  clock.clearTimeout(access.ending);
  let held = true;
  const release = () => {
    if (!held) return;
    held = false;
    access.users -= 1;
    if (access.users > 0) return;
    access.ending = clock.setTimeout(() => {
      shared.delete(key);
      access.tokens.close();
      access.http.close();
    }, KEPT_AFTER_LAST_USE_MS);
    access.ending.unref?.();
  };
  return { access, release };
}

function createAccess(credentials: GenesysCredentials, clock: Clock): SharedAccess {
  const http = new HttpClient({ transport: 'undici' });
  const limit = new RateLimit({ turns: CALLS_A_MINUTE, windowMs: 60_000, clock });
  const { loginUrl, clientId, clientSecret: secret } = credentials;
  let shared: RationedToken | undefined;
  const request = async (signal: AbortSignal) => {
    const token = await requestToken(http, credentials, signal);
    // Genesys counts by token.
    await limit.reset();
    return token;
  };
  const tokens = new TokenCache({
    fetch: (signal) => shared?.fetch(signal) ?? request(signal),
    onDropped: (value) => shared?.reject(value),
    clock,
  });
  const shareThrough = (store: StateStore) => {
    const name = `genesys ${loginUrl} ${clientId}`;
    const own = new RationedToken({ store, name, secret, request, clock });
    shared = own;
    return () => {
      if (shared === own) shared = undefined;
    };
  };
  return { http, limit, tokens, shareThrough, users: 0, ending: undefined };
}

/**
 * Asks for a token, once and past every cache. Rejects with `REFUSED` when the credentials are at fault, `BUSY` when
 * the endpoint is, `PROTOCOL` when it does not answer like a token endpoint, and as {@link HttpClient} does.
 */
export async function requestToken(
  http: HttpClient,
  { loginUrl, clientId, clientSecret }: GenesysCredentials,
  signal?: AbortSignal,
): Promise<{ value: string; lifetimeMs: number }> {
  const answer = await http.send({
    method: 'POST',
    url: `${loginUrl}/oauth/token`,
    headers: {
      Authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
      'Content-Type': 'application/x-www-form-urlencoded',
    },
    body: 'grant_type=client_credentials',
    what: 'get an access token from Genesys Cloud',
    ...(signal ? { signal } : {}),
  });
  const body = parseJson(answer.text);
  const value = body?.['access_token'];
  const lifetimeMs = Number(body?.['expires_in']) * 1_000;
  if (answer.status === 200 && typeof value === 'string' && value !== '' && lifetimeMs > 0) {
    registerToken(value);
    return { value, lifetimeMs };
  }
  throw tokenError(loginUrl, answer, body);
}

/** The status of a refusal is not settled (400 or 401), so the word in `error` decides before it. */
function tokenError(loginUrl: string, answer: HttpAnswer, body: Record<string, unknown> | undefined): ContactError {
  const { status } = answer;
  const facts = {
    attempted: 'get an access token from Genesys Cloud',
    target: loginUrl,
    answer: `HTTP ${status}, ${errorTextOf(answer)}`,
    status,
  };
  if (status === 429) return new ContactError('BUSY', { ...facts, retryAfterMs: retryAfterMsOf(answer) });
  if (status === 408 || status >= 500) return new ContactError('BUSY', facts);
  if (status === 401 || status === 403 || (status === 400 && typeof body?.['error'] === 'string')) {
    return new ContactError('REFUSED', {
      ...facts,
      advice:
        'Check the client id, the client secret and the region, and that the OAuth client is active and has the grant type "Client Credentials".',
    });
  }
  return new ContactError('PROTOCOL', { ...facts, advice: 'Check the region or the login address.' });
}
