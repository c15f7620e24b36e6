import { randomBytes } from 'node:crypto';
import type { OperationExtras } from './bulk-body';
import { ElasticError, illegalArgument, versionConflict } from './errors';
import { Mapping } from './mapping';

/**
 * What is kept of a document: all of it, only its id (conflicts are still found), or nothing but the count.
 * Documents are parsed and held against the mapping in the mode `documents` only.
 */
export type StoreMode = 'documents' | 'ids' | 'none';

/** The blocks that make an index refuse writes. */
export type WriteBlock = 'write' | 'read_only' | 'read_only_allow_delete';

/** One document of an index. */
export class StoredDocument {
  _version = 1;
  /** How often it was made new: more than once only after a delete. */
  created = 1;
  /** How often it was written over. */
  updated = 0;
  deleted = false;

  constructor(
    public _seq_no: number,
    public bytes: Buffer | undefined,
  ) {}

  /** The document, parsed at each call; `undefined` when the simulator does not keep documents. */
  get _source(): Record<string, unknown> | undefined {
    return this.bytes === undefined ? undefined : (JSON.parse(this.bytes.toString()) as Record<string, unknown>);
  }
}

/** What became of one write. */
export interface WriteResult {
  result: 'created' | 'updated' | 'deleted' | 'not_found' | 'noop';
  version: number;
  seqNo: number;
}

/** The answer text and status of each block, as the server words them. */
const BLOCKS: Record<WriteBlock, { text: string; status: number }> = {
  read_only: { text: 'FORBIDDEN/5/index read-only (api)', status: 403 },
  write: { text: 'FORBIDDEN/8/index write (api)', status: 403 },
  read_only_allow_delete: {
    text: 'TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block',
    status: 429,
  },
};

const KNOWN_SETTINGS =
  /^index\.(blocks\.(write|read|read_only|read_only_allow_delete|metadata)|number_of_(shards|replicas)|refresh_interval|auto_expand_replicas|mapping\.(total_fields\.(limit|ignore_dynamic_beyond_limit)|depth\.limit|nested_fields\.limit|nested_objects\.limit|ignore_malformed|coerce|field_name_length\.limit)|lifecycle\.(name|rollover_alias|prefer_ilm|origination_date)|codec|mode|hidden|priority|sort\..+|analysis\..+|query\.default_field|translog\..+|max_result_window|default_pipeline|final_pipeline|routing\..+|gc_deletes|merge\..+|unassigned\..+|search\..+|indexing\..+|similarity\..+|store\.type|routing_partition_size|number_of_routing_shards|max_.+)$/;

/** Settings with dots as keys and text as values, whatever way they were written. */
export type FlatSettings = Map<string, string>;

/** Flattens settings; `{"blocks": {"write": true}}`, `{"index.blocks.write": true}` and so on mean the same. */
export function flattenSettings(settings: unknown): FlatSettings {
  const flat: FlatSettings = new Map();
  const walk = (value: unknown, path: string) => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      for (const [name, child] of Object.entries(value)) walk(child, path === '' ? name : `${path}.${name}`);
    else flat.set(path.startsWith('index.') ? path : `index.${path}`, String(value));
  };
  walk(settings ?? {}, '');
  return flat;
}

/** Refuses settings that the server does not know. */
export function checkSettings(settings: FlatSettings): void {
  for (const name of settings.keys())
    if (!KNOWN_SETTINGS.test(name))
      throw illegalArgument(
        `unknown setting [${name}] please check that any required plugins are installed, or check the breaking changes documentation for removed settings`,
      );
}

/** An index: its settings, its mapping and its documents. */
export class ElasticIndex {
  readonly uuid = randomBytes(16).toString('base64url');
  readonly createdAt = Date.now();
  readonly settings: FlatSettings;
  readonly mapping: Mapping;
  readonly documents = new Map<string, StoredDocument>();
  /** Documents that are there now. */
  count = 0;
  deletedCount = 0;
  #seqNo = 0;

  constructor(
    readonly name: string,
    readonly store: StoreMode,
    definition: { settings?: FlatSettings; mappings?: Record<string, unknown> } = {},
    /** The data stream that this is a backing index of. */
    readonly stream?: string,
  ) {
    this.settings = definition.settings ?? new Map();
    checkSettings(this.settings);
    const limit = (name: string, fallback: number) =>
      Number(this.settings.get(`index.mapping.${name}.limit`) ?? fallback);
    this.mapping = new Mapping(definition.mappings, {
      totalFields: limit('total_fields', 1_000),
      depth: limit('depth', 20),
    });
    if (stream !== undefined && this.mapping.typeOf('@timestamp') === undefined)
      this.mapping.merge({ properties: { '@timestamp': { type: 'date' } } });
  }

  /** The error with which writes are refused, or `undefined`. */
  get block(): ElasticError | undefined {
    for (const [name, { text, status }] of Object.entries(BLOCKS))
      if (this.settings.get(`index.blocks.${name}`) === 'true')
        return new ElasticError(status, {
          type: 'cluster_block_exception',
          reason: `index [${this.name}] blocked by: [${text}];`,
        });
    return undefined;
  }

  /** The live document with this id. */
  find(id: string): StoredDocument | undefined {
    const found = this.documents.get(id);
    return found === undefined || found.deleted ? undefined : found;
  }

  /**
   * Writes one document.
   *
   * @param dry only says what would happen.
   * @throws ElasticError 409 for a conflict.
   */
  write(
    id: string,
    bytes: Buffer | undefined,
    create: boolean,
    more: OperationExtras | undefined,
    dry: boolean,
  ): WriteResult {
    if (this.store === 'none') {
      if (!dry) this.count++;
      return { result: 'created', version: 1, seqNo: dry ? this.#seqNo : this.#seqNo++ };
    }
    const existing = this.documents.get(id);
    const live = existing !== undefined && !existing.deleted;
    if (live && create) throw this.#conflict(id, `document already exists (current version [${existing._version}])`);
    const version = this.#nextVersion(id, existing, more);
    if (dry) return { result: live ? 'updated' : 'created', version, seqNo: this.#seqNo };
    const seqNo = this.#seqNo++;
    if (existing === undefined) {
      const fresh = new StoredDocument(seqNo, bytes);
      fresh._version = version;
      this.documents.set(id, fresh);
      this.count++;
      return { result: 'created', version, seqNo };
    }
    existing._version = version;
    existing._seq_no = seqNo;
    existing.bytes = bytes;
    existing.deleted = false;
    if (live) existing.updated++;
    else {
      existing.created++;
      this.count++;
    }
    return { result: live ? 'updated' : 'created', version, seqNo };
  }

  /** Deletes a document; that there was none is no error but the result `not_found`. */
  remove(id: string, more: OperationExtras | undefined, dry: boolean): WriteResult {
    const existing = this.documents.get(id);
    const version = this.#nextVersion(id, existing, more);
    if (existing === undefined || existing.deleted)
      return { result: 'not_found', version, seqNo: dry ? this.#seqNo : this.#seqNo++ };
    if (dry) return { result: 'deleted', version, seqNo: this.#seqNo };
    existing.deleted = true;
    existing.bytes = undefined;
    existing._version = version;
    existing._seq_no = this.#seqNo++;
    this.count--;
    this.deletedCount++;
    return { result: 'deleted', version, seqNo: existing._seq_no };
  }

  #nextVersion(id: string, existing: StoredDocument | undefined, more: OperationExtras | undefined): number {
    const current = existing?._version ?? 0;
    if (more === undefined) return current + 1;
    const live = existing !== undefined && !existing.deleted;
    if (more.ifSeqNo !== undefined && (!live || existing._seq_no !== more.ifSeqNo || more.ifPrimaryTerm !== 1)) {
      const state = live
        ? `current document has seqNo [${existing._seq_no}] and primary term [1]`
        : 'but no document was found';
      throw this.#conflict(id, `required seqNo [${more.ifSeqNo}], primary term [${more.ifPrimaryTerm}]. ${state}`);
    }
    if (more.version === undefined) return current + 1;
    const lowest = more.versionType === 'external_gte' ? current : current + 1;
    if (current > 0 && more.version < lowest)
      throw this.#conflict(
        id,
        `current version [${current}] is higher${lowest > current ? ' or equal to' : ' than'} the one provided [${more.version}]`,
      );
    return more.version;
  }

  #conflict(id: string, why: string): ElasticError {
    return versionConflict(id, why, this.name, this.uuid);
  }
}
