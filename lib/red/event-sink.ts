import type { NodeMessage } from 'node-red';
import type { OverflowPolicy } from '../core/outbox';
import type { Entry } from '../core/spool';
import type { OcelotEvent } from '../ocelot/event';
import { isKnownType } from '../ocelot/schemas';
import type { BrokerConnection } from '../rabbitmq/connection';
import { decodeRequest, type PublishRequest } from '../rabbitmq/publish-request';
import { Publisher } from '../rabbitmq/publisher';
import { publisherObstacle } from '../rabbitmq/status';
import { type Done, guard, onClose } from './input';
import { IntakeMessage } from './intake';
import type { Red, RuntimeNode } from './node';
import { Sink } from './sink';

/** How events are published. */
export interface EventSinkSettings {
  /** A topic exchange, which is declared. */
  exchange: string;
  /** So many events may be on their way without the broker's confirmation. */
  window: number;
  buffer: 'memory' | 'disk';
  /** What the buffer holds at most. */
  bufferEvents: number;
  bufferBytes: number;
  overflow: OverflowPolicy;
}

/** At most so many batches are on their way together: the more there are, the more evenly the window slides. */
const MOST_BATCHES = 40;

/** A message whose event is on its way; what was made of it is kept, so that it need not be read back from the buffer. */
export class EventIntake extends IntakeMessage {
  constructor(
    message: object,
    settle: boolean,
    done: Done,
    readonly request: PublishRequest,
    private readonly event: OcelotEvent,
  ) {
    super(message, 1, settle, done);
  }

  /** The event as JSON gives it back: that of a type with a schema has nothing that JSON would change. */
  get published(): unknown {
    return isKnownType(this.event.type) ? this.event : JSON.parse(this.request.content);
  }
}

/** A sink for encoded publish requests, which leave by the first output of the node when the broker has confirmed them. */
export function openEventSink(
  RED: Red,
  node: RuntimeNode,
  connection: BrokerConnection,
  settings: EventSinkSettings,
): Sink {
  const { exchange, window, buffer, bufferEvents, bufferBytes, overflow } = settings;
  const batches = Math.min(window, MOST_BATCHES);
  let sink: Sink | undefined;
  const publisher = new Publisher(connection, {
    topology: { exchanges: [{ name: exchange, type: 'topic' }] },
    purpose: `publish to the exchange ${exchange}`,
    onState: guard(node, () => sink?.refresh()),
  });
  try {
    sink = new Sink(RED, node, {
      batch: { items: Math.floor(window / batches), bytes: bufferBytes, ageMs: 1 },
      concurrency: batches,
      buffer,
      limits: { items: bufferEvents, bytes: bufferBytes },
      overflow,
      backoff: { baseMs: 500, maxMs: 15_000 },
      send: (entries, signal) => publisher.send(entries.map(requestOf), signal),
      onDelivered: (entry) => {
        // Wires may change without a restart of the node.
        if (isWired(node)) node.send([publishedMessage(entry), null]);
      },
      failedMessage: publishedMessage,
      obstacle: () => publisherObstacle(connection, publisher),
    });
  } catch (thrown) {
    publisher.close().catch(() => {});
    throw thrown;
  }
  const running = sink;
  const leave = connection.onState(guard(node, () => running.refresh()));
  onClose(node, async (removed) => {
    leave();
    // Without a channel nothing can be sent any more: what waits is given away at once.
    if (!publisher.isOpen) await publisher.close();
    await running.close(removed);
    await publisher.close();
  });
  return sink;
}

function isWired(node: RuntimeNode): boolean {
  return (node as { wires?: string[][] }).wires?.[0]?.length !== 0;
}

function requestOf({ body, context }: Entry<IntakeMessage>): PublishRequest {
  return context instanceof EventIntake ? context.request : decodeRequest(body);
}

/** The event as it was published, in the message that it was made of unless that ended with an earlier process. */
export function publishedMessage(entry: Entry<IntakeMessage>): NodeMessage {
  const { context } = entry;
  const { content, routingKey, correlationId } = requestOf(entry);
  const payload = context instanceof EventIntake ? context.published : JSON.parse(content);
  return { ...context?.message, topic: routingKey, payload, correlationId } as NodeMessage;
}
