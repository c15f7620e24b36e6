import { randomUUID } from 'node:crypto';
import type { Options } from 'amqplib';
import type { ContactError } from '../core/errors';
import type { AmqpMessage } from './amqp';

/** Headers that the pack sets on a message that comes back, or is put aside. */
export const HEADERS = {
  /** How many attempts have failed so far; counted by us, since the broker counts something else. */
  attempts: 'x-attempts',
  /** Before this time, in milliseconds since the epoch, it is not tried again. */
  retryAt: 'x-retry-at',
  /** Why the last attempt failed. */
  failureCode: 'x-failure-code',
  failureReason: 'x-failure-reason',
  /** When that was, as ISO 8601. */
  failedAt: 'x-failed-at',
  /** Where the message came from at first: on its way back it loses this. */
  originalExchange: 'x-original-exchange',
  originalRoutingKey: 'x-original-routing-key',
  /** Tells a copy that we have published from the message before it, which has the same message id. */
  copyId: 'x-copy-id',
} as const;

const MOST_REASON_CHARACTERS = 1_000;

/** Which attempt this is, from 1. */
export function attemptOf({ properties }: Pick<AmqpMessage, 'properties'>): number {
  const failed = Number(properties.headers?.[HEADERS.attempts]);
  return Number.isSafeInteger(failed) && failed > 0 ? failed + 1 : 1;
}

/** When it may be tried again, in milliseconds since the epoch; 0 = at once. */
export function retryAtOf({ properties }: Pick<AmqpMessage, 'properties'>): number {
  const at = Number(properties.headers?.[HEADERS.retryAt]);
  return Number.isFinite(at) ? at : 0;
}

/** Where the message was published to, however often it has come back since. */
export function originOf({ fields, properties }: AmqpMessage): { exchange: string; routingKey: string } {
  const { [HEADERS.originalExchange]: exchange, [HEADERS.originalRoutingKey]: routingKey } = properties.headers ?? {};
  return {
    exchange: typeof exchange === 'string' ? exchange : fields.exchange,
    routingKey: typeof routingKey === 'string' ? routingKey : fields.routingKey,
  };
}

/** The headers with which a message leaves its queue after a failure. */
export function failureHeaders(
  message: AmqpMessage,
  { attempts, error, now }: { attempts: number; error: ContactError | undefined; now: number },
): Record<string, unknown> {
  const { exchange, routingKey } = originOf(message);
  const { [HEADERS.retryAt]: _past, ...headers } = message.properties.headers ?? {};
  return {
    ...headers,
    [HEADERS.attempts]: attempts,
    [HEADERS.originalExchange]: exchange,
    [HEADERS.originalRoutingKey]: routingKey,
    [HEADERS.failedAt]: new Date(now).toISOString(),
    ...(error
      ? {
          [HEADERS.failureCode]: error.code,
          [HEADERS.failureReason]: error.message.slice(0, MOST_REASON_CHARACTERS),
        }
      : {}),
  };
}

const OURS: ReadonlySet<string> = new Set(Object.values(HEADERS));
const BROKERS = /^x-((first-|last-)?death|delivery-count$)/;

/** The headers without what the pack and the broker have set: as the message was published. */
export function withoutOurs(headers: Record<string, unknown> = {}): Record<string, unknown> {
  const published: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (!OURS.has(name) && !BROKERS.test(name)) published[name] = value;
  }
  return published;
}

/** Which copy of a message this is; the empty text for the message as it was published. */
export function copyOf({ properties }: Pick<AmqpMessage, 'properties'>): string {
  return String(properties.headers?.[HEADERS.copyId] ?? '');
}

/** The properties of a message that was received, to publish a copy of it with other headers. */
export function copiedOptions(message: AmqpMessage, headers: Record<string, unknown>): Options.Publish {
  const { contentType, contentEncoding, priority, correlationId, replyTo, messageId, timestamp, type, appId } =
    message.properties;
  const known = { contentType, contentEncoding, priority, correlationId, replyTo, messageId, timestamp, type, appId };
  const set = Object.entries(known).filter(([, value]) => value !== undefined);
  const marked = { ...headers, [HEADERS.copyId]: randomUUID() };
  return { ...Object.fromEntries(set), headers: marked, persistent: true, mandatory: true };
}
