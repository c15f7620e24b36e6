import type { BackoffOptions } from '../core/backoff';
import { type Clock, delay, systemClock, type Timer } from '../core/clock';
import { ContactError, toContactError } from '../core/errors';
import { type Logger, silentLogger } from '../core/log';
import { quietLogger } from '../core/quiet-logger';
import { ReconnectingSocket, type SocketState } from '../core/reconnecting-socket';
import type { Book, KnownCall } from './book';
import { type AriAccess, AriClient, basic, eventsUrl } from './client';
import { CallDesk, type CallOrder, type Made } from './desk';
import { type AriEvent, readEvent } from './events';

/** Settings of an {@link AriConnection}. */
export interface AriConnectionOptions<Call extends KnownCall> {
  access: AriAccess;
  /** The Stasis application; no other process may use the same. */
  app: string;
  book: Book<Call>;
  playLimitMs?: number;
  mostCalls?: number;
  /** How often a ping is sent; a socket that is silent for two and a half times as long is dead. Default 10,000 ms. */
  pingMs?: number;
  /** How often the calls are compared with Asterisk's channels; default 15,000 ms. */
  compareMs?: number;
  /** For each answer over REST; default 5,000 ms. */
  answerWithinMs?: number;
  backoff?: BackoffOptions;
  clock?: Clock;
  logger?: Logger;
}

/** How the connection stands. */
export type AriState =
  | { kind: 'idle' | 'connecting' | 'closed' }
  /** Events arrive and calls can be made. */
  | { kind: 'ready' }
  /** Another program uses the same application and gets its events. */
  | { kind: 'replaced'; error: ContactError }
  | { kind: 'refused'; error: ContactError }
  | { kind: 'away'; error: ContactError };

/** Numbers since the start. */
export interface AriCounts {
  /** By type, and whether one of our nodes could do something with it. */
  events: Map<string, number>;
  unreadable: number;
  reconnects: number;
}

/** Who is refused is not let in a second later either, and Asterisk logs each attempt. */
const REFUSED_PAUSE_MS = 30_000;
/** Between the two looks that it takes to believe that a call is over. */
const SECOND_LOOK_MS = 1_000;
/** Half of all events of an answered SIP call say what nobody here wants to know. */
const NOISE = ['ChannelVarset', 'ChannelCallerId', 'ChannelConnectedLine', 'DeviceStateChanged', 'EndpointStateChange'];
/** How many names of event types are counted by themselves. */
const MOST_TYPES = 60;

/** One events socket and one REST client for one Stasis application, and the calls of this application. */
export class AriConnection<Call extends KnownCall = KnownCall> {
  readonly client: AriClient;
  readonly desk: CallDesk<Call>;
  readonly counts: AriCounts = { events: new Map(), unreadable: 0, reconnects: 0 };
  private readonly options: Required<AriConnectionOptions<Call>>;
  private readonly socket: ReconnectingSocket;
  private readonly logger: Logger;
  private readonly listeners = new Set<(event: AriEvent) => void>();
  private readonly stateListeners = new Set<(state: AriState) => void>();
  private readonly stopping = new AbortController();
  private stateNow: AriState = { kind: 'idle' };
  private current = 0;
  private timer: Timer | undefined;
  private bootedAt: string | undefined;
  private restarted = false;
  private httpFailed = false;

  constructor(options: AriConnectionOptions<Call>) {
    this.options = {
      playLimitMs: 300_000,
      mostCalls: 1_000,
      pingMs: 10_000,
      compareMs: 15_000,
      answerWithinMs: 5_000,
      backoff: { baseMs: 500, maxMs: 30_000 },
      clock: systemClock,
      logger: silentLogger,
      ...options,
    };
    const { access, app, book, playLimitMs, mostCalls, clock, pingMs, backoff } = this.options;
    this.logger = quietLogger(this.options.logger, clock);
    this.client = new AriClient(access, this.options.answerWithinMs);
    const owner = `${app}@${new URL(access.url).host}`;
    const desk = { client: this.client, book, app, owner, playLimitMs, mostCalls, clock, logger: this.logger };
    this.desk = new CallDesk<Call>(desk);
    this.socket = new ReconnectingSocket({
      prepare: ({ signal }) => this.prepare(signal),
      onMessage: (text, connection) => this.takeFrame(text, connection),
      onOpen: ({ connection, reason }) => {
        if (reason !== 'start') this.counts.reconnects += 1;
        this.current = connection;
        void this.settle(connection);
      },
      onLost: () => {
        this.current = 0;
      },
      onState: (state) => this.follow(state),
      openTimeoutMs: 5_000,
      idleLimitMs: pingMs * 2.5,
      // Asterisk answers a ping of the protocol within milliseconds, and sends none itself.
      ping: { everyMs: pingMs },
      backoff,
      clock,
      logger: this.logger,
    });
  }

  /** How the connection stands. */
  get state(): AriState {
    return this.stateNow;
  }

  /** Whether the last exchange over REST has worked, and whether the events socket is open. */
  get connected(): { http: boolean; socket: boolean } {
    return { http: this.stateNow.kind !== 'idle' && !this.httpFailed, socket: this.current !== 0 };
  }

  /** Begins to connect. Only the first call does something. */
  start(): void {
    this.socket.start();
  }

  /** Calls `listener` with every event of the application. Gives back the function that ends this. */
  onEvent(listener: (event: AriEvent) => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  /** Calls `listener` with each change of the state. Gives back the function that ends this. */
  onState(listener: (state: AriState) => void): () => void {
    this.stateListeners.add(listener);
    return () => {
      this.stateListeners.delete(listener);
    };
  }

  /** Makes a call. Rejects while events do not arrive: who picked up then would hear nothing. */
  async make(order: CallOrder): Promise<Made<Call>> {
    this.mustBeReady('make a call');
    return this.watch(() => this.desk.make(order));
  }

  /** Ends a call. False when Asterisk has no such call any more. */
  hangUp(callId: string): Promise<boolean> {
    return this.watch(() => this.desk.hangUp(callId));
  }

  /** Ends the connection within a second. Calls go on in Asterisk. */
  async close(): Promise<void> {
    this.stopping.abort();
    this.options.clock.clearTimeout(this.timer);
    this.set({ kind: 'closed' });
    this.listeners.clear();
    this.stateListeners.clear();
    this.desk.close();
    await this.socket.close();
    this.client.close();
  }

  /** Throws unless calls can be made now. */
  mustBeReady(attempted: string): void {
    const { stateNow: state } = this;
    if (state.kind === 'ready') return;
    throw new ContactError('UNREACHABLE', {
      attempted,
      answer: 'error' in state ? state.error.summary : 'the connection to Asterisk is not ready',
      reason: 'asterisk_unavailable',
      status: 503,
      retryAfterMs: 5_000,
      advice: 'It is connected again by itself; try again then.',
    });
  }

  /** Waits until Asterisk is ready and lets us in, and until the calls that were left are taken over. */
  private async prepare(signal: AbortSignal): Promise<{ url: string; headers: Record<string, string> }> {
    const { access, app } = this.options;
    try {
      const info = await this.watch(() =>
        this.client.request('GET', 'asterisk/info', { what: 'connect to Asterisk', query: { only: 'status' }, signal }),
      );
      const { startup_time: bootedAt } = (info as { status?: { startup_time?: string } } | undefined)?.status ?? {};
      this.restarted = this.bootedAt !== undefined && this.bootedAt !== bootedAt;
      this.bootedAt = bootedAt;
      await this.desk.load();
    } catch (thrown) {
      const error = toContactError(thrown, 'connect to Asterisk');
      if (error.code !== 'REFUSED') throw retryable(error);
      throw new ContactError('REFUSED', {
        attempted: 'connect to Asterisk',
        answer: error.summary,
        reason: 'ari_auth',
        retryAfterMs: REFUSED_PAUSE_MS,
        advice: 'Check the user and the password in ari.conf.',
      });
    }
    return { url: eventsUrl(access, app), headers: { Authorization: basic(access) } };
  }

  /** The socket is open: events arrive from now on, and what was missed before is found out. */
  private async settle(connection: number): Promise<void> {
    const { app } = this.options;
    try {
      this.desk.reconnected();
      await this.client
        .request('PUT', `applications/${encodeURIComponent(app)}/eventFilter`, {
          what: 'choose the events',
          body: { disallowed: NOISE.map((type) => ({ type })) },
        })
        .catch((thrown: unknown) => {
          // Releases before 16.10 have no filter; with the noise all works too.
          if (toContactError(thrown, 'choose the events').code !== 'NOT_FOUND') throw thrown;
        });
      await this.compare();
      if (this.current !== connection || this.stateNow.kind === 'replaced' || this.stopping.signal.aborted) return;
      this.httpFailed = false;
      this.set({ kind: 'ready' });
      this.schedule(this.options.compareMs);
    } catch (thrown) {
      const error = toContactError(thrown, 'find out about the calls');
      if (this.current === connection && !this.stopping.signal.aborted) this.socket.drop(retryable(error));
    }
  }

  private async compare(): Promise<void> {
    const { clock } = this.options;
    const reason = this.restarted ? 'asterisk_stopped' : 'lost_events';
    if (!(await this.desk.compare(reason))) return;
    await delay(SECOND_LOOK_MS, { clock, signal: this.stopping.signal });
    if (!this.stopping.signal.aborted) await this.desk.compare(reason);
  }

  private schedule(afterMs: number): void {
    const { clock, compareMs } = this.options;
    clock.clearTimeout(this.timer);
    this.timer = clock.setTimeout(() => {
      const look = async () => {
        if (this.stateNow.kind === 'ready') {
          this.restarted = false;
          if (this.desk.size > 0) await this.watch(() => this.compare());
          await this.desk.tidy();
        }
      };
      look()
        .catch((thrown: unknown) => this.logger.warn(toContactError(thrown, 'look after the calls').message))
        .finally(() => {
          if (!this.stopping.signal.aborted) this.schedule(compareMs);
        });
    }, afterMs);
    this.timer.unref?.();
  }

  private takeFrame(text: string, connection: number): void {
    const event = readEvent(text);
    if (!event) {
      this.counts.unreadable += 1;
      return;
    }
    const { events } = this.counts;
    if (events.has(event.type) || events.size < MOST_TYPES) {
      events.set(event.type, (events.get(event.type) ?? 0) + 1);
    }
    // The socket stays open, but nothing will arrive on it any more. Taking the application back would start a war.
    if (event.type === 'ApplicationReplaced' && connection === this.current) {
      const error = new ContactError('REFUSED', {
        attempted: 'receive the events of Asterisk',
        answer: `another program uses the application ${this.options.app}`,
        reason: 'application_replaced',
        advice: 'Give each program an application of its own, then deploy again.',
      });
      this.logger.error(error.message, { code: error.code });
      this.set({ kind: 'replaced', error });
      return;
    }
    this.desk.take(event);
    for (const listener of [...this.listeners]) listener(event);
  }

  private follow(state: SocketState): void {
    if (state.kind === 'closed' || state.kind === 'idle' || state.kind === 'open') return;
    if (state.kind === 'connecting') {
      if (this.stateNow.kind === 'idle') this.set({ kind: 'connecting' });
      return;
    }
    const { error } = state;
    this.logger.warn(error.message, { code: error.code });
    this.set({ kind: error.code === 'REFUSED' ? 'refused' : 'away', error });
  }

  /** Remembers whether REST works. */
  private async watch<Result>(request: () => Promise<Result>): Promise<Result> {
    try {
      const result = await request();
      this.httpFailed = false;
      return result;
    } catch (thrown) {
      if (thrown instanceof ContactError && /^ari_(unavailable|auth)$/.test(thrown.reason ?? ''))
        this.httpFailed = true;
      throw thrown;
    }
  }

  private set(state: AriState): void {
    if (this.stateNow.kind === 'closed') return;
    this.stateNow = state;
    for (const listener of [...this.stateListeners]) listener(state);
  }
}

/** Whatever has happened, the connection is tried again. */
function retryable(error: ContactError): ContactError {
  if (error.retryable) return error;
  const { code, summary, reason, status } = error;
  return new ContactError(code, {
    attempted: 'connect to Asterisk',
    answer: summary,
    retryable: true,
    ...(reason === undefined ? {} : { reason }),
    ...(status === undefined ? {} : { status }),
  });
}
