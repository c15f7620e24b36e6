import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { isBalanced } from '../../../lib/core/books';
import { type Ending, Outbox } from '../../../lib/core/outbox';
import { MemorySpool } from '../../../lib/core/spool';
import { sendBulk } from '../../../lib/elastic/bulk';
import { ElasticConnection } from '../../../lib/elastic/connection';
import { encodeDocument } from '../../../lib/elastic/encode';
import { IndexName } from '../../../lib/elastic/index-name';
import { type BulkFault, startElasticsearchSimulator } from '../../simulators/elasticsearch';
import { until } from '../until';

const DOCUMENTS = 12;
const OPERATIONS = ['index', 'create'] as const;
const POSITIONS = ['first', 'middle', 'last', 'all'] as const;
const ITEM_STATUSES = [400, 401, 403, 404, 409, 413, 429, 500, 503];
/** Statuses after which a document is sent away, since sending it again would end the same way. */
const FINAL = new Set([400, 404, 413]);

const ANSWERS: Record<string, BulkFault> = {
  ...Object.fromEntries([401, 403, 429, 500, 503].map((status) => [String(status), { answer: { status } }])),
  '500 after taking it': { answer: { status: 500 }, applied: true },
  '503 after taking it': { answer: { status: 503 }, applied: true },
  'a cut body': { answer: 'cut-body' },
  'a cut body of what was not taken': { answer: 'cut-body', applied: false },
  'broken JSON': { answer: 'broken-json' },
  'broken JSON of what was not taken': { answer: 'broken-json', applied: false },
  'fewer items': { answer: 'fewer-items' },
  'fewer items of what was not taken': { answer: 'fewer-items', applied: false },
  'more items': { answer: 'more-items' },
  'more items of what was not taken': { answer: 'more-items', applied: false },
  'a slow answer': { answer: { delayMs: 400 } },
  'a reset before the request is read': { answer: 'reset-before-body-sent' },
  'a reset before the request is taken': { answer: 'reset-before' },
  'a reset after the request is taken': { answer: 'reset-after' },
};

/** Sends a batch into a server with one fault and answers how each document ended, and what the server has. */
async function run(fault: BulkFault, operation: 'index' | 'create', sizes = { items: DOCUMENTS }) {
  const elastic = await startElasticsearchSimulator();
  const connection = new ElasticConnection({ nodes: [elastic.url], requestTimeoutMs: 200 });
  const endings = new Map<string, Ending>();
  const failed: string[] = [];
  const outbox = new Outbox<string>({
    spool: new MemorySpool(),
    batch: { ...sizes, bytes: 1_000_000, ageMs: 5 },
    concurrency: 2,
    limits: { items: 1_000, bytes: 1_000_000 },
    overflow: 'refuse',
    backoff: { baseMs: 5, maxMs: 10 },
    send: async (entries, signal) => {
      const verdicts = await sendBulk(connection, entries, signal);
      if (!isBalanced(outbox.snapshot())) failed.push('the books were not balanced during a request');
      return verdicts;
    },
    onEnding: ({ context = '' }, ending) => {
      if (endings.has(context)) failed.push(`${context} ended twice`);
      endings.set(context, ending);
    },
  });
  try {
    elastic.faults.bulk(fault);
    const name = new IndexName('events');
    for (let n = 0; n < DOCUMENTS; n += 1) {
      outbox.offer(encodeDocument({ document: { n }, id: `id-${n}` }, operation, name, 0), `id-${n}`, () => {});
    }
    await until(() => endings.size === DOCUMENTS, 'an end for each document');
    assert.deepEqual(failed, []);
    const books = outbox.snapshot();
    assert.ok(isBalanced(books));
    assert.equal(books.received, DOCUMENTS);
    assert.equal(books.queued + books.inFlight + books.dropped, 0);
    return { endings, books, stored: elastic.documents('events') };
  } finally {
    await outbox.close(100);
    await connection.close();
    await elastic.close();
  }
}

describe('whatever the answer to a bulk request is', () => {
  for (const operation of OPERATIONS) {
    for (const [name, fault] of Object.entries(ANSWERS)) {
      it(`${operation}, ${name}: every document is stored once and counted once`, async () => {
        const { endings, books, stored } = await run(fault, operation);
        assert.equal(stored.size, DOCUMENTS);
        assert.ok([...stored.values()].every(({ created }) => created === 1));
        assert.ok([...endings.values()].every(({ kind }) => kind === 'delivered' || kind === 'duplicate'));
        assert.equal(books.delivered + books.duplicate, DOCUMENTS);
      });
    }
    for (const itemStatus of ITEM_STATUSES) {
      for (const position of POSITIONS) {
        it(`${operation}, ${itemStatus} for the ${position}: nothing is lost, nothing doubled`, async () => {
          const { endings, books, stored } = await run({ itemStatus, position }, operation);
          const hit = position === 'all' ? DOCUMENTS : 1;
          const rejected = FINAL.has(itemStatus) ? hit : 0;
          assert.equal(books.rejected, rejected);
          assert.equal(stored.size, DOCUMENTS - rejected);
          for (const [id, { kind }] of endings) assert.equal(stored.has(id), kind !== 'rejected', id);
          if (itemStatus === 409 && operation === 'create') assert.equal(books.duplicate, hit);
        });
      }
    }
    it(`${operation}, 413 for the request: it is sent in halves`, async () => {
      const { stored, books } = await run({ answer: { status: 413 }, times: 3 }, operation);
      assert.equal(stored.size, DOCUMENTS);
      assert.equal(books.rejected, 0);
    });
    it(`${operation}, 404 for the request: each document leaves with the reason`, async () => {
      const { endings, books } = await run({ answer: { status: 404 } }, operation);
      assert.equal(books.rejected, DOCUMENTS);
      assert.ok([...endings.values()].every((ending) => 'error' in ending && ending.error.status === 404));
    });
  }
});
