import type { ConfirmChannel, ConsumeMessage, Message } from 'amqplib';

/** A message as the broker hands it out. */
export type AmqpMessage = ConsumeMessage;
/** A message that the broker could not route and gives back. */
export type AmqpReturn = Message & { fields: { replyCode?: number; replyText?: string } };

/**
 * The part of a channel that the pack uses, in the words of amqplib: the in-process broker has the same. Every channel
 * confirms what is published on it.
 */
export type AmqpChannel = Pick<
  ConfirmChannel,
  | 'ack'
  | 'assertExchange'
  | 'assertQueue'
  | 'bindQueue'
  | 'cancel'
  | 'checkExchange'
  | 'checkQueue'
  | 'close'
  | 'consume'
  | 'deleteExchange'
  | 'deleteQueue'
  | 'get'
  | 'nack'
  | 'prefetch'
  | 'publish'
  | 'unbindQueue'
> & {
  on(event: 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'return', listener: (message: AmqpReturn) => void): unknown;
  /** Does something with the channel, and writes to the network only when that is done: once instead of many times. */
  together(work: () => void): void;
};

/** A connection that is open. */
export interface AmqpLink {
  /** What the broker says of itself: `RabbitMQ 3.10.8`. */
  readonly product: string;
  createChannel(): Promise<AmqpChannel>;
  /** Says goodbye; resolves when that was answered. */
  close(): Promise<void>;
  /** Cuts the connection without a word. */
  destroy(): void;
  on(event: 'close', listener: (error?: Error) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'blocked', listener: (reason: string) => void): unknown;
  on(event: 'unblocked', listener: () => void): unknown;
}
