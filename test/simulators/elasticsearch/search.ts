import type { ElasticIndex, StoredDocument } from './elastic-index';
import { ElasticError, illegalArgument } from './errors';

type Json = Record<string, unknown>;
type Test = (id: string, source: Json) => boolean;

interface Hit {
  index: ElasticIndex;
  id: string;
  document: StoredDocument;
  source: Json;
  /** The values it is sorted by. */
  sort: unknown[];
}

const RESULT_WINDOW = 10_000;
const SEARCH_KEYS = new Set([
  'query',
  'size',
  'from',
  'sort',
  'track_total_hits',
  '_source',
  'version',
  'seq_no_primary_term',
  'timeout',
]);

/** How many documents fit a query. Documents are found at once here; the server finds them after a refresh. */
export function count(indices: readonly ElasticIndex[], query: unknown): number {
  if (query === undefined) return indices.reduce((sum, index) => sum + index.count, 0);
  return [...find(indices, query)].length;
}

/**
 * A search with `match_all`, `match_none`, `term`, `terms`, `match` (equality of words), `ids`, `exists`, `prefix`,
 * `range` and `bool`.
 *
 * @throws ElasticError 400 for what the server refuses, and for queries that are not simulated.
 */
export function search(indices: readonly ElasticIndex[], request: Json, parameters: URLSearchParams): Json {
  for (const key of Object.keys(request))
    if (!SEARCH_KEYS.has(key)) throw parsing(`unknown key for a VALUE in [${key}].`);
  const size = Number(parameters.get('size') ?? request['size'] ?? 10);
  const from = Number(parameters.get('from') ?? request['from'] ?? 0);
  if (!(size >= 0)) throw illegalArgument(`[size] parameter cannot be negative, found [${size}]`);
  if (!(from >= 0)) throw illegalArgument(`[from] parameter cannot be negative but was [${from}]`);
  if (from + size > RESULT_WINDOW) throw tooLarge(from + size);
  const order = readSort(parameters.get('sort') ?? request['sort']);
  const hits = [...find(indices, request['query'])];
  for (const hit of hits) hit.sort = order.map(({ field }) => valuesOf(hit, field)[0]);
  if (order.length > 0) hits.sort((one, other) => compare(one, other, order));
  const track = parameters.get('track_total_hits') ?? request['track_total_hits'] ?? RESULT_WINDOW;
  const wanted = hits.slice(from, from + size);
  return {
    took: 1,
    timed_out: false,
    _shards: { total: indices.length, successful: indices.length, skipped: 0, failed: 0 },
    hits: {
      ...totalOf(hits.length, String(track)),
      max_score: order.length > 0 || hits.length === 0 ? null : 1,
      hits: wanted.map((hit) => show(hit, request['_source'] !== false, order.length > 0)),
    },
  };
}

function totalOf(found: number, track: string): Json {
  if (track === 'false') return {};
  const limit = track === 'true' ? Number.POSITIVE_INFINITY : Number(track);
  return { total: found > limit ? { value: limit, relation: 'gte' } : { value: found, relation: 'eq' } };
}

function show(hit: Hit, withSource: boolean, sorted: boolean): Json {
  return {
    _index: hit.index.name,
    _id: hit.id,
    _score: sorted ? null : 1,
    ...(withSource && hit.document.bytes ? { _source: hit.source } : {}),
    ...(sorted ? { sort: hit.sort } : {}),
  };
}

function* find(indices: readonly ElasticIndex[], query: unknown): Generator<Hit> {
  const test = compile(query ?? { match_all: {} });
  for (const index of indices)
    for (const [id, document] of index.documents) {
      if (document.deleted) continue;
      const source = document._source ?? {};
      if (test(id, source)) yield { index, id, document, source, sort: [] };
    }
}

function compile(query: unknown): Test {
  if (typeof query !== 'object' || query === null || Array.isArray(query))
    throw parsing('[query] query malformed, no start_object after query name');
  const [entry, second] = Object.entries(query);
  if (!entry) throw illegalArgument('query malformed, empty clause found');
  if (second) throw parsing(`[${entry[0]}] malformed query, expected [END_OBJECT] but found [FIELD_NAME]`);
  const [kind, body] = entry as [string, Json];
  const [field = '', wanted] = Object.entries(body)[0] ?? [];
  switch (kind) {
    case 'match_all':
      return () => true;
    case 'match_none':
      return () => false;
    case 'ids': {
      const ids = new Set((body['values'] as unknown[]).map(String));
      return (id) => ids.has(id);
    }
    case 'exists':
      return (id, source) => read(id, source, String(body['field'])).length > 0;
    case 'term':
    case 'match':
    case 'match_phrase': {
      const value = String(unwrap(wanted, kind === 'term' ? 'value' : 'query'));
      return (id, source) => read(id, source, field).some((candidate) => equals(candidate, value, kind !== 'term'));
    }
    case 'terms': {
      const values = new Set((wanted as unknown[]).map(String));
      return (id, source) => read(id, source, field).some((candidate) => values.has(String(candidate)));
    }
    case 'prefix': {
      const prefix = String(unwrap(wanted, 'value'));
      return (id, source) => read(id, source, field).some((candidate) => String(candidate).startsWith(prefix));
    }
    case 'range':
      return (id, source) => read(id, source, field).some((candidate) => inRange(candidate, wanted as Json));
    case 'bool':
      return compileBool(body);
    default:
      throw parsing(`unknown query [${kind}]`);
  }
}

function compileBool(body: Json): Test {
  const clauses = (name: string): Test[] => {
    const raw = body[name];
    return raw === undefined ? [] : (Array.isArray(raw) ? raw : [raw]).map(compile);
  };
  const required = [...clauses('must'), ...clauses('filter')];
  const forbidden = clauses('must_not');
  const optional = clauses('should');
  const least = Number(body['minimum_should_match'] ?? (required.length === 0 && optional.length > 0 ? 1 : 0));
  return (id, source) =>
    required.every((test) => test(id, source)) &&
    !forbidden.some((test) => test(id, source)) &&
    optional.filter((test) => test(id, source)).length >= least;
}

function read(id: string, source: Json, field: string): unknown[] {
  if (field === '_id') return [id];
  return collect(source, field.replace(/\.keyword$/, ''));
}

function valuesOf(hit: Hit, field: string): unknown[] {
  if (field === '_seq_no') return [hit.document._seq_no];
  return read(hit.id, hit.source, field);
}

/** The values at a path; arrays are looked through, and a key may itself have dots. */
function collect(value: unknown, path: string): unknown[] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.flatMap((element) => collect(element, path));
  if (path === '') return [value];
  if (typeof value !== 'object') return [];
  const found: unknown[] = [];
  for (const [name, child] of Object.entries(value)) {
    if (name === path) found.push(...collect(child, ''));
    else if (path.startsWith(`${name}.`)) found.push(...collect(child, path.slice(name.length + 1)));
  }
  return found;
}

function equals(candidate: unknown, wanted: string, words: boolean): boolean {
  const text = String(candidate);
  if (text === wanted) return true;
  if (!words) return false;
  const known = new Set(text.toLowerCase().split(/\W+/));
  return wanted
    .toLowerCase()
    .split(/\W+/)
    .some((word) => word !== '' && known.has(word));
}

function inRange(candidate: unknown, bounds: Json): boolean {
  const versus = (bound: unknown) => {
    if (typeof candidate === 'number') return candidate - Number(bound);
    const [left, right] = [Date.parse(String(candidate)), Date.parse(String(bound))];
    if (!Number.isNaN(left) && !Number.isNaN(right)) return left - right;
    return String(candidate) < String(bound) ? -1 : String(candidate) > String(bound) ? 1 : 0;
  };
  return Object.entries(bounds).every(([name, bound]) => {
    if (name === 'gte') return versus(bound) >= 0;
    if (name === 'gt') return versus(bound) > 0;
    if (name === 'lte') return versus(bound) <= 0;
    if (name === 'lt') return versus(bound) < 0;
    throw parsing(`[range] query does not support [${name}]`);
  });
}

interface SortField {
  field: string;
  descending: boolean;
}

function readSort(sort: unknown): SortField[] {
  if (sort === undefined || sort === null) return [];
  const list = typeof sort === 'string' ? sort.split(',') : Array.isArray(sort) ? sort : [sort];
  return list.map((entry): SortField => {
    if (typeof entry === 'string') {
      const [field = '', direction = 'asc'] = entry.split(':');
      return { field, descending: direction === 'desc' };
    }
    const [field = '', how] = Object.entries(entry as Json)[0] ?? [];
    return { field, descending: unwrap(how, 'order') === 'desc' };
  });
}

function compare(one: Hit, other: Hit, order: readonly SortField[]): number {
  for (const [place, { descending }] of order.entries()) {
    const [left, right] = [one.sort[place], other.sort[place]];
    if (left === right) continue;
    if (left === undefined) return 1;
    if (right === undefined) return -1;
    return (left! < right! ? -1 : 1) * (descending ? -1 : 1);
  }
  return 0;
}

function unwrap(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json)[key] : value;
}

function parsing(reason: string): ElasticError {
  return new ElasticError(400, { type: 'parsing_exception', reason, line: 1, col: 1 });
}

function tooLarge(window: number): ElasticError {
  const reason =
    `Result window is too large, from + size must be less than or equal to: [${RESULT_WINDOW}] but was [${window}]. ` +
    'See the scroll api for a more efficient way to request large data sets. ' +
    'This limit can be set by changing the [index.max_result_window] index level setting.';
  return new ElasticError(400, {
    type: 'search_phase_execution_exception',
    reason: 'all shards failed',
    phase: 'query',
    grouped: true,
    caused_by: { type: 'illegal_argument_exception', reason },
  });
}
