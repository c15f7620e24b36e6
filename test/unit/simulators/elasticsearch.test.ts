import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Client, errors } from '@elastic/elasticsearch';
import fc from 'fast-check';
import { selfSignedCertificate } from '../../simulators/certificate';
import {
  type BulkFault,
  type ElasticsearchSimulator,
  type ElasticsearchSimulatorOptions,
  startElasticsearchSimulator,
} from '../../simulators/elasticsearch';
import { compileFilterPath } from '../../simulators/elasticsearch/filter-path';

interface ErrorBody {
  type: string;
  reason: string;
  caused_by?: ErrorBody;
  root_cause?: ErrorBody[];
}
interface Item {
  _index: string;
  _id: string | null;
  _version?: number;
  _seq_no?: number;
  result?: string;
  status: number;
  error?: ErrorBody;
}
interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** The parsed body, for what these tests look at. */
  json: {
    error?: ErrorBody | string;
    errors?: boolean;
    items?: Record<string, Item>[];
    count?: number;
    hits?: { total?: { value: number; relation: string }; hits: { _id: string; _source: Record<string, unknown> }[] };
    [key: string]: unknown;
  };
}

const NDJSON = { 'content-type': 'application/x-ndjson' };

describe('the Elasticsearch simulator', () => {
  let elastic: ElasticsearchSimulator;

  const start = async (options: ElasticsearchSimulatorOptions = {}) => {
    elastic = await startElasticsearchSimulator(options);
  };
  afterEach(() => elastic.close());

  const call = (
    method: string,
    path: string,
    body?: string | Buffer | object,
    headers: Record<string, string> = {},
  ): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const raw = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
      const length: Record<string, string> =
        raw === undefined ? {} : { 'content-length': String(Buffer.byteLength(raw)) };
      const type: Record<string, string> = raw === undefined ? {} : { 'content-type': 'application/json' };
      const request = httpRequest(`${elastic.url}${path}`, {
        method,
        headers: { ...type, ...length, ...headers },
        agent: false,
      });
      request.once('error', reject);
      request.once('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('error', reject);
        response.once('end', () => {
          const text = Buffer.concat(chunks).toString();
          let json = {};
          if (response.headers['content-type']?.includes('json') && method !== 'HEAD')
            try {
              json = JSON.parse(text);
            } catch {
              json = {};
            }
          resolve({ status: response.statusCode!, headers: response.headers, text, json });
        });
      });
      request.end(raw);
    });
  const bulk = (lines: (object | string)[], path = '/_bulk', headers: Record<string, string> = NDJSON) =>
    call(
      'POST',
      path,
      lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''),
      headers,
    );
  const batch = (index: string, ids: string[], action = 'create') =>
    ids.flatMap((id) => [{ [action]: { _index: index, _id: id } }, { n: 1 }]);
  const items = (answer: Answer) => (answer.json.items ?? []).map((item) => Object.values(item)[0]!);
  const statuses = (answer: Answer) => items(answer).map(({ status }) => status);
  const reasonOf = ({ json: { error } }: Answer) => (typeof error === 'string' ? error : error?.reason);
  const typeOf = ({ json: { error } }: Answer) => (typeof error === 'string' ? undefined : error?.type);

  describe('what it says it is', () => {
    it('names its version and carries the product header that clients check', async () => {
      await start({ version: '9.1.2' });
      const answer = await call('GET', '/');
      assert.equal((answer.json['version'] as { number: string }).number, '9.1.2');
      assert.equal(answer.json['tagline'], 'You Know, for Search');
      assert.equal(answer.headers['x-elastic-product'], 'Elasticsearch');
      const head = await call('HEAD', '/');
      assert.deepEqual([head.status, head.text], [200, '']);
    });

    it('refuses unknown paths, methods and parameters the way the server does', async () => {
      await start();
      const nowhere = await call('GET', '/a/b/c/d');
      assert.deepEqual(
        [nowhere.status, nowhere.json.error],
        [400, 'no handler found for uri [/a/b/c/d] and method [GET]'],
      );
      const wrongMethod = await call('GET', '/_bulk');
      assert.equal(wrongMethod.status, 405);
      assert.equal(wrongMethod.headers.allow, 'POST,PUT');
      const parameter = await call('GET', '/_cluster/health?levle=indices');
      assert.deepEqual(
        [parameter.status, reasonOf(parameter)],
        [400, 'request [/_cluster/health] contains unrecognized parameter: [levle]'],
      );
    });
  });

  describe('the bulk endpoint', () => {
    it('answers each operation in the order of the request with all fields of the server', async () => {
      await start();
      const answer = await bulk([
        { index: { _index: 'a', _id: '1' } },
        { n: 1 },
        { create: { _index: 'a', _id: '1' } },
        { n: 2 },
        { index: { _index: 'a', _id: '1' } },
        { n: 3 },
        { update: { _index: 'a', _id: '1' } },
        { doc: { m: 1 } },
        { update: { _index: 'a', _id: '1' } },
        { doc: { m: 1 } },
        { update: { _index: 'a', _id: 'none' } },
        { doc: { m: 1 } },
        { delete: { _index: 'a', _id: '1' } },
        { delete: { _index: 'a', _id: '1' } },
        { index: { _index: 'a' } },
        { n: 4 },
      ]);
      assert.equal(answer.status, 200);
      assert.equal(answer.json.errors, true);
      assert.deepEqual(
        items(answer).map(({ status, result }) => [status, result]),
        [
          [201, 'created'],
          [409, undefined],
          [200, 'updated'],
          [200, 'updated'],
          [200, 'noop'],
          [404, undefined],
          [200, 'deleted'],
          [404, 'not_found'],
          [201, 'created'],
        ],
      );
      const [first, conflict] = items(answer);
      assert.deepEqual(first, {
        _index: 'a',
        _id: '1',
        _version: 1,
        result: 'created',
        _shards: { total: 2, successful: 1, failed: 0 },
        _seq_no: 0,
        _primary_term: 1,
        status: 201,
      });
      assert.equal(conflict!.error!.type, 'version_conflict_engine_exception');
      assert.equal(conflict!.error!.reason, '[1]: version conflict, document already exists (current version [1])');
      assert.equal(items(answer).at(-1)!._id!.length, 20);
      assert.equal(elastic.count(), 1);
    });

    it('does not call a delete of nothing an error, and sees that a document was deleted', async () => {
      await start();
      await bulk([{ index: { _index: 'a', _id: 'x' } }, {}]);
      const answer = await bulk([{ delete: { _index: 'a', _id: 'x' } }, { delete: { _index: 'a', _id: 'y' } }]);
      assert.deepEqual([answer.json.errors, statuses(answer)], [false, [200, 404]]);
      await bulk([{ create: { _index: 'a', _id: 'x' } }, {}]);
      assert.deepEqual(elastic.applied('a').get('x'), { created: 2, updated: 0 });
      assert.equal(elastic.documents('a').get('x')!._version, 3);
    });

    const refusals: [string, string, string, string][] = [
      [
        'without a newline at the end',
        '{"index":{"_index":"a"}}\n{}',
        'illegal_argument_exception',
        'The bulk request must be terminated by a newline [\\n]',
      ],
      ['that is empty', '', 'parse_exception', 'request body is required'],
      ['of blank lines', '\n\n', 'action_request_validation_exception', 'Validation Failed: 1: no requests added;'],
      [
        'with an unknown action',
        '{"insert":{}}\n{}\n',
        'illegal_argument_exception',
        'Malformed action/metadata line [1], expected one of [create, delete, index, update] but found [insert]',
      ],
      [
        'with an array as action',
        '[]\n{}\n',
        'illegal_argument_exception',
        'Malformed action/metadata line [1], expected START_OBJECT but found [START_ARRAY]',
      ],
      [
        'with an unknown parameter',
        '{"index":{"_index":"a","_type":"t"}}\n{}\n',
        'illegal_argument_exception',
        'Action/metadata line [1] contains an unknown parameter [_type]',
      ],
      [
        'with an object as id',
        '{"index":{"_index":"a","_id":{}}}\n{}\n',
        'illegal_argument_exception',
        'Malformed action/metadata line [1], expected a simple value for field [_id] but found [START_OBJECT]',
      ],
      [
        'without an index',
        '{"index":{}}\n{}\n',
        'action_request_validation_exception',
        'Validation Failed: 1: index is missing;',
      ],
      [
        'with a delete without id',
        '{"delete":{"_index":"a"}}\n',
        'action_request_validation_exception',
        'Validation Failed: 1: id is missing;',
      ],
      [
        'with a version of its own',
        '{"index":{"_index":"a","_id":"1","version":4}}\n{}\n',
        'action_request_validation_exception',
        'Validation Failed: 1: internal versioning can not be used for optimistic concurrency control. Please use `if_seq_no` and `if_primary_term` instead;',
      ],
      [
        'with an id over 512 bytes',
        `{"index":{"_index":"a","_id":"${'é'.repeat(257)}"}}\n{}\n`,
        'action_request_validation_exception',
        `Validation Failed: 1: id [${'é'.repeat(257)}] is too long, must be no longer than 512 bytes but was: 514;`,
      ],
    ];
    for (const [what, body, type, reason] of refusals)
      it(`refuses a body ${what} as a whole`, async () => {
        await start();
        const good = '{"index":{"_index":"a","_id":"good"}}\n{}\n';
        const answer = await call('POST', '/_bulk', body.trim() === '' ? body : good + body, NDJSON);
        const line = (text: string) =>
          text.replace('[1], expected', '[3], expected').replace('line [1] contains', 'line [3] contains');
        assert.deepEqual([answer.status, typeOf(answer), reasonOf(answer)], [400, type, line(reason)]);
        assert.deepEqual(elastic.indices(), [], 'nothing of it may be applied');
      });

    it('refuses JSON that is cut off in an action line', async () => {
      await start();
      const answer = await bulk(['{"index":{"_index":"a"', {}]);
      assert.deepEqual([answer.status, typeOf(answer)], [400, 'x_content_e_o_f_exception']);
    });

    it('keeps ids apart whatever characters they have', async () => {
      await start();
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }), { minLength: 1 }),
          async (ids) => {
            elastic.clear();
            const answer = await bulk(batch('a', ids));
            assert.equal(answer.json.errors, false);
            assert.deepEqual(
              items(answer).map(({ _id }) => _id),
              ids,
            );
            assert.deepEqual([...elastic.documents('a').keys()], ids);
          },
        ),
        { numRuns: 40 },
      );
    });

    it('refuses single items for their index: bad name, not to be made, blocked, no right', async () => {
      await start();
      elastic.setReadOnly('locked');
      elastic.setReadOnly('full', 'read_only_allow_delete');
      elastic.setForbidden('secret*');
      const indices = ['Upper', '_hidden', 'a b', 'locked', 'full', 'secret-1', 'good'];
      const answer = await bulk(indices.flatMap((_index) => [{ index: { _index, _id: '1' } }, {}]));
      assert.deepEqual(
        items(answer).map(({ status, error }) => [status, error?.type]),
        [
          [400, 'invalid_index_name_exception'],
          [400, 'invalid_index_name_exception'],
          [400, 'invalid_index_name_exception'],
          [403, 'cluster_block_exception'],
          [429, 'cluster_block_exception'],
          [403, 'security_exception'],
          [201, undefined],
        ],
      );
      assert.equal(items(answer)[0]!.error!.reason, 'Invalid index name [Upper], must be lowercase');
      assert.equal(items(answer)[3]!.error!.reason, 'index [locked] blocked by: [FORBIDDEN/8/index write (api)];');
      elastic.setReadOnly('locked', false);
      elastic.setAutoCreate(false);
      const later = await bulk(['locked', 'new'].flatMap((_index) => [{ index: { _index, _id: '1' } }, {}]));
      assert.deepEqual(statuses(later), [201, 404]);
      assert.equal(items(later)[1]!.error!.reason, 'no such index [new] and [action.auto_create_index] is [false]');
    });

    it('takes the index of the path for operations that name none, and the action op_type create', async () => {
      await start();
      const answer = await bulk(
        [{ index: { op_type: 'create', _id: '1' } }, {}, { create: { _id: '1' } }, {}],
        '/path/_bulk',
      );
      assert.deepEqual(
        answer.json.items!.map((item) => Object.keys(item)[0]),
        ['create', 'create'],
      );
      assert.deepEqual(statuses(answer), [201, 409]);
      assert.deepEqual(elastic.indices(), ['path']);
    });

    it('honours if_seq_no, external versions and require_data_stream', async () => {
      await start();
      await bulk([{ index: { _index: 'a', _id: '1' } }, {}]);
      const answer = await bulk([
        { index: { _index: 'a', _id: '1', if_seq_no: 0, if_primary_term: 1 } },
        {},
        { index: { _index: 'a', _id: '1', if_seq_no: 0, if_primary_term: 1 } },
        {},
        { index: { _index: 'a', _id: '1', version: 9, version_type: 'external' } },
        {},
        { index: { _index: 'a', _id: '1', version: 9, version_type: 'external' } },
        {},
        { create: { _index: 'a', require_data_stream: true } },
        {},
      ]);
      assert.deepEqual(statuses(answer), [200, 409, 200, 409, 404]);
      assert.equal(elastic.documents('a').get('1')!._version, 9);
    });

    it('judges content types and compatible versions', async () => {
      await start();
      const body = '{"index":{"_index":"a"}}\n{}\n';
      const vendor = (version: number, kind = 'x-ndjson') =>
        `application/vnd.elasticsearch+${kind}; compatible-with=${version}`;
      const cases: [Record<string, string>, number][] = [
        [{ 'content-type': 'application/x-ndjson' }, 200],
        [{ 'content-type': 'application/json; charset=utf-8' }, 200],
        [{ 'content-type': vendor(8), accept: vendor(8, 'json') }, 200],
        [{ 'content-type': vendor(8) }, 400],
        [{ 'content-type': vendor(9), accept: vendor(9, 'json') }, 400],
        [{ 'content-type': vendor(7), accept: vendor(8, 'json') }, 400],
        [{ 'content-type': 'text/plain' }, 406],
        [{ 'content-type': 'application/xml' }, 406],
        [{ 'content-type': '' }, 406],
      ];
      for (const [headers, status] of cases)
        assert.equal((await call('POST', '/_bulk', body, headers)).status, status, JSON.stringify(headers));
      const refused = await call('POST', '/_bulk', body, { 'content-type': 'text/plain' });
      assert.equal(refused.json.error, 'Content-Type header [text/plain] is not supported');
      assert.equal(
        typeOf(await call('POST', '/_bulk', body, { 'content-type': vendor(9), accept: vendor(9, 'json') })),
        'media_type_header_exception',
      );
    });

    it('unpacks gzip, and answers 413 without a body beyond the longest content, packed or not', async () => {
      await start({ maxContentLengthBytes: 10_000 });
      const small = gzipSync('{"index":{"_index":"a"}}\n{}\n');
      const gzip = { ...NDJSON, 'content-encoding': 'gzip' };
      assert.equal((await call('POST', '/_bulk', small, gzip)).status, 200);
      const long = `{"index":{"_index":"a"}}\n{"text":"${'x'.repeat(20_000)}"}\n`;
      for (const answer of [
        await call('POST', '/_bulk', long, NDJSON),
        await call('POST', '/_bulk', gzipSync(long), gzip),
      ])
        assert.deepEqual([answer.status, answer.text, answer.headers['x-elastic-product']], [413, '', undefined]);
      assert.equal(elastic.count(), 1);
    });
  });

  describe('the mapping', () => {
    it('learns the fields of documents and refuses a later document that does not fit', async () => {
      await start();
      const answer = await bulk(
        [
          { n: 1, at: '2024-05-06T07:08:09Z', ok: true, text: 'one', object: { a: 1 } },
          { n: 'many' },
          { at: '2024-02-30' },
          { ok: 'maybe' },
          { object: 'flat' },
          { text: { b: 1 } },
          { n: '17', at: 1_700_000_000_000, ok: 'false', text: 5, object: null, 'object.a': 2 },
          { _id: 'x' },
          { 'a..b': 1 },
          [1],
        ].flatMap((document, place) => [{ index: { _index: 'a', _id: String(place) } }, document]),
      );
      assert.deepEqual(statuses(answer), [201, 400, 400, 400, 400, 400, 201, 400, 400, 400]);
      const [, number] = items(answer);
      assert.equal(number!.error!.type, 'document_parsing_exception');
      assert.match(
        number!.error!.reason,
        /^\[1:\d+\] failed to parse field \[n\] of type \[long\] in document with id '1'\. Preview of field's value: 'many'$/,
      );
      assert.deepEqual(number!.error!.caused_by, {
        type: 'illegal_argument_exception',
        reason: 'For input string: "many"',
      });
      assert.match(
        items(answer)[4]!.error!.reason,
        /object mapping for \[object\] tried to parse field \[object\] as object/,
      );
      const mapping = await call('GET', '/a/_mapping');
      const { properties } = (mapping.json['a'] as { mappings: { properties: Record<string, { type?: string }> } })
        .mappings;
      assert.deepEqual(
        [properties['n']!.type, properties['at']!.type, properties['text']!.type],
        ['long', 'date', 'text'],
      );
    });

    it('learns nothing from a document that is refused', async () => {
      await start();
      await bulk([{ index: { _index: 'a' } }, { n: 1 }]);
      const answer = await bulk([
        { index: { _index: 'a' } },
        { fresh: 1, n: 'x' },
        { index: { _index: 'a' } },
        { fresh: 'text' },
      ]);
      assert.deepEqual(statuses(answer), [400, 201]);
    });

    it('holds to a strict mapping, to its limit of fields, and refuses a mapping with unknown types', async () => {
      await start();
      const strict = { mappings: { dynamic: 'strict', properties: { code: { type: 'keyword' } } } };
      assert.equal((await call('PUT', '/strict', strict)).status, 200);
      assert.equal((await call('PUT', '/strict', strict)).json.error && 400, 400);
      const many = Object.fromEntries(Array.from({ length: 600 }, (_, place) => [`f${place}`, 'text']));
      const answer = await bulk([{ index: { _index: 'strict' } }, { other: 1 }, { index: { _index: 'wide' } }, many]);
      assert.deepEqual(
        items(answer).map(({ error }) => error?.type),
        ['strict_dynamic_mapping_exception', 'document_parsing_exception'],
      );
      assert.match(
        items(answer)[1]!.error!.reason,
        /Limit of total fields \[1000\] has been exceeded while adding new fields \[1200\]/,
      );
      const unknown = await call('PUT', '/b', { mappings: { properties: { x: { type: 'strnig' } } } });
      assert.deepEqual([unknown.status, typeOf(unknown)], [400, 'mapper_parsing_exception']);
      assert.equal(
        reasonOf(await call('PUT', '/b', { settings: { 'index.refresh': '1s' } }))?.startsWith(
          'unknown setting [index.refresh]',
        ),
        true,
      );
    });

    it('refuses documents that are no JSON, empty or not UTF-8, and applies the others', async () => {
      await start();
      const body = Buffer.concat([
        Buffer.from('{"index":{"_index":"a"}}\n{"n":}\n{"index":{"_index":"a"}}\n\n{"index":{"_index":"a"}}\n{"t":"'),
        Buffer.from([0xc3, 0x28]),
        Buffer.from('"}\n{"index":{"_index":"a"}}\r\n{"t":"grün"}\r\n'),
      ]);
      const answer = await call('POST', '/_bulk', body, NDJSON);
      assert.deepEqual(statuses(answer), [400, 400, 400, 201]);
      assert.deepEqual(
        [...elastic.documents('a').values()].map(({ _source }) => _source),
        [{ t: 'grün' }],
      );
    });
  });

  describe('data streams', () => {
    it('are made by the first create into a name with a template, and take nothing but create with a timestamp', async () => {
      await start();
      const template = { index_patterns: ['audio-*'], data_stream: {}, priority: 200 };
      assert.equal((await call('PUT', '/_index_template/audio', template)).status, 200);
      const answer = await bulk([
        { create: { _index: 'audio-1', _id: '1' } },
        { '@timestamp': '2024-01-01T00:00:00Z' },
        { index: { _index: 'audio-1', _id: '2' } },
        { '@timestamp': '2024-01-01T00:00:00Z' },
        { create: { _index: 'audio-1' } },
        { message: 'no time' },
        { create: { _index: 'audio-1', _id: '1' } },
        { '@timestamp': '2024-01-01T00:00:00Z' },
        { create: { _index: 'logs-app-default' } },
        { '@timestamp': 1 },
      ]);
      assert.deepEqual(statuses(answer), [201, 400, 400, 409, 201]);
      assert.match(items(answer)[0]!._index, /^\.ds-audio-1-\d{4}\.\d\d\.\d\d-000001$/);
      assert.equal(
        items(answer)[1]!.error!.reason,
        'only write ops with an op_type of create are allowed in data streams',
      );
      assert.match(items(answer)[2]!.error!.reason, /data stream timestamp field \[@timestamp\] is missing/);
      const stream = await call('GET', '/_data_stream/audio-1');
      assert.equal((stream.json['data_streams'] as { template: string }[])[0]!.template, 'audio');
      assert.equal((await call('GET', '/_data_stream/nothing')).status, 404);
      assert.equal((await call('PUT', '/audio-2', {})).status, 400);
      assert.equal((await call('GET', '/audio-1/_count')).json.count, 1);
    });

    it('are checked for a timestamp also when documents are not parsed', async () => {
      await start({ store: 'ids' });
      const answer = await bulk([
        { create: { _index: 'logs-a-b' } },
        { message: 'x' },
        { create: { _index: 'logs-a-b' } },
        { '@timestamp': 1 },
      ]);
      assert.deepEqual(statuses(answer), [400, 201]);
    });
  });

  describe('filter_path', () => {
    const sample = {
      took: 1,
      errors: true,
      items: [{ index: { _id: '1', status: 201 } }, { create: { status: 400, error: { type: 't', reason: 'r' } } }],
    };
    const cases: [string, unknown][] = [
      ['errors', { errors: true }],
      ['took,errors', { took: 1, errors: true }],
      ['items.*.status', { items: [{ index: { status: 201 } }, { create: { status: 400 } }] }],
      ['items.*.error', { items: [{ create: { error: { type: 't', reason: 'r' } } }] }],
      ['items.index.st*', { items: [{ index: { status: 201 } }] }],
      ['**.reason', { items: [{ create: { error: { reason: 'r' } } }] }],
      ['items', { items: sample.items }],
      ['-items', { took: 1, errors: true }],
      ['items.*.error,-**.reason', { items: [{ create: { error: { type: 't' } } }] }],
      ['nothing.here', undefined],
    ];
    before(() => start());
    for (const [path, expected] of cases)
      it(`leaves what ${path} asks for`, () => assert.deepEqual(compileFilterPath(path)(sample), expected));

    it('makes of a bulk answer what it makes of the unfiltered one', async () => {
      await elastic.close();
      await start();
      const lines = [
        ...batch('a', ['1', '2', '1']),
        { index: { _index: 'Bad' } },
        {},
        { delete: { _index: 'a', _id: '9' } },
      ];
      const plain = await bulk(lines);
      for (const path of [
        'errors,items.*.status,items.*.error.type,items.*.error.reason',
        'items.*._id',
        'items.*.error',
        'errors',
        'items.*.status',
        '-took',
      ]) {
        elastic.clear();
        const filtered = await bulk(lines, `/_bulk?filter_path=${path}`);
        const [wanted, got] = [compileFilterPath(path)(plain.json), filtered.json].map((body) =>
          JSON.stringify(body).replace(/"index_uuid":"[^"]*"/g, ''),
        );
        assert.equal(got, wanted);
      }
      elastic.clear();
      const good = await bulk(batch('a', ['1', '2']), '/_bulk?filter_path=errors,items.*.error');
      assert.equal(good.text, '{"errors":false}');
    });
  });

  describe('looking at documents', () => {
    it('searches, counts, pages, sorts and fetches', async () => {
      await start();
      await bulk(
        ['a', 'b', 'c'].flatMap((id, n) => [{ index: { _index: 'one', _id: id } }, { n, tag: id === 'a' ? 'x' : 'y' }]),
      );
      const hits = async (body: object, query = '') =>
        (await call('POST', `/one/_search${query}`, body)).json.hits!.hits.map(({ _id }) => _id);
      assert.deepEqual(await hits({}), ['a', 'b', 'c']);
      assert.deepEqual(await hits({ query: { term: { 'tag.keyword': 'y' } } }), ['b', 'c']);
      assert.deepEqual(await hits({ query: { ids: { values: ['c', 'z'] } } }), ['c']);
      assert.deepEqual(await hits({ sort: [{ n: 'desc' }], from: 1, size: 1 }), ['b']);
      assert.deepEqual(await hits({ query: { range: { n: { gte: 1 } } } }, '?size=1'), ['b']);
      const tracked = await call('POST', '/one/_search?track_total_hits=2', {});
      assert.deepEqual(tracked.json.hits!.total, { value: 2, relation: 'gte' });
      assert.equal((await call('POST', '/one/_count', { query: { term: { n: 1 } } })).json.count, 1);
      assert.equal((await call('GET', '/one/_doc/b')).json['_seq_no'], 1);
      assert.equal((await call('GET', '/one/_doc/z')).status, 404);
      assert.equal(typeOf(await call('GET', '/none/_search')), 'index_not_found_exception');
      assert.equal((await call('POST', '/one/_search', { query: { fuzzyish: {} } })).status, 400);
      assert.equal((await call('GET', '/one/_search?size=10001')).status, 400);
    });

    it('manages indices and shows them', async () => {
      await start();
      assert.equal((await call('PUT', '/one', { settings: { index: { 'blocks.write': true } } })).status, 200);
      assert.equal(typeOf(await call('PUT', '/one', {})), 'resource_already_exists_exception');
      assert.equal((await call('PUT', '/one/_doc/1', {})).status, 403);
      assert.equal((await call('PUT', '/one/_settings', { 'index.blocks.write': null })).status, 200);
      const put = await call('PUT', '/one/_doc/1', { n: 1 });
      assert.deepEqual([put.status, put.headers.location], [201, '/one/_doc/1']);
      assert.equal((await call('PUT', '/one/_create/1', {})).status, 409);
      assert.equal((await call('HEAD', '/one')).status, 200);
      assert.equal((await call('HEAD', '/two')).status, 404);
      const rows = JSON.parse((await call('GET', '/_cat/indices?format=json')).text) as Record<string, string>[];
      assert.deepEqual([rows[0]!['index'], rows[0]!['docs.count']], ['one', '1']);
      assert.equal((await call('GET', '/_cluster/health')).json['number_of_nodes'], 1);
      assert.equal((await call('POST', '/one/_refresh')).status, 200);
      assert.equal((await call('DELETE', '/o*')).status, 400);
      assert.equal((await call('DELETE', '/one')).status, 200);
      assert.deepEqual(elastic.indices(), []);
    });
  });

  describe('credentials', () => {
    it('lets in who has them, and challenges everyone else', async () => {
      await start({ auth: { basic: { username: 'elastic', password: 'p:w' }, apiKey: 'aWQ6a2V5', bearer: 'token' } });
      const as = async (authorization?: string) =>
        call('GET', '/', undefined, authorization === undefined ? {} : { authorization });
      const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
      for (const right of [basic('elastic:p:w'), 'ApiKey aWQ6a2V5', 'Bearer token'])
        assert.equal((await as(right)).status, 200);
      for (const wrong of [undefined, basic('elastic:no'), 'ApiKey bm86bm8=', 'Bearer no', 'Digest x']) {
        const answer = await as(wrong);
        assert.deepEqual([answer.status, typeOf(answer)], [401, 'security_exception']);
        assert.match(String(answer.headers['www-authenticate']), /Basic realm="security".*ApiKey/);
      }
      assert.equal(
        reasonOf(await as(basic('elastic:no'))),
        'unable to authenticate user [elastic] for REST request [/]',
      );
      elastic.auth = undefined;
      assert.equal((await as()).status, 200);
    });
  });

  describe('faults', () => {
    const ids = ['0', '1', '2', '3'];
    const stored = () => [...elastic.documents('a').keys()];
    const send = () => bulk(batch('a', ids));

    for (const status of [401, 403, 404, 413, 429, 500, 503])
      for (const applied of [false, true])
        it(`answers ${status} once to a request that was ${applied ? '' : 'not '}applied`, async () => {
          await start();
          const handle = elastic.faults.bulk({ answer: { status, headers: { 'retry-after': '7' } }, applied });
          const answer = await send();
          assert.deepEqual([answer.status, answer.headers['retry-after']], [status, '7']);
          assert.equal(status === 413, answer.text === '');
          assert.deepEqual(stored(), applied ? ids : []);
          assert.equal(handle.fired, 1);
          assert.deepEqual(statuses(await send()), applied ? [409, 409, 409, 409] : [201, 201, 201, 201]);
        });

    const errorTypes: Record<number, string> = {
      400: 'document_parsing_exception',
      403: 'security_exception',
      404: 'index_not_found_exception',
      409: 'version_conflict_engine_exception',
      413: 'es_rejected_execution_exception',
      429: 'es_rejected_execution_exception',
      500: 'illegal_state_exception',
      503: 'unavailable_shards_exception',
    };
    for (const [status, type] of Object.entries(errorTypes))
      it(`fails single items with ${status} and really applies the others`, async () => {
        await start();
        const hit = { first: [0], middle: [2], last: [3], all: [0, 1, 2, 3] };
        for (const [position, places] of Object.entries(hit)) {
          elastic.clear();
          elastic.faults.bulk({ position: position as keyof typeof hit, itemStatus: Number(status) });
          const answer = await send();
          assert.equal(answer.json.errors, true);
          assert.deepEqual(
            statuses(answer),
            ids.map((_, place) => (places.includes(place) ? Number(status) : 201)),
          );
          assert.equal(items(answer)[places[0]!]!.error!.type, type);
          const kept = status === '409' ? ids : ids.filter((_, place) => !places.includes(place));
          assert.deepEqual(stored(), kept);
        }
      });

    for (const applied of [true, false]) {
      const name = applied ? 'applied' : 'not applied';
      const check = async (fault: BulkFault) => {
        await start();
        elastic.faults.bulk({ ...fault, applied });
        const answer = await send();
        assert.deepEqual(stored(), applied ? ids : []);
        return answer;
      };
      it(`leaves items out of the answer to a request that was ${name}`, async () => {
        assert.deepEqual(
          items(await check({ answer: 'fewer-items', position: 'first' })).map(({ _id }) => _id),
          ['1', '2', '3'],
        );
        await elastic.close();
        assert.deepEqual((await check({ answer: 'fewer-items', position: 'all' })).json.items, []);
      });
      it(`repeats items in the answer to a request that was ${name}`, async () => {
        assert.deepEqual(
          items(await check({ answer: 'more-items' })).map(({ _id }) => _id),
          [...ids, '3'],
        );
      });
      it(`breaks the JSON of the answer to a request that was ${name}`, async () => {
        const answer = await check({ answer: 'broken-json' });
        assert.equal(answer.status, 200);
        assert.throws(() => JSON.parse(answer.text));
      });
      it(`delays the answer to a request that was ${name}`, async () => {
        assert.deepEqual(statuses(await check({ answer: { delayMs: 20 } })), [201, 201, 201, 201]);
      });
      for (const position of ['first', 'middle', 'last'] as const)
        it(`cuts the answer to a request that was ${name} at the ${position}`, async () => {
          await assert.rejects(check({ answer: 'cut-body', position }), { message: 'aborted' });
          assert.deepEqual(stored(), applied ? ids : []);
        });
      it(`resets the connection after a request that was ${name}`, async () => {
        await assert.rejects(check({ answer: 'reset-after' }), { code: 'ECONNRESET' });
        assert.deepEqual(stored(), applied ? ids : []);
      });
    }

    it('resets the connection before anything is done, with and without reading the body', async () => {
      await start();
      elastic.faults.bulk({ answer: 'reset-before' });
      elastic.faults.bulk({ answer: 'reset-before-body-sent' });
      await assert.rejects(send(), { code: 'ECONNRESET' });
      await assert.rejects(send(), { code: /ECONNRESET|EPIPE/ });
      assert.deepEqual(stored(), []);
      assert.deepEqual(
        elastic.requests.log.map(({ status, bytes }) => [status, bytes > 0]),
        [
          [0, true],
          [0, false],
        ],
      );
      assert.deepEqual(statuses(await send()), [201, 201, 201, 201]);
    });

    it('never answers a request that hangs, until everything is closed', async () => {
      await start();
      elastic.faults.bulk({ answer: 'hang', applied: true });
      const noted = new Promise((resolve) => elastic.requests.onRequest(resolve));
      const hanging = assert.rejects(send(), { code: 'ECONNRESET' });
      await noted;
      assert.deepEqual(stored(), ids);
      await elastic.down();
      await hanging;
    });

    it('strikes in order, as often as told, after those it lets pass', async () => {
      await start();
      const status = (code: number, more: Partial<BulkFault> = {}) =>
        elastic.faults.bulk({ answer: { status: code }, ...more });
      status(500, { times: 2, skip: 1 });
      const forever = status(503, { times: 'always' });
      const seen = [];
      for (let round = 0; round < 5; round++) seen.push((await send()).status);
      assert.deepEqual(seen, [200, 500, 500, 503, 503]);
      forever.cancel();
      assert.equal((await send()).status, 200);
      assert.equal(elastic.faults.pending, 0);
    });
  });

  describe('being away', () => {
    it('refuses connections while it is down and comes back on the same port with what it had', async () => {
      await start();
      const { url, port } = elastic;
      await bulk(batch('a', ['1']));
      await elastic.down();
      const socket = connect(port, '127.0.0.1');
      const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
      assert.equal(error.code, 'ECONNREFUSED');
      await elastic.up();
      assert.deepEqual([elastic.url, elastic.count('a')], [url, 1]);
      assert.deepEqual(statuses(await bulk(batch('a', ['1']))), [409]);
    });

    for (const held of ['process', 'drop'] as const)
      it(`takes requests in while paused, then lets them ${held === 'process' ? 'through' : 'be lost'}`, async () => {
        await start();
        elastic.pause();
        const answer = bulk(batch('a', ['1'])).catch((error: Error) => error);
        while (elastic.requests.bulkInFlight === 0) await new Promise((resolve) => setImmediate(resolve));
        const probe = connect(elastic.port, '127.0.0.1');
        await once(probe, 'connect');
        probe.destroy();
        assert.equal(elastic.count(), 0);
        if (held === 'drop') await elastic.down();
        elastic.resume(held);
        assert.equal((await answer) instanceof Error, held === 'drop');
        assert.equal(elastic.count(), held === 'drop' ? 0 : 1);
      });

    it('counts requests, remembers the last, and knows the most bulk requests at a time', async () => {
      await start({ latencyMs: 20 });
      await Promise.all([bulk(batch('a', ['1', '2'])), bulk(batch('a', ['3'])), call('GET', '/?pretty')]);
      const { total, bulk: bulks, items: operations, byStatus, bulkInFlight, bulkInFlightPeak, log } = elastic.requests;
      assert.deepEqual(
        [total, bulks, operations, byStatus, bulkInFlight, bulkInFlightPeak],
        [3, 2, 3, { 200: 3 }, 0, 2],
      );
      assert.deepEqual(log.map(({ method, path, querystring }) => `${method} ${path} ${querystring}`).sort(), [
        'GET / pretty',
        'POST /_bulk ',
        'POST /_bulk ',
      ]);
    });
  });

  describe('for large amounts', () => {
    it('keeps ids without documents and still finds doubles', async () => {
      await start({ store: 'ids' });
      const many = Array.from({ length: 2_000 }, (_, place) => `id-${place}`);
      assert.equal(
        (await bulk(batch('a', many), '/_bulk?filter_path=errors,items.*.status')).json.items!.length,
        2_000,
      );
      const again = await bulk([
        ...batch('a', ['id-7']),
        ...batch('a', ['id-8'], 'index'),
        ...batch('a', ['id-9'], 'update').map((line) => ('n' in line ? { doc: line } : line)),
      ]);
      assert.deepEqual(statuses(again), [409, 200, 200]);
      assert.equal(elastic.count('a'), 2_000);
      assert.deepEqual(
        [elastic.applied('a').get('id-7'), elastic.applied('a').get('id-8')],
        [
          { created: 1, updated: 0 },
          { created: 1, updated: 1 },
        ],
      );
    });

    it('stores a document twice that is sent twice without an id', async () => {
      for (const store of ['documents', 'ids', 'none'] as const) {
        await start({ store });
        for (let round = 0; round < 2; round++) await bulk([{ index: { _index: 'a' } }, { n: 1 }]);
        assert.equal(elastic.count(), 2, store);
        await elastic.close();
      }
    });
  });

  describe('with the official client', () => {
    it('is pinged, written to, read from and searched', async () => {
      await start();
      for (const compression of [false, true]) {
        elastic.clear();
        const client = new Client({ node: elastic.url, compression });
        assert.equal(await client.ping(), true);
        const info = await client.info();
        assert.equal(info.version.number, '8.19.2');
        const written = await client.bulk({
          operations: [
            { create: { _index: 'a', _id: '1' } },
            { name: 'grün' },
            { create: { _index: 'a', _id: '1' } },
            {},
          ],
        });
        assert.deepEqual(
          written.items.map(({ create }) => create!.status),
          [201, 409],
        );
        const raw = await client.transport.request<{ items: unknown[] }>({
          method: 'POST',
          path: '/_bulk',
          querystring: { filter_path: 'errors,items.*.status' },
          bulkBody: '{"index":{"_index":"a"}}\n{}\n',
        });
        assert.deepEqual(raw, { errors: false, items: [{ index: { status: 201 } }] });
        const found = await client.search({ index: 'a', query: { ids: { values: ['1'] } } });
        assert.deepEqual(found.hits.hits[0]!._source, { name: 'grün' });
        assert.equal((await client.count({ index: 'a' })).count, 2);
        const stats = await client.helpers.bulk({
          datasource: [{ n: 1 }, { n: 2 }],
          onDocument: () => ({ index: { _index: 'b' } }),
        });
        assert.deepEqual([stats.successful, stats.failed], [2, 0]);
        await client.close();
      }
    });

    it('is reached over TLS by who trusts its certificate, and fails there on command as well', async () => {
      const tls = selfSignedCertificate();
      await start({ tls });
      const trusting = new Client({ node: elastic.url, tls: { ca: tls.cert }, maxRetries: 0 });
      assert.equal((await trusting.info()).tagline, 'You Know, for Search');
      elastic.faults.bulk({ answer: 'reset-after' });
      await assert.rejects(trusting.bulk({ operations: [{ index: { _index: 'a' } }, {}] }), errors.ConnectionError);
      assert.equal(elastic.count('a'), 1);
      const doubting = new Client({ node: elastic.url, maxRetries: 0 });
      await assert.rejects(doubting.info(), /self-signed certificate/);
      await trusting.close();
      await doubting.close();
    });

    it('shows it the errors it knows: refused credentials, missing index, conflict, lost connection', async () => {
      await start({ auth: { apiKey: 'aWQ6a2V5' } });
      const wrong = new Client({ node: elastic.url, auth: { apiKey: 'bm86bm8=' }, maxRetries: 0 });
      await assert.rejects(wrong.info(), (error) => error instanceof errors.ResponseError && error.statusCode === 401);
      const client = new Client({ node: elastic.url, auth: { apiKey: 'aWQ6a2V5' }, maxRetries: 0 });
      await assert.rejects(client.search({ index: 'none' }), /index_not_found_exception/);
      await client.create({ index: 'a', id: '1', document: {} });
      await assert.rejects(client.create({ index: 'a', id: '1', document: {} }), /version_conflict_engine_exception/);
      elastic.faults.bulk({ answer: 'cut-body' });
      const cut = client.bulk({ operations: [{ index: { _index: 'a' } }, {}] });
      await assert.rejects(
        cut,
        (error) => error instanceof errors.ConnectionError || error instanceof errors.TimeoutError,
      );
      elastic.faults.bulk({ answer: 'broken-json' });
      await assert.rejects(client.bulk({ operations: [{ index: { _index: 'a' } }, {}] }), errors.DeserializationError);
      await wrong.close();
      await client.close();
    });
  });

  describe('in a process of its own', () => {
    let child: ChildProcess;
    afterEach(async () => {
      child.stdin!.end();
      await once(child, 'exit');
    });

    it('prints where it listens and is controlled over HTTP', async () => {
      await start();
      const main = join(__dirname, '../../simulators/elasticsearch/main.ts');
      const options = ['--store', 'ids', '--with-parent', '--api-key', 'a2V5'];
      child = spawn(process.execPath, ['--import', 'tsx', main, ...options], { stdio: ['pipe', 'pipe', 'inherit'] });
      const [line] = (await once(child.stdout!, 'data')) as [Buffer];
      const { url } = JSON.parse(line.toString()) as { url: string };
      const post = async (path: string, body: string | object, headers: Record<string, string> = {}) => {
        const answer = await fetch(`${url}${path}`, {
          method: 'POST',
          body: typeof body === 'string' ? body : JSON.stringify(body),
          headers: { 'content-type': 'application/json', ...headers },
        });
        return { status: answer.status, text: await answer.text() };
      };
      const lines = '{"create":{"_index":"a","_id":"x"}}\n{}\n{"create":{"_index":"a","_id":"y"}}\n{}\n';
      const write = () => post('/_bulk', lines, { authorization: 'ApiKey a2V5' });
      await post('/__control/fault', { answer: { status: 503 }, applied: true });
      assert.equal((await write()).status, 503);
      assert.equal((await write()).status, 200);
      assert.deepEqual(await post('/__control/count', {}), { status: 200, text: '{"count":2}\n' });
      assert.equal((await post('/__control/ids', { index: 'a' })).text, 'x\ny\n');
      assert.equal((await post('/__control/applied', {})).text, 'x\t1\t0\ny\t1\t0\n');
      await post('/__control/setAuth', { bearer: 'other' });
      assert.equal((await write()).status, 401);
      assert.equal((await post('/__control/nonsense', {})).status, 404);
      await post('/__control/clear', {});
      assert.equal((await post('/__control/count', {})).text, '{"count":0}\n');
      await post('/__control/down', { ms: 50 });
      let refused = 0;
      for (;;) {
        const alive = await post('/__control/count', {}).catch(() => undefined);
        if (alive && refused > 0) break;
        if (!alive) refused++;
      }
    });
  });
});
