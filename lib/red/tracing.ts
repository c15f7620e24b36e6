import { carrierOf, contextOf, type Span, type SpanAttributes, type TraceContext, tracing } from '../core/trace';
import type { RuntimeNode } from './node';

/** What the pack knows of the messages that it traces. */
interface TracedMessage {
  delivery?: object;
  correlationId?: unknown;
  /** Of a core node http in. */
  req?: { headers?: object };
}

/**
 * Where in a trace a message is: what it says itself, or the delivery that it carries, or the HTTP request that it came
 * with. Nothing while no traces are recorded.
 */
export function traceOf(message: object | undefined): TraceContext | undefined {
  if (!tracing.isOn || message === undefined) return undefined;
  const { delivery, req } = message as TracedMessage;
  return contextOf(message, delivery, req?.headers);
}

/** Begins the span of a node that handles a message. What the node sends on belongs below it. */
export function beginSpan(node: RuntimeNode, message: object): Span {
  const span = tracing.start(node.type, {
    parent: traceOf(message) ?? null,
    attributes: { ...aboutNode(node), ...aboutMessage(message) },
  });
  Object.assign(message, carrierOf(span.context));
  return span;
}

/** A message with which something begins in the flow: without a delivery, which would begin its trace, it gets one here. */
export function withTrace<Message extends object>(node: RuntimeNode, message: Message): Message {
  if (!tracing.isOn || (message as TracedMessage).delivery !== undefined) return message;
  const span = tracing.start(node.type, {
    kind: 'consumer',
    parent: traceOf(message) ?? null,
    attributes: { ...aboutNode(node), ...aboutMessage(message) },
  });
  span.end();
  return { ...message, ...carrierOf(span.context) };
}

/**
 * Runs the sending of a batch as a span of its own: below the only message in it, or with links to the messages that it
 * is made of. `verdict` tells whether it has failed.
 */
export async function sendTraced<Result>(
  node: RuntimeNode,
  messages: readonly (object | undefined)[],
  send: () => Promise<Result>,
  failureOf: (result: Result) => Error | undefined,
): Promise<Result> {
  const contexts = messages.flatMap((message) => traceOf(message) ?? []);
  const [only, ...others] = contexts;
  const isOne = only !== undefined && others.length === 0;
  const span = tracing.start(`${node.type} send`, {
    kind: 'producer',
    parent: isOne ? only : null,
    links: isOne ? [] : contexts,
    attributes: { ...aboutNode(node), 'messaging.batch.message_count': messages.length },
  });
  try {
    const result = await tracing.run(span.context, send);
    span.end(failureOf(result));
    return result;
  } catch (thrown) {
    span.end(thrown ?? 'it failed');
    throw thrown;
  }
}

function aboutNode({ id, type, name }: RuntimeNode): SpanAttributes {
  return { 'node.id': id, 'node.type': type, ...(name ? { 'node.name': name } : {}) };
}

function aboutMessage(message: object): SpanAttributes {
  const { correlationId } = message as TracedMessage;
  return typeof correlationId === 'string' ? { 'correlation.id': correlationId } : {};
}
