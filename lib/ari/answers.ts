import { ContactError, type ErrorCode, type ErrorFacts } from '../core/errors';
import type { HttpAnswer } from '../core/http';

const READY_ADVICE = 'Asterisk may be starting; it is tried again by itself.';
const ACCESS_ADVICE = 'Check the user and the password in ari.conf, and that the user is not read-only.';

/** The parsed body of an answer of ARI that says that all went well; throws what any other answer means. */
export function readAnswer(attempted: string, answer: HttpAnswer): unknown {
  const { status, text } = answer;
  const body = parsed(text);
  if (status >= 200 && status < 300) {
    if (text === '') return undefined;
    if (body === undefined)
      throw fault('PROTOCOL', { attempted, answer: `HTTP ${status} with a body that is no JSON` });
    return body;
  }
  const said = readText(body);
  const facts = { attempted, answer: `HTTP ${status}${said === undefined ? '' : `, ${said}`}`, status };
  if (status === 401 || status === 403) {
    throw fault('REFUSED', { ...facts, reason: 'ari_auth', advice: ACCESS_ADVICE });
  }
  // While it boots, Asterisk answers with 503, and before that with a page that knows no ARI.
  if (status === 503 || (status === 404 && said === undefined)) {
    throw fault('UNREACHABLE', { ...facts, reason: 'ari_unavailable', advice: READY_ADVICE });
  }
  // A redirect, say from http to https, comes from something in between.
  if (status < 400) throw fault('PROTOCOL', { ...facts, reason: 'ari_unavailable' });
  if (status === 404) throw fault('NOT_FOUND', { ...facts, reason: 'not_found' });
  if (status === 500 && said === 'Allocation failed') {
    const advice = 'Check the endpoint: is it configured, registered and reachable?';
    throw fault('BUSY', { ...facts, reason: 'endpoint_unavailable', advice });
  }
  if (status >= 500) throw fault('BUSY', { ...facts, reason: 'ari_failure' });
  throw fault('REJECTED', { ...facts, reason: status === 409 ? 'conflict' : 'invalid_request' });
}

/** An error of the transport, with the word for it. */
export function transportError(error: ContactError): ContactError {
  if (error.code === 'CLOSED') return error;
  return fault(error.code, {
    attempted: 'ask Asterisk',
    answer: error.summary,
    reason: 'ari_unavailable',
    cause: error,
  });
}

function fault(code: ErrorCode, facts: ErrorFacts): ContactError {
  return new ContactError(code, facts);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** ARI's own handlers put the reason under `message`, or under `error` when a channel cannot be made. */
function readText(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const { message, error } = body as { message?: unknown; error?: unknown };
  const text = message ?? error;
  return typeof text === 'string' ? text : undefined;
}
