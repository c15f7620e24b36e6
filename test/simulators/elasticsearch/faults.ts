import { ElasticError, type ErrorCause, unauthenticated, unauthorized, versionConflict } from './errors';

/** How a bulk request goes wrong as a whole. */
export type BulkFaultAnswer =
  /** This status. Without `body` it is the one that the server (or, for 502 and 504, a proxy) sends with it. */
  | { status: number; headers?: Record<string, string>; body?: string | object }
  /** The answer comes, this much later. */
  | { delayMs: number }
  /** The connection breaks in the midst of the answer; `position` says where, by default in the middle. */
  | 'cut-body'
  /** A complete answer that is no JSON. */
  | 'broken-json'
  /** One item (`position`, by default the last) or all items are left out of the answer. */
  | 'fewer-items'
  /** One item (`position`, by default the last) or all items come twice. */
  | 'more-items'
  /** The connection is reset as soon as the request's headers are there; the body is not read. */
  | 'reset-before-body-sent'
  /** The connection is reset once the whole request is there; nothing is applied. */
  | 'reset-before'
  /** Everything is applied, then the connection is reset before a byte of the answer. */
  | 'reset-after'
  /** No answer, ever; the connection stays open. */
  | 'hang';

/** Which items of the batch; `middle` is the one at half the length, rounded down. */
export type FaultPosition = 'first' | 'middle' | 'last' | 'all';

/** One thing that goes wrong with bulk requests. */
export interface BulkFault {
  /** How many bulk requests it strikes; 1 by default. */
  times?: number | 'always';
  /** How many bulk requests pass unharmed first; 0 by default. */
  skip?: number;
  /** What happens to the request as a whole; nothing when left out. */
  answer?: BulkFaultAnswer;
  /**
   * Whether the documents were applied before the bad answer. By default false for a status, `reset-before*` and
   * `hang`, true otherwise. A `reset-before*` is never applied.
   */
  applied?: boolean;
  /** Where in the batch `itemStatus`, `fewer-items`, `more-items` and `cut-body` strike; for items `all` by default. */
  position?: FaultPosition;
  /** The items at `position` fail with this status; the others are really applied. */
  itemStatus?: number;
  /** The error of these items instead of the usual one of that status. */
  itemError?: ErrorCause;
  /** Whether the failing items are stored all the same; by default only those with 409, since a conflict means the id is there. */
  itemApplied?: boolean;
}

/** A fault that was set. */
export interface FaultHandle {
  readonly fault: BulkFault;
  /** How many requests it has struck. */
  readonly fired: number;
  /** Takes it back. */
  cancel(): void;
}

class ArmedFault implements FaultHandle {
  fired = 0;
  skipped = 0;
  cancelled = false;

  constructor(readonly fault: BulkFault) {}

  get spent(): boolean {
    const { times = 1 } = this.fault;
    return this.cancelled || (times !== 'always' && this.fired >= times);
  }

  cancel(): void {
    this.cancelled = true;
  }
}

/** The faults that wait for their request, struck in the order they were set. */
export class Faults {
  #armed: ArmedFault[] = [];

  /** Makes coming bulk requests go wrong. */
  bulk(fault: BulkFault): FaultHandle {
    const armed = new ArmedFault(fault);
    this.#armed.push(armed);
    return armed;
  }

  /** Takes all faults back. */
  clear(): void {
    for (const armed of this.#armed) armed.cancel();
    this.#armed = [];
  }

  /** How many faults still wait or strike. */
  get pending(): number {
    this.#sweep();
    return this.#armed.length;
  }

  /** The fault of the bulk request that has just arrived. */
  take(): BulkFault | undefined {
    this.#sweep();
    const [armed] = this.#armed;
    if (!armed) return undefined;
    if (armed.skipped < (armed.fault.skip ?? 0)) {
      armed.skipped++;
      return undefined;
    }
    armed.fired++;
    return armed.fault;
  }

  #sweep(): void {
    this.#armed = this.#armed.filter((armed) => !armed.spent);
  }
}

/** Whether the documents of a request with this fault are applied. */
export function isApplied({ answer, applied }: BulkFault): boolean {
  if (answer === 'reset-before' || answer === 'reset-before-body-sent') return false;
  return applied ?? !(answer === 'hang' || (typeof answer === 'object' && 'status' in answer));
}

/** The places that a position means in a batch of `length` items. */
export function placesOf(position: FaultPosition, length: number): Set<number> {
  if (position === 'all') return new Set(Array.from({ length }, (_, index) => index));
  if (length === 0) return new Set();
  return new Set([position === 'first' ? 0 : position === 'last' ? length - 1 : Math.floor(length / 2)]);
}

/** The body and headers that go with a status, as the server or a proxy before it sends them. */
export interface StatusAnswer {
  body: string;
  headers: Record<string, string | string[]>;
  /** Whether the server itself says it, so that `X-elastic-product` goes along. */
  product: boolean;
}

/** The usual answer to a bulk request that fails as a whole with this status. */
export function statusAnswer(status: number): StatusAnswer {
  const error = requestError(status);
  if (error) return { body: JSON.stringify(error.body()), headers: error.headers, product: true };
  if (status === 413) return { body: '', headers: {}, product: false };
  const text = `<html><head><title>${status}</title></head><body><center><h1>${status}</h1></center></body></html>\n`;
  return { body: text, headers: { 'Content-Type': 'text/html' }, product: false };
}

function requestError(status: number): ElasticError | undefined {
  const make = (type: string, reason: string) => new ElasticError(status, { type, reason });
  switch (status) {
    case 400:
      return make('illegal_argument_exception', 'request [/_bulk] could not be handled');
    case 401:
      return unauthenticated(
        'unable to authenticate with provided credentials and anonymous access is not allowed for this request',
      );
    case 403:
      return unauthorized('indices:data/write/bulk', 'writer', undefined, 'create_doc,create,delete,index,write,all');
    case 404:
      return make('index_not_found_exception', 'no such index');
    case 409:
      return make('version_conflict_engine_exception', 'version conflict');
    case 429:
      return make('es_rejected_execution_exception', REJECTED);
    case 500:
      return make('illegal_state_exception', 'the node failed while it handled the request');
    case 503:
      return make('cluster_block_exception', 'blocked by: [SERVICE_UNAVAILABLE/2/no master];');
    default:
      return undefined;
  }
}

const REJECTED =
  'rejected execution of coordinating operation [coordinating_and_primary_bytes=107374182, replica_bytes=0, all_bytes=107374182, coordinating_operation_bytes=1048576, max_coordinating_and_primary_bytes=107374182]';

/** The usual error of an item with this status. */
export function itemError(status: number, index: string, id: string | null): ErrorCause {
  const make = (type: string, reason: string): ErrorCause => ({ type, reason });
  const shard = { index_uuid: 'c2ltdWxhdGVkLWluZGV4LXV1', shard: '0', index };
  switch (status) {
    case 400:
      return {
        ...make(
          'document_parsing_exception',
          `[1:14] failed to parse field [op.code] of type [long] in document with id '${id}'. Preview of field's value: 'none'`,
        ),
        caused_by: make('illegal_argument_exception', 'For input string: "none"'),
      };
    case 403:
      return unauthorized('indices:data/write/bulk[s]', 'writer', index, 'create_doc,create,delete,index,write,all')
        .details;
    case 404:
      return { ...make('index_not_found_exception', `no such index [${index}]`), index_uuid: '_na_', index };
    case 409:
      return versionConflict(id ?? '', 'document already exists (current version [1])', index, shard.index_uuid)
        .details;
    case 413:
      return make(
        'es_rejected_execution_exception',
        'rejected execution of coordinating operation: the operation is larger than max_operation_bytes',
      );
    case 429:
      return make('es_rejected_execution_exception', REJECTED);
    case 503:
      return {
        ...make(
          'unavailable_shards_exception',
          `[${index}][0] primary shard is not active Timeout: [1m], request: [BulkShardRequest [[${index}][0]] containing [1] requests]`,
        ),
        ...shard,
      };
    default:
      return make('illegal_state_exception', 'the shard failed while it handled the operation');
  }
}
