/** What a route sends back. A string body is sent as it is, anything else as JSON, nothing when left out. */
export interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

/** One entry of `details` in the platform error body. */
export interface ErrorDetail {
  errorCode: string;
  fieldName?: string;
  entityId?: string;
  entityName?: string;
}

/** The optional parts of the platform error body. */
export interface ErrorExtras {
  messageParams?: Record<string, string>;
  details?: ErrorDetail[];
  limit?: { key: string; namespace: string; value: number };
  headers?: Record<string, string>;
}

/** A refusal in the form of the platform API. `code` is the vendor's machine-readable word. */
export class PlatformError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly extras: ErrorExtras = {},
  ) {
    super(message);
    this.name = 'PlatformError';
  }
}

/** 400 for a value that the endpoint does not take. */
export function invalidValue(fieldName: string, message: string): PlatformError {
  return new PlatformError(400, 'invalid.value', message, { details: [{ errorCode: 'invalid.value', fieldName }] });
}

/** 400 for a request that cannot be understood at all. */
export function badRequest(message: string): PlatformError {
  return new PlatformError(400, 'bad.request', message);
}

/** 404 for a thing that does not exist, or belongs to someone else. */
export function notFound(what: string): PlatformError {
  return new PlatformError(404, 'not.found', `The requested resource was not found. ${what}`);
}

/** 403 naming the permissions that the client lacks. */
export function missingPermissions(permissions: readonly string[], details: ErrorDetail[] = []): PlatformError {
  const list = permissions.join(', ');
  return new PlatformError(
    403,
    'missing.permissions',
    `Unable to perform the requested action. You are missing the following permission(s): ${list}`,
    { messageParams: { permissions: list }, details },
  );
}

/** The 429 that every resource gives since November 2021, with the seconds to wait in header and text. */
export function tooManyRequests(retryAfterSeconds: number): PlatformError {
  return new PlatformError(
    429,
    'too.many.requests.retry.after',
    `Rate limit exceeded the maximum. Retry the request in [${retryAfterSeconds}] seconds`,
    { headers: { 'Retry-After': String(retryAfterSeconds) } },
  );
}

const generic: Record<number, [code: string, message: string]> = {
  400: ['bad.request', 'The request could not be understood by the server due to malformed syntax.'],
  401: ['bad.credentials', 'Invalid login credentials.'],
  403: ['not.authorized', 'You are not authorized to perform the requested action.'],
  404: ['not.found', 'The requested resource was not found.'],
  405: ['method.not.allowed', 'The method is not allowed on this resource.'],
  408: ['request.timeout', 'The request timed out.'],
  409: ['conflict', 'The request conflicts with the current state of the resource.'],
  413: ['request.entity.too.large', 'The request is over the maximum size of 512000 bytes.'],
  415: [
    'unsupported.media.type',
    'Unsupported Media Type - Unsupported or incorrect media type, such as an incorrect Content-Type value in the header.',
  ],
  500: [
    'internal.server.error',
    'The server encountered an unexpected condition which prevented it from fulfilling the request.',
  ],
  503: [
    'service.unavailable',
    'Service Unavailable - The server is currently unavailable (because it is overloaded or down for maintenance).',
  ],
};

/** The usual refusal for a status, for faults and for the server core. */
export function genericError(status: number, headers: Record<string, string> = {}): PlatformError {
  const [code, message] = generic[status] ?? ['unknown', `Answered with status ${status}.`];
  return new PlatformError(status, code, message, { headers });
}

/** The platform form of an error; `contextId` equals the `ININ-Correlation-Id` header of the same answer. */
export function errorAnswer(error: PlatformError, contextId: string): Answer {
  const { messageParams = {}, details = [], limit, headers = {} } = error.extras;
  const { message, code, status } = error;
  return {
    status,
    headers,
    body: { message, code, status, messageParams, contextId, details, errors: [], ...(limit && { limit }) },
  };
}
