import { EventEmitter } from 'node:events';
import type { MessageProperties, Options } from 'amqplib';
import type { AmqpChannel, AmqpMessage } from '../amqp';
import { type MemoryBroker, MemoryRefusal } from './broker';
import type { MemoryConsumer, MemoryQueue, StoredMessage } from './queue';

interface Unacknowledged {
  readonly queue: MemoryQueue;
  readonly message: StoredMessage;
  readonly consumer: Consumer | undefined;
}

type ChannelMethods = Omit<AmqpChannel, 'on'>;

/** A channel of the in-process broker. As in AMQP whatever is refused ends the channel. */
export class MemoryChannel extends EventEmitter implements ChannelMethods {
  private readonly consumers = new Map<string, Consumer>();
  private readonly unacknowledged = new Map<number, Unacknowledged>();
  private readonly confirmations: ((error: Error | null) => void)[] = [];
  private limit = 0;
  private lastTag = 0;
  private isClosed = false;
  private isConfirming = false;

  constructor(
    private readonly broker: MemoryBroker,
    private readonly onClosed: (channel: MemoryChannel) => void,
  ) {
    super();
    this.on('error', () => {});
  }

  assertExchange(exchange: string, type: string, { durable = true }: Options.AssertExchange = {}) {
    return this.answer(() => {
      this.broker.declareExchange(exchange, type, durable);
      return { exchange };
    });
  }

  checkExchange(exchange: string) {
    return this.answer(() => {
      this.broker.exchange(exchange);
      return {};
    });
  }

  deleteExchange(exchange: string) {
    return this.answer(() => {
      this.broker.deleteExchange(exchange);
      return {};
    });
  }

  assertQueue(name = '', { arguments: parameters = {} }: Options.AssertQueue = {}) {
    return this.answer(() => described(this.broker.declareQueue(name, { ...parameters })));
  }

  checkQueue(name: string) {
    return this.answer(() => described(this.broker.queue(name)));
  }

  deleteQueue(name: string) {
    return this.answer(() => ({ messageCount: this.broker.deleteQueue(name) }));
  }

  bindQueue(queue: string, source: string, pattern: string) {
    return this.answer(() => {
      this.broker.bind(queue, source, pattern);
      return {};
    });
  }

  unbindQueue(queue: string, source: string, pattern: string) {
    return this.answer(() => {
      this.broker.unbind(queue, source, pattern);
      return {};
    });
  }

  prefetch(count: number) {
    return this.answer(() => {
      this.limit = count;
      return {};
    });
  }

  together(work: () => void): void {
    work();
  }

  publish(
    exchange: string,
    routingKey: string,
    content: Buffer,
    options: Options.Publish = {},
    callback: (error: Error | null, ok: Record<string, never>) => void = () => {},
  ): boolean {
    this.mustBeOpen();
    const properties = propertiesOf(options);
    let isRouted: boolean;
    try {
      isRouted = this.broker.publish({ exchange, routingKey, content, properties });
    } catch (thrown) {
      this.confirmations.push((error) => callback(error, {}));
      setImmediate(() => this.end(thrown as Error));
      return true;
    }
    this.confirmations.push((error) => {
      if (error === null && !isRouted && options.mandatory) {
        const fields = { replyCode: 312, replyText: 'NO_ROUTE', exchange, routingKey };
        this.emit('return', { fields, properties, content });
      }
      callback(error, {});
    });
    this.confirm();
    return true;
  }

  consume(queueName: string, onMessage: (message: AmqpMessage | null) => void) {
    return this.answer(() => {
      const queue = this.broker.queue(queueName);
      this.lastTag += 1;
      const consumerTag = `memory-${this.lastTag}`;
      const consumer = new Consumer(this, queue, consumerTag, this.limit, onMessage);
      this.consumers.set(consumerTag, consumer);
      queue.add(consumer);
      return { consumerTag };
    });
  }

  cancel(consumerTag: string) {
    return this.answer(() => {
      const consumer = this.consumers.get(consumerTag);
      consumer?.queue.remove(consumer);
      this.consumers.delete(consumerTag);
      return { consumerTag };
    });
  }

  get(queueName: string) {
    return this.answer(() => {
      const queue = this.broker.queue(queueName);
      const message = queue.shift();
      if (!message) return false as const;
      const fields = { ...this.handOut(queue, message, undefined), messageCount: queue.messageCount };
      return { content: message.content, properties: message.properties, fields };
    });
  }

  ack(message: { fields: { deliveryTag: number } }, allUpTo = false): void {
    this.take(message);
    if (!allUpTo) return;
    for (const deliveryTag of [...this.unacknowledged.keys()]) {
      if (deliveryTag > message.fields.deliveryTag) return;
      this.take({ fields: { deliveryTag } });
    }
  }

  nack(message: { fields: { deliveryTag: number } }, _allUpTo = false, requeue = true): void {
    const taken = this.take(message);
    if (!taken) return;
    if (requeue) taken.queue.giveBack([taken.message]);
    else this.broker.deadLetter(taken.queue, taken.message, 'rejected');
  }

  close(): Promise<void> {
    return this.answer(() => this.end());
  }

  /** Ends it; `error` is what the broker says about it. What was not acknowledged goes back to its queue. */
  end(error?: Error): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const consumer of this.consumers.values()) consumer.queue.remove(consumer);
    this.consumers.clear();
    const byQueue = new Map<MemoryQueue, StoredMessage[]>();
    for (const { queue, message } of this.unacknowledged.values()) {
      byQueue.set(queue, [...(byQueue.get(queue) ?? []), message]);
    }
    this.unacknowledged.clear();
    for (const [queue, messages] of byQueue) queue.giveBack(messages);
    this.onClosed(this);
    if (error) this.emit('error', error);
    this.emit('close');
    for (const settle of this.confirmations.splice(0)) settle(new Error('channel closed'));
  }

  /** For {@link Consumer} only: notes that a message is out, and gives its fields. */
  handOut(queue: MemoryQueue, message: StoredMessage, consumer: Consumer | undefined) {
    this.lastTag += 1;
    const deliveryTag = this.lastTag;
    this.unacknowledged.set(deliveryTag, { queue, message, consumer });
    const { exchange, routingKey, redelivered } = message;
    return { deliveryTag, exchange, routingKey, redelivered, consumerTag: consumer?.tag ?? '' };
  }

  private take({ fields }: { fields: { deliveryTag: number } }): Unacknowledged | undefined {
    this.mustBeOpen();
    const taken = this.unacknowledged.get(fields.deliveryTag);
    if (!taken) {
      const refusal = `PRECONDITION_FAILED - unknown delivery tag ${fields.deliveryTag}`;
      setImmediate(() => this.end(new MemoryRefusal(406, refusal)));
      return undefined;
    }
    this.unacknowledged.delete(fields.deliveryTag);
    taken.consumer?.returned();
    return taken;
  }

  private mustBeOpen(): void {
    if (this.isClosed) throw new Error('Channel closed');
  }

  /** Answers in a later turn, and ends the channel over a refusal, as a broker does. */
  private answer<Reply>(make: () => Reply): Promise<Reply> {
    return new Promise((resolve, reject) => {
      setImmediate(() => {
        try {
          this.mustBeOpen();
          resolve(make());
        } catch (thrown) {
          if (thrown instanceof MemoryRefusal) this.end(thrown);
          reject(thrown);
        }
      });
    });
  }

  /** All that was published in one turn is confirmed in the next. */
  private confirm(): void {
    if (this.isConfirming) return;
    this.isConfirming = true;
    setImmediate(() => {
      this.isConfirming = false;
      for (const settle of this.confirmations.splice(0)) settle(null);
    });
  }
}

/** Takes messages out of one queue for one channel. */
class Consumer implements MemoryConsumer {
  private out = 0;

  constructor(
    private readonly channel: MemoryChannel,
    readonly queue: MemoryQueue,
    readonly tag: string,
    private readonly limit: number,
    private readonly onMessage: (message: AmqpMessage | null) => void,
  ) {}

  get hasRoom(): boolean {
    return this.limit === 0 || this.out < this.limit;
  }

  deliver(message: StoredMessage): void {
    this.out += 1;
    const fields = this.channel.handOut(this.queue, message, this);
    this.onMessage({ content: message.content, properties: message.properties, fields });
  }

  returned(): void {
    this.out -= 1;
    this.queue.pump();
  }

  cancelled(): void {
    this.onMessage(null);
  }
}

function described(queue: MemoryQueue) {
  return { queue: queue.name, messageCount: queue.messageCount, consumerCount: queue.consumerCount };
}

function propertiesOf(options: Options.Publish): MessageProperties {
  const { contentType, contentEncoding, headers = {}, priority, correlationId, replyTo, expiration } = options;
  const { messageId, timestamp, type, userId, appId, persistent, deliveryMode } = options;
  return {
    contentType,
    contentEncoding,
    // A copy: what the publisher changes later must not show at the consumer.
    headers: { ...headers },
    deliveryMode: deliveryMode ?? (persistent ? 2 : undefined),
    priority,
    correlationId,
    replyTo,
    expiration: expiration === undefined ? undefined : String(expiration),
    messageId,
    timestamp,
    type,
    userId,
    appId,
    clusterId: undefined,
  };
}
