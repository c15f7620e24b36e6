import { type BackoffOptions, backoffDelayMs } from '../core/backoff';
import { type Clock, delay, type Timer } from '../core/clock';
import { type Delivery, type DeliveryOutcome, DeliverySource } from '../core/deliveries';
import { Holds } from '../core/holds';
import type { Logger } from '../core/log';
import type { EventDefinition } from './topics';

/** The message that an event becomes. */
export interface EventMessage {
  /** The name of the topic. */
  topic: string;
  /** The whole notification; for a record of the REST query `{topicName, eventBody: <the record>}`. */
  payload: unknown;
  /** The same for each copy of the event. */
  eventId: string;
  /** When it came in, in milliseconds since the epoch. */
  receivedAt: number;
  genesys: {
    /** The channel, masked; `null` for what came over REST. */
    channel: string | null;
    source: 'socket' | 'rest';
    /** What the organization says about the kind of event. */
    definition?: EventDefinition;
  };
  correlationId: string;
  /** For nodes that settle; missing when the flow is not expected to. */
  delivery?: Delivery;
}

/** An event on its way through the flow. */
export interface PendingEvent {
  /** The payload as JSON: a flow may change the message, and a repetition must not show that. */
  readonly text: string;
  readonly topic: string;
  readonly id: string;
  readonly receivedAt: number;
  /** What the checkpoint must not pass before the event is settled, in milliseconds since the epoch. */
  readonly heldMs: number;
  readonly channel: string | null;
  readonly source: 'socket' | 'rest';
  readonly correlationId: string;
  /** Whether the REST query can bring the event back. */
  readonly recoverable: boolean;
  /** Which attempt comes next, from 1. */
  attempt: number;
}

/** Settings of an {@link Emission}. */
export interface EmissionOptions {
  /** Names the source in errors. */
  name: string;
  /** Sends a message into the flow. Must not throw. */
  send(message: EventMessage): void;
  /** {@link Emission.oldest} may have changed. */
  onProgress(): void;
  /** What the organization says about an event definition. */
  definitionOf(topic: string): EventDefinition | undefined;
  /** Whether the flow settles each event; otherwise an event is done when it was sent. */
  settle: boolean;
  /** An event that nobody settles for so long is not waited for any longer, in milliseconds. */
  settleTimeoutMs: number;
  /** The REST query has to bring this event back later: there is no room to keep it. */
  onPostponed(event: PendingEvent): void;
  /** At most so many events wait to be sent again, and at most so many are held while it is paused; default 10,000. */
  retryLimit?: number;
  /** Before an event is sent again, when the one who gave it back does not say; default 1 s to 60 s. */
  retryBackoff?: BackoffOptions;
  clock: Clock;
  logger: Logger;
}

/** What became of the events, in numbers since the start. */
export interface EmissionCounters {
  /** Sent into the flow, repetitions not counted. */
  emitted: number;
  /** Sent once more. */
  repeated: number;
  acknowledged: number;
  deadLettered: number;
  /** Settled by nobody in time, and not waited for any longer. */
  expired: number;
  /** Left for the REST query, because too many waited to be sent again. */
  postponed: number;
  /** Lost for the same reason, since they are of a kind that the REST query does not know. */
  dropped: number;
}

/** Sends events into the flow, and keeps those that are not settled. */
export class Emission {
  readonly counters: EmissionCounters = {
    emitted: 0,
    repeated: 0,
    acknowledged: 0,
    deadLettered: 0,
    expired: 0,
    postponed: 0,
    dropped: 0,
  };
  private readonly options: Required<EmissionOptions>;
  private readonly deliveries: DeliverySource<PendingEvent>;
  private readonly holds = new Holds();
  /** Wait for the store, then to be sent. */
  private readonly storing = new Set<PendingEvent>();
  /** Came while it was paused, the oldest first; with the payload, unless the text is read again. */
  private readonly held = new Map<PendingEvent, { payload: unknown } | undefined>();
  private paused = false;
  /** Wait to be sent again. */
  private readonly waiting = new Map<PendingEvent, Timer>();
  private flowSettles = false;
  private roomWanted: (() => void)[] = [];
  private idleWanted: (() => void) | undefined;
  private closed = false;

  constructor(options: EmissionOptions) {
    this.options = { retryLimit: 10_000, retryBackoff: { baseMs: 1_000, maxMs: 60_000 }, ...options };
    const { name, settleTimeoutMs, clock } = options;
    this.deliveries = new DeliverySource({
      name,
      timeoutMs: settleTimeoutMs,
      settle: (event, outcome) => this.settled(event, outcome),
      clock,
    });
  }

  /** Sends an event for the first time; `stored` is waited for before. */
  emit(event: PendingEvent, payload: unknown, stored?: Promise<void>): void {
    this.holds.take(event.heldMs);
    this.options.onProgress();
    if (stored === undefined) {
      this.first(event, payload);
      return;
    }
    this.storing.add(event);
    stored
      .then(() => {
        if (this.storing.delete(event)) this.first(event, payload);
      })
      .catch(() => {});
  }

  /** Whether the flow has settled anything yet, so that it can be expected to. */
  get settles(): boolean {
    return this.flowSettles;
  }

  /** Goes on where an earlier {@link Emission} has ended: sends what was not settled. */
  inherit(events: readonly PendingEvent[], settles: boolean): void {
    this.flowSettles = settles;
    for (const event of events) {
      this.holds.take(event.heldMs);
      this.again(event);
    }
  }

  /**
   * Sends nothing more until {@link resume}; what comes is held. When no more can be held, what the REST query can bring
   * back is left for it; for an event that would be lost the pause ends by itself.
   */
  pause(): void {
    this.paused = true;
  }

  /** Goes on after a pause, with what was held. */
  resume(): void {
    this.paused = false;
    const held = [...this.held];
    this.held.clear();
    for (const [event, first] of held) {
      if (first) this.first(event, first.payload);
      else this.again(event);
    }
    this.wakeWaiting();
  }

  get isPaused(): boolean {
    return this.paused;
  }

  /** How many events are held because it is paused. */
  get heldBack(): number {
    return this.held.size;
  }

  /** The oldest time that is not settled, in milliseconds since the epoch. */
  get oldest(): number | undefined {
    return this.holds.oldest;
  }

  /** How many events the flow has not settled. */
  get unsettled(): number {
    return this.deliveries.counts().open + this.waiting.size + this.storing.size + this.held.size;
  }

  /** Resolves when there is room for events that can also be had later. Pushing them in sooner would only postpone them. */
  room(): Promise<void> {
    if (this.hasRoom || this.closed) return Promise.resolve();
    return new Promise((resolve) => this.roomWanted.push(resolve));
  }

  /**
   * Sends no more, gives the flow up to `graceMs` to settle what it has, and returns what it has not. A flow that has
   * never settled anything is not waited for.
   */
  async close(graceMs: number): Promise<PendingEvent[]> {
    this.closed = true;
    for (const wake of this.roomWanted.splice(0)) wake();
    const { clock } = this.options;
    for (const timer of this.waiting.values()) clock.clearTimeout(timer);
    if (this.flowSettles && this.deliveries.counts().open > 0) {
      const idle = new AbortController();
      this.idleWanted = () => idle.abort();
      await delay(graceMs, { clock, signal: idle.signal });
    }
    const unsettled = [...this.deliveries.close(), ...this.waiting.keys(), ...this.storing, ...this.held.keys()];
    this.storing.clear();
    this.held.clear();
    return unsettled;
  }

  private get hasRoom(): boolean {
    return !this.paused && this.waiting.size < this.options.retryLimit / 2;
  }

  private first(event: PendingEvent, payload: unknown): void {
    if (this.paused && this.hold(event, { payload })) return;
    this.counters.emitted += 1;
    this.send(event, payload);
  }

  private again(event: PendingEvent): void {
    if (this.paused && this.hold(event, undefined)) return;
    this.counters.repeated += 1;
    this.send(event, JSON.parse(event.text));
  }

  /** Whether the event needs not be sent now. */
  private hold(event: PendingEvent, first: { payload: unknown } | undefined): boolean {
    const { retryLimit, logger } = this.options;
    if (this.held.size < retryLimit) {
      this.held.set(event, first);
      return true;
    }
    if (event.recoverable) {
      this.postpone(event);
      return true;
    }
    logger.warn(`The pause is over: ${retryLimit} events are held, and the next one could not be had again.`);
    this.resume();
    return false;
  }

  private postpone(event: PendingEvent): void {
    this.counters.postponed += 1;
    this.options.onPostponed(event);
    this.holds.giveBack(event.heldMs);
  }

  private send(event: PendingEvent, payload: unknown): void {
    const { settle, definitionOf, send } = this.options;
    const { topic, id, receivedAt, channel, source, correlationId, attempt } = event;
    const definition = definitionOf(topic);
    send({
      topic,
      payload,
      eventId: id,
      receivedAt,
      genesys: { channel, source, ...(definition ? { definition } : {}) },
      correlationId,
      ...(settle ? { delivery: this.deliveries.open(event, attempt) } : {}),
    });
    if (!settle) this.holds.giveBack(event.heldMs);
  }

  private settled(event: PendingEvent, outcome: DeliveryOutcome): void {
    if (outcome.kind === 'retry' && outcome.error?.code !== 'DELIVERY_EXPIRED') this.retry(event, outcome.delayMs);
    else {
      this.holds.giveBack(event.heldMs);
      this.flowSettles ||= outcome.kind !== 'retry';
      if (outcome.kind === 'acknowledge') this.counters.acknowledged += 1;
      else if (outcome.kind === 'dead-letter') this.counters.deadLettered += 1;
      else {
        // Whoever has it may still be at work on it; sent once more, it would be done twice.
        this.counters.expired += 1;
        this.options.logger.warn(
          'Events are not settled in time and are not waited for: wire every branch of the flow to a node that settles, or switch that off.',
        );
      }
    }
    this.options.onProgress();
    if (this.idleWanted && this.deliveries.counts().open === 0) this.idleWanted();
  }

  private retry(event: PendingEvent, delayMs: number | undefined): void {
    const { clock, retryLimit, retryBackoff } = this.options;
    event.attempt += 1;
    if (this.waiting.size < retryLimit) {
      const waitMs = delayMs ?? backoffDelayMs(event.attempt - 1, retryBackoff);
      const timer = clock.setTimeout(() => this.repeat(event), waitMs);
      this.waiting.set(event, timer);
      if (this.closed) clock.clearTimeout(timer);
      return;
    }
    if (event.recoverable) {
      this.postpone(event);
      return;
    }
    this.counters.dropped += 1;
    this.options.logger.warn(
      `More than ${retryLimit} events wait to be sent again: those that cannot be had again are dropped.`,
    );
    this.holds.giveBack(event.heldMs);
  }

  private repeat(event: PendingEvent): void {
    this.waiting.delete(event);
    this.again(event);
    this.wakeWaiting();
  }

  private wakeWaiting(): void {
    if (this.hasRoom) for (const wake of this.roomWanted.splice(0)) wake();
  }
}
