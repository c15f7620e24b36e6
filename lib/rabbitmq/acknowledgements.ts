import type { AmqpChannel, AmqpMessage } from './amqp';

/**
 * Acknowledges the messages of one channel. Those that are acknowledged within one turn of the event loop are told to
 * the broker together, with a single word for all that have nothing unsettled before them.
 */
export class Acknowledgements {
  /** What was handed out and is not settled, in the order of the broker's numbers. */
  private readonly open = new Set<number>();
  private pending: AmqpMessage[] = [];
  private timer: NodeJS.Immediate | undefined;

  constructor(private readonly channel: AmqpChannel) {}

  /** The broker has handed out a message. */
  add({ fields }: AmqpMessage): void {
    this.open.add(fields.deliveryTag);
  }

  /** The broker hears of it at the end of this turn. */
  acknowledge(message: AmqpMessage): void {
    this.open.delete(message.fields.deliveryTag);
    this.pending.push(message);
    this.timer ??= setImmediate(() => this.flush());
  }

  /** Rejects a message for good. */
  reject(message: AmqpMessage): void {
    this.open.delete(message.fields.deliveryTag);
    this.tell((channel) => channel.nack(message, false, false));
  }

  /** Tells the broker what it has not been told yet. Nothing happens when the channel has ended. */
  flush(): void {
    clearImmediate(this.timer);
    this.timer = undefined;
    const { pending } = this;
    this.pending = [];
    const [lowest = Number.POSITIVE_INFINITY] = this.open;
    let last: AmqpMessage | undefined;
    const alone: AmqpMessage[] = [];
    for (const message of pending) {
      const { deliveryTag } = message.fields;
      if (deliveryTag > lowest) alone.push(message);
      else if (!last || deliveryTag > last.fields.deliveryTag) last = message;
    }
    this.tell((channel) => {
      if (last) channel.ack(last, true);
      for (const message of alone) channel.ack(message);
    });
  }

  private tell(act: (channel: AmqpChannel) => void): void {
    const { channel } = this;
    try {
      channel.together(() => act(channel));
    } catch {
      // It ended at this very moment, which its own event tells.
    }
  }
}
