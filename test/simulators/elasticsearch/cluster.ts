import { ElasticIndex, type FlatSettings, flattenSettings, type StoreMode } from './elastic-index';
import { ElasticError, illegalArgument, indexNotFound } from './errors';
import { matches } from './filter-path';
import { nameError } from './index-names';
import { Mapping } from './mapping';

type Json = Record<string, unknown>;

/** A composable index template. */
export interface IndexTemplate {
  name: string;
  patterns: string[];
  priority: number;
  /** Names that match become data streams. */
  dataStream: boolean;
  settings: FlatSettings;
  mappings: Json;
  /** As it was put. */
  definition: Json;
}

/** An append-only name over backing indices; writes go to the last one. */
export interface DataStream {
  name: string;
  template: string;
  backing: ElasticIndex[];
}

/** The server brings these along, so that `create` into `logs-x-y` makes a data stream without any preparation. */
const BUILT_IN = ['logs', 'metrics', 'synthetics'];

/** Indices, data streams and templates: what the server calls the cluster's metadata. */
export class Cluster {
  readonly indices = new Map<string, ElasticIndex>();
  readonly streams = new Map<string, DataStream>();
  readonly templates = new Map<string, IndexTemplate>();
  /** `action.auto_create_index`. */
  autoCreate = true;

  constructor(readonly store: StoreMode) {
    this.reset();
  }

  /** Back to an empty server. */
  reset(): void {
    this.indices.clear();
    this.streams.clear();
    this.templates.clear();
    for (const name of BUILT_IN)
      this.putTemplate(name, { index_patterns: [`${name}-*-*`], priority: 100, data_stream: {} });
  }

  /**
   * The index that a write to `name` goes to; makes it when it is missing.
   *
   * @throws ElasticError 400 for a name that no index may have, 404 when it may not be made.
   */
  writeTarget(name: string): ElasticIndex {
    const found = this.indices.get(name) ?? this.streams.get(name)?.backing.at(-1);
    if (found) return found;
    const invalid = nameError(name);
    if (invalid) throw invalid;
    if (!this.autoCreate) throw indexNotFound(name, ' and [action.auto_create_index] is [false]');
    const template = this.#templateFor(name);
    if (template?.dataStream) return this.createStream(name).backing.at(-1)!;
    return this.#add(name, template, {});
  }

  /** `PUT /{index}`. */
  createIndex(name: string, body: Json): ElasticIndex {
    const invalid = nameError(name);
    if (invalid) throw invalid;
    for (const key of Object.keys(body))
      if (!['settings', 'mappings', 'aliases'].includes(key))
        throw new ElasticError(400, {
          type: 'parse_exception',
          reason: `unknown key [${key}] for create index`,
        });
    const existing = this.indices.get(name) ?? this.streams.get(name)?.backing.at(-1);
    if (existing)
      throw new ElasticError(400, {
        type: 'resource_already_exists_exception',
        reason: `index [${name}/${existing.uuid}] already exists`,
        index_uuid: existing.uuid,
        index: name,
      });
    const template = this.#templateFor(name);
    if (template?.dataStream)
      throw illegalArgument(
        `cannot create index with name [${name}], because it matches with template [${template.name}] that creates data streams only, use create data stream api instead`,
      );
    return this.#add(name, template, body);
  }

  /** `PUT /_data_stream/{name}`, or the first write to a name with a data stream template. */
  createStream(name: string): DataStream {
    const invalid = nameError(name);
    if (invalid) throw invalid;
    if (this.streams.has(name))
      throw new ElasticError(400, {
        type: 'resource_already_exists_exception',
        reason: `data_stream [${name}] already exists`,
      });
    const template = this.#templateFor(name);
    if (!template) throw illegalArgument(`no matching index template found for data stream [${name}]`);
    if (!template.dataStream)
      throw illegalArgument(
        `matching index template [${template.name}] for data stream [${name}] has no data stream template`,
      );
    const day = new Date().toISOString().slice(0, 10).replaceAll('-', '.');
    const stream: DataStream = { name, template: template.name, backing: [] };
    stream.backing.push(this.#add(`.ds-${name}-${day}-000001`, template, {}, name));
    this.streams.set(name, stream);
    return stream;
  }

  /** `PUT /_index_template/{name}`. */
  putTemplate(name: string, definition: Json): void {
    const patterns = definition['index_patterns'];
    const list = typeof patterns === 'string' ? [patterns] : patterns;
    if (!Array.isArray(list) || list.length === 0)
      throw new ElasticError(400, {
        type: 'action_request_validation_exception',
        reason: 'Validation Failed: 1: index patterns are missing;',
      });
    const allowed =
      'index_patterns template composed_of priority version _meta data_stream allow_auto_create ignore_missing_component_templates deprecated';
    for (const key of Object.keys(definition))
      if (!allowed.split(' ').includes(key))
        throw new ElasticError(400, {
          type: 'x_content_parse_exception',
          reason: `[1:1] [index_template] unknown field [${key}]`,
        });
    const components = (definition['composed_of'] as string[] | undefined) ?? [];
    if (components.length > 0)
      throw new ElasticError(400, {
        type: 'invalid_index_template_exception',
        reason: `index_template [${name}] invalid, cause [index template [${name}] specifies component templates [${components.join(', ')}] that do not exist]`,
      });
    const body = (definition['template'] as Json | undefined) ?? {};
    const template: IndexTemplate = {
      name,
      patterns: list.map(String),
      priority: Number(definition['priority'] ?? 0),
      dataStream: definition['data_stream'] !== undefined,
      settings: flattenSettings(body['settings']),
      mappings: (body['mappings'] as Json | undefined) ?? {},
      definition,
    };
    this.#refuseRival(template);
    new Mapping(template.mappings);
    this.templates.set(name, template);
  }

  /**
   * The indices behind an expression with commas and `*`.
   *
   * @throws ElasticError 404 when a name without `*` does not exist.
   */
  resolve(expression: string): ElasticIndex[] {
    const found = new Set<ElasticIndex>();
    for (const part of expression.split(',')) {
      const pattern = part === '_all' || part === '' ? '*' : part;
      let hits = 0;
      for (const index of this.indices.values()) {
        const hidden = index.name.startsWith('.') && pattern.includes('*') && !pattern.startsWith('.');
        if (!matches(pattern, index.stream ?? index.name) && (hidden || !matches(pattern, index.name))) continue;
        hits++;
        found.add(index);
      }
      if (!pattern.includes('*') && hits === 0) throw indexNotFound(pattern);
    }
    return [...found];
  }

  /** Removes an index; a name with `*` is refused, as the server does by default. */
  removeIndex(name: string): void {
    if (/[*,]|^_all$/.test(name)) throw illegalArgument('Wildcard expressions or all indices are not allowed');
    const index = this.indices.get(name);
    if (this.streams.has(name) || index?.stream !== undefined)
      throw illegalArgument(
        `The provided expression [${name}] matches a data stream, specify the corresponding concrete indices instead.`,
      );
    if (!index) throw indexNotFound(name);
    this.indices.delete(name);
  }

  /** Removes a data stream with its backing indices. */
  removeStream(name: string): void {
    const stream = this.streams.get(name);
    if (!stream) throw indexNotFound(name);
    for (const index of stream.backing) this.indices.delete(index.name);
    this.streams.delete(name);
  }

  #add(name: string, template: IndexTemplate | undefined, body: Json, stream?: string): ElasticIndex {
    const settings = new Map([...(template?.settings ?? []), ...flattenSettings(body['settings'])]);
    const own = (body['mappings'] as Json | undefined) ?? {};
    const inherited = template?.mappings ?? {};
    const properties = { ...(inherited['properties'] as Json), ...(own['properties'] as Json) };
    const mappings = { ...inherited, ...own, properties };
    const index = new ElasticIndex(name, this.store, { settings, mappings }, stream);
    this.indices.set(name, index);
    return index;
  }

  #templateFor(name: string): IndexTemplate | undefined {
    let best: IndexTemplate | undefined;
    for (const template of this.templates.values())
      if (template.patterns.some((pattern) => matches(pattern, name)) && template.priority >= (best?.priority ?? 0))
        best = template;
    return best;
  }

  #refuseRival(template: IndexTemplate): void {
    for (const other of this.templates.values()) {
      if (other.name === template.name || other.priority !== template.priority) continue;
      const overlap = template.patterns.some((mine) =>
        other.patterns.some((theirs) => matches(mine, theirs) || matches(theirs, mine)),
      );
      if (overlap)
        throw illegalArgument(
          `index template [${template.name}] has index patterns [${template.patterns.join(', ')}] matching patterns from existing templates [${other.name}] ` +
            `with patterns (${other.name} => [${other.patterns.join(', ')}]) that have the same priority [${other.priority}], ` +
            'multiple index templates may not match during index creation, please use a different priority',
        );
    }
  }
}
