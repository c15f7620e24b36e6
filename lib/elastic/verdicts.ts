import { ContactError, type ErrorCode } from '../core/errors';
import type { Verdict } from '../core/verdicts';

/** One item of a bulk answer, as far as it is asked for. */
interface BulkItem {
  status?: unknown;
  error?: { type?: unknown; reason?: unknown };
}

const DELIVERED: Verdict = { kind: 'delivered' };
const DUPLICATE: Verdict = { kind: 'duplicate' };

/** What a status means for what was sent. 404 is a fault of the configuration: a missing index can still be made. */
export function judgeStatus(
  status: number,
  answer: string,
  facts: { target?: string; retryAfterMs?: number },
): Verdict {
  const error = (code: ErrorCode, advice?: string) =>
    new ContactError(code, { attempted: 'index documents', answer, status, ...facts, ...(advice ? { advice } : {}) });
  if (status === 401) {
    return {
      kind: 'refused',
      error: error('REFUSED', 'Check the user and password, key or token; everything is kept.'),
    };
  }
  if (status === 403) {
    return {
      kind: 'refused',
      error: error('REFUSED', 'Give the user the right to write, or lift the block on the index; everything is kept.'),
    };
  }
  if (status === 404) {
    return { kind: 'rejected', error: error('REJECTED', 'Make the index or allow it to be made by itself.') };
  }
  if (status === 429) return { kind: 'busy', fault: 'limit', error: error('BUSY') };
  if (status === 408 || status >= 500) return { kind: 'busy', fault: 'failure', error: error('BUSY') };
  return { kind: 'rejected', error: error('REJECTED') };
}

/** What one item of a bulk answer means. A conflict under `create` says that the document is there already. */
export function judgeItem(item: unknown, target: string): Verdict {
  const operation = item !== null && typeof item === 'object' ? Object.keys(item)[0] : undefined;
  const result = operation === undefined ? undefined : (item as Record<string, BulkItem | null>)[operation];
  const status = result?.status;
  if (typeof status !== 'number') return unreadable('an item of the answer has no status', target);
  if (status >= 200 && status < 300) return DELIVERED;
  if (status === 409 && operation === 'create') return DUPLICATE;
  const { type, reason } = result?.error ?? {};
  const said = [type, reason].filter((each) => typeof each === 'string').join(': ');
  if (status === 409) return { kind: 'busy', fault: 'limit', error: conflict(said, target) };
  return judgeStatus(status, said || `status ${status}`, { target });
}

/**
 * What the answer to a bulk request with `count` documents means: a verdict for each, or one for all of them. An
 * answer that cannot be matched to the documents leaves every outcome unknown; they have ids, so they are sent again.
 */
export function judgeBulk(body: unknown, count: number, target: string): Verdict | Verdict[] {
  const items = body !== null && typeof body === 'object' ? (body as { items?: unknown }).items : undefined;
  if (!Array.isArray(items)) return unreadable('the answer has no list of items', target);
  if (items.length !== count) return unreadable(`the answer has ${items.length} items for ${count} documents`, target);
  return items.map((item) => judgeItem(item, target));
}

/** The outcome is unknown because the answer makes no sense. */
export function unreadable(answer: string, target: string): Verdict {
  return { kind: 'unknown', error: new ContactError('PROTOCOL', { attempted: 'index documents', target, answer }) };
}

function conflict(said: string, target: string): ContactError {
  return new ContactError('BUSY', { attempted: 'index a document', target, answer: said || 'status 409', status: 409 });
}
