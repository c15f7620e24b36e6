import { type Clock, delay, systemClock, type Timer } from '../core/clock';
import {
  type Delivery,
  type DeliveryCounts,
  type DeliveryOutcome,
  DeliverySource,
  type DeliverySourceOptions,
} from '../core/deliveries';
import { ContactError } from '../core/errors';
import { contextOf, tracing } from '../core/trace';
import { Acknowledgements } from './acknowledgements';
import type { AmqpChannel, AmqpMessage } from './amqp';
import { type Confirmation, ConfirmWindow } from './confirm-window';
import type { BrokerConnection } from './connection';
import { attemptOf, copiedOptions, failureHeaders, HEADERS, originOf, retryAtOf } from './headers';
import { deadLetterExchange, type QueueSpecification, queueTopology, waitingQueue } from './queue-topology';
import { nextHopMs, type RetryPolicy, retryDelayMs } from './retry';
import type { ChannelUser, Seat } from './seat';
import { Survivors } from './survivors';
import type { Topology } from './topology';

/** A message from the queue, with the delivery that must be settled. */
export interface ReceivedMessage {
  readonly content: Buffer;
  readonly properties: AmqpMessage['properties'];
  /** Where it was published to at first. */
  readonly exchange: string;
  readonly routingKey: string;
  readonly delivery: Delivery;
}

/** What a consumer does now. */
export type ConsumerState =
  | { kind: 'waiting' }
  | { kind: 'consuming' }
  | { kind: 'paused' }
  /** The whole prefetch is out, and nothing was settled for a while. */
  | { kind: 'stalled' }
  | { kind: 'failed'; error: ContactError };

/** Settings of a {@link QueueConsumer}. */
export interface QueueConsumerOptions {
  queue: QueueSpecification;
  /** How many messages are in the flow at once, at most. */
  prefetch: number;
  retry: RetryPolicy;
  /** See {@link DeliverySourceOptions}. */
  settleTimeoutMs?: number;
  stallMs?: number;
  onMessage(message: ReceivedMessage): void;
  onState?(state: ConsumerState): void;
  clock?: Clock;
}

/** What a consumer has done, in numbers since it was created. */
export interface ConsumerCounts extends DeliveryCounts {
  received: number;
  /** Put aside: by a sink, or after the last attempt. */
  putAside: number;
  /** Handed out again by the broker while they were being handled, and not handled a second time. */
  recognized: number;
}

interface Held {
  message: AmqpMessage;
  /** The channel that has handed it out. */
  channel: AmqpChannel;
}

/** Nobody asks for a retry on the millisecond, and the clocks of two machines differ. */
const TOLERATED_EARLY_MS = 100;
/** When the queue that takes a message is not there, it is tried again so much later. */
const FORWARD_PAUSE_MS = 1_000;

/**
 * Takes messages out of a queue and gives them out as deliveries. What is to be retried waits in a queue of the broker,
 * what cannot be handled goes to the dead-letter queue with the reason; a message leaves its own queue only when the
 * broker has confirmed that another one has it.
 */
export class QueueConsumer implements ChannelUser {
  readonly topology: Topology;
  readonly purpose: string;
  private readonly clock: Clock;
  private readonly seat: Seat;
  private readonly deliveries: DeliverySource<Held>;
  private readonly survivors: Survivors<Held>;
  private readonly held = new Set<Held>();
  private readonly timers = new Set<Timer>();
  private channel: AmqpChannel | undefined;
  private window: ConfirmWindow | undefined;
  private acknowledgements: Acknowledgements | undefined;
  private consumerTag: string | undefined;
  /** Ends when the broker has answered what it was asked last. */
  private adjusting: Promise<void> = Promise.resolve();
  /** Messages on their way to another queue. */
  private forwarding = 0;
  private isPaused = false;
  private isClosing = false;
  private problem: ContactError | undefined;
  private counters = { received: 0, putAside: 0, recognized: 0 };
  private onIdle: () => void = () => {};

  constructor(
    private readonly connection: BrokerConnection,
    private readonly options: QueueConsumerOptions,
  ) {
    const { queue, prefetch, settleTimeoutMs, stallMs, clock = systemClock } = options;
    this.clock = clock;
    this.topology = queueTopology(queue);
    this.purpose = `consume the queue ${queue.name}`;
    const source: DeliverySourceOptions<Held> = {
      name: `the queue ${queue.name}`,
      settle: (held, outcome, delivery) => this.settle(held, outcome, delivery.attempt),
      capacity: prefetch,
      onStall: () => this.tell(),
      clock,
    };
    if (settleTimeoutMs !== undefined) source.timeoutMs = settleTimeoutMs;
    if (stallMs !== undefined) source.stallMs = stallMs;
    this.deliveries = new DeliverySource(source);
    this.survivors = new Survivors(prefetch);
    this.seat = connection.take(this);
  }

  /** The name of the queue. */
  get queue(): string {
    return this.options.queue.name;
  }

  get state(): ConsumerState {
    if (this.problem) return { kind: 'failed', error: this.problem };
    if (this.deliveries.stalled) return { kind: 'stalled' };
    if (this.isPaused) return { kind: 'paused' };
    return { kind: this.consumerTag === undefined ? 'waiting' : 'consuming' };
  }

  counts(): ConsumerCounts {
    return { ...this.deliveries.counts(), ...this.counters };
  }

  /** Takes no more messages until {@link resume}; those that are out can be settled. */
  async pause(): Promise<void> {
    this.isPaused = true;
    await this.adjust();
    this.tell();
  }

  async resume(): Promise<void> {
    this.isPaused = false;
    await this.adjust();
    this.tell();
  }

  /**
   * Takes no more messages, waits so long for those that are out, and gives the rest back to the queue.
   */
  async close(withinMs: number): Promise<void> {
    this.isClosing = true;
    const patience = new AbortController();
    await Promise.race([this.finishAll(), delay(withinMs, { clock: this.clock, signal: patience.signal })]);
    patience.abort();
    for (const timer of this.timers) this.clock.clearTimeout(timer);
    this.deliveries.close();
    this.acknowledgements?.flush();
    // The broker puts back what its channel still holds.
    await this.seat.close();
  }

  async onOpen(channel: AmqpChannel): Promise<void> {
    this.channel = channel;
    this.window = new ConfirmWindow(channel);
    this.acknowledgements = new Acknowledgements(channel);
    await channel.prefetch(this.options.prefetch);
    await this.adjust();
    this.problem = undefined;
    this.tell();
  }

  onLost(_error: ContactError): void {
    this.channel = undefined;
    this.window = undefined;
    this.acknowledgements = undefined;
    this.consumerTag = undefined;
    this.survivors.lost(this.held);
    this.tell();
  }

  onFailed(error: ContactError): void {
    this.channel = undefined;
    this.problem = error;
    this.tell();
  }

  private get isIdle(): boolean {
    return this.held.size === 0 && this.forwarding === 0;
  }

  private tell(): void {
    if (!this.isClosing) this.options.onState?.(this.state);
  }

  private async finishAll(): Promise<void> {
    await this.adjust();
    if (this.isIdle) return;
    await new Promise<void>((resolve) => {
      this.onIdle = resolve;
    });
  }

  /** Begins to consume or ceases to, as it should be by now. One after the other, since the broker answers later. */
  private adjust(): Promise<void> {
    const turn = this.adjusting.then(() => this.adjustNow());
    this.adjusting = turn.catch(() => {});
    return turn;
  }

  private async adjustNow(): Promise<void> {
    const { channel, consumerTag } = this;
    if (!channel) return;
    if (this.isPaused || this.isClosing) {
      this.consumerTag = undefined;
      // A channel that ends at this moment has no consumer any more either.
      if (consumerTag !== undefined) await channel.cancel(consumerTag).catch(() => {});
    } else if (consumerTag === undefined) await this.consume(channel);
  }

  private async consume(channel: AmqpChannel): Promise<void> {
    const { name } = this.options.queue;
    const { consumerTag } = await channel.consume(name, (message) => {
      if (message) this.take(message, channel);
      else this.seat.renew(Object.assign(new Error(`the queue ${name} was deleted`), { code: 404 }));
    });
    if (this.channel === channel) this.consumerTag = consumerTag;
  }

  private take(message: AmqpMessage, channel: AmqpChannel): void {
    if (channel === this.channel) this.acknowledgements?.add(message);
    const known = this.survivors.recognize(message);
    if (known) {
      this.counters.recognized += 1;
      if ('held' in known) Object.assign(known.held, { message, channel });
      else this.finish({ message, channel }, known.outcome, attemptOf(message));
      return;
    }
    const early = retryAtOf(message) - this.clock.now();
    if (early > TOLERATED_EARLY_MS) {
      this.forward({ message, channel }, this.wait(message, early), undefined);
      return;
    }
    this.counters.received += 1;
    const held: Held = { message, channel };
    this.held.add(held);
    const parent = tracing.isOn ? contextOf(message.properties.headers) : undefined;
    const delivery = this.deliveries.open(held, attemptOf(message), parent);
    const { content, properties } = message;
    this.options.onMessage({ content, properties, ...originOf(message), delivery });
  }

  private settle(held: Held, outcome: DeliveryOutcome, attempt: number): void {
    this.held.delete(held);
    if (held.channel === this.channel) this.finish(held, outcome, attempt);
    else this.survivors.finish(held, outcome);
    this.becomeIdle();
  }

  /** Does in the broker what was decided about a message. */
  private finish(held: Held, outcome: DeliveryOutcome, attempt: number): void {
    if (outcome.kind === 'acknowledge') this.acknowledge(held);
    else if (outcome.kind === 'dead-letter') this.putAside(held, outcome, outcome.error, attempt);
    else if (outcome.isCounted !== false && attempt >= this.options.retry.maxAttempts) {
      this.putAside(held, outcome, exhausted(attempt, outcome.error), attempt);
    } else {
      const { delayMs = retryDelayMs(this.options.retry, attempt), isCounted = true, error } = outcome;
      const now = this.clock.now();
      const attempts = isCounted ? attempt : attempt - 1;
      const headers = failureHeaders(held.message, { attempts, error, now });
      const wait = this.wait(held.message, delayMs);
      if (wait.delayMs !== delayMs) headers[HEADERS.retryAt] = now + delayMs;
      this.forward(held, { ...wait, headers }, outcome);
    }
  }

  private putAside(held: Held, outcome: DeliveryOutcome, error: ContactError, attempt: number): void {
    const { name, deadLetterQueue } = this.options.queue;
    if (!deadLetterQueue) {
      this.counters.putAside += 1;
      if (held.channel === this.channel) this.acknowledgements?.reject(held.message);
      return;
    }
    const headers = failureHeaders(held.message, { attempts: attempt, error, now: this.clock.now() });
    const { routingKey } = originOf(held.message);
    const exchange = deadLetterExchange(name);
    this.forward(held, { exchange, routingKey, headers, isAside: true }, outcome);
  }

  /** Where a message waits that is due in `remainingMs`, and how long it does there. */
  private wait(message: AmqpMessage, remainingMs: number): Forward & { delayMs: number } {
    const { queue, retry } = this.options;
    const delayMs = nextHopMs(retry, remainingMs);
    const headers = message.properties.headers ?? {};
    return { exchange: '', routingKey: waitingQueue(queue.name, delayMs), headers, delayMs };
  }

  /**
   * Publishes a message to another queue, and takes it out of this one when the broker has confirmed that. `outcome` is
   * what was decided about it: to be done again should the broker hand it out once more.
   */
  private forward(held: Held, to: Forward, outcome: DeliveryOutcome | undefined): void {
    const { message } = held;
    this.forwarding += 1;
    const done = (confirmation: Confirmation) => {
      if (confirmation !== 'lost' && confirmation.kind !== 'delivered') {
        this.forwardLater(held, to, outcome);
        return;
      }
      this.forwarding -= 1;
      if (confirmation !== 'lost') {
        if (to.isAside) this.counters.putAside += 1;
        this.acknowledge(held);
      } else if (outcome) this.survivors.finish(held, outcome);
      this.becomeIdle();
    };
    if (!this.window || held.channel !== this.channel) done('lost');
    else this.window.publish(to.exchange, to.routingKey, message.content, copiedOptions(message, to.headers), done);
  }

  /** The queue that should take it is gone or full: the message stays where it is until that has changed. */
  private forwardLater(held: Held, to: Forward, outcome: DeliveryOutcome | undefined): void {
    const timer = this.clock.setTimeout(() => {
      this.timers.delete(timer);
      this.connection
        .declareAll()
        .finally(() => {
          this.forwarding -= 1;
          this.forward(held, to, outcome);
        })
        .catch(() => {});
    }, FORWARD_PAUSE_MS);
    this.timers.add(timer);
  }

  private acknowledge({ message, channel }: Held): void {
    this.survivors.acknowledged(message);
    // When the channel is gone the broker has the message already.
    if (channel === this.channel) this.acknowledgements?.acknowledge(message);
  }

  private becomeIdle(): void {
    if (this.isClosing && this.isIdle) this.onIdle();
  }
}

interface Forward {
  exchange: string;
  routingKey: string;
  headers: Record<string, unknown>;
  /** Whether it is the dead-letter queue. */
  isAside?: boolean;
}

/** The reason with which a message ends up in the dead-letter queue after its last attempt. */
function exhausted(attempts: number, error: ContactError | undefined): ContactError {
  const last = error ? ` The last reason: ${error.message}` : '';
  return new ContactError(error?.code ?? 'REJECTED', {
    attempted: 'handle the message',
    answer: `it failed ${attempts} ${attempts === 1 ? 'time' : 'times'}.${last}`,
    advice: 'Remove the reason, then replay the dead-letter queue.',
    ...(error?.status === undefined ? {} : { status: error.status }),
  });
}
