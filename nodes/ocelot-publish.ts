import { randomUUID } from 'node:crypto';
import type { NodeMessage } from 'node-red';
import { ContactError, toContactError } from '../lib/core/errors';
import type { Entry } from '../lib/core/spool';
import { EVENTS_EXCHANGE, InvalidEvent, makeEvent, type OcelotEvent, routingKeyOf } from '../lib/ocelot/event';
import { isKnownType } from '../lib/ocelot/schemas';
import type { BrokerConnection } from '../lib/rabbitmq/connection';
import { decodeRequest, encodeRequest, type PublishRequest, traceHeaders } from '../lib/rabbitmq/publish-request';
import { Publisher } from '../lib/rabbitmq/publisher';
import { publisherObstacle } from '../lib/rabbitmq/status';
import { boolean, choice, configNode, integer, readConfig, text, type Values } from '../lib/red/config';
import { type Done, guard, onClose, onInputDeferred } from '../lib/red/input';
import { IntakeMessage } from '../lib/red/intake';
import { nodeLogger } from '../lib/red/logger';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import type { BrokerNode } from '../lib/red/queue-settings';
import { registerNode } from '../lib/red/register';
import { refuseMessages, Sink, sinkReport } from '../lib/red/sink';
import { Status } from '../lib/red/status';

const FIELDS = {
  broker: configNode<BrokerNode>('contact-broker'),
  eventType: text(),
  organizationId: text(),
  userId: text(),
  exchange: text({ default: EVENTS_EXCHANGE }),
  moduleName: text({ default: 'cc-lite', environment: 'MODULE' }),
  window: integer({ default: 1_000, min: 1, max: 100_000 }),
  buffer: choice(['memory', 'disk'], { default: 'memory' }),
  bufferEvents: integer({ default: 100_000, min: 1, max: 100_000_000 }),
  bufferBytes: integer({ default: 100_000_000, min: 1, max: 1_000_000_000_000 }),
  overflow: choice(['refuse', 'drop-oldest', 'drop-newest'], { default: 'refuse' }),
  settle: boolean({ default: true }),
};

type Config = Values<typeof FIELDS>;

/** What a message may say about its event. */
interface EventMessage {
  payload?: unknown;
  eventType?: unknown;
  organizationId?: unknown;
  userId?: unknown;
  eventId?: unknown;
  correlationId?: unknown;
}

/** At most so many batches are on their way together: the more there are, the more evenly the window slides. */
const MOST_BATCHES = 40;

/** A message whose event is on its way; what was made of it is kept, so that it need not be read back from the buffer. */
class EventIntake extends IntakeMessage {
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

/** ocelot-publish: events of the platform, checked, confirmed, and kept while the broker is away. */
export default function ocelotPublish(RED: Red): void {
  registerNode(RED, 'ocelot-publish', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  let sink: Sink | undefined;
  const status = new Status(
    RED,
    node,
    sinkReport(() => sink),
  );
  const config = readConfig(RED, node, definition, FIELDS);
  try {
    if (!config.ok) throw config.error;
    sink = openSink(RED, node, config.value);
    sink.show(status);
    takeIn(node, sink, config.value);
  } catch (thrown) {
    const error = toContactError(thrown, 'start the node');
    status.set(error.code === 'CONFIGURATION' ? 'not-configured' : 'failed', { reason: error.message });
    nodeLogger(RED, node).error(error.message, { code: error.code });
    refuseMessages(node, error, config.ok && config.value.settle, published);
  }
}

function openSink(RED: Red, node: RuntimeNode, config: Config): Sink {
  const { exchange, window, buffer, bufferEvents, bufferBytes, overflow } = config;
  const connection = connectionOf(config);
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
        if (isWired(node)) node.send([published(entry), null]);
      },
      failedMessage: published,
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

function connectionOf({ broker }: Config): BrokerConnection {
  const { connection, problem } = broker;
  if (connection) return connection;
  throw problem ?? new ContactError('CONFIGURATION', { attempted: 'use the contact-broker' });
}

function takeIn(node: RuntimeNode, sink: Sink, config: Config): void {
  const { exchange, moduleName: module, settle } = config;
  onInputDeferred(node, (message, _send, done) => {
    const given = message as EventMessage;
    let event: OcelotEvent;
    try {
      event = makeEvent({
        type: config.eventType ?? given.eventType,
        data: given.payload,
        organizationId: given.organizationId ?? config.organizationId,
        userId: given.userId ?? config.userId ?? null,
        id: given.eventId,
        module,
        now: Date.now(),
      });
    } catch (thrown) {
      const error = toContactError(thrown, 'publish an event');
      const problems = thrown instanceof InvalidEvent ? thrown.problems : [];
      sink.refuse(message, error, new IntakeMessage(message, 1, settle, done), { problems });
      return;
    }
    const { correlationId } = given;
    const request: PublishRequest = {
      exchange,
      routingKey: routingKeyOf(event.type),
      content: JSON.stringify(event),
      messageId: event.id,
      correlationId: typeof correlationId === 'string' && correlationId !== '' ? correlationId : randomUUID(),
      type: event.type,
      appId: module,
      headers: traceHeaders(),
    };
    sink.offer(encodeRequest(request), new EventIntake(message, settle, done, request, event));
  });
}

function isWired(node: RuntimeNode): boolean {
  return (node as { wires?: string[][] }).wires?.[0]?.length !== 0;
}

function requestOf({ body, context }: Entry<IntakeMessage>): PublishRequest {
  return context instanceof EventIntake ? context.request : decodeRequest(body);
}

/** The event as it was published, in the message that it was made of unless that ended with an earlier process. */
function published(entry: Entry<IntakeMessage>): NodeMessage {
  const { context } = entry;
  const { content, routingKey, correlationId } = requestOf(entry);
  const payload = context instanceof EventIntake ? context.published : JSON.parse(content);
  return { ...context?.message, topic: routingKey, payload, correlationId } as NodeMessage;
}
