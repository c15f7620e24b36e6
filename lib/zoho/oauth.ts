import { parseJson, readable } from '../core/answers';
import { ContactError } from '../core/errors';
import type { HttpAnswer, HttpClient } from '../core/http';
import { registerSecret, registerToken } from '../core/redaction';

/** What it takes to get an access token from Zoho. */
export interface ZohoCredentials {
  /** Address of the accounts server of the user's own data centre, without a slash at the end. */
  accountsUrl: string;
  clientId: string;
  clientSecret: string;
  refreshToken: string;
}

/** What the accounts server has given. */
export interface ZohoGrant {
  value: string;
  lifetimeMs: number;
  /** Where the API is that the token is for. */
  apiDomain: string | undefined;
  /** Comes with a grant code, and hardly ever otherwise. */
  refreshToken: string | undefined;
  scope: string | undefined;
}

/** The vendor's tokens never live longer. */
const LONGEST_LIFETIME_SECONDS = 3_600;
/** Zoho does not say how long it locks out who asks too often; less than this was never reported. */
const LOCK_OUT_MS = 300_000;

const TOKEN_ADVICE =
  'Check the refresh token, the client and the data centre; "npx contact-center zoho-token" gets a new refresh token.';

/** A new access token for a refresh token. Asks once; rejects with `REFUSED`, `BUSY`, `PROTOCOL` or as the client does. */
export function refreshAccess(
  http: HttpClient,
  credentials: ZohoCredentials,
  signal?: AbortSignal,
): Promise<ZohoGrant> {
  const { accountsUrl, clientId, clientSecret, refreshToken } = credentials;
  const form = {
    grant_type: 'refresh_token',
    client_id: clientId,
    client_secret: clientSecret,
    refresh_token: refreshToken,
  };
  return requestGrant(http, accountsUrl, form, 'get an access token from Zoho', signal);
}

/** The tokens for the code that a self client shows: it is good for a few minutes, and once. */
export function exchangeCode(
  http: HttpClient,
  { accountsUrl, clientId, clientSecret, code }: Omit<ZohoCredentials, 'refreshToken'> & { code: string },
): Promise<ZohoGrant> {
  const form = { grant_type: 'authorization_code', client_id: clientId, client_secret: clientSecret, code };
  return requestGrant(http, accountsUrl, form, 'exchange the code for a refresh token');
}

async function requestGrant(
  http: HttpClient,
  accountsUrl: string,
  form: Record<string, string>,
  what: string,
  signal?: AbortSignal,
): Promise<ZohoGrant> {
  const answer = await http.send({
    method: 'POST',
    url: `${accountsUrl}/oauth/v2/token`,
    // In the body and not in the address, which ends up in the logs of whatever is in between.
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(form).toString(),
    what,
    ...(signal ? { signal } : {}),
  });
  const body = parseJson(answer.text);
  const grant = readGrant(body);
  if (!grant) throw grantError(what, accountsUrl, answer, body);
  registerToken(grant.value);
  registerSecret(grant.refreshToken);
  return grant;
}

/** Errors come with status 200 as well, so what counts is whether there is a token. */
function readGrant(body: Record<string, unknown> | undefined): ZohoGrant | undefined {
  const value = body?.['access_token'];
  if (typeof value !== 'string' || value === '') return undefined;
  return {
    value,
    lifetimeMs: lifetimeSeconds(body) * 1_000,
    apiDomain: text(body?.['api_domain'])?.replace(/\/+$/, ''),
    refreshToken: text(body?.['refresh_token']),
    scope: text(body?.['scope']),
  };
}

/** With `expires_in_sec` beside it, `expires_in` is in milliseconds. */
function lifetimeSeconds(body: Record<string, unknown> | undefined): number {
  const seconds = Number(body?.['expires_in_sec'] ?? body?.['expires_in']);
  return seconds > 0 ? Math.min(seconds, LONGEST_LIFETIME_SECONDS) : LONGEST_LIFETIME_SECONDS;
}

function grantError(
  attempted: string,
  target: string,
  { status, text: raw }: HttpAnswer,
  body: Record<string, unknown> | undefined,
): ContactError {
  const error = text(body?.['error']);
  const description = text(body?.['error_description']) ?? text(body?.['message']);
  const said = [error, description].filter(Boolean).join(': ') || readable(raw) || 'without a text';
  const facts = { attempted, target, answer: `HTTP ${status}, ${said}`, status };
  // Zoho tells this with 400, 429 or 200.
  if (status === 429 || error === 'Access Denied' || /too many requests/i.test(said)) {
    return new ContactError('BUSY', { ...facts, reason: 'token_limit', retryAfterMs: LOCK_OUT_MS });
  }
  if (status === 408 || status >= 500) return new ContactError('BUSY', facts);
  if (error !== undefined) return new ContactError('REFUSED', { ...facts, reason: error, advice: TOKEN_ADVICE });
  return new ContactError('PROTOCOL', { ...facts, advice: 'Check the address of the accounts server.' });
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
