import { parseJson } from '../core/answers';
import { backoffDelayMs } from '../core/backoff';
import { delay, type Timer } from '../core/clock';
import { ContactError, toContactError } from '../core/errors';
import { type ConnectRequest, type ConnectTarget, ReconnectingSocket } from '../core/reconnecting-socket';
import type { AccessToken } from '../core/token-cache';
import { Twins } from '../core/twins';
import { type ChannelRecord, loadChannel, maskedChannel, readChannel } from './channel-record';
import type { ChannelCounters, ChannelOptions, ChannelReport, ChannelTimings, Notification } from './channel-settings';
import { CHANNEL_TIMINGS } from './channel-settings';
import { type RejectedTopic, readRejected, rejectionText } from './subscription';

/** A channel holds at most so many topics. */
export const TOPICS_A_CHANNEL = 1_000;

/** So many failed attempts in a row to use a channel again; the vendor's streaming client gives up at the same. */
const MOST_REUSES = 10;
/** Losses further back do not count as being in dispute with someone. */
const CONTENTION_MEMORY_MS = 30 * 60_000;
/** Genesys extends a channel to 24 h; an hour before that nothing may be left to chance. */
const LONGEST_WITHOUT_RENEWAL_MS = 23 * 3_600_000;
const LONGEST_MARGIN_MS = 3_600_000;
const PING = JSON.stringify({ message: 'ping' });
/** The close code of a connection that another one on the same channel has displaced. */
const DISPLACED = 1008;
/** Upgrades are refused with one of these when the channel is gone. */
const GONE = [401, 403, 404, 410];

/**
 * One notification channel that stays alive for ever: the same channel is used again over reconnects and restarts as
 * long as Genesys knows it, and before it ends a new one takes its place without a gap.
 */
export class NotificationChannel {
  readonly counters: ChannelCounters = {
    connections: 0,
    reconnects: 0,
    rollOvers: 0,
    channelsCreated: 0,
    channelsLost: 0,
    heartbeats: 0,
    controlFrames: 0,
    twins: 0,
  };
  private readonly timings: ChannelTimings;
  private readonly socket: ReconnectingSocket;
  private readonly twins = new Twins();
  private readonly stopping = new AbortController();
  private readonly leaveTokens: () => void;
  private wanted: readonly string[];
  private rejectedNow: RejectedTopic[] = [];
  private record: ChannelRecord | undefined;
  /** The channel of the connection that is open. */
  private openRecord: ChannelRecord | undefined;
  /** The number of the connection that is open. */
  private openConnection = 0;
  private remembered = false;
  /** What was last subscribed. */
  private subscribed: readonly string[] | undefined;
  private receiving = false;
  /** Attempts in a row to use the channel again without a single frame. */
  private reuses = 0;
  private contended: number[] = [];
  private lifeTimer: Timer | undefined;
  /** What a repetition of the subscription at the channel's half-life has led to. */
  private subscribing: Promise<void> = Promise.resolve();
  private problemNow: ContactError | undefined;
  /** Why the last attempt to connect failed; it stays while the next one is made. */
  private connectionProblem: ContactError | undefined;
  /** Another process has the subscriptions; they are not taken back before this time. */
  private displacedUntil: number | undefined;

  constructor(
    private readonly options: ChannelOptions,
    topics: readonly string[],
  ) {
    this.wanted = topics;
    this.timings = { ...CHANNEL_TIMINGS, ...options.timings };
    const { clock, logger } = options;
    const { idleLimitMs, pingMs, openTimeoutMs, overlapMs, backoff } = this.timings;
    this.socket = new ReconnectingSocket({
      prepare: (request) => this.prepare(request).catch(keepTrying),
      onMessage: (text, connection) => this.receive(text, connection),
      onOpen: ({ reason, connection }) => this.opened(connection, reason === 'replace'),
      onLost: ({ error, lastHeardAt }) => {
        this.counters.reconnects += 1;
        logger.warn(error.message, { code: error.code });
        clock.clearTimeout(this.lifeTimer);
        this.openRecord = undefined;
        this.stopReceiving(lastHeardAt ?? clock.now());
      },
      onState: (state) => {
        if (state.kind === 'waiting' || state.kind === 'failed') {
          this.connectionProblem = state.error;
          logger.warn(state.error.message);
        }
        options.onChange();
      },
      ping: { text: PING, everyMs: pingMs },
      idleLimitMs,
      openTimeoutMs,
      overlapMs,
      backoff,
      clock,
      logger,
    });
    // A channel ends with the token it belongs to, so it is handed over to the new one.
    this.leaveTokens = options.tokens.onRenewed(() => this.renewSoon());
  }

  /** Begins to connect. */
  start(): void {
    this.socket.start();
  }

  /** Under which key of the store it is remembered. */
  get key(): string {
    return this.options.key;
  }

  /** The topics that the channel is for. */
  get topics(): readonly string[] {
    return this.wanted;
  }

  /** The topics that Genesys has refused, as of the last subscription. */
  get rejected(): readonly RejectedTopic[] {
    return this.rejectedNow;
  }

  /** Whether events of the subscribed topics arrive now. */
  get live(): boolean {
    return this.receiving;
  }

  /** What keeps it from working. */
  get problem(): ContactError | undefined {
    return this.connectionProblem ?? this.problemNow;
  }

  /** Changes what is subscribed, at most {@link TOPICS_A_CHANNEL} topics. */
  setTopics(topics: readonly string[]): void {
    this.wanted = topics;
    if (this.socket.state.kind === 'open') this.renewSoon();
  }

  /** For `/stats`. */
  report(): ChannelReport {
    const { record, wanted, socket, problem, counters } = this;
    return {
      channel: record ? maskedChannel(record.id) : null,
      socket: socket.state.kind,
      topics: wanted.length - this.rejectedNow.length,
      endsAt: record ? new Date(endOf(record)).toISOString() : null,
      problem: problem?.message ?? null,
      ...counters,
    };
  }

  /** Ends within a second. The channel stays, to be used again. */
  async close(): Promise<void> {
    this.stopping.abort();
    this.leaveTokens();
    this.options.clock.clearTimeout(this.lifeTimer);
    await this.socket.close();
  }

  private async prepare({ reason, why, loss, signal }: ConnectRequest): Promise<ConnectTarget> {
    const { store, key, account, clock } = this.options;
    if (!this.remembered) {
      this.record = await loadChannel(store, key, account);
      this.remembered = true;
    }
    if (this.displacedUntil !== undefined) await delay(this.displacedUntil - clock.now(), { clock, signal });
    const refused = loss !== undefined && (GONE.includes(loss.error.status ?? 0) || loss.closeCode === DISPLACED);
    if (refused) await this.lose(signal, true);
    const needsNew = reason === 'replace' && why !== SOCKET_CLOSING && this.record === this.openRecord;
    if (needsNew || !this.record || !(await this.usable(this.record, signal))) await this.create(signal);
    return { url: this.record!.connectUri };
  }

  /** Whether the channel can be used again; its subscriptions have been repeated then. */
  private async usable(record: ChannelRecord, signal: AbortSignal): Promise<boolean> {
    const { client, clock } = this.options;
    if (endOf(record) <= clock.now() || this.reuses >= MOST_REUSES) return false;
    try {
      const what = 'see whether the notification channel still exists';
      await client.request('HEAD', channelPath(record), { what, signal });
      await this.subscribe(record, signal);
      this.reuses += 1;
      return true;
    } catch (thrown) {
      if (!isNotFound(thrown)) throw thrown;
      // One that an earlier process has left may have ended in the meantime as it should.
      await this.lose(signal, this.counters.connections > 0);
      return false;
    }
  }

  /**
   * The channel is gone before its time. Once may be an accident; when it goes on, someone else with the same client
   * uses up the 20 channels it may have, and making new ones at once would only take theirs away.
   */
  private async lose(signal: AbortSignal, early: boolean): Promise<void> {
    const { clock, logger } = this.options;
    if (!this.record) return;
    this.record = undefined;
    if (!early) return;
    this.counters.channelsLost += 1;
    const pauseMs = this.contention();
    if (pauseMs === 0) return;
    const error = contentionError('it was taken away again');
    this.connectionProblem = undefined;
    logger.warn(error.message);
    this.setProblem(error);
    await delay(pauseMs, { clock, signal });
  }

  /** How long to keep out of a dispute, after one more sign of it; 0 for the first one in a while. */
  private contention(): number {
    const { clock } = this.options;
    const now = clock.now();
    this.contended = [...this.contended.filter((time) => time > now - CONTENTION_MEMORY_MS), now];
    return this.contended.length < 3 ? 0 : backoffDelayMs(this.contended.length - 2, this.timings.contention);
  }

  private async create(signal: AbortSignal): Promise<void> {
    const { client, tokens, store, key, account, clock } = this.options;
    const what = 'create a notification channel';
    const answer = await client.request('POST', '/api/v2/notifications/channels', { what, signal });
    const record = readChannel(answer, account, tokens.current?.expiresAt ?? clock.now());
    if (!record) throw new ContactError('PROTOCOL', { attempted: what, answer: 'the answer describes no channel' });
    this.counters.channelsCreated += 1;
    this.reuses = 0;
    this.record = record;
    // Stored before anything else can go wrong: a channel that nobody remembers still counts towards the limit of 20.
    await store.set(key, record);
    await this.subscribe(record, signal);
  }

  /** Replaces the whole set of topics, which also extends the life of the channel. */
  private async subscribe(record: ChannelRecord, signal: AbortSignal): Promise<void> {
    const topics = this.wanted;
    const answer = await this.options.client.request('PUT', `${channelPath(record)}/subscriptions`, {
      what: `subscribe ${topics.length} notification topics`,
      query: { ignoreErrors: true },
      body: topics.map((id) => ({ id })),
      signal,
    });
    const rejected = readRejected(answer);
    const changed = JSON.stringify(rejected) !== JSON.stringify(this.rejectedNow);
    this.rejectedNow = rejected;
    this.subscribed = topics;
    if (changed && rejected.length > 0) this.options.logger.warn(rejectionText(rejected));
    this.setProblem(undefined);
  }

  private opened(connection: number, replaced: boolean): void {
    this.openConnection = connection;
    this.counters.connections += 1;
    if (replaced && this.receiving) this.counters.rollOvers += 1;
    this.openRecord = this.record;
    this.connectionProblem = undefined;
    this.displacedUntil = undefined;
    this.scheduleRenewal();
    this.startReceiving();
    // They have changed while the connection was being made.
    if (this.subscribed !== this.wanted) this.renewSoon();
    this.options.onChange();
  }

  private startReceiving(): void {
    if (this.receiving) return;
    this.receiving = true;
    this.options.onLive();
  }

  private stopReceiving(sinceMs: number): void {
    if (!this.receiving) return;
    this.receiving = false;
    this.options.onGap(sinceMs);
  }

  private renewSoon(): void {
    if (this.socket.state.kind !== 'open' || this.displacedUntil !== undefined) return;
    this.subscribing = this.subscribing
      .then(() => this.renew())
      .catch((thrown: unknown) => this.renewalFailed(toContactError(thrown, 'renew the notification channel')));
  }

  /** Repeats the subscription and finds out until when the channel lives now. */
  private async renew(): Promise<void> {
    const { client, tokens, clock, store, key } = this.options;
    const { record } = this;
    const { signal } = this.stopping;
    if (!record || signal.aborted) return;
    const endBefore = endOf(record);
    await this.subscribe(record, signal);
    this.startReceiving();
    const answer = await client.request('GET', '/api/v2/notifications/channels', {
      what: 'list the notification channels of the token',
      query: { includechannels: 'token' },
      signal,
    });
    // Only channels that belong to the asking token are told with their ids.
    const entities = (answer as { entities?: unknown } | undefined)?.entities;
    const own = (Array.isArray(entities) ? entities : []).find((entity) => entity?.id === record.id);
    const expiresAt = Date.parse(String(own?.expires));
    if (!Number.isNaN(expiresAt)) {
      Object.assign(record, { expiresAt, ownedUntil: tokens.current?.expiresAt ?? record.ownedUntil });
      await store.set(key, record);
    }
    if (this.record !== record || signal.aborted) return;
    const token = tokens.current;
    if (endOf(record) > Math.max(endBefore, clock.now())) this.scheduleRenewal();
    else if (token && endsWithOlderToken(record, token)) this.socket.replace('the channel ends with its token');
    else this.scheduleRollOver(record);
    this.options.onChange();
  }

  private renewalFailed(error: ContactError): void {
    const { clock, logger } = this.options;
    if (error.code === 'CLOSED' || this.stopping.signal.aborted || this.socket.state.kind !== 'open') return;
    logger.warn(error.message, { code: error.code });
    this.setProblem(error);
    if (!error.retryable || error.status === 403) {
      if (isNotFound(error)) this.counters.channelsLost += 1;
      this.socket.replace('the channel is gone');
      return;
    }
    const waitMs = Math.max(backoffDelayMs(3, this.timings.backoff), error.retryAfterMs ?? 0);
    this.setLifeTimer(clock.now() + waitMs, () => this.renewSoon());
  }

  /** At half of the remaining life, so that there is time for everything else that may be needed. */
  private scheduleRenewal(): void {
    if (!this.record) return;
    const now = this.options.clock.now();
    const halfMs = Math.min((endOf(this.record) - now) / 2, LONGEST_WITHOUT_RENEWAL_MS);
    this.setLifeTimer(now + halfMs, () => this.renewSoon());
  }

  /** Repeating the subscription did not help: a new channel takes over shortly before the old one ends. */
  private scheduleRollOver(record: ChannelRecord): void {
    const now = this.options.clock.now();
    const end = endOf(record);
    const marginMs = Math.min(LONGEST_MARGIN_MS, (end - now) / 5);
    this.setLifeTimer(end - marginMs, () => {
      const token = this.options.tokens.current;
      // A channel made with the same token would end at the same time. The new token is on its way and tells itself.
      if (record.ownedUntil > record.expiresAt || !token || endsWithOlderToken(record, token)) {
        this.socket.replace('the channel ends');
      }
    });
  }

  private setLifeTimer(dueMs: number, act: () => void): void {
    const { clock } = this.options;
    clock.clearTimeout(this.lifeTimer);
    // What still comes in while it is being closed sets no timer any more.
    if (this.stopping.signal.aborted) return;
    this.lifeTimer = clock.setTimeout(act, Math.max(0, dueMs - clock.now()));
  }

  private receive(text: string, connection: number): void {
    this.reuses = 0;
    const frame = parseJson(text);
    const topic = frame?.topicName;
    if (typeof topic !== 'string' || topic === 'channel.metadata' || topic.startsWith('v2.system.')) {
      this.counters.controlFrames += 1;
      // What is said of a connection that is on its way out does not concern the one that took its place.
      if (connection === this.openConnection) this.control(typeof topic === 'string' ? topic : '', frame?.['result']);
      return;
    }
    if (!this.socket.overlapping) this.twins.clear();
    else if (this.twins.isTwin(topic + JSON.stringify(frame!['eventBody']), connection)) {
      this.counters.twins += 1;
      return;
    }
    this.options.onEvent(text, frame as unknown as Notification, maskedChannel(this.record?.id ?? ''));
  }

  private control(topic: string, result: unknown): void {
    if (topic === 'channel.metadata') this.counters.heartbeats += 1;
    else if (topic === SOCKET_CLOSING) this.socket.replace(SOCKET_CLOSING);
    else if (topic.startsWith('v2.system.no_longer_subscribed')) this.displace();
    else if (topic.startsWith('v2.system.token_revoked')) this.tokenRevoked();
    else if (result === '404') this.renewSoon();
  }

  /** Another channel has taken over the subscriptions. To take them back at once would begin a fight without an end. */
  private displace(): void {
    const { clock, logger } = this.options;
    if (this.displacedUntil !== undefined) return;
    this.stopReceiving(clock.now());
    const error = contentionError('another process has taken over its subscriptions');
    logger.warn(error.message);
    this.setProblem(error);
    const pauseMs = this.contention() || backoffDelayMs(1, this.timings.contention);
    this.displacedUntil = clock.now() + pauseMs;
    this.setLifeTimer(this.displacedUntil, () => {
      this.displacedUntil = undefined;
      this.renewSoon();
    });
  }

  /** The channel goes with the token. Unless there is a newer token already, the next call gets one. */
  private tokenRevoked(): void {
    const { tokens } = this.options;
    const { current } = tokens;
    if (current && this.record && current.expiresAt <= this.record.ownedUntil) tokens.invalidate(current.value);
    this.socket.replace('the token was revoked');
  }

  private setProblem(problem: ContactError | undefined): void {
    if (problem === this.problemNow) return;
    this.problemNow = problem;
    this.options.onChange();
  }
}

const SOCKET_CLOSING = 'v2.system.socket_closing';

function endOf({ expiresAt, ownedUntil }: ChannelRecord): number {
  return Math.min(expiresAt, ownedUntil);
}

/** Whether it is the token that ends the channel, and a channel made with this one would last longer. */
function endsWithOlderToken({ expiresAt, ownedUntil }: ChannelRecord, token: AccessToken): boolean {
  return ownedUntil <= expiresAt && token.expiresAt > ownedUntil;
}

/** What Genesys does not take today it may take tomorrow: nobody watches a service that has to run for ever. */
function keepTrying(thrown: unknown): never {
  if (!(thrown instanceof ContactError) || thrown.retryable || thrown.code === 'CONFIGURATION') throw thrown;
  throw new ContactError(thrown.code, {
    attempted: 'set up the notification channel',
    answer: thrown.summary,
    retryable: true,
    cause: thrown,
  });
}

function channelPath({ id }: ChannelRecord): string {
  return `/api/v2/notifications/channels/${encodeURIComponent(id)}`;
}

function isNotFound(thrown: unknown): boolean {
  return thrown instanceof ContactError && thrown.code === 'NOT_FOUND';
}

function contentionError(answer: string): ContactError {
  return new ContactError('BUSY', {
    attempted: 'keep the notification channel',
    answer,
    advice:
      'An OAuth client has 20 channels, and a channel has one reader: use a client of its own for this runtime. It is tried again by itself, after a pause.',
  });
}
