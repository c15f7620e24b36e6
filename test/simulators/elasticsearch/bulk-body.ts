import { isAscii, isUtf8 } from 'node:buffer';
import { contentParse, ElasticError, illegalArgument, validationFailed } from './errors';

/** What an action line can ask for. */
export type Action = 'index' | 'create' | 'update' | 'delete';

/** One operation of a bulk request, or a single-document request. */
export interface Operation {
  action: Action;
  index: string;
  /** `undefined`: the server makes one. */
  id: string | undefined;
  /** Where the document starts and ends in the body; both 0 for a delete. */
  start: number;
  end: number;
  /** What only few action lines have; `undefined` for the common ones. */
  more: OperationExtras | undefined;
}

/** The rare parameters of an action line. */
export interface OperationExtras {
  version?: number;
  versionType?: string;
  ifSeqNo?: number;
  ifPrimaryTerm?: number;
  pipeline?: string;
  requireAlias?: boolean;
  requireDataStream?: boolean;
}

/** A request body, readable by position. It is decoded as Latin-1 once, so that a position in it is a byte's. */
export class RequestBody {
  readonly text: string;
  readonly #ascii: boolean;

  constructor(readonly bytes: Buffer) {
    this.text = bytes.toString('latin1');
    this.#ascii = isAscii(bytes);
  }

  /** The text of a part, in its real encoding. */
  slice(start: number, end: number): string {
    return this.#ascii ? this.text.slice(start, end) : this.bytes.toString('utf8', start, end);
  }

  /** Whether a part is valid UTF-8; JSON has to be. */
  isText(start: number, end: number): boolean {
    return this.#ascii || isUtf8(this.bytes.subarray(start, end));
  }
}

const NEWLINE_MISSING = 'The bulk request must be terminated by a newline [\\n]';
const TEXT_PARAMETERS = new Set(['_index', '_id', 'routing', 'op_type', 'version_type', 'pipeline']);
const NUMBER_PARAMETERS = new Set(['version', 'if_seq_no', 'if_primary_term', 'retry_on_conflict']);
const FLAG_PARAMETERS = new Set(['require_alias', 'require_data_stream', 'list_executed_pipelines']);
const LONGEST_ID_BYTES = 512;

/**
 * Finds the operations of a bulk body by its newlines. Only action lines are parsed here, never documents.
 *
 * An action object that has a second key or is not closed is refused, as the server does since version 9
 * (8 takes it with a deprecation warning).
 *
 * @throws ElasticError 400 for a body that the server refuses as a whole; nothing of it is applied then.
 */
export function parseBulkBody(
  body: RequestBody,
  defaultIndex: string | undefined,
  defaults: OperationExtras,
): Operation[] {
  const { text } = body;
  const extras = Object.keys(defaults).length > 0 ? defaults : undefined;
  const operations: Operation[] = [];
  const failures: string[] = [];
  const reader = new ActionReader(defaultIndex, extras);
  let line = 0;
  let position = 0;
  while (position < text.length) {
    const end = text.indexOf('\n', position);
    if (end < 0) throw illegalArgument(NEWLINE_MISSING);
    line++;
    const operation = reader.read(body, position, end, line);
    position = end + 1;
    if (!operation) continue;
    if (operation.action !== 'delete') {
      if (position >= text.length) break; // the server, too, overlooks a last action without its document
      const documentEnd = text.indexOf('\n', position);
      if (documentEnd < 0) throw illegalArgument(NEWLINE_MISSING);
      line++;
      operation.start = position;
      operation.end = text.charCodeAt(documentEnd - 1) === 13 && documentEnd > position ? documentEnd - 1 : documentEnd;
      position = documentEnd + 1;
    }
    validate(operation, failures);
    operations.push(operation);
  }
  if (operations.length === 0) failures.push('no requests added');
  if (failures.length > 0) throw validationFailed(failures);
  return operations;
}

/** Adds what makes the server refuse the whole request that holds this operation. */
export function validate(operation: Operation, failures: string[]): void {
  const { action, id, index, more } = operation;
  if (index === '') failures.push('index is missing');
  if (action === 'update' || action === 'delete') {
    if (id === undefined || id === '') failures.push('id is missing');
  } else if (id !== undefined && id.length * 3 > LONGEST_ID_BYTES) {
    const bytes = Buffer.byteLength(id);
    if (bytes > LONGEST_ID_BYTES)
      failures.push(`id [${id}] is too long, must be no longer than ${LONGEST_ID_BYTES} bytes but was: ${bytes}`);
  }
  if (more === undefined) return;
  if (more.version !== undefined && (more.versionType ?? 'internal') === 'internal')
    failures.push(
      'internal versioning can not be used for optimistic concurrency control. Please use `if_seq_no` and `if_primary_term` instead',
    );
  if (action === 'create' && more.versionType !== undefined && more.versionType !== 'internal')
    failures.push(
      `create operations only support internal versioning. use index instead of create with version type [${more.versionType.toUpperCase()}]`,
    );
  if ((more.ifSeqNo === undefined) !== (more.ifPrimaryTerm === undefined))
    failures.push(
      more.ifSeqNo === undefined
        ? 'ifSeqNo is unassigned, but primary term is set'
        : 'ifSeqNo is set, but primary term is [0]',
    );
  if (action === 'create' && more.ifSeqNo !== undefined)
    failures.push('create operations do not support compare and set. use index instead');
}

/** Reads action lines; those that differ from the one before in nothing but a plain `_id` are not parsed again. */
class ActionReader {
  #head = '';
  #tail = '';
  #action: Action = 'index';
  #index = '';

  constructor(
    readonly defaultIndex: string | undefined,
    readonly defaults: OperationExtras | undefined,
  ) {}

  read(body: RequestBody, start: number, end: number, line: number): Operation | undefined {
    const known = this.#repeat(body, start, end);
    if (known) return known;
    const raw = body.slice(start, end);
    if (raw.trim() === '') return undefined;
    if (!body.isText(start, end)) throw contentParse('Invalid UTF-8 in the action line');
    const operation = this.#parse(raw, line);
    if (raw.length === end - start) this.#remember(raw, operation);
    return operation;
  }

  #repeat(body: RequestBody, start: number, end: number): Operation | undefined {
    const { text } = body;
    const from = start + this.#head.length;
    const to = end - this.#tail.length;
    if (this.#head === '' || to < from || !text.startsWith(this.#head, start) || !text.startsWith(this.#tail, to))
      return undefined;
    let id: string | undefined;
    if (this.#tail !== '') {
      id = body.bytes.toString('latin1', from, to);
      if (id === '' || !PLAIN_ID.test(id)) return undefined;
    } else if (to !== from) return undefined;
    return { action: this.#action, index: this.#index, id, start: 0, end: 0, more: this.defaults };
  }

  #remember(raw: string, operation: Operation): void {
    this.#head = '';
    if (operation.more !== this.defaults) return;
    this.#action = operation.action;
    this.#index = operation.index;
    this.#tail = '';
    if (operation.id === undefined) this.#head = raw;
    else {
      const end = raw.lastIndexOf(`"${operation.id}"`);
      if (!PLAIN_ID.test(operation.id) || end < 0 || raw.indexOf(`"${operation.id}"`) !== end) return;
      if (!/"_id"\s*:\s*$/.test(raw.slice(0, end))) return;
      this.#head = raw.slice(0, end + 1);
      this.#tail = raw.slice(end + 1 + operation.id.length);
    }
  }

  #parse(raw: string, line: number): Operation {
    const malformed = (why: string) => illegalArgument(`Malformed action/metadata line [${line}], ${why}`);
    let parsed: unknown;
    try {
      parsed = JSON.parse(raw);
    } catch (error) {
      throw contentParse((error as Error).message, raw);
    }
    if (tokenOf(parsed) !== 'START_OBJECT') throw malformed(`expected START_OBJECT but found [${tokenOf(parsed)}]`);
    const entries = Object.entries(parsed as Record<string, unknown>);
    const [first, second] = entries;
    if (!first) throw malformed('expected FIELD_NAME but found [END_OBJECT]');
    const [name, metadata] = first;
    if (name !== 'index' && name !== 'create' && name !== 'update' && name !== 'delete')
      throw malformed(`expected one of [create, delete, index, update] but found [${name}]`);
    if (tokenOf(metadata) !== 'START_OBJECT')
      throw malformed(`expected START_OBJECT or END_OBJECT but found [${tokenOf(metadata)}]`);
    if (second) throw malformed('expected END_OBJECT but found [FIELD_NAME]');
    return this.#fill(name, metadata as Record<string, unknown>, line);
  }

  #fill(action: Action, metadata: Record<string, unknown>, line: number): Operation {
    const operation: Operation = {
      action,
      index: this.defaultIndex ?? '',
      id: undefined,
      start: 0,
      end: 0,
      more: this.defaults,
    };
    const more: OperationExtras = { ...this.defaults };
    let opType: string | undefined;
    let special = false;
    for (const [key, value] of Object.entries(metadata)) {
      checkParameter(key, value, line);
      if (value === null) continue;
      if (key === '_index') operation.index = String(value);
      else if (key === '_id') operation.id = String(value);
      else if (key === 'op_type') opType = String(value);
      else {
        special = true;
        if (key === 'version') more.version = Number(value);
        else if (key === 'version_type') more.versionType = readVersionType(String(value));
        else if (key === 'if_seq_no') more.ifSeqNo = Number(value);
        else if (key === 'if_primary_term') more.ifPrimaryTerm = Number(value);
        else if (key === 'pipeline') more.pipeline = String(value);
        else if (key === 'require_alias') more.requireAlias = String(value) === 'true';
        else if (key === 'require_data_stream') more.requireDataStream = String(value) === 'true';
      }
    }
    if (action === 'index' && opType === 'create') operation.action = 'create';
    if (special) operation.more = more;
    return operation;
  }
}

/** An id that stands in JSON as it is: no escapes, no quotes, ASCII only. */
const PLAIN_ID = /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/;

function checkParameter(key: string, value: unknown, line: number): void {
  if (key === '_source' || key === 'dynamic_templates') return;
  if (value !== null && typeof value === 'object')
    throw illegalArgument(
      `Malformed action/metadata line [${line}], expected a simple value for field [${key}] but found [${tokenOf(value)}]`,
    );
  if (TEXT_PARAMETERS.has(key) || FLAG_PARAMETERS.has(key)) return;
  if (!NUMBER_PARAMETERS.has(key))
    throw illegalArgument(`Action/metadata line [${line}] contains an unknown parameter [${key}]`);
  if (value !== null && !/^-?\d+$/.test(String(value)))
    throw new ElasticError(400, { type: 'number_format_exception', reason: `For input string: "${value}"` });
}

function readVersionType(text: string): string {
  if (['internal', 'external', 'external_gt', 'external_gte'].includes(text)) return text;
  throw illegalArgument(`No version type match [${text}]`);
}

/** The name that the server's parser gives to what a value starts with. */
function tokenOf(value: unknown): string {
  if (value === null) return 'VALUE_NULL';
  if (Array.isArray(value)) return 'START_ARRAY';
  if (typeof value === 'object') return 'START_OBJECT';
  if (typeof value === 'number') return 'VALUE_NUMBER';
  return typeof value === 'boolean' ? 'VALUE_BOOLEAN' : 'VALUE_STRING';
}
