import type { Options } from 'amqplib';
import { ContactError } from '../core/errors';
import { Queue } from '../core/queue';
import type { Verdict } from '../core/verdicts';
import type { AmqpChannel } from './amqp';

/** A message that the broker has not confirmed yet. */
interface Pending {
  readonly messageId: string | undefined;
  /** Why the broker could not route it. */
  returned: string | undefined;
  isSettled: boolean;
}

/** What became of a message; `lost` when the channel ended before the broker said anything. */
export type Confirmation = Verdict | 'lost';

const DELIVERED: Verdict = { kind: 'delivered' };

/**
 * Publishes on one channel and says what became of each message. A mandatory message that reaches no queue comes back
 * before it is confirmed; it is found by its message id, which therefore every message must have.
 */
export class ConfirmWindow {
  /** In the order of publishing. Settled ones in the middle stay until those before them are settled. */
  private readonly pending = new Queue<Pending>();
  private isOpen = true;
  /** How many the broker has returned. */
  returned = 0;

  constructor(private readonly channel: AmqpChannel) {
    channel.on('return', ({ fields, properties }) => {
      this.returned += 1;
      const pending = this.pending.find(
        ({ messageId, returned, isSettled }) =>
          !isSettled && returned === undefined && messageId === properties.messageId,
      );
      if (pending) pending.returned = `${fields.replyCode ?? 312} ${fields.replyText ?? 'NO_ROUTE'}`;
    });
    channel.on('close', () => {
      this.isOpen = false;
    });
  }

  /** Messages that wait for their confirmation. */
  get unconfirmed(): number {
    return this.pending.length;
  }

  /** Publishes what `work` publishes in one go. */
  together(work: () => void): void {
    this.channel.together(work);
  }

  /** `done` is called once. A message that cannot even be written is `rejected`. */
  publish(
    exchange: string,
    routingKey: string,
    content: Buffer,
    options: Options.Publish,
    done: (confirmation: Confirmation) => void,
  ): void {
    if (!this.isOpen) {
      done('lost');
      return;
    }
    const pending: Pending = { messageId: options.messageId, returned: undefined, isSettled: false };
    const target = exchange === '' ? `queue ${routingKey}` : `exchange ${exchange}, key ${routingKey}`;
    this.pending.push(pending);
    try {
      this.channel.publish(exchange, routingKey, content, options, (error: unknown) => {
        this.settle(pending);
        if (error && (error as Error).message !== 'message nacked') done('lost');
        else if (error) done(nacked(target));
        else done(pending.returned === undefined ? DELIVERED : unroutable(target, pending.returned));
      });
    } catch (thrown) {
      this.settle(pending);
      // A channel that has ended says so by throwing; anything else is about this one message.
      if (!this.isOpen || (thrown as Error).name === 'IllegalOperationError') done('lost');
      else done(unwritable(target, thrown));
    }
  }

  private settle(pending: Pending): void {
    pending.isSettled = true;
    while (this.pending.first?.isSettled) this.pending.shift();
  }
}

function unroutable(target: string, answer: string): Verdict {
  const error = new ContactError('UNROUTABLE', { attempted: 'publish a message', target, answer, status: 312 });
  return { kind: 'rejected', error };
}

/** The broker has taken the message and could not keep it: a queue is full, or broken. */
function nacked(target: string): Verdict {
  const error = new ContactError('BUSY', {
    attempted: 'publish a message',
    target,
    answer: 'the broker did not keep it',
  });
  return { kind: 'busy', fault: 'failure', error };
}

function unwritable(target: string, thrown: unknown): Verdict {
  const answer = thrown instanceof Error ? thrown.message : String(thrown);
  return { kind: 'rejected', error: new ContactError('REJECTED', { attempted: 'publish a message', target, answer }) };
}
