import type { Operation, RequestBody } from './bulk-body';
import type { Cluster } from './cluster';
import type { ElasticIndex, WriteResult } from './elastic-index';
import { contentParse, documentParsing, ElasticError, type ErrorCause, illegalArgument, indexNotFound } from './errors';

/** What became of one operation; an item of a bulk answer in compact form. */
export interface Outcome {
  action: Operation['action'];
  /** The concrete index, or the name asked for when there is none. */
  index: string;
  id: string | null;
  status: number;
  result: WriteResult['result'] | undefined;
  version: number;
  seqNo: number;
  error: ErrorCause | undefined;
}

const RESULT_STATUS: Record<WriteResult['result'], number> = {
  created: 201,
  updated: 200,
  deleted: 200,
  not_found: 404,
  noop: 200,
};

/** Applies operations to the cluster, one after the other, in the order they were sent. */
export class Operations {
  /** Gives the error for an index that the user has no right to write to. */
  forbidden: ((index: string) => ElasticError | undefined) | undefined;
  readonly #idPrefix = Math.random().toString(36).slice(2, 8).padEnd(6, '0');
  #lastId = 0;

  constructor(readonly cluster: Cluster) {}

  /** @param dry answers as if it were applied, without writing documents. */
  apply(operation: Operation, body: RequestBody, dry = false): Outcome {
    const outcome: Outcome = {
      action: operation.action,
      index: operation.index,
      id: operation.id ?? null,
      status: 0,
      result: undefined,
      version: 0,
      seqNo: 0,
      error: undefined,
    };
    try {
      const done = this.#perform(operation, body, dry, outcome);
      outcome.result = done.result;
      outcome.version = done.version;
      outcome.seqNo = done.seqNo;
      outcome.status = RESULT_STATUS[done.result];
    } catch (error) {
      if (!(error instanceof ElasticError)) throw error;
      outcome.status = error.status;
      outcome.error = error.details;
    }
    return outcome;
  }

  #perform(operation: Operation, body: RequestBody, dry: boolean, outcome: Outcome): WriteResult {
    const { action, more } = operation;
    const denied = this.forbidden?.(operation.index);
    if (denied) throw denied;
    if (more !== undefined) this.#checkTarget(operation);
    const index = action === 'delete' ? this.#existing(operation.index) : this.cluster.writeTarget(operation.index);
    if (index.stream !== undefined) checkStreamWrite(operation, index.stream);
    outcome.index = index.name;
    if (operation.id === '') throw illegalArgument('if _id is specified it must not be empty');
    checkPipeline(more?.pipeline ?? index.settings.get('index.default_pipeline'));
    const { block } = index;
    if (block) throw block;
    if (action === 'delete') return index.remove(operation.id!, more, dry);
    if (action === 'update') return this.#update(operation, index, body, dry);
    const id = operation.id ?? this.#makeId();
    outcome.id = id;
    checkDocument(index, id, body, operation.start, operation.end);
    const bytes = index.store === 'documents' ? body.bytes.subarray(operation.start, operation.end) : undefined;
    return index.write(id, bytes, action === 'create', more, dry);
  }

  #existing(name: string): ElasticIndex {
    const found = this.cluster.indices.get(name) ?? this.cluster.streams.get(name)?.backing.at(-1);
    if (!found) throw indexNotFound(name);
    return found;
  }

  #checkTarget({ index, more }: Operation): void {
    if (more?.requireAlias)
      throw indexNotFound(index, ` and [require_alias] request flag is [true] and [${index}] is not an alias`);
    if (more?.requireDataStream && !this.cluster.streams.has(index))
      throw indexNotFound(
        index,
        ` and [require_data_stream] request flag is [true] and [${index}] is not a data stream`,
      );
  }

  #update(operation: Operation, index: ElasticIndex, body: RequestBody, dry: boolean): WriteResult {
    const id = operation.id!;
    const request = readUpdate(body.slice(operation.start, operation.end));
    const existing = index.find(id);
    if (!existing) {
      const fresh = request.docAsUpsert ? request.doc : request.upsert;
      if (!fresh)
        throw new ElasticError(404, {
          type: 'document_missing_exception',
          reason: `[${id}]: document missing`,
          index_uuid: index.uuid,
          shard: '0',
          index: index.name,
        });
      return this.#writeObject(index, id, fresh, dry);
    }
    const { _source: source } = existing;
    if (source === undefined) return index.write(id, undefined, false, operation.more, dry);
    if (!merge(source, request.doc ?? {}))
      return { result: 'noop', version: existing._version, seqNo: existing._seq_no };
    return this.#writeObject(index, id, source, dry, operation.more);
  }

  #writeObject(
    index: ElasticIndex,
    id: string,
    document: Record<string, unknown>,
    dry: boolean,
    more?: Operation['more'],
  ): WriteResult {
    const text = JSON.stringify(document);
    if (index.store === 'documents') {
      const refused = index.mapping.accept(document, id, text);
      if (refused) throw refused;
    }
    return index.write(id, index.store === 'documents' ? Buffer.from(text) : undefined, false, more, dry);
  }

  /** Twenty characters, like the server's time-based ids. */
  #makeId(): string {
    return this.#idPrefix + (this.#lastId++).toString(36).padStart(14, '0');
  }
}

/** Data streams are append-only; their backing indices take single corrections only. */
function checkStreamWrite({ action, index, more }: Operation, stream: string): void {
  if (index === stream) {
    if (action === 'create') return;
    throw illegalArgument('only write ops with an op_type of create are allowed in data streams');
  }
  const what =
    action === 'create'
      ? 'op_type=create'
      : action === 'index' && more?.ifSeqNo === undefined
        ? 'op_type=index and no if_primary_term and if_seq_no set'
        : undefined;
  if (what !== undefined)
    throw illegalArgument(
      `index request with ${what} targeting backing indices is disallowed, target corresponding data stream [${stream}] instead`,
    );
}

/** Pipelines cannot be made here, so each that is named is missing. */
function checkPipeline(name: string | undefined): void {
  if (name !== undefined && name !== '_none') throw illegalArgument(`pipeline with id [${name}] does not exist`);
}

function checkDocument(index: ElasticIndex, id: string, body: RequestBody, start: number, end: number): void {
  if (!body.isText(start, end)) throw unreadable(end - start, 'Invalid UTF-8 start byte');
  if (index.store !== 'documents') {
    skim(index, body, start, end);
    return;
  }
  const text = body.slice(start, end);
  if (text.trim() === '') throw documentParsing(1, 'failed to parse, document is empty');
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw unreadable(text.length, (error as Error).message);
  }
  if (index.stream !== undefined)
    checkTimestamp((document as Record<string, unknown> | null)?.['@timestamp'], text.length);
  const refused = index.mapping.accept(document, id, text);
  if (refused) throw refused;
}

/** What can be said of a document without parsing it. */
function skim(index: ElasticIndex, { text }: RequestBody, start: number, end: number): void {
  const length = end - start;
  if (length < 2 || text.charCodeAt(start) !== 0x7b || text.charCodeAt(end - 1) !== 0x7d)
    throw unreadable(length, 'not a JSON object');
  if (index.stream === undefined) return;
  const found = text.indexOf('"@timestamp"', start);
  if (found < 0 || found >= end) checkTimestamp(undefined, length);
}

function checkTimestamp(value: unknown, length: number): void {
  const wrong = (reason: string) =>
    documentParsing(length, `failed to parse: ${reason}`, { type: 'illegal_argument_exception', reason });
  if (Array.isArray(value) && value.length > 1)
    throw wrong('data stream timestamp field [@timestamp] encountered multiple values');
  if (value === undefined || value === null || (Array.isArray(value) && value.length === 0))
    throw wrong('data stream timestamp field [@timestamp] is missing');
}

function unreadable(at: number, why: string): ElasticError {
  return documentParsing(at, 'failed to parse', { type: 'x_content_parse_exception', reason: `[1:${at}] ${why}` });
}

interface UpdateRequest {
  doc: Record<string, unknown> | undefined;
  upsert: Record<string, unknown> | undefined;
  docAsUpsert: boolean;
}

const UPDATE_KEYS = new Set(['doc', 'upsert', 'doc_as_upsert', 'detect_noop', '_source', 'scripted_upsert']);

function readUpdate(text: string): UpdateRequest {
  let parsed: Record<string, unknown>;
  try {
    parsed = JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw contentParse((error as Error).message);
  }
  for (const key of Object.keys(parsed))
    if (!UPDATE_KEYS.has(key)) {
      // Scripts exist in the server, but running them is beyond a simulator: say so instead of pretending.
      const reason = key === 'script' ? 'scripts are not simulated' : `[1:1] [UpdateRequest] unknown field [${key}]`;
      throw new ElasticError(400, { type: 'x_content_parse_exception', reason });
    }
  if (parsed['doc'] === undefined)
    throw new ElasticError(400, {
      type: 'action_request_validation_exception',
      reason: 'Validation Failed: 1: script or doc is missing;',
    });
  return {
    doc: parsed['doc'] as Record<string, unknown>,
    upsert: parsed['upsert'] as Record<string, unknown> | undefined,
    docAsUpsert: parsed['doc_as_upsert'] === true,
  };
}

/** Merges objects in depth, other values are replaced. Tells whether anything changed. */
function merge(target: Record<string, unknown>, changes: Record<string, unknown>): boolean {
  let changed = false;
  for (const [name, value] of Object.entries(changes)) {
    const old = target[name];
    if (isPlainObject(old) && isPlainObject(value)) changed = merge(old, value) || changed;
    else if (JSON.stringify(old) !== JSON.stringify(value)) {
      target[name] = value;
      changed = true;
    }
  }
  return changed;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
