import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { requireService } from '../../services/requirements';
import { type ElasticsearchSimulator, startElasticsearchSimulator } from '../../simulators/elasticsearch';

/** A request, with `INDEX` in place of an index name of its own. */
interface Step {
  method: string;
  path: string;
  body?: string;
  type?: string;
}

const NDJSON = 'application/x-ndjson';
const bulk = (...lines: (object | string)[]): Step => ({
  method: 'POST',
  path: '/_bulk',
  type: NDJSON,
  body: lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''),
});
const to = (operation: string, more: object = {}) => ({ [operation]: { _index: 'INDEX', ...more } });
const make = (body: object): Step => ({ method: 'PUT', path: '/INDEX', body: JSON.stringify(body) });
const settings = (body: object): Step => ({ method: 'PUT', path: '/INDEX/_settings', body: JSON.stringify(body) });

/** What is asked of both; the answers are compared step by step. */
const CASES: Record<string, Step[]> = {
  'documents that are new, replaced, created and there already': [
    bulk(to('index', { _id: '1' }), { n: 1 }, to('index', { _id: '1' }), { n: 2 }, to('create', { _id: '2' }), {
      n: 3,
    }),
    bulk(to('create', { _id: '2' }), { n: 4 }, to('create', { _id: '3' }), { n: 5 }),
  ],
  'documents that do not fit the fields that were learnt': [
    bulk(to('index', { _id: '1' }), { n: 1, object: { a: 1 }, text: 'a' }),
    bulk(
      to('index', { _id: '2' }),
      { n: 'many' },
      to('index', { _id: '3' }),
      { object: 'no object' },
      to('index', { _id: '4' }),
      { text: { a: 1 } },
      to('index', { _id: '5' }),
      { n: 5 },
    ),
  ],
  'a field that a strict mapping does not know': [
    make({ mappings: { dynamic: 'strict', properties: { known: { type: 'keyword' } } } }),
    bulk(to('index', { _id: '1' }), { known: 'a' }, to('index', { _id: '2' }), { other: 'b' }),
  ],
  'a date that is none': [
    make({ mappings: { properties: { '@timestamp': { type: 'date' } } } }),
    bulk(to('index', { _id: '1' }), { '@timestamp': 'yesterday' }, to('index', { _id: '2' }), { '@timestamp': 0 }),
  ],
  'an index that may not be written to': [
    make({}),
    settings({ 'index.blocks.write': true }),
    bulk(to('index', { _id: '1' }), { n: 1 }, to('create', { _id: '2' }), { n: 2 }),
  ],
  'an index that is blocked because the disk is full': [
    make({}),
    settings({ 'index.blocks.read_only_allow_delete': true }),
    bulk(to('index', { _id: '1' }), { n: 1 }),
  ],
  'an index name with capitals': [bulk({ index: { _index: 'INDEX-Capital', _id: '1' } }, { n: 1 })],
  'an id that is too long': [bulk(to('index', { _id: 'x'.repeat(513) }), { n: 1 })],
  'an update and a delete of nothing': [
    bulk(to('update', { _id: '1' }), { doc: { n: 1 } }, to('delete', { _id: '2' })),
  ],
  'a body without the last line break': [{ ...bulk(), body: '{"index":{"_index":"INDEX","_id":"1"}}\n{"n":1}' }],
  'an empty body': [{ ...bulk(), body: '' }],
  'a line that is no action': [bulk({ n: 1 }, { n: 1 })],
  'an action without a name that is known': [bulk(to('append', { _id: '1' }), { n: 1 })],
  'an action line that is cut off': [bulk('{"index":{"_index":"INDEX"', { n: 1 })],
  'an action without an index': [bulk({ index: { _id: '1' } }, { n: 1 })],
  'a document that is no object': [bulk(to('index', { _id: '1' }), '[1]', to('index', { _id: '2' }), { n: 1 })],
  'a document that is cut off': [bulk(to('index', { _id: '1' }), '{"n":1', to('index', { _id: '2' }), { n: 1 })],
  'a content type that is none of its own': [{ ...bulk(to('index', { _id: '1' }), { n: 1 }), type: 'text/plain' }],
  'an action with a parameter that is not known': [bulk(to('index', { _id: '1', colour: 'red' }), { n: 1 })],
};

describe('the simulated Elasticsearch and a real one', () => {
  const real = requireService('elasticsearch');
  let simulator: ElasticsearchSimulator;
  const made: string[] = [];

  before(async () => {
    simulator = await startElasticsearchSimulator();
  });
  after(async () => {
    await simulator?.close();
    for (const index of made) await fetch(`${real.location}/${index}`, { method: 'DELETE' });
  });

  for (const [name, steps] of Object.entries(CASES)) {
    it(`answer the same to ${name}`, async () => {
      const index = `fidelity-${randomUUID()}`;
      made.push(index);
      for (const step of steps) {
        const [simulated, expected] = await Promise.all([
          ask(simulator.url, step, index),
          ask(real.location, step, index),
        ]);
        assert.deepEqual(simulated, expected);
      }
    });
  }
});

/** The parts of an answer that decide what becomes of a document. */
async function ask(url: string, { method, path, body, type = 'application/json' }: Step, index: string) {
  const answer = await fetch(url + path.replaceAll('INDEX', index), {
    method,
    headers: { 'content-type': type },
    ...(body === undefined ? {} : { body: body.replaceAll('INDEX', index) }),
  });
  const told = (await answer.json()) as {
    errors?: boolean;
    items?: Record<string, { status: number; error?: { type: string } }>[];
    error?: { type: string } | string;
  };
  return {
    status: answer.status,
    product: answer.headers.get('x-elastic-product'),
    error: typeof told.error === 'string' ? 'text' : told.error?.type,
    errors: told.errors,
    items: told.items?.map((item) =>
      Object.entries(item).map(([operation, { status, error }]) => [operation, status, error?.type]),
    ),
  };
}
