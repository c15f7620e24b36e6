import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../core/clock';
import { ContactError, toContactError } from '../core/errors';
import { type Logger, silentLogger } from '../core/log';
import { type Book, type CallToRegister, type Claim, isOver, type KnownCall, type SeenChange } from './book';
import type { CheckedCall } from './call-request';
import { type AriChannel, type AriClient, channelPath } from './client';
import { type CallEnding, endingOf } from './endings';
import { type AriEvent, ClockShift } from './events';
import { type CallPlan, type LiveCall, liveCall } from './live-call';

/** How calls of one kind are made. */
export interface CallWay {
  /** What Asterisk dials; `{number}` stands for the number: `PJSIP/{number}@trunk`. */
  endpoint: string;
  /** What happens when it is answered; the dialplan as asked for, unless something is played. */
  answered: 'dialplan' | 'play' | 'direct';
  /** What is played: `sound:hello-world`. */
  media?: string;
}

/** A call to be made, with what is kept beside it. */
export interface CallOrder {
  call: CheckedCall;
  way: CallWay;
  claim?: Claim;
  createdBy?: string | undefined;
  correlationId?: string | undefined;
  attemptNumber?: number | undefined;
  metadata?: Record<string, unknown>;
}

/** What became of an order. */
export interface Made<Call> {
  call: Call;
  /** The key of the order was used before: this is the call it was used for. */
  replay: boolean;
  /** How long Asterisk took to accept it, in milliseconds. */
  tookMs: number;
}

/** Settings of a {@link CallDesk}. */
export interface CallDeskOptions<Call extends KnownCall> {
  client: AriClient;
  book: Book<Call>;
  /** The Stasis application. */
  app: string;
  /** Our name in the book: the application and the Asterisk. */
  owner: string;
  /** A playback is ended after so long; default 300,000 ms. */
  playLimitMs?: number;
  /** More calls at a time are refused; default 1,000. */
  mostCalls?: number;
  clock?: Clock;
  logger?: Logger;
}

/** How long a call may ring longer than it was meant to before we end it ourselves. */
const PATIENCE_MS = 10_000;
/** By this a channel of ours is known to be ours, after a restart too. */
const MARK = 'contact-center';

/**
 * Looks after the calls of one Stasis application: makes them, follows their events into the book, sends the answered
 * ones to where they belong, and finds out what became of those whose events were lost.
 */
export class CallDesk<Call extends KnownCall> {
  private readonly options: Required<CallDeskOptions<Call>>;
  private readonly live = new Map<string, LiveCall>();
  private readonly subscribed = new Set<string>();
  private readonly shift = new ClockShift();
  /** Foreign calls that were missing at the last look. */
  private strayed = new Set<string>();
  private loaded: Promise<void> | undefined;
  private closed = false;

  constructor(options: CallDeskOptions<Call>) {
    this.options = {
      playLimitMs: 300_000,
      mostCalls: 1_000,
      clock: systemClock,
      logger: silentLogger,
      ...options,
    };
  }

  /** Our name in the book: the application and the Asterisk. */
  get owner(): string {
    return this.options.owner;
  }

  /** How many calls are not over. */
  get size(): number {
    return this.live.size;
  }

  /** Takes over the calls that an earlier process has left. To be called before events are taken. */
  load(): Promise<void> {
    this.loaded ??= this.takeOver().catch((thrown: unknown) => {
      this.loaded = undefined;
      throw thrown;
    });
    return this.loaded;
  }

  /**
   * Registers a call and makes it. Rejects when it could not be registered, or when Asterisk did not take it: then the
   * book has it as `failed`, and should Asterisk make it all the same, it is ended.
   */
  async make(order: CallOrder): Promise<Made<Call>> {
    const { book, clock, mostCalls } = this.options;
    const attempted = 'make a call';
    if (this.live.size >= mostCalls) {
      const facts = { attempted, answer: `${mostCalls} calls are under way`, retryAfterMs: 5_000 };
      throw new ContactError('BUSY', { ...facts, reason: 'too_many_calls', status: 429 });
    }
    const callId = randomUUID();
    const began = clock.now();
    const plan = planOf(order);
    const live = liveCall({ callId, plan, timeoutMs: order.call.timeoutMs, dialedAt: began });
    live.asking = true;
    this.live.set(callId, live);
    try {
      const registration = await book.register(this.entryOf(callId, order, began), order.claim);
      if (registration.kind === 'conflict') {
        const answer = 'the idempotency key was used for another request';
        throw new ContactError('INVALID_INPUT', { attempted, answer, reason: 'idempotency_conflict', status: 422 });
      }
      if (registration.kind === 'replay' || !registration.call) {
        this.live.delete(callId);
        return { call: registration.call as Call, replay: true, tookMs: 0 };
      }
      live.dialedAt = clock.now();
      const channel = await this.originate(live, order);
      const tookMs = clock.now() - live.dialedAt;
      const dialing = { at: live.dialedAt, ...(channel ? { channel: channel.name } : {}) };
      this.record(callId, { to: 'dialing', ...dialing });
      // Somebody was quicker than Asterisk.
      if (live.hangupRequested) this.inBackground('hang a call up', this.options.client.hangUp(callId));
      return { call: answered(registration.call, live.dialedAt, channel), replay: false, tookMs };
    } catch (thrown) {
      const error = toContactError(thrown, attempted);
      if (this.live.delete(callId) && error.reason !== 'idempotency_conflict') {
        book.record(callId, { to: 'failed', at: clock.now(), reason: error.reason ?? 'internal_error' });
      }
      throw error;
    } finally {
      live.asking = false;
    }
  }

  /** Asks for the end of a call, of this process or another. False when Asterisk has no such call any more. */
  async hangUp(callId: string): Promise<boolean> {
    const { book, client, clock } = this.options;
    const live = this.live.get(callId);
    if (live) live.hangupRequested = true;
    book.record(callId, { at: clock.now(), hangupRequested: true });
    return client.hangUp(callId);
  }

  /** Takes an event of the application. */
  take(event: AriEvent): void {
    const { clock } = this.options;
    const at = this.shift.adjust(event.at, clock.now());
    if (event.playback) this.takePlayback(event);
    const { channel } = event;
    if (!channel) return;
    const live = this.live.get(channel.id);
    if (!live) {
      if (event.type === 'StasisStart' || (event.type === 'Dial' && event.dialStatus === ''))
        this.meetStranger(channel);
      return;
    }
    live.heard = true;
    live.missed = 0;
    if (channel.state === 'Up') live.answered = true;
    switch (event.type) {
      case 'Dial':
        this.takeDial(live, event.dialStatus ?? '', at, channel);
        break;
      case 'ChannelStateChange':
        if (channel.state === 'Ringing') this.record(live.callId, { to: 'ringing', at });
        if (channel.state === 'Up') this.record(live.callId, { to: 'answered', at, channel: channel.name });
        break;
      case 'ChannelDialplan':
        // Dialing itself counts as a step of the dialplan, in the end even in a context that does not exist.
        if (live.plan.kind === 'direct' && event.raw['dialplan_app'] !== 'AppDial2') live.served = true;
        break;
      case 'StasisStart':
        // With other ways of dialing it comes before anyone has picked up.
        if (channel.state !== 'Up') break;
        this.record(live.callId, { to: 'answered', at, channel: channel.name });
        this.inBackground('send a call on', this.serve(live));
        break;
      case 'ChannelHangupRequest':
        live.ending = true;
        live.requestCause = event.cause;
        break;
      case 'ChannelDestroyed':
        this.end(live, at, event.cause, event.techCause);
        break;
    }
  }

  /**
   * Compares the calls with Asterisk's channels. A call that is missing at two looks in a row is over, with `reason`;
   * one that is missing once may have ended in between, and its event is on the way. Answers whether another look is
   * needed.
   */
  async compare(reason: 'lost_events' | 'asterisk_stopped'): Promise<boolean> {
    const { client, clock } = this.options;
    const candidates = [...this.live.values()].filter(({ asking }) => !asking);
    const channels = new Map((await client.channels()).map((channel) => [channel.id, channel]));
    let unsure = false;
    for (const live of candidates) {
      if (!this.live.has(live.callId)) continue;
      const channel = channels.get(live.callId);
      if (channel) this.see(live, channel);
      else if (live.missed === 0) {
        live.missed = 1;
        unsure = true;
      } else this.lose(live, clock.now(), reason);
    }
    for (const channel of channels.values()) this.dismiss(channel);
    return unsure;
  }

  /** Ends calls of processes that are gone, at the second look at which Asterisk does not have them. */
  async tidy(): Promise<void> {
    const { book, client, clock, owner } = this.options;
    const asterisk = owner.slice(owner.indexOf('@'));
    const now = clock.now();
    const old = (await book.unfinished()).filter(
      (call) =>
        call.app !== owner &&
        call.app.endsWith(asterisk) &&
        now - call.createdAt > call.timeoutMs + PATIENCE_MS &&
        !this.live.has(call.callId),
    );
    if (old.length === 0) {
      this.strayed.clear();
      return;
    }
    const present = new Set((await client.channels()).map(({ id }) => id));
    const missing = old.filter(({ callId }) => !present.has(callId));
    for (const { callId, answeredAt } of missing) {
      if (!this.strayed.has(callId)) continue;
      const to = answeredAt === null ? 'failed' : 'completed';
      book.record(callId, { to, at: now, reason: 'lost_events' });
    }
    this.strayed = new Set(missing.map(({ callId }) => callId));
  }

  /** The events socket is new: what was subscribed to by others than the application has to be again. */
  reconnected(): void {
    this.subscribed.clear();
  }

  /** Stops all timers. The calls go on in Asterisk and are taken over by whoever comes next. */
  close(): void {
    this.closed = true;
    for (const { timer } of this.live.values()) this.options.clock.clearTimeout(timer);
    this.live.clear();
  }

  private async takeOver(): Promise<void> {
    const { book, owner } = this.options;
    for (const call of await book.unfinished()) {
      if (call.app === owner && !this.live.has(call.callId)) this.adopt(call);
    }
  }

  private adopt(call: KnownCall): LiveCall {
    const { callId, timeoutMs, dialedAt, createdAt, answeredAt, hangupRequestedAt } = call;
    const live = liveCall({ callId, timeoutMs, plan: knownPlan(call), dialedAt: dialedAt ?? createdAt });
    live.answered = answeredAt !== null;
    live.hangupRequested = hangupRequestedAt !== null;
    this.live.set(callId, live);
    return live;
  }

  private entryOf(callId: string, { call, way, ...beside }: CallOrder, createdAt: number): CallToRegister {
    const { phoneNumber, timeoutMs, context, extension, priority, callerId } = call;
    const { createdBy = null, correlationId = null, attemptNumber = 1, metadata = {} } = beside;
    return {
      callId,
      phoneNumber,
      timeoutMs,
      createdAt,
      app: this.options.owner,
      ...(way.answered === 'play' ? { media: way.media ?? null } : { context, extension, priority }),
      callerId: callerId ?? null,
      attemptNumber,
      createdBy,
      correlationId,
      metadata,
    };
  }

  private async originate(live: LiveCall, { call, way }: CallOrder): Promise<AriChannel | undefined> {
    const { client, app } = this.options;
    const { callId, plan } = live;
    const endpoint = way.endpoint.replace('{number}', call.phoneNumber);
    if (plan.kind === 'direct') await this.subscribe(way.endpoint);
    const { context, extension, priority } = call;
    const body = {
      endpoint,
      channelId: callId,
      // ARI takes seconds, and a number only.
      timeout: Math.max(1, Math.ceil(call.timeoutMs / 1_000)),
      variables: call.variables,
      ...(call.callerId === undefined ? {} : { callerId: call.callerId }),
      ...(plan.kind === 'direct' ? { context, extension, priority } : { app, appArgs: `${MARK},${callId}` }),
    };
    try {
      const made = await client.request('POST', 'channels', { what: 'make a call', body });
      return made as AriChannel;
    } catch (thrown) {
      const error = toContactError(thrown, 'make a call');
      if (error.code !== 'OUTCOME_UNKNOWN') throw error;
      // Asking again is allowed, making the call again is not: it might ring twice.
      const channel = await client.channel(callId).catch(() => undefined);
      if (channel || live.heard || !this.live.has(callId)) return channel;
      throw error;
    }
  }

  /** Without the application in the request, its events come only for an endpoint that it has subscribed to before. */
  private async subscribe(endpoint: string): Promise<void> {
    const [technology, address = ''] = endpoint.split('/');
    const resource = `${technology}/${address.split('@').pop()}`;
    if (this.subscribed.has(resource)) return;
    await this.options.client.request('POST', `applications/${encodeURIComponent(this.options.app)}/subscription`, {
      what: `subscribe to ${resource}`,
      query: { eventSource: `endpoint:${resource}` },
    });
    this.subscribed.add(resource);
  }

  private record(callId: string, change: SeenChange): void {
    this.options.book.record(callId, change);
  }

  private takeDial(live: LiveCall, status: string, at: number, channel: AriChannel): void {
    if (status === '') this.record(live.callId, { to: 'dialing', at, channel: channel.name });
    else if (status === 'ANSWER') this.record(live.callId, { to: 'answered', at, channel: channel.name });
    else if (['RINGING', 'PROGRESS', 'PROCEEDING'].includes(status)) this.record(live.callId, { to: 'ringing', at });
  }

  /** Sends an answered call to where it belongs. */
  private async serve(live: LiveCall): Promise<void> {
    const { client } = this.options;
    const { callId, plan } = live;
    if (live.serving || live.served || plan.kind === 'direct') return;
    live.serving = true;
    try {
      if (plan.kind === 'play') {
        await client.request('POST', `${channelPath(callId)}/play/${encodeURIComponent(callId)}`, {
          what: 'play to a call',
          query: { media: plan.media },
        });
        live.served = true;
        this.limitPlayback(live);
        return;
      }
      const { context, extension, priority } = plan;
      if (!(await this.dialplanExists(callId, plan))) {
        const what = `${context}/${extension}/${priority}`;
        this.options.logger.error(`The dialplan has no ${what}: a call that was answered there is ended`, { callId });
        await this.fail(live, { to: 'failed', reason: 'ivr_not_started' });
        return;
      }
      await client.request('POST', `${channelPath(callId)}/continue`, {
        what: 'send a call on to the dialplan',
        query: { context, extension, priority },
      });
      live.served = true;
    } catch (thrown) {
      const error = toContactError(thrown, 'send a call on');
      // It was hung up in between, or it is in the dialplan already: an earlier process has sent it on.
      if (error.code === 'NOT_FOUND') live.served = true;
      else if (error.reason === 'conflict') live.served = true;
      else throw error;
    } finally {
      live.serving = false;
    }
  }

  private async dialplanExists(
    callId: string,
    { context, extension, priority }: { context: string; extension: string; priority: number },
  ): Promise<boolean> {
    const answer = await this.options.client.request('GET', `${channelPath(callId)}/variable`, {
      what: 'look into the dialplan',
      query: { variable: `DIALPLAN_EXISTS(${context},${extension},${priority})` },
    });
    // An Asterisk without this function says nothing.
    return (answer as { value?: unknown } | undefined)?.value !== '0';
  }

  private async fail(live: LiveCall, ending: CallEnding): Promise<void> {
    live.failing = ending;
    await this.options.client.hangUp(live.callId);
  }

  /** The end of a playback may never be told: that of an unknown kind of media is not. */
  private limitPlayback(live: LiveCall): void {
    const { clock, client, playLimitMs } = this.options;
    if (this.closed || !this.live.has(live.callId)) return;
    live.timer = clock.setTimeout(() => {
      live.hangupRequested = true;
      this.inBackground('end a playback', client.hangUp(live.callId));
    }, playLimitMs);
    live.timer.unref?.();
  }

  private takePlayback({ type, playback }: AriEvent): void {
    const live = playback && this.live.get(playback.id);
    if (!live || type !== 'PlaybackFinished') return;
    // A playback also fails when the called party hangs up in its midst.
    const failed = playback.state === 'failed' && !live.hangupRequested && !live.ending;
    const ended = failed
      ? this.fail(live, { to: 'failed', reason: 'playback_failed' })
      : this.options.client.hangUp(live.callId);
    this.inBackground('end a call', ended);
  }

  private end(live: LiveCall, at: number, cause: number | undefined, techCause: number | undefined): void {
    const { answered, requestCause, hangupRequested, timeoutMs, dialedAt, failing } = live;
    const served = live.served || live.serving;
    const facts = { answered, served, cause, techCause, requestCause, hangupRequested, timeoutMs };
    const ending = failing ?? endingOf({ ...facts, elapsedMs: this.options.clock.now() - dialedAt });
    this.forget(live);
    if (answered) this.record(live.callId, { to: 'answered', at });
    this.record(live.callId, { ...ending, at });
  }

  private lose(live: LiveCall, at: number, reason: string): void {
    this.forget(live);
    this.record(live.callId, live.answered ? { to: 'completed', at, reason } : { to: 'failed', at, reason });
  }

  private forget(live: LiveCall): void {
    this.options.clock.clearTimeout(live.timer);
    this.live.delete(live.callId);
  }

  /** A call is there; perhaps it has moved on while nobody told us. */
  private see(live: LiveCall, channel: AriChannel): void {
    const at = this.options.clock.now();
    live.missed = 0;
    if (channel.state === 'Up') {
      live.answered = true;
      this.record(live.callId, { to: 'answered', at, channel: channel.name });
      // It may wait in our application, where it would stay, silent, for ever.
      this.inBackground('send a call on', this.serve(live));
      return;
    }
    this.record(live.callId, { to: channel.state === 'Ringing' ? 'ringing' : 'dialing', at, channel: channel.name });
    if (at - live.dialedAt > live.timeoutMs + PATIENCE_MS) {
      this.inBackground('end a call', this.fail(live, { to: 'no_answer', reason: 'no_answer' }));
    }
  }

  /** A channel that waits in our application although nobody has a call for it would stay there for ever. */
  private dismiss(channel: AriChannel): void {
    const { app, client } = this.options;
    const { app_name, app_data } = channel.dialplan;
    const isOurs = app_name === 'Stasis' && app_data?.startsWith(`${app},${MARK},`);
    if (isOurs && !this.live.has(channel.id)) this.inBackground('end a call', client.hangUp(channel.id));
  }

  /** A channel of a call that the book may have as over, because Asterisk was given up on when it was made. */
  private meetStranger(channel: AriChannel): void {
    const { book, client } = this.options;
    const look = async () => {
      const call = await book.get(channel.id);
      if (!call || this.live.has(channel.id)) return;
      if (isOver(call)) await client.hangUp(channel.id);
      else if (call.app === this.options.owner) this.see(this.adopt(call), channel);
    };
    this.inBackground('look after a call', look());
  }

  private inBackground(attempted: string, work: Promise<unknown>): void {
    work.catch((thrown: unknown) => {
      const error = toContactError(thrown, attempted);
      if (!this.closed) this.options.logger.warn(error.message, { code: error.code });
    });
  }
}

/** The call as it is told to who has ordered it: the book may be a moment behind. */
function answered<Call extends KnownCall>(call: Call, dialedAt: number, channel: AriChannel | undefined): Call {
  return { ...call, status: 'dialing', dialedAt, ...(channel ? { channel: channel.name } : {}) };
}

function planOf({ call, way }: CallOrder): CallPlan {
  if (way.answered === 'play') return { kind: 'play', media: way.media ?? '' };
  const { context, extension, priority } = call;
  return { kind: way.answered, context, extension, priority };
}

function knownPlan(call: KnownCall): CallPlan {
  const { context, extension, priority, media } = call;
  if (media !== null) return { kind: 'play', media };
  return { kind: 'dialplan', context: context ?? 'default', extension: extension ?? 's', priority: priority ?? 1 };
}
