import { backoffDelayMs } from '../core/backoff';
import { type Clock, delay } from '../core/clock';
import type { ContactError } from '../core/errors';
import type { AmqpChannel, AmqpLink } from './amqp';
import { brokerFailure } from './failures';
import { declareTopology, type Topology } from './topology';

/** Who works with a channel: a publisher or a consumer. */
export interface ChannelUser {
  /** What must be there before the channel is handed over. */
  readonly topology: Topology;
  /** Says in an error what could not be opened: `publish to ocelot.events`. */
  readonly purpose: string;
  /** A new channel, on which the topology is declared. Until the promise resolves the user does not count as open. */
  onOpen(channel: AmqpChannel): Promise<void> | void;
  /** The channel that {@link onOpen} was given is gone; another one follows by itself. */
  onLost(error: ContactError): void;
  /** The connection is there, but no channel with this topology can be had. It is tried again by itself. */
  onFailed(error: ContactError): void;
}

/** What a seat needs to know of its connection. */
export interface SeatHolder {
  readonly clock: Clock;
  /** The connection that is open, if one is. */
  readonly link: AmqpLink | undefined;
  /** Declares the topology of every seat again. Never rejects. */
  declareAll(): Promise<void>;
}

const BACKOFF = { baseMs: 500, maxMs: 15_000 };
/** What only a person can change is looked at again so often. */
const CONFLICT_PAUSE_MS = 60_000;
/** How long the broker may take to answer that a channel is closed; it closes it whether somebody waits or not. */
const CLOSE_WITHIN_MS = 500;
/** A channel that is lost sooner than this after it was opened counts as a failure. */
const STABLE_AFTER_MS = 5_000;

/**
 * A user's place on a connection: gives it a channel whenever there is a connection, and a new one when the broker
 * has closed the last one.
 */
export class Seat {
  private readonly stopping = new AbortController();
  private channel: AmqpChannel | undefined;
  private opening: Promise<void> | undefined;
  private failures = 0;
  private openedAt = 0;
  private settleClosed: () => void = () => {};
  /** Resolves when {@link close} is done. */
  readonly closed = new Promise<void>((resolve) => {
    this.settleClosed = resolve;
  });

  constructor(
    private readonly holder: SeatHolder,
    readonly user: ChannelUser,
    private readonly onClosed: (seat: Seat) => void,
  ) {}

  /** Whether the user has a channel. */
  get isOpen(): boolean {
    return this.channel !== undefined;
  }

  /** Begins to open a channel unless one is there or on its way. Called when the connection is open. */
  open(): void {
    if (this.opening || this.channel || this.stopping.signal.aborted) return;
    this.opening = this.tryToOpen().finally(() => {
      this.opening = undefined;
    });
  }

  /** Gives up a channel that is of no use any more, for this reason, and opens another one. */
  renew(reason: Error): void {
    const { channel } = this;
    if (!channel) return;
    this.lost(channel, reason);
    channel.close().catch(() => {});
  }

  /** Gives the channel back. Nobody is called any more; what was not acknowledged goes back to its queue. */
  async close(): Promise<void> {
    if (this.stopping.signal.aborted) return this.closed;
    this.stopping.abort();
    const { channel } = this;
    this.channel = undefined;
    const patience = new AbortController();
    const { clock } = this.holder;
    const ended = Promise.all([this.opening, channel?.close()]);
    // A channel of a connection that is gone cannot be closed, which is as good as closed.
    const settled = ended.catch(() => {});
    await Promise.race([settled, delay(CLOSE_WITHIN_MS, { clock, signal: patience.signal })]);
    patience.abort();
    this.settleClosed();
    this.onClosed(this);
  }

  private async tryToOpen(): Promise<void> {
    const { signal } = this.stopping;
    const { link, clock } = this.holder;
    while (link && this.holder.link === link && !signal.aborted) {
      try {
        await this.openOn(link);
        return;
      } catch (thrown) {
        // The next connection begins anew; what this one has said on its way out is of no interest.
        if (signal.aborted || this.holder.link !== link) return;
        const error = brokerFailure(thrown, this.user.purpose);
        this.failures += 1;
        this.user.onFailed(error);
        const pauseMs = error.retryable ? backoffDelayMs(this.failures, BACKOFF) : CONFLICT_PAUSE_MS;
        await delay(pauseMs, { clock, signal });
      }
    }
  }

  private async openOn(link: AmqpLink): Promise<void> {
    const { user, stopping } = this;
    const channel = await link.createChannel();
    let reason: Error | undefined;
    let handedOver = false;
    let gone = false;
    channel.on('error', (error) => {
      reason = error;
    });
    channel.on('close', () => {
      gone = true;
      if (handedOver) this.lost(channel, reason);
    });
    await declareTopology(channel, user.topology);
    if (stopping.signal.aborted) {
      await channel.close().catch(() => {});
      return;
    }
    this.channel = channel;
    this.openedAt = this.holder.clock.now();
    handedOver = true;
    try {
      await user.onOpen(channel);
      if (gone) throw reason ?? new Error('the channel was closed');
    } catch (thrown) {
      handedOver = false;
      this.channel = undefined;
      if (!gone) await channel.close().catch(() => {});
      throw reason ?? thrown;
    }
  }

  private lost(channel: AmqpChannel, reason: Error | undefined): void {
    if (this.channel !== channel) return;
    this.channel = undefined;
    const { holder, user } = this;
    const lasted = holder.clock.now() - this.openedAt >= STABLE_AFTER_MS;
    this.failures = lasted ? 0 : this.failures + 1;
    user.onLost(brokerFailure(reason ?? new Error('the channel was closed'), user.purpose));
    // Whether the connection is gone as well shows as soon as this event has been told to everybody.
    this.opening ??= Promise.resolve()
      .then(() => this.recover(reason))
      .finally(() => {
        this.opening = undefined;
      });
  }

  private async recover(reason: Error | undefined): Promise<void> {
    const { holder, stopping } = this;
    if (!holder.link) return;
    if (this.failures > 0) {
      await delay(backoffDelayMs(this.failures, BACKOFF), { clock: holder.clock, signal: stopping.signal });
    }
    // Something was deleted; with it the bindings of others may be gone, who are not told.
    if (reason && 'code' in reason && reason.code === 404) await holder.declareAll();
    await this.tryToOpen();
  }
}
