import { type ContactError, toContactError } from '../core/errors';
import type { Done } from './input';
import { IntakeMessage } from './intake';
import type { Sink } from './sink';

/** Settings of a {@link JoinedIntake}. */
export interface JoinedIntakeOptions<Message extends object> {
  sink: Pick<Sink, 'offer' | 'absorb' | 'refuse'>;
  /** Whether the deliveries that messages carry are settled as well. */
  settle: boolean;
  /** What is sent for a message, as JSON; messages with the same id are about the same. Throws when there is none. */
  read(message: Message): { id: string };
  /** What is attempted with a message, for the error when `read` throws something else. */
  attempted: string;
}

/** What is sent for several messages. */
interface Joined {
  body: string;
  others: IntakeMessage[];
}

/**
 * Lets a message that asks for the same as one that still waits share its end: it is sent once for all of them. A
 * source that was told of no end sends again, so while the remote system is away the same comes many times.
 */
export class JoinedIntake<Message extends object> {
  /** By id; of several contents the newest, which is the one that may come again. */
  private readonly waiting = new Map<string, Joined>();

  constructor(private readonly options: JoinedIntakeOptions<Message>) {}

  /** False when the message cannot be made into something to send; then it has ended. */
  take(message: Message, done: Done): boolean {
    const { sink, settle, read, attempted } = this.options;
    try {
      this.offer(read(message), message, done);
      return true;
    } catch (thrown) {
      sink.refuse(message, toContactError(thrown, attempted), new IntakeMessage(message, 1, settle, done));
      return false;
    }
  }

  private offer(request: { id: string }, message: Message, done: Done): void {
    const { sink, settle } = this.options;
    const { id } = request;
    const body = JSON.stringify(request);
    const same = this.waiting.get(id);
    if (same?.body === body) {
      sink.absorb();
      same.others.push(new IntakeMessage(message, 1, settle, done));
      return;
    }
    const joined: Joined = { body, others: [] };
    this.waiting.set(id, joined);
    const end: Done = (error) => {
      if (this.waiting.get(id) === joined) this.waiting.delete(id);
      done(error);
      for (const other of joined.others) other.ended(error as ContactError | undefined);
    };
    sink.offer(body, new IntakeMessage(message, 1, settle, end));
  }
}
