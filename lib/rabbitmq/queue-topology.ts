import type { QueueDeclaration, QueueType, Topology } from './topology';

/** A queue that is consumed, and what belongs to it. */
export interface QueueSpecification {
  name: string;
  type: QueueType;
  /** Whether the queue and its bindings are declared; otherwise the queue must be there. */
  declare: boolean;
  /** The topic exchange from which it gets messages; without one it has no bindings. */
  exchange?: string | undefined;
  bindingKeys?: readonly string[];
  /** Where messages go that cannot be handled; without one the broker throws them away. */
  deadLetterQueue?: string | undefined;
  /** The waits of its waiting queues, in milliseconds. */
  delaysMs: readonly number[];
}

/** The exchange in front of a dead-letter queue: what the broker itself dead-letters goes there too. */
export function deadLetterExchange(queue: string): string {
  return `${queue}.dlx`;
}

/** The queue in which a message waits so long before it goes back to `queue`. */
export function waitingQueue(queue: string, delayMs: number): string {
  return `${queue}.retry.${delayMs}`;
}

/** Everything that consuming a queue needs. */
export function queueTopology(queue: QueueSpecification): Topology {
  const { name, type, declare, exchange, bindingKeys = [], deadLetterQueue, delaysMs } = queue;
  const dlx = deadLetterExchange(name);
  const isBound = declare && exchange !== undefined && exchange !== '';
  return {
    exchanges: [
      ...(isBound ? [{ name: exchange, type: 'topic' as const }] : []),
      ...(deadLetterQueue ? [{ name: dlx, type: 'fanout' as const }] : []),
    ],
    queues: [
      ...(deadLetterQueue ? [{ name: deadLetterQueue, type }] : []),
      {
        name,
        type,
        passive: !declare,
        ...(deadLetterQueue ? { arguments: { 'x-dead-letter-exchange': dlx } } : {}),
      },
      ...[...new Set(delaysMs)].map((delayMs) => waiting(name, type, delayMs)),
    ],
    bindings: [
      ...(deadLetterQueue ? [{ queue: deadLetterQueue, exchange: dlx, routingKey: '' }] : []),
      ...(isBound ? bindingKeys.map((routingKey) => ({ queue: name, exchange, routingKey })) : []),
    ],
  };
}

/** A queue that nobody consumes: its messages expire, and what expires goes to the queue they came from. */
function waiting(queue: string, type: QueueType, delayMs: number): QueueDeclaration {
  return {
    name: waitingQueue(queue, delayMs),
    type,
    arguments: {
      'x-message-ttl': delayMs,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': queue,
      // Only so does a quorum queue keep what has expired until the other queue has it; it requires this overflow.
      ...(type === 'quorum' ? { 'x-dead-letter-strategy': 'at-least-once', 'x-overflow': 'reject-publish' } : {}),
    },
  };
}
