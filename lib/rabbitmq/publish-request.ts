import type { Options } from 'amqplib';
import { tracing } from '../core/trace';

/** A message on its way to the broker. All messages are persistent and mandatory. */
export interface PublishRequest {
  /** The empty text is the default exchange, where the routing key is the name of a queue. */
  exchange: string;
  routingKey: string;
  content: string;
  /** Tells the message from all others; a consumer may use it to find second copies. */
  messageId: string;
  correlationId?: string | undefined;
  /** Default `application/json`. */
  contentType?: string | undefined;
  /** The kind of message, as the application names it. */
  type?: string | undefined;
  appId?: string | undefined;
  headers?: Record<string, unknown> | undefined;
}

/** The headers that let a consumer go on with the running trace; none outside of one. */
export function traceHeaders(): Record<string, unknown> | undefined {
  return tracing.current ? { ...tracing.headers() } : undefined;
}

/** Everything but the content, in a fixed order: it stands before the content in what a buffer holds. */
type Envelope = [string, string, string, string | null, string | null, string | null, string | null, unknown];

/** A request as one text, for a buffer that keeps texts. */
export function encodeRequest(request: PublishRequest): string {
  const { exchange, routingKey, messageId, correlationId, contentType, type, appId, headers, content } = request;
  const envelope: Envelope = [
    exchange,
    routingKey,
    messageId,
    correlationId ?? null,
    contentType ?? null,
    type ?? null,
    appId ?? null,
    headers ?? null,
  ];
  return `${JSON.stringify(envelope)}\n${content}`;
}

/** The request that {@link encodeRequest} was given. */
export function decodeRequest(text: string): PublishRequest {
  const end = text.indexOf('\n');
  const [exchange, routingKey, messageId, correlationId, contentType, type, appId, headers] = JSON.parse(
    text.slice(0, end),
  ) as Envelope;
  return {
    exchange,
    routingKey,
    messageId,
    content: text.slice(end + 1),
    correlationId: correlationId ?? undefined,
    contentType: contentType ?? undefined,
    type: type ?? undefined,
    appId: appId ?? undefined,
    headers: (headers as Record<string, unknown> | null) ?? undefined,
  };
}

/** The properties with which a request is published. */
export function publishOptions(request: PublishRequest): Options.Publish {
  const { messageId, correlationId, contentType = 'application/json', type, appId, headers } = request;
  const options: Options.Publish = {
    persistent: true,
    mandatory: true,
    contentType,
    messageId,
    timestamp: Math.floor(Date.now() / 1_000),
  };
  if (correlationId !== undefined) options.correlationId = correlationId;
  if (type !== undefined) options.type = type;
  if (appId !== undefined) options.appId = appId;
  if (headers !== undefined) options.headers = headers;
  return options;
}
