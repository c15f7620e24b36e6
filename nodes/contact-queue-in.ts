import { correlationIdOf, factsOf } from '../lib/rabbitmq/facts';
import { readPayload } from '../lib/rabbitmq/payload';
import { choice } from '../lib/red/config';
import type { Red } from '../lib/red/node';
import { registerQueueSource } from '../lib/red/queue-source';

/** contact-queue-in: the messages of any RabbitMQ queue, each to be settled by the flow. */
export default function contactQueueIn(RED: Red): void {
  registerQueueSource(RED, {
    type: 'contact-queue-in',
    fields: { format: choice(['auto', 'json', 'text', 'buffer'], { default: 'auto' }) },
    read: (received, { format }) => {
      const amqp = factsOf(received);
      return {
        topic: amqp.routingKey,
        payload: readPayload(received.content, amqp.contentType, format),
        correlationId: correlationIdOf(received),
        amqp,
      };
    },
  });
}
