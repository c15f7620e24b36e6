/** One error of Elasticsearch as it stands in a body: `type`, `reason`, further keys, and causes inside it. */
export interface ErrorCause {
  type: string;
  reason: string;
  caused_by?: ErrorCause;
  [key: string]: unknown;
}

/** An error that the server answers with, for a whole request or for one item of a bulk request. */
export class ElasticError extends Error {
  constructor(
    /** The HTTP status code, or the status of the item. */
    readonly status: number,
    readonly details: ErrorCause,
    /** Headers that go with a whole-request answer. */
    readonly headers: Record<string, string | string[]> = {},
  ) {
    super(`${details.type}: ${details.reason}`);
    this.name = 'ElasticError';
  }

  /** The body of a whole-request answer. Only the outermost error is repeated as root cause, without its causes. */
  body(): Record<string, unknown> {
    const { caused_by: _, ...root } = this.details;
    return { error: { root_cause: [root], ...this.details }, status: this.status };
  }
}

/** A few errors of the HTTP layer have only a text and a status (`createSimpleErrorResponse` of the server). */
export class SimpleError extends ElasticError {
  override body(): Record<string, unknown> {
    return { error: this.details.reason, status: this.status };
  }
}

/** A 400 with `illegal_argument_exception`, the most common refusal. */
export function illegalArgument(reason: string): ElasticError {
  return new ElasticError(400, { type: 'illegal_argument_exception', reason });
}

/** All validation failures of a request are reported together and refuse the whole request. */
export function validationFailed(failures: readonly string[]): ElasticError {
  const reason = `Validation Failed: ${failures.map((failure, index) => `${index + 1}: ${failure};`).join('')}`;
  return new ElasticError(400, { type: 'action_request_validation_exception', reason });
}

/** JSON that cannot be read, outside a document; with the text itself, one that ends too early is told apart. */
export function contentParse(reason: string, text?: string): ElasticError {
  const position = /at position (\d+)/.exec(reason)?.[1];
  if (text !== undefined && (position === undefined || Number(position) === text.length)) {
    return new ElasticError(400, {
      type: 'x_content_e_o_f_exception',
      reason: '[1:1] Unexpected end of file',
      caused_by: { type: 'json_e_o_f_exception', reason },
    });
  }
  return new ElasticError(400, {
    type: 'x_content_parse_exception',
    reason: `[1:1] ${reason}`,
    caused_by: { type: 'json_parse_exception', reason },
  });
}

/** A document that does not fit the mapping, or is no document at all. `column` is where the parser stood. */
export function documentParsing(column: number, reason: string, cause?: ErrorCause): ElasticError {
  return new ElasticError(400, {
    type: 'document_parsing_exception',
    reason: `[1:${column}] ${reason}`,
    ...(cause ? { caused_by: cause } : {}),
  });
}

/** The index does not exist; `why` continues the sentence. */
export function indexNotFound(index: string, why = ''): ElasticError {
  return new ElasticError(404, {
    type: 'index_not_found_exception',
    reason: `no such index [${index}]${why}`,
    'resource.type': 'index_or_alias',
    'resource.id': index,
    index_uuid: '_na_',
    index,
  });
}

/** What the server says of a name that no index may have. */
export function invalidIndexName(index: string, rule: string): ElasticError {
  return new ElasticError(400, {
    type: 'invalid_index_name_exception',
    reason: `Invalid index name [${index}], ${rule}`,
    index_uuid: '_na_',
    index,
  });
}

/** A write to a document that has changed or exists already. */
export function versionConflict(id: string, why: string, index: string, uuid: string): ElasticError {
  return new ElasticError(409, {
    type: 'version_conflict_engine_exception',
    reason: `[${id}]: version conflict, ${why}`,
    index_uuid: uuid,
    shard: '0',
    index,
  });
}

/** The challenges that go with each 401, in the body and as headers. */
const CHALLENGES = ['Basic realm="security", charset="UTF-8"', 'Bearer realm="security"', 'ApiKey'];

/** A 401 with its challenges. */
export function unauthenticated(reason: string, extra: Record<string, unknown> = {}): ElasticError {
  return new ElasticError(
    401,
    { type: 'security_exception', reason, ...extra, header: { 'WWW-Authenticate': CHALLENGES } },
    { 'WWW-Authenticate': CHALLENGES },
  );
}

/** A 403: the user is known but lacks the right to do this. */
export function unauthorized(
  action: string,
  user: string,
  index: string | undefined,
  privileges: string,
): ElasticError {
  const where = index === undefined ? '' : ` on indices [${index}]`;
  return new ElasticError(403, {
    type: 'security_exception',
    reason:
      `action [${action}] is unauthorized for user [${user}] with effective roles [reader]${where}, ` +
      `this action is granted by the index privileges [${privileges}]`,
  });
}
