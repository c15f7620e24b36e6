import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'mocha';
import { isBalanced } from '../../../lib/core/books';
import { DiskSpool } from '../../../lib/core/disk-spool';
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
  ...Object.fromEntries(
    [401, 403, 404, 405, 408, 429, 500, 502, 503].map((status) => [String(status), { answer: { status } }]),
  ),
  'a 400 of a proxy': { answer: { status: 400, headers: { 'content-type': 'text/html' }, body: '<html></html>' } },
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

type Kind = 'memory' | 'disk';

/** Sends a batch into a server with one fault and answers how each document ended, and what the server has. */
async function run(kind: Kind, fault: BulkFault, operation: 'index' | 'create') {
  const elastic = await startElasticsearchSimulator();
  const folder = mkdtempSync(join(tmpdir(), 'matrix-'));
  const isSlow = typeof fault.answer === 'object' && 'delayMs' in fault.answer;
  const connection = new ElasticConnection({ nodes: [elastic.url], requestTimeoutMs: isSlow ? 200 : 10_000 });
  const endings = new Map<string, Ending>();
  const failed: string[] = [];
  const outbox = new Outbox<string>({
    spool: kind === 'disk' ? new DiskSpool(folder) : new MemorySpool(),
    // All of them make one batch, however long a busy disk takes to store the last of them after the first.
    batch: { items: DOCUMENTS, bytes: 1_000_000, ageMs: kind === 'disk' ? 150 : 5 },
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
      outbox.offer(encodeDocument({ document: { n }, id: `id-${n}` }, operation, name, 0), `id-${n}`);
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
    rmSync(folder, { recursive: true, force: true });
  }
}

for (const kind of ['memory', 'disk'] as const) {
  describe(`whatever the answer to a bulk request, with the buffer ${kind === 'disk' ? 'on disk' : 'in memory'}`, () => {
    for (const operation of OPERATIONS) {
      for (const [name, fault] of Object.entries(ANSWERS)) {
        it(`${operation}, ${name}: every document is stored once and counted once`, async () => {
          const { endings, books, stored } = await run(kind, fault, operation);
          assert.equal(stored.size, DOCUMENTS);
          assert.ok([...stored.values()].every(({ created }) => created === 1));
          assert.ok(
            [...endings.values()].every((ending) => ending.kind === 'delivered' || ending.kind === 'duplicate'),
          );
          assert.equal(books.delivered + books.duplicate, DOCUMENTS);
        });
      }
      for (const itemStatus of ITEM_STATUSES) {
        for (const position of POSITIONS) {
          it(`${operation}, ${itemStatus} for the ${position}: nothing is lost, nothing doubled`, async () => {
            const { endings, books, stored } = await run(kind, { itemStatus, position }, operation);
            const hit = position === 'all' ? DOCUMENTS : 1;
            const rejected = FINAL.has(itemStatus) ? hit : 0;
            assert.equal(books.rejected, rejected);
            assert.equal(stored.size, DOCUMENTS - rejected);
            for (const [id, ending] of endings) assert.equal(stored.has(id), ending.kind !== 'rejected', id);
            if (itemStatus === 409 && operation === 'create') assert.equal(books.duplicate, hit);
          });
        }
      }
      for (const status of [400, 413]) {
        it(`${operation}, ${status} for the request: it is sent in halves, down to the one document it is about`, async () => {
          const halves = await run(kind, { answer: { status }, times: 3 }, operation);
          assert.equal(halves.stored.size, DOCUMENTS);
          assert.equal(halves.books.rejected, 0);
          // Twelve, six, three, two and one.
          const { endings, stored } = await run(kind, { answer: { status }, times: 5 }, operation);
          assert.equal(stored.size, DOCUMENTS - 1);
          const ending = endings.get('id-0');
          assert.ok(ending?.kind === 'rejected' && ending.error.status === status);
        });
      }
    }
  });
}
