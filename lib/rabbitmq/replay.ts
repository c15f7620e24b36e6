import { ContactError } from '../core/errors';
import { RateLimit } from '../core/rate-limit';
import type { AmqpChannel, AmqpMessage } from './amqp';
import { type Confirmation, ConfirmWindow } from './confirm-window';
import type { BrokerConnection } from './connection';
import { copiedOptions, HEADERS, originOf, withoutOurs } from './headers';

/** What is brought back, and how fast. */
export interface ReplayOptions {
  from: string;
  to: string;
  ratePerSecond: number;
  /** At most so many messages; all that are there when it begins when left out. */
  limit?: number | undefined;
  signal?: AbortSignal;
}

/** What a replay has done. */
export interface ReplayReport {
  moved: number;
  /** Messages that were in the queue at the beginning and still are. */
  left: number;
}

/**
 * Moves messages from one queue to another, such as from the dead-letter queue back to where they came from: the
 * oldest first, with a new count of attempts, each removed only when the other queue has it. What is dead-lettered
 * again meanwhile is not moved a second time.
 */
export async function replay(connection: BrokerConnection, options: ReplayOptions): Promise<ReplayReport> {
  const { from, to, ratePerSecond, limit = Number.POSITIVE_INFINITY, signal } = options;
  const pace =
    ratePerSecond < 1
      ? new RateLimit({ turns: 1, windowMs: 1_000 / ratePerSecond })
      : new RateLimit({ turns: Math.floor(ratePerSecond), windowMs: 1_000 });
  return connection.withChannel(`replay the queue ${from}`, async (channel) => {
    const { messageCount } = await channel.checkQueue(from);
    await channel.checkQueue(to);
    const window = new ConfirmWindow(channel);
    let moved = 0;
    while (moved < Math.min(messageCount, limit) && !signal?.aborted) {
      await pace.acquire(signal).catch(() => {});
      const message = signal?.aborted ? false : await channel.get(from);
      if (message === false) break;
      await move(channel, window, message as unknown as AmqpMessage, to);
      moved += 1;
    }
    return { moved, left: messageCount - moved };
  });
}

async function move(channel: AmqpChannel, window: ConfirmWindow, message: AmqpMessage, to: string): Promise<void> {
  const { exchange, routingKey } = originOf(message);
  const headers = {
    ...withoutOurs(message.properties.headers),
    [HEADERS.originalExchange]: exchange,
    [HEADERS.originalRoutingKey]: routingKey,
  };
  const confirmation = await new Promise<Confirmation>((resolve) => {
    window.publish('', to, message.content, copiedOptions(message, headers), resolve);
  });
  if (confirmation !== 'lost' && confirmation.kind === 'delivered') {
    channel.ack(message);
    return;
  }
  // Not acknowledged, it goes back to where it was when the channel is closed.
  if (confirmation !== 'lost' && 'error' in confirmation) throw confirmation.error;
  throw new ContactError('UNREACHABLE', { attempted: `replay into the queue ${to}`, answer: 'the channel was closed' });
}
