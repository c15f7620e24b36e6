import { ContactError } from '../lib/core/errors';
import { EVENTS_EXCHANGE, type OcelotEvent } from '../lib/ocelot/event';
import { checkEnvelope } from '../lib/ocelot/validation';
import { correlationIdOf, factsOf } from '../lib/rabbitmq/facts';
import { readPayload } from '../lib/rabbitmq/payload';
import { boolean, list } from '../lib/red/config';
import type { Red } from '../lib/red/node';
import { registerQueueSource } from '../lib/red/queue-source';

/** ocelot-in: the events of the platform, each to be settled by the flow. */
export default function ocelotIn(RED: Red): void {
  registerQueueSource(RED, {
    type: 'ocelot-in',
    defaultExchange: EVENTS_EXCHANGE,
    fields: {
      organizations: list({ default: [] }),
      check: boolean({ default: true }),
    },
    read: (received, { organizations, check }) => {
      const event = readPayload(received.content, undefined, 'json') as OcelotEvent;
      if (organizations.length > 0 && !organizations.includes(event?.organizationId)) return undefined;
      if (check) mustBeValid(event);
      const amqp = factsOf(received);
      return {
        topic: amqp.routingKey,
        payload: event,
        eventType: event?.type,
        organizationId: event?.organizationId,
        correlationId: correlationIdOf(received),
        amqp,
      };
    },
  });
}

function mustBeValid(event: unknown): void {
  const problems = checkEnvelope(event);
  if (problems.length === 0) return;
  throw new ContactError('INVALID_INPUT', {
    attempted: 'take in an event',
    answer: problems.map(({ field, problem }) => `${field} ${problem}`).join('; '),
    advice: 'Correct its publisher.',
  });
}
