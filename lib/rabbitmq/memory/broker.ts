import { isDeepStrictEqual } from 'node:util';
import type { MessageProperties } from 'amqplib';
import { MemoryQueue, type StoredMessage } from './queue';
import { topicMatches } from './topic';

/** A refusal with the reply code and the text that RabbitMQ has for it. */
export class MemoryRefusal extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

/** What is published, and where to. */
export interface Publication {
  exchange: string;
  routingKey: string;
  content: Buffer;
  properties: MessageProperties;
}

interface Binding {
  readonly queue: MemoryQueue;
  readonly routingKey: string;
}

interface Exchange {
  readonly type: string;
  readonly durable: boolean;
  bindings: Binding[];
}

const NEW_EXCHANGE = { durable: true, bindings: [] };

/**
 * A broker within this process, for trying out and for tests: exchanges, queues, expiry and dead-letter exchanges as
 * in RabbitMQ. What it holds ends with the process.
 */
export class MemoryBroker {
  private readonly exchanges = new Map<string, Exchange>([
    ['amq.direct', { ...NEW_EXCHANGE, type: 'direct' }],
    ['amq.fanout', { ...NEW_EXCHANGE, type: 'fanout' }],
    ['amq.topic', { ...NEW_EXCHANGE, type: 'topic' }],
  ]);
  private readonly queues = new Map<string, MemoryQueue>();

  declareExchange(name: string, type: string, durable: boolean): void {
    const existing = this.exchanges.get(name);
    if (!existing) {
      this.exchanges.set(name, { type, durable, bindings: [] });
      return;
    }
    if (existing.type !== type) throw inequivalent('type', 'exchange', name, type, existing.type);
    if (existing.durable !== durable) throw inequivalent('durable', 'exchange', name, durable, existing.durable);
  }

  exchange(name: string): Exchange {
    const found = this.exchanges.get(name);
    if (!found) throw new MemoryRefusal(404, `NOT_FOUND - no exchange '${name}' in vhost '/'`);
    return found;
  }

  deleteExchange(name: string): void {
    this.exchanges.delete(name);
  }

  declareQueue(name: string, parameters: Record<string, unknown>): MemoryQueue {
    const existing = this.queues.get(name);
    if (existing) {
      for (const key of new Set([...Object.keys(parameters), ...Object.keys(existing.parameters)])) {
        const [asked, current] = [parameters[key], existing.parameters[key]];
        if (!isDeepStrictEqual(asked, current)) throw inequivalent(key, 'queue', name, asked, current);
      }
      return existing;
    }
    const queue = new MemoryQueue(name, parameters, (message) => this.deadLetter(queue, message, 'expired'));
    this.queues.set(name, queue);
    return queue;
  }

  queue(name: string): MemoryQueue {
    const found = this.queues.get(name);
    if (!found) throw new MemoryRefusal(404, `NOT_FOUND - no queue '${name}' in vhost '/'`);
    return found;
  }

  /** The names of all that there are. */
  names(things: 'queues' | 'exchanges'): string[] {
    return [...this[things].keys()];
  }

  /** Returns how many messages are lost with it. */
  deleteQueue(name: string): number {
    const queue = this.queues.get(name);
    if (!queue) return 0;
    this.queues.delete(name);
    for (const exchange of this.exchanges.values()) {
      exchange.bindings = exchange.bindings.filter((binding) => binding.queue !== queue);
    }
    queue.destroy();
    return queue.messageCount;
  }

  bind(queueName: string, exchangeName: string, routingKey: string): void {
    const queue = this.queue(queueName);
    const exchange = this.exchange(exchangeName);
    const isThere = exchange.bindings.some((each) => each.queue === queue && each.routingKey === routingKey);
    if (!isThere) exchange.bindings.push({ queue, routingKey });
  }

  unbind(queueName: string, exchangeName: string, routingKey: string): void {
    const queue = this.queue(queueName);
    const exchange = this.exchange(exchangeName);
    exchange.bindings = exchange.bindings.filter((each) => each.queue !== queue || each.routingKey !== routingKey);
  }

  /** Puts a message into every queue that it is meant for. False when there is none. */
  publish({ exchange, routingKey, content, properties }: Publication): boolean {
    const queues = this.route(exchange, routingKey);
    for (const queue of queues) {
      queue.push({ content, properties, exchange, routingKey, redelivered: false, expiresAt: undefined });
    }
    return queues.length > 0;
  }

  /** A queue has let go of a message for good: its dead-letter exchange gets it, if there is one. */
  deadLetter(queue: MemoryQueue, message: StoredMessage, reason: 'rejected' | 'expired'): void {
    const exchange = queue.parameters['x-dead-letter-exchange'];
    if (typeof exchange !== 'string' || (exchange !== '' && !this.exchanges.has(exchange))) return;
    const routingKey = queue.parameters['x-dead-letter-routing-key'] ?? message.routingKey;
    const headers = {
      ...message.properties.headers,
      'x-first-death-queue': message.properties.headers?.['x-first-death-queue'] ?? queue.name,
      'x-first-death-reason': message.properties.headers?.['x-first-death-reason'] ?? reason,
    };
    this.publish({
      exchange,
      routingKey: String(routingKey),
      content: message.content,
      properties: { ...message.properties, headers, expiration: undefined },
    });
  }

  private route(exchangeName: string, routingKey: string): MemoryQueue[] {
    if (exchangeName === '') {
      const queue = this.queues.get(routingKey);
      return queue ? [queue] : [];
    }
    const { type, bindings } = this.exchange(exchangeName);
    const fitting = bindings.filter((binding) => {
      if (type === 'topic') return topicMatches(binding.routingKey, routingKey);
      return type === 'fanout' || binding.routingKey === routingKey;
    });
    return [...new Set(fitting.map(({ queue }) => queue))];
  }
}

function inequivalent(what: string, kind: string, name: string, asked: unknown, current: unknown): MemoryRefusal {
  const told = (value: unknown) => (value === undefined ? 'none' : `'${String(value)}'`);
  return new MemoryRefusal(
    406,
    `PRECONDITION_FAILED - inequivalent arg '${what}' for ${kind} '${name}' in vhost '/': received ${told(asked)} but current is ${told(current)}`,
  );
}
