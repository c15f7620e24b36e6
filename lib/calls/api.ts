import { createHash, randomUUID } from 'node:crypto';
import { ContactError } from '../core/errors';
import { CALL_STATUSES, type Call, type CallStatus, durationOf, type Transition } from './call';
import { isFinal } from './state-machine';
import type { CallPage, CallQuery, IdempotencyClaim } from './store';

/** What goes back over HTTP: the properties that an `http response` node looks for. */
export interface ApiAnswer {
  statusCode: number;
  headers: Record<string, string>;
  payload: unknown;
}

/** The HTTP status of each reason; one that is not here has the status of its kind of error. */
const STATUS: Record<string, number> = {
  invalid_json: 400,
  invalid_idempotency_key: 400,
  invalid_request: 502,
  conflict: 502,
  number_not_allowed: 403,
  context_not_allowed: 403,
  variable_not_allowed: 403,
  invalid_token: 401,
  invalid_credentials: 401,
  not_found: 404,
  locked_out: 429,
  too_many_requests: 429,
  too_many_calls: 429,
  rate_limit: 429,
  user_limit: 429,
  number_limit: 429,
  asterisk_unavailable: 503,
  ari_unavailable: 503,
  ari_auth: 502,
  ari_failure: 502,
  endpoint_unavailable: 502,
  database_unavailable: 503,
  database_disabled: 503,
  not_configured: 503,
};

/** An error as the API tells it: `{success: false, error: {code, message}, detail, request_id}`. */
export function errorAnswer(error: ContactError, requestId: string): ApiAnswer {
  const code = error.reason ?? error.code.toLowerCase();
  const statusCode = STATUS[code] ?? statusOf(error);
  const headers: Record<string, string> = { 'X-Request-ID': requestId, 'Cache-Control': 'no-store' };
  if (statusCode === 401) headers['WWW-Authenticate'] = 'Bearer';
  if (error.retryAfterMs !== undefined) headers['Retry-After'] = String(Math.ceil(error.retryAfterMs / 1_000));
  const { message } = error;
  return {
    statusCode,
    headers,
    payload: { success: false, error: { code, message }, detail: message, request_id: requestId },
  };
}

/** A good answer. */
export function goodAnswer(payload: unknown, requestId: string, headers: Record<string, string> = {}): ApiAnswer {
  return { statusCode: 200, headers: { 'X-Request-ID': requestId, 'Cache-Control': 'no-store', ...headers }, payload };
}

function statusOf({ code }: ContactError): number {
  if (code === 'INVALID_INPUT' || code === 'REJECTED') return 422;
  if (code === 'NOT_FOUND') return 404;
  if (code === 'INTERNAL') return 500;
  return 503;
}

/** The id of a request: the caller's own, when it is harmless, or a new one. */
export function requestIdOf(given: unknown): string {
  return typeof given === 'string' && /^[\w.:/+=-]{1,128}$/.test(given) ? given : randomUUID();
}

/** A call as the API shows it. */
export function callBody(call: Call): Record<string, unknown> {
  return {
    call_id: call.callId,
    phone_number: call.phoneNumber,
    status: call.status,
    channel: call.channel,
    context: call.context,
    extension: call.extension,
    priority: call.priority,
    timeout: call.timeoutMs,
    caller_id: call.callerId,
    created_at: timeText(call.createdAt),
    dialed_at: timeText(call.dialedAt),
    answered_at: timeText(call.answeredAt),
    ended_at: timeText(call.endedAt),
    duration: durationOf(call),
    failure_reason: call.failureReason,
    attempt_number: call.attemptNumber,
    is_active: !isFinal(call.status),
    is_completed: isFinal(call.status),
  };
}

/** The steps of a call as the API shows them. */
export function transitionsBody(transitions: readonly Omit<Transition, 'number'>[]): Record<string, unknown>[] {
  return transitions.map(({ from, to, at, reason }) => ({ from, to, at: timeText(at), reason }));
}

/** The answer to who has asked for a call. */
export function madeBody(call: Call): Record<string, unknown> {
  return {
    success: true,
    call_id: call.callId,
    phone_number: call.phoneNumber,
    message: 'Call originated successfully',
    channel: call.channel ?? call.callId,
    status: 'dialing',
    created_at: timeText(call.createdAt),
    error: null,
  };
}

/** The error that a call met when it was made, if it was not made at all: a repeated request gets the same answer. */
export function refusalOf(call: Call): ContactError | undefined {
  if (call.status !== 'failed' || call.dialedAt !== null) return undefined;
  return new ContactError('BUSY', {
    attempted: 'make a call',
    answer: `it failed at its first attempt (${call.failureReason ?? 'unknown'})`,
    reason: call.failureReason ?? 'internal_error',
    advice: 'Ask again with another Idempotency-Key.',
  });
}

/** How long a key is remembered. */
const REMEMBERED_MS = 24 * 3_600_000;
const KEY = /^[\x21-\x7e]{1,200}$/;

/**
 * What makes a request repeatable: its key, for its user only, and a digest of what is asked for. Throws
 * `INVALID_INPUT` when the key is not a text of 1 to 200 visible ASCII characters.
 */
export function claimOf(key: unknown, user: string | undefined, request: unknown, now: number): IdempotencyClaim {
  if (typeof key !== 'string' || !KEY.test(key)) {
    const answer = 'the idempotency key is not a text of 1 to 200 visible characters';
    throw new ContactError('INVALID_INPUT', { attempted: 'make a call', answer, reason: 'invalid_idempotency_key' });
  }
  const fingerprint = createHash('sha256').update(JSON.stringify(request)).digest('base64url');
  return { key: `${user ?? ''} ${key}`, fingerprint, notBefore: now - REMEMBERED_MS };
}

/** Calls on one page at most. */
const LONGEST_PAGE = 200;
const USUAL_PAGE = 50;
/** Deeper than this a database has to count through too much. */
const LAST_OFFSET = 1_000_000;

/** What a page of calls is asked for with: `page` from 1, `page_size`, `status`. Throws `INVALID_INPUT`. */
export function queryOf(asked: Record<string, unknown>): CallQuery & { page: number } {
  const whole = (name: string, usual: number, most: number) => {
    const given = asked[name];
    if (given === undefined || given === '') return usual;
    const value = Number(given);
    if (Number.isInteger(value) && value >= 1 && value <= most) return value;
    throw invalid(`invalid_${name}`, `${name} is no whole number from 1 to ${most}`);
  };
  const limit = whole('page_size', USUAL_PAGE, LONGEST_PAGE);
  const page = whole('page', 1, LAST_OFFSET / LONGEST_PAGE);
  const status = asked['status'];
  if (status !== undefined && status !== '' && !CALL_STATUSES.includes(status as CallStatus)) {
    throw invalid('invalid_status', `the status is none of ${CALL_STATUSES.join(', ')}`);
  }
  return { page, limit, offset: (page - 1) * limit, ...(status ? { status: status as CallStatus } : {}) };
}

/** A page of calls as the API shows it. */
export function pageBody(
  { calls, total }: CallPage,
  { page, limit }: { page: number; limit: number },
): Record<string, unknown> {
  return { calls: calls.map(callBody), page, page_size: limit, total, pages: Math.ceil(total / limit) };
}

/** The error of an id that belongs to no call. */
export function unknownCall(): ContactError {
  return new ContactError('NOT_FOUND', {
    attempted: 'find the call',
    answer: 'Call not found',
    reason: 'not_found',
    advice: 'Check the call id.',
  });
}

function invalid(reason: string, answer: string): ContactError {
  return new ContactError('INVALID_INPUT', { attempted: 'list the calls', answer, reason });
}

function timeText(time: number | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}
