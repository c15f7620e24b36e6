import { isIP } from 'node:net';
import { documentParsing, type ElasticError, type ErrorCause, illegalArgument } from './errors';
import { matches } from './filter-path';

interface ObjectField {
  kind: 'object';
  /** `nested` and `object` behave alike here. */
  type: string;
  dynamic: Dynamic | undefined;
  /** A disabled object takes anything. */
  enabled: boolean;
  properties: Map<string, Field>;
}
interface LeafField {
  kind: 'leaf';
  type: string;
  format: string | undefined;
  ignoreMalformed: boolean;
  /** What the mapping API shows; the multi-field of a string found by dynamic mapping is in it. */
  definition: Json;
  /** How much it counts for the limit of fields. */
  weight: number;
}
type Field = ObjectField | LeafField;
type Dynamic = 'true' | 'false' | 'strict' | 'runtime';
type Json = Record<string, unknown>;

const LEAF_TYPES = new Set(
  `alias binary boolean byte completion constant_keyword date date_nanos date_range dense_vector double double_range
   flattened float float_range geo_point geo_shape half_float histogram integer integer_range ip ip_range join keyword
   long long_range match_only_text percolator rank_feature rank_features scaled_float search_as_you_type
   semantic_text short sparse_vector text token_count unsigned_long version wildcard`.split(/\s+/),
);
/** These take an object as their value. */
const OBJECT_VALUED = new Set(
  `flattened geo_point geo_shape histogram join date_range double_range float_range integer_range ip_range long_range
   percolator rank_features sparse_vector completion`.split(/\s+/),
);
const INTEGER_BOUND: Record<string, number> = { byte: 2 ** 7, short: 2 ** 15, integer: 2 ** 31, long: 2 ** 63 };
const FLOATING = new Set(['double', 'float', 'half_float', 'scaled_float', 'rank_feature']);
const METADATA_FIELDS = new Set(
  ['_id', '_index', '_source', '_routing', '_field_names', '_ignored', '_seq_no', '_version', '_tier', '_size'].concat([
    '_nested_path',
    '_primary_term',
    '_type',
  ]),
);
const DEFAULT_DATE_FORMAT = 'strict_date_optional_time||epoch_millis';
/** Lucene cannot index a longer term. */
const LONGEST_TERM_BYTES = 32_766;
const ISO_DATE =
  /^-?\d{4,9}(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12]\d|3[01])(?:T(?:(?:[01]\d|2[0-3])(?::[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?)?)?(?:Z|[+-]\d{2}(?::?\d{2})?)?)?)?)?$/;
const SLASH_DATE = /^\d{4}\/\d{2}\/\d{2}(?: \d{2}:\d{2}:\d{2})?(?: (?:Z|[+-]\d{2}:?\d{2}))?$/;

/** The mapping of one index: what each field is, found on the go (dynamic mapping) or fixed when the index was made. */
export class Mapping {
  readonly #root: ObjectField = newObject();
  readonly #dynamicTemplates: Json[];
  readonly #dateDetection: boolean;
  #fields = 0;

  /** @throws ElasticError 400 `mapper_parsing_exception` for a mapping that the server would not take. */
  constructor(
    definition: Json = {},
    readonly limits: { totalFields: number; depth: number } = { totalFields: 1_000, depth: 20 },
  ) {
    this.#dynamicTemplates = (definition['dynamic_templates'] as Json[] | undefined) ?? [];
    this.#dateDetection = definition['date_detection'] !== false;
    this.merge(definition);
  }

  /** Adds fields, as `PUT /{index}/_mapping` does; the type of a field that exists cannot change. */
  merge(definition: Json): void {
    const known =
      'dynamic properties dynamic_templates date_detection numeric_detection dynamic_date_formats _source _routing _meta _data_stream_timestamp _field_names runtime';
    for (const key of Object.keys(definition))
      if (!known.split(' ').includes(key))
        throw mapperParsing(`Failed to parse mapping: Root mapping definition has unsupported parameters:  [${key}]`);
    if (definition['dynamic'] !== undefined) this.#root.dynamic = readDynamic(definition['dynamic']);
    this.#fields += declare(this.#root, definition['properties'] as Json | undefined, '');
    if (this.#fields > this.limits.totalFields)
      throw illegalArgument(`Limit of total fields [${this.limits.totalFields}] has been exceeded`);
  }

  /** The type of a top-level field, or `undefined`. */
  typeOf(name: string): string | undefined {
    return this.#root.properties.get(name)?.type;
  }

  toJSON(): Json {
    return show(this.#root);
  }

  /**
   * Judges a document and learns its new fields; nothing is learnt from a document that is refused.
   *
   * @param text the source, only looked at to tell where an error is.
   */
  accept(document: unknown, id: string, text: string): ElasticError | undefined {
    const visit = new Visit(this.#root, this.#dynamicTemplates, this.#dateDetection, id, text);
    try {
      visit.object(document, this.#root, '', 1, this.#root.dynamic ?? 'true', this.limits.depth);
      if (visit.added > 0 && this.#fields + visit.added > this.limits.totalFields)
        throw visit.failed(
          `Limit of total fields [${this.limits.totalFields}] has been exceeded while adding new fields [${visit.added}]`,
        );
    } catch (error) {
      visit.undo();
      return error as ElasticError;
    }
    this.#fields += visit.added;
    return undefined;
  }
}

/** One pass over one document. */
class Visit {
  added = 0;
  readonly #undo: (() => void)[] = [];

  constructor(
    readonly root: ObjectField,
    readonly dynamicTemplates: readonly Json[],
    readonly dateDetection: boolean,
    readonly id: string,
    readonly text: string,
  ) {}

  object(
    value: unknown,
    field: ObjectField,
    path: string,
    depth: number,
    inherited: Dynamic,
    depthLimit: number,
  ): void {
    if (!field.enabled) return;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      if (path === '') throw this.failed('expected START_OBJECT as the document');
      throw this.#refuse(
        path,
        `object mapping for [${path}] tried to parse field [${path}] as object, but found a concrete value`,
      );
    }
    if (depth > depthLimit)
      throw this.failed(`Limit of mapping depth [${depthLimit}] has been exceeded due to object field [${path}]`);
    const dynamic = field.dynamic ?? inherited;
    const source = value as Json;
    for (const name in source) {
      const child = source[name];
      const known = field.properties.get(name);
      if (known !== undefined) this.#value(child, known, path, name, depth, dynamic, depthLimit);
      else this.#unknown(child, field, path, name, depth, dynamic, depthLimit);
    }
  }

  undo(): void {
    for (const step of this.#undo) step();
    this.added = 0;
  }

  failed(reason: string): ElasticError {
    const cause = { type: 'illegal_argument_exception', reason };
    return documentParsing(Math.max(1, this.text.length), `failed to parse: ${reason}`, cause);
  }

  #value(
    value: unknown,
    field: Field,
    path: string,
    name: string,
    depth: number,
    dynamic: Dynamic,
    depthLimit: number,
  ): void {
    if (value === null) return;
    if (Array.isArray(value) && !(field.kind === 'leaf' && field.type === 'geo_point')) {
      for (const element of value) this.#value(element, field, path, name, depth, dynamic, depthLimit);
      return;
    }
    if (field.kind === 'object') this.object(value, field, join(path, name), depth + 1, dynamic, depthLimit);
    else {
      const cause = judge(field, value);
      if (cause === undefined || (field.ignoreMalformed && typeof value !== 'object')) return;
      const full = join(path, name);
      if (cause.type === 'immense_term') throw illegalArgument(cause.reason.replace('%', full));
      throw this.#refuse(
        name,
        `failed to parse field [${full}] of type [${field.type}] in document with id '${this.id}'. ` +
          `Preview of field's value: '${preview(value)}'`,
        cause,
      );
    }
  }

  #unknown(
    value: unknown,
    parent: ObjectField,
    path: string,
    name: string,
    depth: number,
    dynamic: Dynamic,
    depthLimit: number,
  ): void {
    if (name.trim() === '') throw this.failed('field name cannot be an empty string');
    if (path === '' && METADATA_FIELDS.has(name))
      throw this.#refuse(
        name,
        `Field [${name}] is a metadata field and cannot be added inside a document. Use the index API request parameters.`,
      );
    if (name.includes('.')) {
      this.#dotted(value, parent, path, name, depth, dynamic, depthLimit);
      return;
    }
    const sample = firstValue(value);
    if (sample === undefined) return;
    if (dynamic === 'strict') throw strictMapping(join(path, name), path, column(this.text, name));
    if (dynamic !== 'true') return;
    const found = this.#detect(sample, name, join(path, name));
    this.#learn(parent, name, found);
    this.#value(value, found, path, name, depth, dynamic, depthLimit);
  }

  /** `{"a.b": 1}` means `{"a": {"b": 1}}`. */
  #dotted(
    value: unknown,
    parent: ObjectField,
    path: string,
    name: string,
    depth: number,
    dynamic: Dynamic,
    depthLimit: number,
  ): void {
    const [head = '', ...rest] = name.split('.');
    if (head === '' || rest.some((part) => part.trim() === ''))
      throw this.failed(`field name starting or ending with a [.] makes object resolution ambiguous: [${name}]`);
    const inner = { [rest.join('.')]: value };
    const known = parent.properties.get(head);
    if (known) this.#value(inner, known, path, head, depth, dynamic, depthLimit);
    else this.#unknown(inner, parent, path, head, depth, dynamic, depthLimit);
  }

  #learn(parent: ObjectField, name: string, field: Field): void {
    parent.properties.set(name, field);
    this.added += field.kind === 'leaf' ? field.weight : 1;
    this.#undo.push(() => parent.properties.delete(name));
  }

  #detect(sample: unknown, name: string, path: string): Field {
    const found = this.#kind(sample);
    for (const entry of this.dynamicTemplates) {
      const template = Object.values(entry)[0] as Json | undefined;
      const kinds = asList(template?.['match_mapping_type'] ?? '*');
      const names = asList(template?.['match'] ?? '*');
      const paths = asList(template?.['path_match'] ?? '*');
      const fits = (patterns: string[], text: string) => patterns.some((pattern) => matches(pattern, text));
      if (template && fits(kinds, found) && fits(names, name) && fits(paths, path))
        return readField({ type: found === 'string' ? 'text' : found, ...(template['mapping'] as Json) }, path);
    }
    if (found === 'object') return newObject();
    if (found === 'string')
      return leaf('text', { type: 'text', fields: { keyword: { type: 'keyword', ignore_above: 256 } } }, 2);
    const type = found === 'double' ? 'float' : found;
    return leaf(type, { type }, 1);
  }

  #kind(sample: unknown): 'object' | 'boolean' | 'long' | 'double' | 'date' | 'string' {
    if (typeof sample === 'object') return 'object';
    if (typeof sample === 'boolean') return 'boolean';
    if (typeof sample === 'number') return Number.isInteger(sample) ? 'long' : 'double';
    const text = String(sample);
    const looksLikeDate = this.dateDetection && !/^[-+\d.eE]*$/.test(text);
    return looksLikeDate && (isIsoDate(text) || SLASH_DATE.test(text)) ? 'date' : 'string';
  }

  #refuse(name: string, reason: string, cause?: ErrorCause): ElasticError {
    return documentParsing(column(this.text, name), reason, cause);
  }
}

/** What is wrong with a value for a field, or `undefined`. */
function judge(field: LeafField, value: unknown): ErrorCause | undefined {
  const { type } = field;
  if (typeof value === 'object') {
    if (OBJECT_VALUED.has(type) || type === 'alias') return undefined;
    if (type === 'text' || type === 'keyword' || type === 'match_only_text' || type === 'wildcard')
      return { type: 'illegal_state_exception', reason: "Can't get text on a START_OBJECT at 1:1" };
    return { type: 'illegal_argument_exception', reason: `Cannot parse a START_OBJECT as [${type}]` };
  }
  if (type === 'text' || type === 'match_only_text') return undefined;
  if (type === 'keyword') {
    if (typeof value !== 'string' || value.length * 3 <= LONGEST_TERM_BYTES || field.definition['ignore_above'])
      return undefined;
    const bytes = Buffer.byteLength(value);
    return bytes <= LONGEST_TERM_BYTES
      ? undefined
      : {
          type: 'immense_term',
          reason:
            `Document contains at least one immense term in field="%" (whose UTF8 encoding is longer than the max ` +
            `length ${LONGEST_TERM_BYTES}), all of which were skipped.`,
        };
  }
  if (type === 'date' || type === 'date_nanos') return judgeDate(field, value);
  if (type === 'boolean')
    return typeof value === 'boolean' || value === 'true' || value === 'false' || value === ''
      ? undefined
      : {
          type: 'illegal_argument_exception',
          reason: `Failed to parse value [${value}] as only [true] or [false] are allowed.`,
        };
  if (type === 'ip')
    return isIP(String(value)) > 0
      ? undefined
      : { type: 'illegal_argument_exception', reason: `'${value}' is not an IP string literal.` };
  const bound = INTEGER_BOUND[type];
  if (bound !== undefined || FLOATING.has(type)) return judgeNumber(type, value, bound);
  return undefined;
}

function judgeNumber(type: string, value: unknown, bound: number | undefined): ErrorCause | undefined {
  if (typeof value === 'boolean')
    return {
      type: 'input_coercion_exception',
      reason: `Current token (VALUE_${String(value).toUpperCase()}) not numeric, cannot use numeric value accessors`,
    };
  const number = typeof value === 'number' ? value : parseNumber(String(value));
  if (Number.isNaN(number)) return { type: 'illegal_argument_exception', reason: `For input string: "${value}"` };
  if (!Number.isFinite(number))
    return { type: 'illegal_argument_exception', reason: `[${type}] supports only finite values, but got [${value}]` };
  if (bound === undefined || (number < bound && number >= -bound)) return undefined;
  return { type: 'illegal_argument_exception', reason: `Value [${value}] is out of range for a ${type}` };
}

function parseNumber(text: string): number {
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
}

function judgeDate(field: LeafField, value: unknown): ErrorCause | undefined {
  const format = field.format ?? DEFAULT_DATE_FORMAT;
  const text = String(value);
  for (const one of format.split('||')) {
    if (one.startsWith('epoch_')) {
      if (/^-?\d+(\.\d+)?$/.test(text)) return undefined;
    } else if (one === 'strict_date_optional_time' || one === 'date_optional_time' || one.endsWith('_nanos')) {
      if (isIsoDate(text)) return undefined;
    } else return undefined; // other formats are not understood here, so nothing can be held against the value
  }
  const reason = `failed to parse date field [${text}] with format [${format}]`;
  return {
    type: 'illegal_argument_exception',
    reason,
    caused_by: { type: 'date_time_parse_exception', reason: `Failed to parse with all enclosed parsers` },
  };
}

function isIsoDate(text: string): boolean {
  const parts = ISO_DATE.exec(text);
  if (!parts) return false;
  const [, month, day] = parts;
  if (day === undefined || Number(day) <= 28) return true;
  return Number(day) <= new Date(Date.UTC(Number(text.slice(0, 4)), Number(month), 0)).getUTCDate();
}

function firstValue(value: unknown): unknown {
  if (!Array.isArray(value)) return value === null ? undefined : value;
  for (const element of value) {
    const found = firstValue(element);
    if (found !== undefined) return found;
  }
  return undefined;
}

function strictMapping(path: string, parent: string, at: number): ElasticError {
  const name = path.slice(parent === '' ? 0 : parent.length + 1);
  const error = documentParsing(
    at,
    `mapping set to strict, dynamic introduction of [${name}] within [${parent === '' ? '_doc' : parent}] is not allowed`,
  );
  error.details.type = 'strict_dynamic_mapping_exception';
  return error;
}

function mapperParsing(reason: string): ReturnType<typeof illegalArgument> {
  const error = illegalArgument(reason);
  error.details.type = 'mapper_parsing_exception';
  return error;
}

function newObject(): ObjectField {
  return { kind: 'object', type: 'object', dynamic: undefined, enabled: true, properties: new Map() };
}

function leaf(type: string, definition: Json, weight: number): LeafField {
  const format = definition['format'];
  return {
    kind: 'leaf',
    type,
    format: typeof format === 'string' ? format : undefined,
    ignoreMalformed: definition['ignore_malformed'] === true,
    definition,
    weight,
  };
}

/** Adds declared fields to an object and gives back how many there are. */
function declare(parent: ObjectField, properties: Json | undefined, path: string): number {
  let count = 0;
  for (const [name, raw] of Object.entries(properties ?? {})) {
    const full = join(path, name);
    const field = readField(raw as Json, full);
    const known = parent.properties.get(name);
    if (known && known.type !== field.type)
      throw illegalArgument(`mapper [${full}] cannot be changed from type [${known.type}] to [${field.type}]`);
    if (known?.kind === 'object') {
      count += declare(known, (raw as Json)['properties'] as Json | undefined, full);
      continue;
    }
    parent.properties.set(name, field);
    if (!known) count += weigh(field);
  }
  return count;
}

function weigh(field: Field): number {
  if (field.kind === 'leaf') return field.weight;
  let sum = 1;
  for (const child of field.properties.values()) sum += weigh(child);
  return sum;
}

function readField(definition: Json, path: string): Field {
  const type = definition['type'];
  if (type === undefined && definition['properties'] === undefined && Object.keys(definition).length === 0)
    throw mapperParsing(`Failed to parse mapping: No type specified for field [${path}]`);
  if (type === undefined || type === 'object' || type === 'nested') {
    const field = newObject();
    field.type = type === 'nested' ? 'nested' : 'object';
    if (definition['dynamic'] !== undefined) field.dynamic = readDynamic(definition['dynamic']);
    field.enabled = definition['enabled'] !== false;
    declare(field, definition['properties'] as Json | undefined, path);
    return field;
  }
  if (typeof type !== 'string' || !LEAF_TYPES.has(type))
    throw mapperParsing(
      `Failed to parse mapping: The mapper type [${type}] declared on field [${path}] does not exist. ` +
        'It might have been created within a future version or requires a plugin to be installed. Check the documentation.',
    );
  return leaf(type, definition, 1 + Object.keys((definition['fields'] as Json | undefined) ?? {}).length);
}

function readDynamic(value: unknown): Dynamic {
  const text = String(value);
  if (text === 'true' || text === 'false' || text === 'strict' || text === 'runtime') return text;
  throw mapperParsing(`Failed to parse mapping: No enum constant for dynamic [${text}]`);
}

function show(field: Field): Json {
  if (field.kind === 'leaf') return field.definition;
  const properties: Json = {};
  for (const [name, child] of field.properties) properties[name] = show(child);
  return {
    ...(field.type === 'nested' ? { type: 'nested' } : {}),
    ...(field.dynamic === undefined ? {} : { dynamic: field.dynamic }),
    ...(field.enabled ? {} : { enabled: false }),
    ...(field.properties.size > 0 ? { properties } : {}),
  };
}

/** Java's way to print a map, which is what the server previews an object with. */
function preview(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map(preview).join(', ')}]`;
  return `{${Object.entries(value)
    .map(([name, child]) => `${name}=${preview(child)}`)
    .join(', ')}}`;
}

function column(text: string, name: string): number {
  const found = text.indexOf(JSON.stringify(name.slice(name.lastIndexOf('.') + 1)));
  return found < 0 ? Math.max(1, text.length) : found + 1;
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

function asList(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [String(value)];
}
