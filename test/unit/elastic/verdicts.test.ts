import assert from 'node:assert/strict';
import type { ContactError } from '../../../lib/core/errors';
import type { Verdict } from '../../../lib/core/verdicts';
import { type AnswerFacts, forAll, judgeBulk, judgeItem, judgeRequest } from '../../../lib/elastic/verdicts';

const item = (operation: string, status: number, error?: unknown) =>
  judgeItem({ [operation]: { status, error } }, 'es');
const told = (verdict: { kind: string; fault?: string; error?: ContactError }) =>
  [verdict.kind, verdict.fault].filter(Boolean).join(' ');

describe('the verdict on one document', () => {
  for (const [operation, status, expected] of [
    ['index', 200, 'delivered'],
    ['index', 201, 'delivered'],
    ['create', 201, 'delivered'],
    ['create', 409, 'duplicate'],
    ['index', 409, 'busy limit'],
    ['index', 400, 'rejected'],
    ['index', 404, 'rejected'],
    ['index', 413, 'rejected'],
    ['index', 401, 'refused'],
    ['index', 403, 'refused'],
    ['index', 429, 'busy limit'],
    ['index', 408, 'busy failure'],
    ['index', 500, 'busy failure'],
    ['index', 503, 'busy failure'],
  ] as const) {
    it(`is ${expected} for ${status} under ${operation}`, () => {
      assert.equal(told(item(operation, status)), expected);
    });
  }

  it('says why it was rejected, in the words of Elasticsearch', () => {
    const verdict = item('index', 400, { type: 'document_parsing_exception', reason: 'failed to parse [n]' });
    assert.ok(verdict.kind === 'rejected');
    assert.match(verdict.error.message, /index a document \(es\): document_parsing_exception: failed to parse \[n\]/);
    assert.deepEqual([verdict.error.status, verdict.error.retryable], [400, false]);
  });

  it('tells what to do about an index that is missing', () => {
    const verdict = item('index', 404, { type: 'index_not_found_exception', reason: 'no such index [x]' });
    assert.ok(verdict.kind === 'rejected');
    assert.match(verdict.error.message, /Make the index/);
  });

  it('is unknown when there is none', () => {
    for (const answer of [undefined, null, 7, {}, { index: null }, { index: {} }, { index: { status: '201' } }]) {
      assert.equal(judgeItem(answer, 'es').kind, 'unknown');
    }
  });
});

describe('the verdict on a bulk request', () => {
  const ok = { create: { status: 201 } };
  const busy = { create: { status: 429 } };
  const away = { create: { status: 503 } };
  const refused = { create: { status: 403 } };

  it('is one for each document, in their order', () => {
    const verdicts = judgeBulk({ errors: true, items: [ok, busy, { create: { status: 400 } }] }, 3, 'es');
    assert.ok(Array.isArray(verdicts));
    assert.deepEqual(verdicts.map(told), ['delivered', 'busy limit', 'rejected']);
  });

  it('is unknown for all when it cannot be matched to the documents', () => {
    for (const answer of [undefined, null, 'text', {}, { items: {} }, { items: [ok] }, { items: [ok, ok, ok] }]) {
      const verdict = judgeBulk(answer, 2, 'es') as Verdict;
      assert.equal(verdict.kind, 'unknown');
    }
  });

  it('is a single one, the gravest, when not one document got through: it is the cluster that cannot', () => {
    const single = (...items: unknown[]) => told(judgeBulk({ items }, items.length, 'es') as Verdict);
    assert.equal(single(busy, busy), 'busy limit');
    assert.equal(single(busy, away, busy), 'busy failure');
    assert.equal(single(busy, away, refused), 'refused');
    assert.equal(single(busy, {}), 'unknown');
    assert.ok(Array.isArray(judgeBulk({ items: [busy, ok] }, 2, 'es')));
  });

  it('is none for no documents', () => assert.deepEqual(forAll([]), []));
});

describe('the verdict on an answer to a whole request', () => {
  const request = (status: number, isElasticsearch = true) =>
    judgeRequest({ attempted: 'index documents', status, answer: `HTTP ${status}`, target: 'es' }, isElasticsearch);

  for (const [status, expected] of [
    [401, 'refused'],
    [403, 'refused'],
    [404, 'refused'],
    [405, 'refused'],
    [429, 'busy limit'],
    [408, 'busy failure'],
    [500, 'busy failure'],
    [502, 'busy failure'],
    [503, 'busy failure'],
    [504, 'busy failure'],
    [413, 'split'],
    [400, 'split'],
  ] as const) {
    it(`is ${expected} for ${status}`, () => assert.equal(told(request(status)), expected));
  }

  it('keeps the documents when something else than Elasticsearch finds fault with the request, and says so', () => {
    for (const status of [400, 404, 405]) {
      const verdict = request(status, false);
      assert.ok(verdict.kind === 'refused');
      assert.match(verdict.error.message, /Check the address.*proxy.*everything is kept/);
    }
  });

  it('passes on how long to wait', () => {
    const facts: AnswerFacts = { attempted: 'x', status: 429, answer: '', target: 'es', retryAfterMs: 3_000 };
    const verdict = judgeRequest(facts, true);
    assert.ok(verdict.kind === 'busy');
    assert.equal(verdict.error.retryAfterMs, 3_000);
  });
});
