import { type BackoffOptions, backoffDelayMs } from '../core/backoff';
import { type Clock, delay, systemClock, type Timer } from '../core/clock';
import { ContactError, toContactError } from '../core/errors';
import { type Logger, silentLogger } from '../core/log';
import { quietLogger } from '../core/quiet-logger';
import { type BrokerPlace, shownAddress } from './address';
import type { AmqpChannel, AmqpLink } from './amqp';
import { type DialOptions, dial } from './dial';
import { brokerFailure } from './failures';
import { dialMemory } from './memory/link';
import { type ChannelUser, Seat, type SeatHolder } from './seat';
import { declareTopology } from './topology';

/** What a connection does now. */
export type BrokerState =
  | { kind: 'idle' }
  | { kind: 'connecting'; attempt: number }
  | { kind: 'open'; since: number }
  /** The broker is short of memory or disk and takes nothing until it is not. */
  | { kind: 'blocked'; since: number; reason: string }
  | { kind: 'waiting'; attempt: number; delayMs: number; error: ContactError }
  | { kind: 'closed' };

/** Settings of a {@link BrokerConnection}. */
export interface BrokerConnectionOptions extends DialOptions {
  place: BrokerPlace;
  /** The wait between attempts; default 0.5 s growing to 15 s. */
  backoff?: BackoffOptions;
  /** How often everything is declared again while connected, so that what others delete comes back. Default 30 000 ms. */
  declareEveryMs?: number;
  clock?: Clock;
  logger?: Logger;
}

/** How long a goodbye may take. */
const CLOSE_WITHIN_MS = 500;
/** How long those who use the connection may take to finish. */
const USERS_WITHIN_MS = 4_000;
const DEFAULT_BACKOFF: BackoffOptions = { baseMs: 500, maxMs: 15_000 };

/**
 * One connection to a broker, shared by all who take a seat on it; each has a channel of its own. The first one starts
 * it. It comes back by itself, for ever.
 */
export class BrokerConnection implements SeatHolder {
  readonly clock: Clock;
  private readonly logger: Logger;
  private readonly stopping = new AbortController();
  private readonly seats = new Set<Seat>();
  private readonly listeners = new Set<(state: BrokerState) => void>();
  private stateNow: BrokerState = { kind: 'idle' };
  private current: AmqpLink | undefined;
  private connects = 0;
  private declareTimer: Timer | undefined;

  constructor(private readonly options: BrokerConnectionOptions) {
    this.clock = options.clock ?? systemClock;
    this.logger = quietLogger(options.logger ?? silentLogger, this.clock);
  }

  get state(): BrokerState {
    return this.stateNow;
  }

  get link(): AmqpLink | undefined {
    return this.current;
  }

  /** Where the broker is, without the login. */
  get target(): string {
    const { place } = this.options;
    return place.kind === 'memory' ? `memory:${place.name}` : place.addresses.map(shownAddress).join(', ');
  }

  /** Whether what the broker holds ends with this process. */
  get isVolatile(): boolean {
    return this.options.place.kind === 'memory';
  }

  /** Facts for a report. */
  details(): Record<string, unknown> {
    const { product } = this.current ?? {};
    const channels = [...this.seats].filter(({ isOpen }) => isOpen).length;
    return { target: this.target, product, users: this.seats.size, channels, connects: this.connects };
  }

  /** How often a connection was made. */
  get connectCount(): number {
    return this.connects;
  }

  /** Calls `listener` at each change of state, and gives back the function that ends this. */
  onState(listener: (state: BrokerState) => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  /** Gives a user a channel now and after each reconnect. Close the seat when the user ends. */
  take(user: ChannelUser): Seat {
    const seat = new Seat(this, user, () => this.seats.delete(seat));
    this.seats.add(seat);
    if (this.stateNow.kind === 'idle') this.start();
    else if (this.current) seat.open();
    return seat;
  }

  /** Works on a channel of its own, which is closed afterwards. Throws `UNREACHABLE` while there is no connection. */
  async withChannel<Result>(attempted: string, work: (channel: AmqpChannel) => Promise<Result>): Promise<Result> {
    const link = this.current;
    if (!link) {
      throw new ContactError('UNREACHABLE', { attempted, target: this.target, answer: 'there is no connection' });
    }
    try {
      const channel = await link.createChannel();
      try {
        return await work(channel);
      } finally {
        // The broker has closed it already when the work has failed.
        await channel.close().catch(() => {});
      }
    } catch (thrown) {
      throw brokerFailure(thrown, attempted, this.target);
    }
  }

  declareAll(): Promise<void> {
    // What has failed once would only fail again: its own seat looks after it.
    return this.declare([...this.seats].filter(({ isOpen }) => isOpen));
  }

  private async declare(seats: readonly Seat[]): Promise<void> {
    const link = this.current;
    for (const { user } of seats) {
      if (!link || this.current !== link) return;
      try {
        const channel = await link.createChannel();
        await declareTopology(channel, user.topology);
        await channel.close();
      } catch {
        // Whoever cannot work without it says so when its own channel is opened.
      }
    }
  }

  /** Ends the connection when those on it have finished, or after four seconds. */
  async close(): Promise<void> {
    this.clock.clearTimeout(this.declareTimer);
    const finished = Promise.all([...this.seats].map(({ closed }) => closed));
    const patience = new AbortController();
    await Promise.race([finished, delay(USERS_WITHIN_MS, { clock: this.clock, signal: patience.signal })]);
    patience.abort();
    this.stopping.abort();
    this.setState({ kind: 'closed' });
    const link = this.current;
    this.current = undefined;
    if (link) await this.sayGoodbye(link);
  }

  private async sayGoodbye(link: AmqpLink): Promise<void> {
    const patience = new AbortController();
    await Promise.race([
      link.close().catch(() => {}),
      delay(CLOSE_WITHIN_MS, { clock: this.clock, signal: patience.signal }),
    ]);
    patience.abort();
    link.destroy();
  }

  private start(): void {
    this.setState({ kind: 'connecting', attempt: 1 });
    this.run().catch((thrown: unknown) => {
      const error = toContactError(thrown, 'keep the connection to the broker');
      this.logger.error(error.message, { code: error.code });
    });
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    let failures = 0;
    let lostAt: number | undefined;
    while (!signal.aborted) {
      this.setState({ kind: 'connecting', attempt: failures + 1 });
      const link = await this.connect(failures);
      if (signal.aborted) {
        if (!(link instanceof ContactError)) link.destroy();
        return;
      }
      if (link instanceof ContactError) {
        failures += 1;
        await this.waitAfter(link, failures);
        continue;
      }
      if (lostAt !== undefined) {
        const seconds = Math.round((this.clock.now() - lostAt) / 1_000);
        this.logger.info(`Connected to the broker again after ${seconds} s.`);
      }
      const error = await this.live(link);
      if (signal.aborted) return;
      lostAt = this.clock.now();
      failures = this.lasted ? 1 : failures + 1;
      await this.waitAfter(error, failures);
    }
  }

  /** Whether the last connection was there long enough not to count as one more failure. */
  private lasted = false;

  /** From a connection that is open to its end; resolves with the reason. */
  private live(link: AmqpLink): Promise<ContactError> {
    const openedAt = this.clock.now();
    return new Promise((resolve) => {
      let reason: Error | undefined;
      link.on('error', (error) => {
        reason = error;
      });
      link.on('close', (error) => {
        this.current = undefined;
        this.clock.clearTimeout(this.declareTimer);
        this.lasted = this.clock.now() - openedAt >= 5_000;
        const cause = reason ?? error ?? new Error('it was closed');
        resolve(brokerFailure(cause, 'keep the connection to the broker', this.target));
      });
      link.on('blocked', (text) => {
        this.logger.warn(`The broker takes no more messages for now: ${text}.`);
        this.setState({ kind: 'blocked', since: this.clock.now(), reason: text });
      });
      link.on('unblocked', () => this.setState({ kind: 'open', since: this.clock.now() }));
      this.current = link;
      this.connects += 1;
      this.setState({ kind: 'open', since: openedAt });
      // Who publishes must not be faster than those who bind their queues.
      this.declare([...this.seats])
        .then(() => {
          if (this.current !== link) return;
          for (const seat of this.seats) seat.open();
          this.scheduleDeclare(link);
        })
        .catch((thrown: unknown) => {
          const error = toContactError(thrown, 'open the channels');
          this.logger.error(error.message, { code: error.code });
        });
    });
  }

  private scheduleDeclare(link: AmqpLink): void {
    const { declareEveryMs = 30_000 } = this.options;
    this.declareTimer = this.clock.setTimeout(() => {
      void this.declareAll().then(() => {
        if (this.current === link) this.scheduleDeclare(link);
      });
    }, declareEveryMs);
    this.declareTimer.unref?.();
  }

  private async connect(failures: number): Promise<AmqpLink | ContactError> {
    const { place } = this.options;
    try {
      if (place.kind === 'memory') return dialMemory(place.name);
      return await dial(place.addresses[failures % place.addresses.length]!, this.options);
    } catch (thrown) {
      return toContactError(thrown, 'connect to the broker');
    }
  }

  private async waitAfter(error: ContactError, failures: number): Promise<void> {
    const { place, backoff = DEFAULT_BACKOFF } = this.options;
    const hosts = place.kind === 'network' ? place.addresses.length : 1;
    this.logger.warn(error.message, { code: error.code });
    // All hosts of a cluster are tried before the first wait.
    const isRoundDone = failures % hosts === 0;
    const delayMs = isRoundDone ? backoffDelayMs(Math.ceil(failures / hosts), backoff) : 0;
    this.setState({ kind: 'waiting', attempt: failures + 1, delayMs, error });
    await delay(delayMs, { clock: this.clock, signal: this.stopping.signal });
  }

  private setState(state: BrokerState): void {
    if (this.stateNow.kind === 'closed') return;
    this.stateNow = state;
    for (const listener of [...this.listeners]) listener(state);
  }
}
