import { redact } from './redaction';

/**
 * Every error the pack raises, by code. `retryable` says whether the same thing may succeed later without anyone
 * changing it; `advice` is the sentence that ends the message when the place that raises it has none of its own.
 */
export const ERROR_CATALOGUE = {
  CONFIGURATION: { retryable: false, advice: 'Correct the configuration and deploy again.' },
  INVALID_INPUT: { retryable: false, advice: 'Correct the message and send it again.' },
  REJECTED: {
    retryable: false,
    advice: 'The remote system will not take this data; correct it before sending it again.',
  },
  REFUSED: { retryable: true, advice: 'Check the credentials and their rights; everything is kept until they work.' },
  BUSY: { retryable: true, advice: 'It is tried again by itself.' },
  UNREACHABLE: { retryable: true, advice: 'Check the address and the network; it is tried again by itself.' },
  OUTCOME_UNKNOWN: { retryable: true, advice: 'It was sent but not answered; it is settled by itself.' },
  PROTOCOL: {
    retryable: true,
    advice: 'The answer was not understood; check that the address leads to the right service.',
  },
  UNROUTABLE: {
    retryable: false,
    advice: 'Nobody would receive it: bind a queue to the exchange with a key that fits, then send it again.',
  },
  NOT_FOUND: { retryable: false, advice: 'Check the identifier.' },
  BREAKER_OPEN: { retryable: true, advice: 'Too many failures in a row; a probe is sent when the pause is over.' },
  BUFFER_FULL: {
    retryable: true,
    advice: 'Raise the limit, choose another overflow policy, or wait until the remote system takes data again.',
  },
  BUFFER_FAILED: { retryable: true, advice: 'Check the free space and the rights of the buffer folder.' },
  DELIVERY_EXPIRED: {
    retryable: true,
    advice: 'Wire every branch of the flow to a node that settles the delivery, or raise the time limit.',
  },
  CLOSED: { retryable: true, advice: 'The node was stopped before it could finish.' },
  INTERNAL: { retryable: false, advice: 'This is a defect of the pack; please report it with this text.' },
} as const;

/** A key of {@link ERROR_CATALOGUE}. */
export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** What happened, told in the order a person asks for it. */
export interface ErrorFacts {
  /** What was tried, as a clause: `index 200 documents`. */
  attempted: string;
  /** On which system or address. */
  target?: string;
  /** What came back. */
  answer?: string;
  /** What the user can do; the catalogue's sentence when left out. */
  advice?: string;
  /** The remote status code, when there was one. */
  status?: number;
  /** A stable word for programs, finer than the code: `context_not_allowed`. */
  reason?: string;
  /** How long the remote system asked to wait, in milliseconds. */
  retryAfterMs?: number;
  /** Overrides the catalogue's `retryable`. */
  retryable?: boolean;
  /** What was thrown, if that is what it comes from: of an error of a library only text, code and stack are kept. */
  cause?: unknown;
}

/**
 * The one error class of the pack. Its text says what was attempted, on what, what came back and what to do;
 * secrets are masked here, where it is built, so that it can be shown anywhere afterwards.
 */
export class ContactError extends Error {
  override readonly name = 'ContactError';
  readonly code: ErrorCode;
  /** Whether the same thing may succeed later without anyone changing it. */
  readonly retryable: boolean;
  /** The remote status code, when there was one. */
  readonly status?: number;
  /** A stable word for programs, finer than the code. */
  readonly reason?: string;
  /** How long the remote system asked to wait, in milliseconds. */
  readonly retryAfterMs?: number;
  /** The short form without the advice, for places with little room. */
  readonly summary: string;

  constructor(code: ErrorCode, facts: ErrorFacts) {
    const summary = redact(
      `Could not ${facts.attempted}${facts.target ? ` (${facts.target})` : ''}${facts.answer ? `: ${facts.answer}` : ''}`,
    );
    const advice = redact(facts.advice ?? ERROR_CATALOGUE[code].advice);
    super(`${/[.!?]$/.test(summary) ? summary : `${summary}.`} ${advice}`);
    this.code = code;
    this.summary = summary;
    this.retryable = facts.retryable ?? ERROR_CATALOGUE[code].retryable;
    if (facts.status !== undefined) this.status = facts.status;
    if (facts.reason !== undefined) this.reason = facts.reason;
    if (facts.retryAfterMs !== undefined) this.retryAfterMs = facts.retryAfterMs;
    if (facts.cause !== undefined) this.cause = withoutSecrets(facts.cause);
  }
}

/** What `msg.error` holds on the failure output of a sink. */
export interface MessageError {
  /** A key of {@link ERROR_CATALOGUE}. */
  code: string;
  message: string;
  /** The remote status code, when there was one. */
  status?: number;
  /** How often it was tried; 0 when it was not sent at all. */
  attempts: number;
  retryable: boolean;
}

/** The plain form of an error that travels in a message. */
export function messageError(error: ContactError, attempts: number): MessageError {
  const { code, message, status, retryable } = error;
  return { code, message, ...(status === undefined ? {} : { status }), attempts, retryable };
}

/** Any thrown thing as a {@link ContactError}; what is not one already becomes `INTERNAL` (or `code`). */
export function toContactError(thrown: unknown, attempted: string, code: ErrorCode = 'INTERNAL'): ContactError {
  if (thrown instanceof ContactError) return thrown;
  return new ContactError(code, { attempted, answer: describe(thrown), cause: thrown });
}

/** One line for any thrown thing: the message of an error with its system code, the text of anything else. */
export function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return redact(String(thrown));
  const code = (thrown as { code?: unknown }).code;
  const inner = thrown instanceof AggregateError ? thrown.errors.map(describe).join('; ') : '';
  const text = thrown.message || inner || thrown.name;
  return redact(typeof code === 'string' && !text.includes(code) ? `${text} (${code})` : text);
}

/** Library errors carry requests with their headers; of those only the text and the code are kept as the cause. */
function withoutSecrets(cause: unknown): unknown {
  if (!(cause instanceof Error) || cause instanceof ContactError) return cause;
  const copy = new Error(describe(cause));
  copy.name = cause.name;
  if (cause.stack) copy.stack = redact(cause.stack);
  const code = (cause as { code?: unknown }).code;
  return code === undefined ? copy : Object.assign(copy, { code });
}
