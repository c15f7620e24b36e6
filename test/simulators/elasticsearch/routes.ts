import { writeAnswer } from './bulk-answer';
import { type Action, type Operation, type OperationExtras, RequestBody, validate } from './bulk-body';
import type { Cluster } from './cluster';
import { checkSettings, type ElasticIndex, flattenSettings } from './elastic-index';
import { ElasticError, illegalArgument, indexNotFound, SimpleError, validationFailed } from './errors';
import { nameError } from './index-names';
import type { Operations } from './operations';
import { count, search } from './search';

type Json = Record<string, unknown>;

/** A request that has been let in, its body complete. */
export interface ApiRequest {
  method: string;
  /** Path and query string. */
  uri: string;
  path: string;
  parameters: URLSearchParams;
  body: Buffer;
  /** Whether the client would rather have JSON than a table. */
  wantsJson: boolean;
}

/** What a handler says; `filter_path` and `pretty` are seen to later, for objects. */
export interface ApiReply {
  status: number;
  body?: Json | Json[] | string;
  headers?: Record<string, string | string[]>;
}

/** What the handlers work on. */
export interface ApiContext {
  cluster: Cluster;
  operations: Operations;
  /** The number of the simulated release. */
  version: string;
}

type Handler = (context: ApiContext, request: ApiRequest, names: Names) => ApiReply;
type Names = Record<string, string>;

interface Route {
  segments: string[];
  methods: Record<string, Handler>;
  parameters: Set<string>;
}

const COMMON_PARAMETERS = ['filter_path', 'pretty', 'human', 'error_trace', 'format'];
const WRITE_PARAMETERS =
  'refresh timeout wait_for_active_shards routing pipeline require_alias require_data_stream include_source_on_error';
const BULK_PARAMETERS = `${WRITE_PARAMETERS} _source _source_includes _source_excludes list_executed_pipelines`;
const DOCUMENT_PARAMETERS = `${WRITE_PARAMETERS} op_type version version_type if_seq_no if_primary_term`;
const INDEX_PARAMETERS =
  'ignore_unavailable allow_no_indices expand_wildcards local flat_settings include_defaults master_timeout features timeout wait_for_active_shards';

/** The first that fits wins, so fixed paths stand before names. Bulk requests have their own handler. */
const ROUTES: Route[] = [
  route('/', '', { GET: info, HEAD: info }),
  route('/_bulk', BULK_PARAMETERS, { POST: bulkElsewhere, PUT: bulkElsewhere }),
  route('/_search', `${searchParameters()}`, { GET: searchAll, POST: searchAll }),
  route('/_count', searchParameters(), { GET: countAll, POST: countAll }),
  route('/_refresh', INDEX_PARAMETERS, { GET: refresh, POST: refresh }),
  route(
    '/_cluster/health',
    'level local master_timeout timeout wait_for_status wait_for_active_shards wait_for_nodes wait_for_no_relocating_shards wait_for_no_initializing_shards wait_for_events expand_wildcards',
    { GET: health, HEAD: health },
  ),
  route('/_cluster/health/{index}', 'level timeout master_timeout wait_for_status wait_for_active_shards', {
    GET: health,
  }),
  route(
    '/_cat/indices',
    'h s v help bytes health local time pri expand_wildcards include_unloaded_segments master_timeout',
    { GET: catIndices },
  ),
  route(
    '/_cat/indices/{index}',
    'h s v help bytes health local time pri expand_wildcards include_unloaded_segments master_timeout',
    { GET: catIndices },
  ),
  route('/_index_template/{name}', 'create master_timeout cause flat_settings local include_defaults', {
    PUT: putTemplate,
    POST: putTemplate,
    GET: getTemplate,
    HEAD: getTemplate,
    DELETE: deleteTemplate,
  }),
  route('/_data_stream', 'expand_wildcards include_defaults master_timeout verbose', { GET: getStream }),
  route('/_data_stream/{name}', 'expand_wildcards include_defaults master_timeout verbose timeout', {
    GET: getStream,
    PUT: putStream,
    DELETE: deleteStream,
  }),
  route('/{index}', INDEX_PARAMETERS, { GET: getIndex, HEAD: headIndex, PUT: putIndex, DELETE: deleteIndex }),
  route('/{index}/_bulk', BULK_PARAMETERS, { POST: bulkElsewhere, PUT: bulkElsewhere }),
  route('/{index}/_search', searchParameters(), { GET: searchAll, POST: searchAll }),
  route('/{index}/_count', searchParameters(), { GET: countAll, POST: countAll }),
  route('/{index}/_refresh', INDEX_PARAMETERS, { GET: refresh, POST: refresh }),
  route('/{index}/_mapping', `${INDEX_PARAMETERS} write_index_only`, {
    GET: getMapping,
    PUT: putMapping,
    POST: putMapping,
  }),
  route('/{index}/_settings', `${INDEX_PARAMETERS} preserve_existing reopen`, { GET: getSettings, PUT: putSettings }),
  route('/{index}/_doc', DOCUMENT_PARAMETERS, {
    POST: (context, request, names) => write(context, request, names, 'index'),
  }),
  route('/{index}/_doc/{id}', `${DOCUMENT_PARAMETERS} realtime preference _source stored_fields`, {
    GET: getDocument,
    HEAD: getDocument,
    PUT: (context, request, names) => write(context, request, names, 'index'),
    POST: (context, request, names) => write(context, request, names, 'index'),
    DELETE: (context, request, names) => write(context, request, names, 'delete'),
  }),
  route('/{index}/_create/{id}', DOCUMENT_PARAMETERS, {
    PUT: (context, request, names) => write(context, request, names, 'create'),
    POST: (context, request, names) => write(context, request, names, 'create'),
  }),
  route('/{index}/_update/{id}', `${DOCUMENT_PARAMETERS} retry_on_conflict lang _source`, {
    POST: (context, request, names) => write(context, request, names, 'update'),
  }),
];

/** Finds the route, refuses unknown parameters, and gives back what is to be called. */
export function findRoute(request: ApiRequest): { handler: Handler; names: Names; bulk: boolean } {
  const segments = request.path === '/' ? [] : request.path.slice(1).replace(/\/$/, '').split('/');
  const allowed = new Set<string>();
  for (const candidate of ROUTES) {
    const names = bind(candidate.segments, segments);
    if (!names) continue;
    const handler = candidate.methods[request.method];
    if (!handler) {
      for (const method of Object.keys(candidate.methods)) allowed.add(method);
      if (!candidate.segments.some((segment) => segment.startsWith('{'))) break;
      continue;
    }
    checkParameters(candidate, request);
    return { handler, names, bulk: handler === bulkElsewhere };
  }
  const { uri, method } = request;
  if (allowed.size === 0)
    throw new SimpleError(400, {
      type: 'bad_request',
      reason: `no handler found for uri [${uri}] and method [${method}]`,
    });
  const methods = [...allowed];
  throw new SimpleError(
    405,
    {
      type: 'method_not_allowed',
      reason: `Incorrect HTTP method for uri [${uri}] and method [${method}], allowed: [${methods.join(', ')}]`,
    },
    { Allow: methods.join(',') },
  );
}

/** Reads what the query string of a write says for all its operations. */
export function writeDefaults(parameters: URLSearchParams): OperationExtras {
  const refreshing = parameters.get('refresh');
  if (refreshing !== null && !['', 'true', 'false', 'wait_for'].includes(refreshing))
    throw illegalArgument(`Unknown value for refresh: [${refreshing}].`);
  const timeout = parameters.get('timeout');
  if (timeout !== null && !/^(-1|0|\d+(nanos|micros|ms|s|m|h|d))$/.test(timeout))
    throw illegalArgument(
      `failed to parse setting [timeout] with value [${timeout}] as a time value: unit is missing or unrecognized`,
    );
  const more: OperationExtras = {};
  const pipeline = parameters.get('pipeline');
  if (pipeline !== null) more.pipeline = pipeline;
  if (readFlag(parameters, 'require_alias')) more.requireAlias = true;
  if (readFlag(parameters, 'require_data_stream')) more.requireDataStream = true;
  return more;
}

function route(path: string, parameters: string, methods: Record<string, Handler>): Route {
  const known = parameters.split(' ').filter((name) => name !== '');
  return {
    segments: path.split('/').filter((part) => part !== ''),
    methods,
    parameters: new Set([...COMMON_PARAMETERS, ...known]),
  };
}

function searchParameters(): string {
  return 'size from sort q track_total_hits _source ignore_unavailable allow_no_indices expand_wildcards preference routing search_type request_cache timeout version seq_no_primary_term terminate_after rest_total_hits_as_int typed_keys ccs_minimize_roundtrips';
}

function bind(pattern: readonly string[], segments: readonly string[]): Names | undefined {
  if (pattern.length !== segments.length) return undefined;
  const names: Names = {};
  for (const [place, part] of pattern.entries()) {
    const segment = segments[place]!;
    if (part.startsWith('{')) names[part.slice(1, -1)] = decode(segment);
    else if (part !== segment) return undefined;
  }
  return names;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw illegalArgument(`partial escape sequence at end of string: ${segment}`);
  }
}

function checkParameters(candidate: Route, request: ApiRequest): void {
  const unknown = [...new Set(request.parameters.keys())].filter((name) => !candidate.parameters.has(name));
  if (unknown.length === 0) return;
  const list = unknown.map((name) => `[${name}]`).join(', ');
  throw illegalArgument(
    `request [${request.path}] contains unrecognized parameter${unknown.length > 1 ? 's' : ''}: ${list}`,
  );
}

function readFlag(parameters: URLSearchParams, name: string): boolean {
  const value = parameters.get(name);
  if (value === null || value === 'false') return false;
  if (value === '' || value === 'true') return true;
  throw illegalArgument(`Failed to parse value [${value}] as only [true] or [false] are allowed.`);
}

function readJson(request: ApiRequest): Json {
  if (request.body.length === 0) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(request.body.toString());
  } catch (error) {
    throw new ElasticError(400, { type: 'parsing_exception', reason: (error as Error).message, line: 1, col: 1 });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new ElasticError(400, { type: 'parsing_exception', reason: 'Expected [START_OBJECT]', line: 1, col: 1 });
  return parsed as Json;
}

function requireBody(request: ApiRequest): void {
  if (request.body.length === 0)
    throw new ElasticError(400, { type: 'parse_exception', reason: 'request body is required' });
}

/** Never called: the simulator handles bulk requests itself, because faults strike there. */
function bulkElsewhere(): ApiReply {
  throw new Error('bulk requests do not come here');
}

function info({ version }: ApiContext): ApiReply {
  const major = Number.parseInt(version, 10);
  return {
    status: 200,
    body: {
      name: 'simulator',
      cluster_name: 'simulated-cluster',
      cluster_uuid: 'c2ltdWxhdGVkY2x1c3Rlcg',
      version: {
        number: version,
        build_flavor: 'default',
        build_type: 'docker',
        build_hash: '0000000000000000000000000000000000000000',
        build_date: '2025-01-01T00:00:00.000000000Z',
        build_snapshot: false,
        lucene_version: major > 8 ? '10.2.2' : '9.12.2',
        minimum_wire_compatibility_version: major > 8 ? '8.19.0' : '7.17.0',
        minimum_index_compatibility_version: major > 8 ? '8.0.0' : '7.0.0',
      },
      tagline: 'You Know, for Search',
    },
  };
}

function health({ cluster }: ApiContext, _request: ApiRequest, { index }: Names): ApiReply {
  const indices = cluster.resolve(index ?? '*');
  return {
    status: 200,
    body: {
      cluster_name: 'simulated-cluster',
      status: indices.length === 0 ? 'green' : 'yellow',
      timed_out: false,
      number_of_nodes: 1,
      number_of_data_nodes: 1,
      active_primary_shards: indices.length,
      active_shards: indices.length,
      relocating_shards: 0,
      initializing_shards: 0,
      unassigned_shards: indices.length,
      unassigned_primary_shards: 0,
      delayed_unassigned_shards: 0,
      number_of_pending_tasks: 0,
      number_of_in_flight_fetch: 0,
      task_max_waiting_in_queue_millis: 0,
      active_shards_percent_as_number: indices.length === 0 ? 100 : 50,
    },
  };
}

function catIndices({ cluster }: ApiContext, request: ApiRequest, { index }: Names): ApiReply {
  const rows = cluster.resolve(index ?? '*').map((one) => {
    const bytes = [...one.documents.values()].reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0);
    return {
      health: 'yellow',
      status: 'open',
      index: one.name,
      uuid: one.uuid,
      pri: '1',
      rep: '1',
      'docs.count': String(one.count),
      'docs.deleted': String(one.deletedCount),
      'store.size': `${bytes}b`,
      'pri.store.size': `${bytes}b`,
      'dataset.size': `${bytes}b`,
    };
  });
  if (request.parameters.get('format') === 'json' || request.wantsJson) return { status: 200, body: rows };
  const table = rows.map((row) => Object.values(row));
  const header = 'health status index uuid pri rep docs.count docs.deleted store.size pri.store.size dataset.size';
  if (request.parameters.has('v')) table.unshift(header.split(' '));
  const widths = header.split(' ').map((_, place) => Math.max(0, ...table.map((cells) => cells[place]!.length)));
  const text = table.map((cells) => `${cells.map((cell, place) => cell.padEnd(widths[place]!)).join(' ')}\n`).join('');
  return { status: 200, body: text, headers: { 'Content-Type': 'text/plain; charset=UTF-8' } };
}

function refresh({ cluster }: ApiContext, _request: ApiRequest, { index }: Names): ApiReply {
  const { length } = cluster.resolve(index ?? '*');
  return { status: 200, body: { _shards: { total: length * 2, successful: length, failed: 0 } } };
}

function searchAll({ cluster }: ApiContext, request: ApiRequest, { index }: Names): ApiReply {
  return { status: 200, body: search(found(cluster, request, index), withQuery(request), request.parameters) };
}

function countAll({ cluster }: ApiContext, request: ApiRequest, { index }: Names): ApiReply {
  const body = withQuery(request);
  for (const key of Object.keys(body))
    if (key !== 'query')
      throw new ElasticError(400, {
        type: 'parsing_exception',
        reason: `request does not support [${key}]`,
        line: 1,
        col: 1,
      });
  const indices = found(cluster, request, index);
  const shards = { total: indices.length, successful: indices.length, skipped: 0, failed: 0 };
  return { status: 200, body: { count: count(indices, body['query']), _shards: shards } };
}

/** The body, with a simple `q=field:value` of the query string as its query. */
function withQuery(request: ApiRequest): Json {
  const body = readJson(request);
  const text = request.parameters.get('q');
  if (text === null || text === '*' || text === '*:*') return body;
  const [, field, value] = /^([\w.@-]+):"?([^"]*)"?$/.exec(text) ?? [];
  if (field === undefined) throw illegalArgument(`the simulator understands q=field:value only, not [${text}]`);
  return { ...body, query: { match: { [field]: value } } };
}

function found(cluster: Cluster, request: ApiRequest, index: string | undefined): ElasticIndex[] {
  if (request.parameters.get('ignore_unavailable') !== 'true') return cluster.resolve(index ?? '*');
  try {
    return cluster.resolve(index ?? '*');
  } catch {
    return [];
  }
}

function describe(index: ElasticIndex): Json {
  const settings: Json = {
    creation_date: String(index.createdAt),
    number_of_shards: '1',
    number_of_replicas: '1',
    uuid: index.uuid,
    provided_name: index.name,
  };
  for (const [name, value] of index.settings) {
    let level = settings;
    const parts = name.slice('index.'.length).split('.');
    for (const part of parts.slice(0, -1)) {
      level[part] ??= {};
      level = level[part] as Json;
    }
    level[parts.at(-1)!] = value;
  }
  return { aliases: {}, mappings: index.mapping.toJSON(), settings: { index: settings } };
}

function getIndex({ cluster }: ApiContext, _request: ApiRequest, { index = '' }: Names): ApiReply {
  if (index.startsWith('_') && index !== '_all') throw nameError(index)!;
  return { status: 200, body: Object.fromEntries(cluster.resolve(index).map((one) => [one.name, describe(one)])) };
}

function headIndex({ cluster }: ApiContext, _request: ApiRequest, { index = '' }: Names): ApiReply {
  try {
    return { status: cluster.resolve(index).length > 0 || index.includes('*') ? 200 : 404 };
  } catch {
    return { status: 404 };
  }
}

function putIndex({ cluster }: ApiContext, request: ApiRequest, { index = '' }: Names): ApiReply {
  cluster.createIndex(index, readJson(request));
  return { status: 200, body: { acknowledged: true, shards_acknowledged: true, index } };
}

function deleteIndex({ cluster }: ApiContext, _request: ApiRequest, { index = '' }: Names): ApiReply {
  for (const name of index.split(',')) cluster.removeIndex(name);
  return ACKNOWLEDGED;
}

function getMapping({ cluster }: ApiContext, _request: ApiRequest, { index = '' }: Names): ApiReply {
  const entries = cluster.resolve(index).map((one) => [one.name, { mappings: one.mapping.toJSON() }]);
  return { status: 200, body: Object.fromEntries(entries) as Json };
}

function putMapping({ cluster }: ApiContext, request: ApiRequest, { index = '' }: Names): ApiReply {
  requireBody(request);
  for (const one of cluster.resolve(index)) one.mapping.merge(readJson(request));
  return ACKNOWLEDGED;
}

function getSettings({ cluster }: ApiContext, _request: ApiRequest, { index = '' }: Names): ApiReply {
  const entries = cluster.resolve(index).map((one) => [one.name, { settings: describe(one)['settings'] }]);
  return { status: 200, body: Object.fromEntries(entries) as Json };
}

function putSettings({ cluster }: ApiContext, request: ApiRequest, { index = '' }: Names): ApiReply {
  requireBody(request);
  const settings = flattenSettings(readJson(request)['settings'] ?? readJson(request));
  checkSettings(settings);
  for (const one of cluster.resolve(index))
    for (const [name, value] of settings) {
      if (value === 'null') one.settings.delete(name);
      else one.settings.set(name, value);
    }
  return ACKNOWLEDGED;
}

function putTemplate({ cluster }: ApiContext, request: ApiRequest, { name = '' }: Names): ApiReply {
  requireBody(request);
  cluster.putTemplate(name, readJson(request));
  return ACKNOWLEDGED;
}

function getTemplate({ cluster }: ApiContext, _request: ApiRequest, { name = '' }: Names): ApiReply {
  const template = cluster.templates.get(name);
  if (!template) throw missing(`index template matching [${name}] not found`);
  return { status: 200, body: { index_templates: [{ name, index_template: template.definition }] } };
}

function deleteTemplate({ cluster }: ApiContext, _request: ApiRequest, { name = '' }: Names): ApiReply {
  const users = [...cluster.streams.values()].filter(({ template }) => template === name).map((stream) => stream.name);
  if (users.length > 0)
    throw illegalArgument(
      `unable to remove composable templates [${name}] as they are in use by a data streams [${users.join(', ')}]`,
    );
  if (!cluster.templates.delete(name)) throw missing(`index_template [${name}] missing`);
  return ACKNOWLEDGED;
}

function getStream({ cluster }: ApiContext, _request: ApiRequest, { name = '*' }: Names): ApiReply {
  const chosen = name.includes('*') ? [...cluster.streams.values()] : [cluster.streams.get(name)];
  const streams = chosen.map((stream) => {
    if (!stream) throw indexNotFound(name);
    return {
      name: stream.name,
      timestamp_field: { name: '@timestamp' },
      indices: stream.backing.map((index) => ({
        index_name: index.name,
        index_uuid: index.uuid,
        managed_by: 'Unmanaged',
      })),
      generation: stream.backing.length,
      status: 'YELLOW',
      template: stream.template,
      next_generation_managed_by: 'Unmanaged',
      hidden: false,
      system: false,
      allow_custom_routing: false,
      replicated: false,
      rollover_on_write: false,
    };
  });
  return { status: 200, body: { data_streams: streams } };
}

function putStream({ cluster }: ApiContext, _request: ApiRequest, { name = '' }: Names): ApiReply {
  cluster.createStream(name);
  return ACKNOWLEDGED;
}

function deleteStream({ cluster }: ApiContext, _request: ApiRequest, { name = '' }: Names): ApiReply {
  cluster.removeStream(name);
  return ACKNOWLEDGED;
}

function getDocument({ cluster }: ApiContext, _request: ApiRequest, { index = '', id = '' }: Names): ApiReply {
  for (const one of cluster.resolve(index)) {
    const document = one.find(id);
    if (!document) continue;
    const { _version, _seq_no, _source } = document;
    const body: Json = { _index: one.name, _id: id, _version, _seq_no, _primary_term: 1, found: true };
    return { status: 200, body: _source === undefined ? body : { ...body, _source } };
  }
  return { status: 404, body: { _index: index, _id: id, found: false } };
}

function write({ operations }: ApiContext, request: ApiRequest, names: Names, asked: Action): ApiReply {
  const { parameters } = request;
  const opType = parameters.get('op_type');
  const action = asked === 'index' && opType === 'create' ? 'create' : asked;
  if (action !== 'delete') requireBody(request);
  const more = writeDefaults(parameters);
  const number = (name: string, apply: (value: number) => void) => {
    const text = parameters.get(name);
    if (text === null) return;
    if (!/^-?\d+$/.test(text)) throw illegalArgument(`Failed to parse long parameter [${name}] with value [${text}]`);
    apply(Number(text));
  };
  number('version', (value) => (more.version = value));
  number('if_seq_no', (value) => (more.ifSeqNo = value));
  number('if_primary_term', (value) => (more.ifPrimaryTerm = value));
  const versionType = parameters.get('version_type');
  if (versionType !== null) more.versionType = versionType;
  const operation: Operation = {
    action,
    index: names['index']!,
    id: names['id'],
    start: 0,
    end: request.body.length,
    more: Object.keys(more).length > 0 ? more : undefined,
  };
  const failures: string[] = [];
  validate(operation, failures);
  if (failures.length > 0) throw validationFailed(failures);
  const outcome = operations.apply(operation, new RequestBody(request.body));
  if (outcome.error) throw new ElasticError(outcome.status, outcome.error);
  const location = `/${encodeURIComponent(outcome.index)}/_doc/${encodeURIComponent(outcome.id!)}`;
  const headers: Record<string, string> = outcome.status === 201 ? { Location: location } : {};
  return { status: outcome.status, body: writeAnswer(outcome), headers };
}

function missing(reason: string): ElasticError {
  return new ElasticError(404, { type: 'resource_not_found_exception', reason });
}

const ACKNOWLEDGED: ApiReply = { status: 200, body: { acknowledged: true } };
