import type { DeliveryOutcome } from '../core/deliveries';
import type { AmqpMessage } from './amqp';

/** A message that is being handled: its place in the broker changes when the connection does. */
export interface HeldMessage {
  message: AmqpMessage;
}

const MOST_FINISHED = 10_000;

/**
 * What was being handled when its channel was lost. The broker hands these messages out again; found by their message
 * id they are not handled a second time.
 */
export class Survivors<Held extends HeldMessage> {
  private readonly held = new Map<string, Held>();
  private readonly finished = new Map<string, { message: AmqpMessage; outcome: DeliveryOutcome }>();

  /** The channel of these messages is lost; they are still being handled. */
  add(all: Iterable<Held>): void {
    for (const each of all) {
      const id = idOf(each.message);
      if (id !== undefined) this.held.set(id, each);
    }
  }

  /** One of them has ended before the broker has handed it out again. */
  finish({ message }: Held, outcome: DeliveryOutcome): void {
    const id = idOf(message);
    if (id === undefined) return;
    this.held.delete(id);
    this.finished.set(id, { message, outcome });
    const [oldest] = this.finished.keys();
    if (this.finished.size > MOST_FINISHED && oldest !== undefined) this.finished.delete(oldest);
  }

  /** What is known about a message that arrives; it is forgotten with that. */
  recognize(message: AmqpMessage): { held: Held } | { outcome: DeliveryOutcome } | undefined {
    const id = idOf(message);
    if (id === undefined || (this.held.size === 0 && this.finished.size === 0)) return undefined;
    const held = this.held.get(id);
    if (held && isSame(held.message, message)) {
      this.held.delete(id);
      return { held };
    }
    const finished = this.finished.get(id);
    if (finished && isSame(finished.message, message)) {
      this.finished.delete(id);
      return { outcome: finished.outcome };
    }
    return undefined;
  }
}

function idOf({ properties }: AmqpMessage): string | undefined {
  const { messageId } = properties;
  return typeof messageId === 'string' && messageId !== '' ? messageId : undefined;
}

/** A publisher may use one id for several messages. */
function isSame(left: AmqpMessage, right: AmqpMessage): boolean {
  return left.fields.routingKey === right.fields.routingKey && left.content.equals(right.content);
}
