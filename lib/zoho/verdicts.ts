import { asObject, parseJson, readable, retryAfterHeaderMs } from '../core/answers';
import { ContactError, type ErrorCode, type ErrorFacts } from '../core/errors';
import type { HttpAnswer, HttpVerb } from '../core/http';
import type { FinalVerdict, Verdict } from '../core/verdicts';

/** Why something was not done; a `rejected` one is never tried again. */
export type Refusal = Exclude<Verdict, FinalVerdict> | Extract<Verdict, { kind: 'rejected' }>;

/** One record of an answer. */
export interface RecordResult {
  /** `SUCCESS`, or what was wrong. */
  code: string;
  message: string;
  details: Record<string, unknown>;
  /** More than one thing was wrong. */
  errors: RecordResult[];
}

/** What an answer of the CRM API says, whatever its status. */
export type Reading =
  /** Each record has its own result, judged by {@link judgeRecord}. */
  | { kind: 'records'; records: RecordResult[] }
  /** What was asked for; `undefined` when nothing was found. */
  | { kind: 'content'; body: Record<string, unknown> | undefined }
  | { kind: 'refusal'; code: string | undefined; details: Record<string, unknown>; refusal: Refusal };

const SCOPE_ADVICE =
  'The refresh token lacks a scope: ZohoCRM.modules.ALL and ZohoCRM.settings.ALL are needed, ZohoCRM.coql.READ helps. "npx contact-center zoho-token" gets another one.';
const RIGHTS_ADVICE = 'Give the user of the refresh token the right to do this in Zoho CRM.';

/**
 * Reads an answer. Per-record results are read first, because the documents do not agree on the status that comes with
 * them. `what` says what was attempted, as a clause.
 */
export function readAnswer(method: HttpVerb, what: string, answer: HttpAnswer): Reading {
  const { status, text } = answer;
  const body = parseJson(text);
  if (status === 204) return { kind: 'content', body: undefined };
  const records = recordsOf(body);
  if (records) return { kind: 'records', records };
  const isFine = status >= 200 && status < 300;
  if (isFine && body && body['status'] !== 'error') return { kind: 'content', body };
  const { code, details } = asRecord(body ?? {});
  return { kind: 'refusal', code: code || undefined, details, refusal: judgeRefusal(method, what, answer, body) };
}

/** What a refusal of the whole request means. */
function judgeRefusal(
  method: HttpVerb,
  attempted: string,
  answer: HttpAnswer,
  body: Record<string, unknown> | undefined,
): Refusal {
  const { status } = answer;
  const { code, message, details } = asRecord(body ?? {});
  const said = code
    ? describeRecord({ code, message, details, errors: [] })
    : readable(answer.text) || 'without a text';
  const error = (kind: ErrorCode, more: Partial<ErrorFacts> = {}) =>
    new ContactError(kind, {
      attempted,
      target: 'Zoho CRM',
      answer: `HTTP ${status}, ${said}`,
      status,
      ...(code ? { reason: code } : {}),
      ...more,
    });
  if (code === 'OAUTH_SCOPE_MISMATCH') return { kind: 'refused', error: error('REFUSED', { advice: SCOPE_ADVICE }) };
  if (status === 401) return { kind: 'refused', error: error('REFUSED') };
  if (code === 'NO_PERMISSION' || code === 'AUTHORIZATION_FAILED' || status === 403) {
    return { kind: 'refused', error: error('REFUSED', { advice: RIGHTS_ADVICE }) };
  }
  if (code === 'INVALID_URL_PATTERN' || code === 'INVALID_MODULE') {
    return {
      kind: 'refused',
      error: error('REFUSED', { advice: 'Check the API version, and that Cases is switched on.' }),
    };
  }
  if (code === 'TOO_MANY_REQUESTS' || status === 429) {
    const retryAfterMs = retryAfterHeaderMs(answer);
    return {
      kind: 'busy',
      fault: 'limit',
      error: error('BUSY', { reason: 'rate_limit', ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }),
    };
  }
  if (status === 408 || status >= 500) return unsettled(method, error(method === 'POST' ? 'OUTCOME_UNKNOWN' : 'BUSY'));
  // What neither fails nor makes sense may come from something in between, after Zoho has done its part.
  if (status < 400) return unsettled(method, error('PROTOCOL'));
  return { kind: 'rejected', error: error('REJECTED') };
}

/** What may have been done is looked up before it is done again; reading and replacing may be repeated. */
export function unsettled(method: HttpVerb, error: ContactError): Refusal {
  return method === 'POST' ? { kind: 'unknown', error } : { kind: 'busy', fault: 'failure', error };
}

/** What the result of one record means that is not a success. */
export function judgeRecord(attempted: string, record: RecordResult): Refusal {
  const { code } = record;
  const error = (kind: ErrorCode) =>
    new ContactError(kind, { attempted, target: 'Zoho CRM', answer: describeRecord(record), reason: code });
  if (code === 'TOO_MANY_REQUESTS') return { kind: 'busy', fault: 'limit', error: error('BUSY') };
  if (code === 'INTERNAL_ERROR') return { kind: 'unknown', error: error('OUTCOME_UNKNOWN') };
  if (code === 'NO_PERMISSION') return { kind: 'refused', error: error('REFUSED') };
  return { kind: 'rejected', error: error('REJECTED') };
}

/** The id of the record that has the same value in this unique field, when that is why a record was refused. */
export function duplicateOf(record: RecordResult, field: string): string | undefined {
  for (const { code, details } of [record, ...record.errors]) {
    if (code !== 'DUPLICATE_DATA' || details['api_name'] !== field) continue;
    const other = details['duplicate_record'] as { id?: unknown } | undefined;
    const id = other?.id ?? details['id'];
    if (typeof id === 'string') return id;
  }
  return undefined;
}

/** `INVALID_DATA: invalid data (Description, at most 32000 characters)` */
function describeRecord({ code, message, details, errors }: RecordResult): string {
  const most = details['maximum_length'];
  const expected = details['expected_data_type'];
  const about = [
    details['api_name'] ?? details['column_name'],
    most === undefined ? undefined : `at most ${most} characters`,
    expected === undefined ? undefined : `a value of the type ${expected}`,
  ].filter((each) => each !== undefined);
  const inner = errors.map(describeRecord).join('; ');
  return `${[code, message].filter(Boolean).join(': ')}${about.length > 0 ? ` (${about.join(', ')})` : ''}${inner && `: ${inner}`}`;
}

function recordsOf(body: Record<string, unknown> | undefined): RecordResult[] | undefined {
  const data = body?.['data'];
  if (!Array.isArray(data) || data.length === 0) return undefined;
  // Rows that were asked for stand under the same name.
  const areResults = data.every((each) => typeof each?.code === 'string' && typeof each?.status === 'string');
  return areResults ? data.map(asRecord) : undefined;
}

function asRecord(value: unknown): RecordResult {
  const { code, message, details, errors } = (value ?? {}) as Record<string, unknown>;
  return {
    code: typeof code === 'string' ? code : '',
    message: typeof message === 'string' ? message : '',
    details: asObject(details) ?? {},
    errors: Array.isArray(errors) ? errors.map(asRecord) : [],
  };
}
