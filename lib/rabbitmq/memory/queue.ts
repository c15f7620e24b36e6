import type { MessageProperties } from 'amqplib';
import { Queue } from '../../core/queue';

/** A message in the broker. */
export interface StoredMessage {
  readonly content: Buffer;
  readonly properties: MessageProperties;
  readonly exchange: string;
  readonly routingKey: string;
  readonly redelivered: boolean;
  /** When it expires, in milliseconds since the epoch. */
  readonly expiresAt: number | undefined;
}

/** Who takes messages out of a queue. */
export interface MemoryConsumer {
  /** Whether it may get one more. */
  readonly hasRoom: boolean;
  deliver(message: StoredMessage): void;
  /** The queue is gone. */
  cancelled(): void;
}

/** A queue of the in-process broker: hands its messages to its consumers in turn. */
export class MemoryQueue {
  private readonly ready = new Queue<StoredMessage>();
  private readonly consumers: MemoryConsumer[] = [];
  private next = 0;
  private isPumping = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    readonly name: string,
    readonly parameters: Readonly<Record<string, unknown>>,
    private readonly onExpired: (message: StoredMessage) => void,
  ) {}

  get messageCount(): number {
    return this.ready.length;
  }

  get consumerCount(): number {
    return this.consumers.length;
  }

  push(message: StoredMessage): void {
    const ttl = [this.parameters['x-message-ttl'], message.properties.expiration]
      .filter((value) => value !== undefined && value !== '')
      .map(Number);
    const expiresAt = ttl.length > 0 ? Date.now() + Math.min(...ttl) : undefined;
    this.ready.push({ ...message, expiresAt });
    this.pump();
    this.watchExpiry();
  }

  /** Puts messages that were handed out back to the front, in their order. */
  giveBack(messages: readonly StoredMessage[]): void {
    this.ready.unshift(messages.map((message) => ({ ...message, redelivered: true })));
    this.pump();
    this.watchExpiry();
  }

  shift(): StoredMessage | undefined {
    return this.ready.shift();
  }

  add(consumer: MemoryConsumer): void {
    this.consumers.push(consumer);
    this.pump();
  }

  remove(consumer: MemoryConsumer): void {
    const index = this.consumers.indexOf(consumer);
    if (index >= 0) this.consumers.splice(index, 1);
  }

  /** Tells the consumers that the queue is gone. */
  destroy(): void {
    clearTimeout(this.timer);
    for (const consumer of this.consumers.splice(0)) consumer.cancelled();
  }

  /** Hands out what can be handed out, in a turn of its own: as over a network nobody is called back from within. */
  pump(): void {
    if (this.isPumping) return;
    this.isPumping = true;
    setImmediate(() => {
      this.isPumping = false;
      while (this.ready.length > 0) {
        const consumer = this.takeTurn();
        if (!consumer) return;
        consumer.deliver(this.ready.shift()!);
      }
    });
  }

  private takeTurn(): MemoryConsumer | undefined {
    for (let step = 0; step < this.consumers.length; step += 1) {
      const index = (this.next + step) % this.consumers.length;
      const consumer = this.consumers[index]!;
      if (!consumer.hasRoom) continue;
      this.next = index + 1;
      return consumer;
    }
    return undefined;
  }

  /** As in RabbitMQ messages expire at the front of a queue only. */
  private watchExpiry(): void {
    const at = this.ready.first?.expiresAt;
    clearTimeout(this.timer);
    if (at === undefined) return;
    this.timer = setTimeout(
      () => {
        for (;;) {
          const first = this.ready.first;
          if (first?.expiresAt === undefined || first.expiresAt > Date.now()) break;
          this.ready.shift();
          this.onExpired(first);
        }
        this.watchExpiry();
      },
      Math.max(1, at - Date.now()),
    );
    this.timer.unref();
  }
}
