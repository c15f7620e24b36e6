import { randomUUID } from 'node:crypto';
import type { ReceivedMessage } from './consumer';
import { withoutOurs } from './headers';

/** What is worth knowing about a message besides its content. */
export interface MessageFacts {
  exchange: string;
  routingKey: string;
  /** As the publisher has set them. */
  headers: Record<string, unknown>;
  messageId?: string;
  contentType?: string;
  type?: string;
  appId?: string;
  replyTo?: string;
  /** As ISO 8601; missing when the publisher names none, or none that is a time in seconds. */
  timestamp?: string;
}

/** The latest time that a date can hold, in milliseconds since the epoch (ECMA-262). */
const LATEST_MS = 8_640_000_000_000_000;

/** The facts of a message, without what the broker and the pack have added. */
export function factsOf({ exchange, routingKey, properties }: ReceivedMessage): MessageFacts {
  const facts: MessageFacts = { exchange, routingKey, headers: withoutOurs(properties.headers) };
  for (const name of ['messageId', 'contentType', 'type', 'appId', 'replyTo'] as const) {
    const value: unknown = properties[name];
    if (typeof value === 'string' && value !== '') facts[name] = value;
  }
  // AMQP counts seconds. A publisher that counts something finer names a time that no date can hold.
  const seconds: unknown = properties.timestamp;
  if (typeof seconds === 'number' && seconds > 0 && seconds * 1_000 <= LATEST_MS) {
    facts.timestamp = new Date(seconds * 1_000).toISOString();
  }
  return facts;
}

/** The correlation id that the message brings along, or a new one. */
export function correlationIdOf({ properties }: ReceivedMessage): string {
  const found: unknown[] = [properties.correlationId, properties.headers?.['x-correlation-id'], properties.messageId];
  return (found.find((each) => typeof each === 'string' && each !== '') as string | undefined) ?? randomUUID();
}
