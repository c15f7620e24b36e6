import { EVENT_SOURCE, EVENT_VERSION, EVENTS_EXCHANGE, routingKeyOf } from './event';
import { DATA_SCHEMAS, ENVELOPE_SCHEMA, type Schema } from './schemas';

/** The AsyncAPI document (version 3.0.0) of the events, made from their schemas. */
export function asyncApiDocument(): Record<string, unknown> {
  const types = Object.entries(DATA_SCHEMAS) as [string, Schema][];
  const entries = <Value>(make: (type: string, schema: Schema) => Value): Record<string, Value> =>
    Object.fromEntries(types.map(([type, schema]) => [nameOf(type), make(type, schema)]));
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Ocelot events of a contact center',
      version: EVENT_VERSION,
      description: `Events that a contact center publishes to the topic exchange ${EVENTS_EXCHANGE} of RabbitMQ.`,
      license: { name: 'MIT' },
    },
    defaultContentType: 'application/json',
    servers: {
      broker: { host: 'localhost:5672', protocol: 'amqp', protocolVersion: '0.9.1', description: 'RabbitMQ' },
    },
    channels: entries((type) => ({
      address: routingKeyOf(type),
      messages: { event: { $ref: `#/components/messages/${nameOf(type)}` } },
      bindings: {
        amqp: {
          is: 'routingKey',
          exchange: { name: EVENTS_EXCHANGE, type: 'topic', durable: true, autoDelete: false, vhost: '/' },
          bindingVersion: '0.3.0',
        },
      },
    })),
    operations: entries((type, { description = '' }) => ({
      action: 'send',
      channel: { $ref: `#/channels/${nameOf(type)}` },
      summary: description,
      bindings: { amqp: { deliveryMode: 2, mandatory: true, ack: true, bindingVersion: '0.3.0' } },
    })),
    components: {
      messages: entries((type, { description = '' }) => ({
        name: type,
        title: type,
        summary: description,
        contentType: 'application/json',
        correlationId: {
          description: 'Follows a matter through all systems; a property of the message.',
          location: '$message.header#/correlation_id',
        },
        payload: { $ref: `#/components/schemas/${nameOf(type)}Event` },
      })),
      schemas: {
        ...Object.fromEntries(types.map(([type, schema]) => [`${nameOf(type)}Event`, eventSchema(type, schema)])),
        ...entries((_type, schema) => schema),
      },
    },
  };
}

function eventSchema(type: string, { description = '' }: Schema): object {
  const properties = {
    ...ENVELOPE_SCHEMA.properties,
    type: { const: type },
    source: { const: EVENT_SOURCE },
    data: { $ref: `#/components/schemas/${nameOf(type)}` },
  };
  return { ...ENVELOPE_SCHEMA, description, properties };
}

/** `call.started` as the name of a component: `callStarted`. */
function nameOf(type: string): string {
  return type.replace(/\.(\w)/g, (_match, letter: string) => letter.toUpperCase());
}
