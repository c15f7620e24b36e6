import { ContactError, type ErrorCode } from '../core/errors';
import { isFinal, type Verdict } from '../core/verdicts';

/** One item of a bulk answer, as far as it is asked for. */
interface BulkItem {
  status?: unknown;
  error?: { type?: unknown; reason?: unknown };
}

const DELIVERED: Verdict = { kind: 'delivered' };
const DUPLICATE: Verdict = { kind: 'duplicate' };

/** What belongs to an answer besides its status. */
export interface AnswerFacts {
  /** What was tried, as a clause. */
  attempted: string;
  status: number;
  /** What the answer said. */
  answer: string;
  target: string;
  retryAfterMs?: number;
}

/** The request can be sent in parts only: a single document spoils it, which is told `error`. */
export interface Split {
  kind: 'split';
  error: ContactError;
}

/**
 * What the status of an answer to a whole request means. Where Elasticsearch itself finds fault with a request, a
 * single document may be to blame. Any other 4xx says that the address is not that of an Elasticsearch, such as a wrong
 * path behind a proxy or a deployment that is gone: no fault of the documents, so they are kept.
 */
export function judgeRequest(facts: AnswerFacts, isElasticsearch: boolean): Verdict | Split {
  const { status } = facts;
  if (status === 413) {
    const advice = 'Make the document smaller or raise http.max_content_length.';
    return { kind: 'split', error: failure('REJECTED', facts, advice) };
  }
  if (status === 400 && isElasticsearch) return { kind: 'split', error: failure('REJECTED', facts) };
  const common = judgeCommon(facts);
  if (common) return common;
  const advice =
    'Check the address, its path and the proxy: what answers there is no Elasticsearch; everything is kept.';
  return { kind: 'refused', error: failure('REFUSED', facts, advice) };
}

/**
 * What the status of one item means. A missing index that may not be made by itself is told for each document (404),
 * and so is an index that a message names wrongly: the document leaves with the reason instead of waiting for ever.
 */
function judgeStatus(facts: AnswerFacts): Verdict {
  const common = judgeCommon(facts);
  if (common) return common;
  const advice = facts.status === 404 ? 'Make the index or allow it to be made by itself.' : undefined;
  return { kind: 'rejected', error: failure('REJECTED', facts, advice) };
}

/** The statuses that mean the same for a request and for an item. */
function judgeCommon(facts: AnswerFacts): Verdict | undefined {
  const { status } = facts;
  if (status === 401) {
    const advice = 'Check the user and password, key or token; everything is kept.';
    return { kind: 'refused', error: failure('REFUSED', facts, advice) };
  }
  if (status === 403) {
    const advice = 'Give the user the right to write, or lift the block on the index; everything is kept.';
    return { kind: 'refused', error: failure('REFUSED', facts, advice) };
  }
  if (status === 429) return { kind: 'busy', fault: 'limit', error: failure('BUSY', facts) };
  if (status === 408 || status >= 500) return { kind: 'busy', fault: 'failure', error: failure('BUSY', facts) };
  return undefined;
}

function failure(code: ErrorCode, facts: AnswerFacts, advice?: string): ContactError {
  return new ContactError(code, { ...facts, ...(advice ? { advice } : {}) });
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
  const facts: AnswerFacts = { attempted: 'index a document', status, answer: said || `status ${status}`, target };
  // Two writers at once: the next attempt finds the document as the other one has left it.
  if (status === 409) return { kind: 'busy', fault: 'limit', error: failure('BUSY', facts) };
  return judgeStatus(facts);
}

/**
 * What the answer to a bulk request with `count` documents means: a verdict for each, or one for all of them. An
 * answer that cannot be matched to the documents leaves every outcome unknown; they have ids, so they are sent again.
 */
export function judgeBulk(body: unknown, count: number, target: string): Verdict | Verdict[] {
  const items = body !== null && typeof body === 'object' ? (body as { items?: unknown }).items : undefined;
  if (!Array.isArray(items)) return unreadable('the answer has no list of items', target);
  if (items.length !== count) return unreadable(`the answer has ${items.length} items for ${count} documents`, target);
  return forAll(items.map((item) => judgeItem(item, target)));
}

/**
 * A single verdict when none of the documents got through: then it is the cluster that is busy or refuses, and not the
 * documents one by one. The gravest counts.
 */
export function forAll(verdicts: Verdict[]): Verdict | Verdict[] {
  if (verdicts.some(isFinal)) return verdicts;
  const isFailure = (verdict: Verdict) =>
    verdict.kind === 'unknown' || (verdict as { fault?: string }).fault === 'failure';
  return verdicts.find(({ kind }) => kind === 'refused') ?? verdicts.find(isFailure) ?? verdicts[0] ?? verdicts;
}

/** The outcome is unknown because the answer makes no sense. */
export function unreadable(answer: string, target: string): Verdict {
  return { kind: 'unknown', error: new ContactError('PROTOCOL', { attempted: 'index documents', target, answer }) };
}
