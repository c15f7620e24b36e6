import { randomUUID } from 'node:crypto';
import { toContactError } from '../lib/core/errors';
import { EVENTS_EXCHANGE, InvalidEvent, makeEvent, type OcelotEvent, routingKeyOf } from '../lib/ocelot/event';
import { encodeRequest, type PublishRequest, traceHeaders } from '../lib/rabbitmq/publish-request';
import { brokerPicks } from '../lib/red/broker-picks';
import { choice, configNode, integer, text, type Values } from '../lib/red/config';
import { EventIntake, openEventSink, publishedMessage } from '../lib/red/event-sink';
import { onInputDeferred } from '../lib/red/input';
import { IntakeMessage } from '../lib/red/intake';
import { type Definition, offered, type Red, type RuntimeNode } from '../lib/red/node';
import type { BrokerNode } from '../lib/red/queue-settings';
import { registerNode } from '../lib/red/register';
import { SETTLE, type Sink } from '../lib/red/sink';
import { startSink } from '../lib/red/sink-node';

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
  settle: SETTLE,
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

/** ocelot-publish: events of the platform, checked, confirmed, and kept while the broker is away. */
export default function ocelotPublish(RED: Red): void {
  brokerPicks(RED, 'ocelot-publish', 'exchanges');
  registerNode(RED, 'ocelot-publish', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  startSink(RED, node, definition, FIELDS, {
    open: (config) => openEventSink(RED, node, offered(config.broker, 'connection'), config),
    takeIn: (sink, config) => takeIn(node, sink, config),
    failedMessage: publishedMessage,
  });
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
