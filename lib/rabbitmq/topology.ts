import type { AmqpChannel } from './amqp';

/** An exchange that must be there. */
export interface ExchangeDeclaration {
  name: string;
  type: 'topic' | 'direct' | 'fanout' | 'headers';
  /** Survives a restart of the broker; default true. */
  durable?: boolean;
  /** Only check that it is there; default false. */
  passive?: boolean;
}

/** `quorum` keeps what it holds on several nodes of a cluster and on disk; `classic` is the older, single copy. */
export type QueueType = 'quorum' | 'classic';

/** A queue that must be there. All queues of the pack are durable. */
export interface QueueDeclaration {
  name: string;
  type: QueueType;
  /** Further arguments, as RabbitMQ names them: `x-message-ttl` and so on. */
  arguments?: Record<string, string | number>;
  /** Only check that it is there; default false. */
  passive?: boolean;
}

/** Which messages of an exchange go to a queue. */
export interface BindingDeclaration {
  queue: string;
  exchange: string;
  /** With a topic exchange `*` stands for one word and `#` for any number of words. */
  routingKey: string;
}

/** What must be there before anything can be published or consumed. Declared again after each reconnect. */
export interface Topology {
  exchanges?: readonly ExchangeDeclaration[];
  queues?: readonly QueueDeclaration[];
  bindings?: readonly BindingDeclaration[];
}

/**
 * Declares everything, in the order exchanges, queues, bindings. What is there already with the same properties stays
 * as it is. The broker closes the channel over the first thing that it refuses.
 */
export async function declareTopology(channel: AmqpChannel, topology: Topology): Promise<void> {
  const { exchanges = [], queues = [], bindings = [] } = topology;
  for (const { name, type, durable = true, passive } of exchanges) {
    // The default exchange and those of the broker itself cannot be declared.
    if (name === '') continue;
    if (passive || name.startsWith('amq.')) await channel.checkExchange(name);
    else await channel.assertExchange(name, type, { durable });
  }
  for (const { name, type, arguments: extra = {}, passive } of queues) {
    if (passive) await channel.checkQueue(name);
    else await channel.assertQueue(name, { durable: true, arguments: queueArguments(type, extra) });
  }
  for (const { queue, exchange, routingKey } of bindings) await channel.bindQueue(queue, exchange, routingKey);
}

/** A classic queue gets no type: then brokers that know no types, and queues declared by others, agree with it. */
function queueArguments(type: QueueType, extra: Record<string, string | number>): Record<string, string | number> {
  return type === 'classic' ? extra : { 'x-queue-type': type, ...extra };
}
