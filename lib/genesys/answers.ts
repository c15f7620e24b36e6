import { parseJson, readable, retryAfterHeaderMs } from '../core/answers';
import { ContactError, type ErrorCode } from '../core/errors';
import type { HttpAnswer, HttpVerb } from '../core/http';
import type { RemoteCount } from '../core/rate-limit';
import type { Verdict } from '../core/verdicts';

/** How long to wait after a 429 that does not say: the vendor's Java SDK takes the same. */
const DEFAULT_RETRY_AFTER_MS = 3_000;
/** The limits are those of a minute. What ends much later is no number of seconds, and nobody waits for it. */
const LONGEST_WINDOW_MS = 3_600_000;

/**
 * Sorts an answer of the platform API. `what` says what was attempted, as a clause. 401 and 403 are both `refused`;
 * `error.status` tells them apart.
 */
export function judgeAnswer(method: HttpVerb, what: string, answer: HttpAnswer): Verdict {
  const { status } = answer;
  if (status >= 200 && status < 300) return { kind: 'delivered' };
  const error = (code: ErrorCode, more: { advice?: string; retryAfterMs?: number } = {}) =>
    new ContactError(code, { attempted: what, answer: `HTTP ${status}, ${errorTextOf(answer)}`, status, ...more });

  if (status === 401) return { kind: 'refused', error: error('REFUSED') };
  if (status === 403) {
    const advice = 'Give the OAuth client a role with this permission, in the division concerned.';
    return { kind: 'refused', error: error('REFUSED', { advice }) };
  }
  if (status === 429)
    return { kind: 'busy', fault: 'limit', error: error('BUSY', { retryAfterMs: retryAfterMsOf(answer) }) };
  if (status === 404 || status === 410) return { kind: 'rejected', error: error('NOT_FOUND') };
  // Two writes at once are settled by writing again; a thing that exists already stays so.
  if (status === 409 && method !== 'POST') return { kind: 'busy', fault: 'limit', error: error('BUSY') };
  if (status === 408 || (status >= 500 && status !== 501)) {
    return { kind: 'busy', fault: 'failure', error: error('BUSY') };
  }
  if (status >= 400) return { kind: 'rejected', error: error('REJECTED') };
  return { kind: 'unknown', error: error('PROTOCOL') };
}

/** How long a 429 asks to wait: its header in seconds or as a date, else the number in its text. */
export function retryAfterMsOf({ headers, text }: HttpAnswer): number {
  const inHeader = retryAfterHeaderMs({ headers });
  if (inHeader !== undefined) return inHeader;
  const inText = /in \[(\d+)\] seconds/.exec(text)?.[1];
  return inText === undefined ? DEFAULT_RETRY_AFTER_MS : Number(inText) * 1_000;
}

/** What Genesys says about the calls with this token, if it does: not every answer has these headers. */
export function remoteCountOf({ headers }: Pick<HttpAnswer, 'headers'>): RemoteCount | undefined {
  const number = (name: string) => Number(headers[`inin-ratelimit-${name}`] ?? Number.NaN);
  const found = { count: number('count'), allowed: number('allowed'), resetMs: number('reset') * 1_000 };
  const isKnown = Object.values(found).every((value) => value >= 0) && found.resetMs <= LONGEST_WINDOW_MS;
  return isKnown ? found : undefined;
}

/**
 * What an error answer says, in one line: code, message and context id of the platform's body, the fields of an OAuth
 * body, or the readable text of whatever else came, such as the HTML of a gateway.
 */
export function errorTextOf({ headers, text }: HttpAnswer): string {
  const body = parseJson(text);
  const field = (name: string) => {
    const value = body?.[name];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const code = field('code') ?? field('error');
  const message = field('message') ?? field('error_description') ?? field('description');
  const contextId = field('contextId') ?? headers['inin-correlation-id'];
  const said = code || message ? [code, message].filter(Boolean).join(': ') : readable(text);
  return `${said || 'without a text'}${contextId ? ` (context ${contextId})` : ''}`;
}
