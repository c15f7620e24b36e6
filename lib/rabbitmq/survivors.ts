import type { DeliveryOutcome } from '../core/deliveries';
import type { AmqpMessage } from './amqp';
import { copyOf } from './headers';

/** A message that is being handled: its place in the broker changes when the connection does. */
export interface HeldMessage {
  message: AmqpMessage;
}

/** So many acknowledgements more than were in the flow may be on their way to the broker when a connection is lost. */
const MORE_RECENT = 256;
/** So many more have ended during an outage. */
const MORE_FINISHED = 1_000;

/**
 * What was being handled, or had just been acknowledged, when a channel was lost. The broker hands these messages out
 * again; those that have a message id are not handled a second time.
 */
export class Survivors<Held extends HeldMessage> {
  private readonly held = new Map<string, Held>();
  private readonly finished = new Map<string, { message: AmqpMessage; outcome: DeliveryOutcome }>();
  private recent: AmqpMessage[] = [];
  private next = 0;
  private readonly mostRecent: number;
  private readonly mostFinished: number;

  /** `prefetch` is how many messages are in the flow at once, at most. */
  constructor(prefetch: number) {
    this.mostRecent = prefetch + MORE_RECENT;
    this.mostFinished = this.mostRecent + MORE_FINISHED;
  }

  /** A message was acknowledged; nobody says whether the broker has heard that. */
  acknowledged(message: AmqpMessage): void {
    this.recent[this.next] = message;
    this.next = (this.next + 1) % this.mostRecent;
  }

  /** The channel is lost, on which these messages came that are still being handled. */
  lost(all: Iterable<Held>): void {
    for (const each of all) {
      const id = idOf(each.message);
      if (id !== undefined) this.held.set(id, each);
    }
    for (const message of this.recent) this.finish({ message }, { kind: 'acknowledge' });
    this.recent = [];
    this.next = 0;
  }

  /** A message has ended, and the broker does not know it. */
  finish({ message }: HeldMessage, outcome: DeliveryOutcome): void {
    const id = idOf(message);
    if (id === undefined) return;
    this.held.delete(id);
    this.finished.set(id, { message, outcome });
    const [oldest] = this.finished.keys();
    if (this.finished.size > this.mostFinished && oldest !== undefined) this.finished.delete(oldest);
  }

  /** What is known about a message that arrives; it is forgotten with that. */
  recognize(message: AmqpMessage): { held: Held } | { outcome: DeliveryOutcome } | undefined {
    // What somebody publishes again on purpose is a new message.
    const id = message.fields.redelivered ? idOf(message) : undefined;
    if (id === undefined) return undefined;
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

/** A publisher may use one id for several messages, and our own copies of a message keep its id. */
function isSame(left: AmqpMessage, right: AmqpMessage): boolean {
  const isSamePlace = left.fields.routingKey === right.fields.routingKey && copyOf(left) === copyOf(right);
  return isSamePlace && left.content.equals(right.content);
}
