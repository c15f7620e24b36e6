import type { BackoffOptions } from '../core/backoff';
import { type Clock, systemClock, type Timer } from '../core/clock';
import { ContactError, describe } from '../core/errors';
import { type Logger, silentLogger } from '../core/log';
import { quietLogger } from '../core/quiet-logger';
import type { Metric } from '../monitor/registry';
import type { NodeState } from '../monitor/states';
import type { StateStore } from '../store/store';
import type { GenesysAccount } from './account';
import { Backfill } from './backfill';
import { type ChannelTimings, type Notification, NotificationChannel, TOPICS_A_CHANNEL } from './channel';
import { Checkpoint } from './checkpoint';
import { Emission, type EventMessage, type PendingEvent } from './emission';
import { readOperationalEvent } from './operational-event';
import { EventRecovery, type MissedEvent } from './recovery';
import { type RejectedTopic, rejectionText } from './subscription';
import { TopicPlanner } from './topic-planner';
import { definitionOf, operationsTopic, type TopicPlan } from './topics';

/** What a user sets about notifications. */
export interface NotificationsSettings {
  /** Whether to look through what the organization offers. */
  discover: boolean;
  /** What to take of it: matched against topic ids, and ids, names and descriptions of event definitions. */
  include: RegExp;
  exclude?: RegExp | undefined;
  /** Taken when nothing else is found. */
  topics: readonly string[];
  /** A file with topics, absolute; when it lists any, they are taken instead of all else. */
  topicsFile?: string | undefined;
  /** Whether events that the socket has missed are read over REST. */
  backfill: boolean;
  /** How much further back than needed they are read after a restart, in milliseconds. */
  overlapMs: number;
  /** How often to ask for events that are not offered on a socket, in milliseconds. */
  pollMs: number;
  /** Whether the flow settles each event; otherwise one is done when it was sent. */
  settle: boolean;
  /** An event that nobody settles for so long is not waited for any longer, in milliseconds. */
  settleTimeoutMs: number;
}

/** What nobody has to set: every value has a default that suits Genesys Cloud. */
export interface NotificationsTuning {
  channel?: Partial<ChannelTimings>;
  /** How far apart the creation of an event and its arrival may be, in milliseconds; see {@link EventRecovery}. */
  toleranceMs?: number;
  /** An event shows up in the REST query at most so long after it was created, in milliseconds; default 60,000. */
  settleMs?: number;
  /** Between attempts of the REST query after a failure. */
  backfillBackoff?: BackoffOptions;
  /** Between attempts to learn what the organization offers. */
  plannerBackoff?: BackoffOptions;
  /** At most so many events wait to be sent again; default 10,000. */
  retryLimit?: number;
}

/** What {@link GenesysNotifications} needs. */
export interface NotificationsOptions {
  /** The id of the node: channels, checkpoint and the memory of events belong to it. */
  id: string;
  settings: NotificationsSettings;
  account: Pick<GenesysAccount, 'client' | 'tokens' | 'key'>;
  store: StateStore;
  /** Sends a message into the flow. Must not throw. */
  send(message: EventMessage): void;
  /** Something has changed that a status may show. */
  onChange(): void;
  tuning?: NotificationsTuning;
  clock?: Clock;
  logger?: Logger;
}

/** What a status shows. */
export interface NotificationsStatus {
  state: NodeState;
  /** A key of the texts of a status. */
  text?: string;
  values?: Record<string, number>;
  reason?: string;
}

/** What the next run of the same node takes over, so that a redeploy neither loses nor repeats events. */
interface Handover {
  key: string;
  recovery: EventRecovery;
  unsettled: PendingEvent[];
  /** Whether the flow settles, as far as was seen. */
  settles: boolean;
  /** From when on events may have been missed, in milliseconds since the epoch. */
  from: number;
}

/** By node id; it ends with the process. */
const handovers = new Map<string, Handover>();
/** How long a flow may still settle what it has when the node is closed. */
const CLOSE_GRACE_MS = 1_500;

/** The events of an organization, received over notification channels and, where that leaves gaps, over REST. */
export class GenesysNotifications {
  private readonly clock: Clock;
  private readonly logger: Logger;
  private readonly emission: Emission;
  private readonly planner: TopicPlanner;
  private readonly checkpoint: Checkpoint;
  private readonly recovery: EventRecovery;
  private readonly backfill: Backfill;
  private readonly channels: NotificationChannel[] = [];
  /** Channels that are not receiving, with the time since when. */
  private readonly gaps = new Map<NotificationChannel, number>();
  /** From when on events may have been missed before this run. */
  private startedFrom: number | undefined;
  /** From when on this run does not receive any more. */
  private endedFrom: number | undefined;
  private polledUntil = 0;
  private pollTimer: Timer | undefined;
  private failure: string | undefined;
  private closing: Promise<void> | undefined;
  private readonly counters = { received: 0, duplicates: 0, gaps: 0, lastEventAt: 0 };

  constructor(private readonly options: NotificationsOptions) {
    const { id, settings, account, store, tuning = {} } = options;
    const { toleranceMs, settleMs, backfillBackoff, plannerBackoff, retryLimit } = tuning;
    this.clock = options.clock ?? systemClock;
    this.logger = quietLogger(options.logger ?? silentLogger, this.clock);
    const { clock, logger } = this;
    const { onChange } = options;
    this.planner = new TopicPlanner({
      client: account.client,
      wish: {
        discover: settings.discover,
        include: settings.include,
        exclude: settings.exclude,
        fallback: settings.topics,
      },
      file: settings.topicsFile,
      ...(plannerBackoff ? { backoff: plannerBackoff } : {}),
      onPlan: (plan) => this.apply(plan),
      onChange,
      clock,
      logger,
    });
    this.emission = new Emission({
      name: 'genesys-notifications-in',
      send: options.send,
      onProgress: () => this.checkpoint.touch(),
      definitionOf: (topic) => this.planner.definitionOf(topic),
      settle: settings.settle,
      settleTimeoutMs: settings.settleTimeoutMs,
      onPostponed: (event) => this.postpone(event),
      ...(retryLimit === undefined ? {} : { retryLimit }),
      clock,
      logger,
    });
    this.recovery =
      this.takeOver()?.recovery ??
      new EventRecovery({
        store,
        owner: id,
        ...(toleranceMs === undefined ? {} : { toleranceMs }),
        ...(settleMs === undefined ? {} : { settleMs }),
        clock,
        logger,
      });
    this.recovery.useStore(store);
    this.backfill = new Backfill({
      recovery: this.recovery,
      request: (method, path, { query, body, signal }) =>
        account.client.request(method, path, {
          what: 'read missed events over REST',
          query,
          body,
          repeatable: true,
          ...(signal ? { signal } : {}),
        }),
      onMissed: (missed) => this.recover(missed),
      ...(settleMs === undefined ? {} : { settleMs }),
      ...(backfillBackoff ? { backoff: backfillBackoff } : {}),
      onChange,
      clock,
      logger,
    });
    this.checkpoint = new Checkpoint({
      store,
      key: `genesys-checkpoint/${id}`,
      account: account.key,
      settledUntil: () => this.settledUntil() - settings.overlapMs,
      clock,
      logger,
    });
  }

  /** Begins. To be called when the flow is running, since events may come at once. It never rejects. */
  async start(): Promise<void> {
    try {
      await this.open();
    } catch (thrown) {
      this.failure = describe(thrown);
      this.logger.error(this.failure);
      this.options.onChange();
    }
  }

  /** What a status shows now. */
  status(): NotificationsStatus {
    const { planner, channels } = this;
    if (this.failure !== undefined) return { state: 'failed', reason: this.failure };
    const error = [planner.error, ...channels.map(({ problem }) => problem)].find((each) => each?.code === 'REFUSED');
    if (error && !channels.some(({ live }) => live)) {
      return {
        state: 'refused',
        text: error.status === 403 ? 'no-permission' : 'wrong-credentials',
        reason: error.message,
      };
    }
    const { plan } = planner;
    if (!plan) return { state: 'connecting', text: 'discovering', ...reasonOf(planner.error?.message) };
    return this.statusOf(plan);
  }

  /** For `/stats`. */
  details(): Record<string, unknown> {
    const { planner, channels, emission, backfill, recovery, counters } = this;
    const { plan } = planner;
    return {
      topics: {
        source: plan?.source ?? null,
        wanted: plan?.subscribed.length ?? 0,
        permitted: (plan?.subscribed.length ?? 0) - this.rejected.length,
        rejected: this.rejected,
        polledOverRest: plan?.polled ?? [],
        problems: planner.problems,
      },
      channels: channels.map((channel) => channel.report()),
      tokens: this.options.account.tokens.report(),
      events: {
        received: counters.received,
        duplicates: counters.duplicates + this.sum('twins'),
        backfilled: backfill.report().missed,
        controlFrames: this.sum('controlFrames'),
        ...emission.counters,
        unsettled: emission.unsettled,
        lastEventAt: counters.lastEventAt > 0 ? new Date(counters.lastEventAt).toISOString() : null,
      },
      gaps: { begun: counters.gaps, open: this.gaps.size },
      rest: backfill.report(),
      remembered: recovery.remembered,
    };
  }

  /** For `/metrics`. */
  metrics(): Metric[] {
    const { channels, emission, backfill, counters } = this;
    const rest = backfill.report();
    const counter = (name: string, help: string, value: number, labels?: Record<string, string>): Metric => ({
      name: `contact_center_genesys_${name}`,
      help,
      type: 'counter',
      value,
      ...(labels ? { labels } : {}),
    });
    const gauge = (name: string, help: string, value: number): Metric => ({
      ...counter(name, help, value),
      type: 'gauge',
    });
    const events = 'Events by what became of them.';
    return [
      ...Object.entries(emission.counters).map(([outcome, value]) =>
        counter('events_total', events, value, { outcome: snakeCase(outcome) }),
      ),
      counter('events_total', events, counters.received, { outcome: 'received' }),
      counter('events_total', events, counters.duplicates + this.sum('twins'), { outcome: 'duplicate' }),
      counter('events_total', events, rest.missed, { outcome: 'backfilled' }),
      counter('control_frames_total', 'Frames that are no events, such as heartbeats.', this.sum('controlFrames')),
      counter('socket_reconnects_total', 'Connections that were lost.', this.sum('reconnects')),
      counter('socket_roll_overs_total', 'Changes to a new connection without a gap.', this.sum('rollOvers')),
      counter('channels_created_total', 'Notification channels created.', this.sum('channelsCreated')),
      counter('channels_lost_total', 'Notification channels gone before their time.', this.sum('channelsLost')),
      counter('gaps_total', 'Times at which a channel stopped to receive.', counters.gaps),
      counter('rest_passes_total', 'Queries for missed events.', rest.passes),
      gauge('channels_live', 'Channels that receive.', channels.filter(({ live }) => live).length),
      gauge('topics_subscribed', 'Topics that are subscribed.', this.subscribedCount),
      gauge('topics_rejected', 'Topics that Genesys has refused.', this.rejected.length),
      gauge('unsettled_events', 'Events that the flow has not settled.', emission.unsettled),
      gauge('last_event_timestamp_seconds', 'When the last event came in.', counters.lastEventAt / 1_000),
    ];
  }

  /** The topics that Genesys has refused. */
  get rejected(): RejectedTopic[] {
    return this.channels.flatMap(({ rejected }) => rejected);
  }

  /**
   * Ends within 4 seconds; what the flow has not settled then is kept for the next start. With `forget` the node is
   * gone for good.
   */
  close({ forget = false } = {}): Promise<void> {
    this.closing ??= this.shutDown(forget);
    return this.closing;
  }

  private async open(): Promise<void> {
    const { settings, id } = this.options;
    const handover = this.takeOver();
    handovers.delete(id);
    if (!handover) await this.recovery.open();
    const saved = handover ? handover.from : settings.backfill ? await this.checkpoint.load() : undefined;
    this.startedFrom = saved ?? this.clock.now();
    this.polledUntil = this.startedFrom;
    if (this.closing !== undefined) return;
    if (handover) this.emission.resume(handover.unsettled, handover.settles);
    if (settings.backfill) this.checkpoint.start();
    await this.planner.start();
  }

  private async shutDown(forget: boolean): Promise<void> {
    const { id, account, settings } = this.options;
    this.planner.close();
    this.clock.clearTimeout(this.pollTimer);
    this.backfill.close();
    const from = this.missedSince() ?? this.clock.now();
    this.endedFrom = from;
    await Promise.all(this.channels.map((channel) => channel.close()));
    const unsettled = await this.emission.close(CLOSE_GRACE_MS);
    if (this.startedFrom === undefined) return;
    // What the hand-over holds is lost should the process end now, so the checkpoint still counts it as unsettled.
    if (settings.backfill) await this.checkpoint.close();
    if (forget) return;
    const { recovery, emission } = this;
    handovers.set(id, { key: account.key, recovery, unsettled, settles: emission.settles, from });
  }

  private takeOver(): Handover | undefined {
    const handover = handovers.get(this.options.id);
    return handover?.key === this.options.account.key ? handover : undefined;
  }

  /** Everything before this is in the past for good: received, read over REST, and settled. */
  private settledUntil(): number {
    return Math.min(this.missedSince() ?? Number.POSITIVE_INFINITY, this.emission.oldest ?? this.clock.now());
  }

  /** From when on events may not have been received yet; `undefined` when all have. */
  private missedSince(): number | undefined {
    const waiting = this.channels.length === 0 && this.planner.plan === undefined ? this.startedFrom : undefined;
    const polled = (this.planner.plan?.polled.length ?? 0) > 0 ? this.polledUntil : undefined;
    const all = [this.endedFrom, waiting, polled, this.backfill.openSince, ...this.gaps.values()];
    const times = all.filter((time) => time !== undefined);
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  private apply(plan: TopicPlan): void {
    if (this.closing !== undefined) return;
    const operational = plan.subscribed.map(definitionOf).filter((id) => id !== undefined);
    this.backfill.setDefinitions([...operational, ...plan.polled]);
    this.assign(plan.subscribed);
    this.clock.clearTimeout(this.pollTimer);
    if (plan.polled.length > 0) this.poll();
    const { source, subscribed, polled } = plan;
    this.logger.info(`Topics by ${source}: ${subscribed.length} to subscribe, ${polled.length} to poll over REST`);
  }

  /** Gives topics to channels. A topic that is on one stays there, so that a change touches as few as possible. */
  private assign(topics: readonly string[]): void {
    const wanted = new Set(topics);
    const groups = this.channels.map(({ topics: current }) => current.filter((topic) => wanted.has(topic)));
    for (const topic of groups.flat()) wanted.delete(topic);
    for (const group of groups) {
      for (const topic of [...wanted].slice(0, TOPICS_A_CHANNEL - group.length)) {
        group.push(topic);
        wanted.delete(topic);
      }
    }
    const channels = [...this.channels];
    for (const [index, group] of groups.entries()) {
      const channel = channels[index]!;
      if (group.length === 0) this.remove(channel);
      else if (
        group.length !== channel.topics.length ||
        group.some((topic, place) => topic !== channel.topics[place])
      ) {
        channel.setTopics(group);
      }
    }
    for (let rest = [...wanted]; rest.length > 0; rest = rest.slice(TOPICS_A_CHANNEL)) {
      this.addChannel(rest.slice(0, TOPICS_A_CHANNEL));
    }
  }

  private addChannel(topics: readonly string[]): void {
    const { account, store, tuning, onChange, settings } = this.options;
    const { clock, logger } = this;
    const since = this.channels.length === 0 ? this.startedFrom! : clock.now();
    const channel = new NotificationChannel(
      {
        key: this.freeKey(),
        store,
        client: account.client,
        tokens: account.tokens,
        account: account.key,
        onEvent: (text, notification, masked) => this.receive(text, notification, masked),
        onGap: (sinceMs) => {
          this.counters.gaps += 1;
          this.gaps.set(channel, sinceMs);
        },
        onLive: () => {
          const gapSince = this.gaps.get(channel);
          this.gaps.delete(channel);
          if (gapSince !== undefined && settings.backfill) this.backfill.cover(gapSince, clock.now());
        },
        onChange,
        ...(tuning?.channel ? { timings: tuning.channel } : {}),
        clock,
        logger,
      },
      topics,
    );
    this.gaps.set(channel, since);
    this.channels.push(channel);
    channel.start();
  }

  /** The same numbers again after a restart, so that the same channels are found in the store. */
  private freeKey(): string {
    const used = new Set(this.channels.map(({ key }) => key));
    for (let number = 0; ; number++) {
      const key = `genesys-channels/${this.options.id}/${number}`;
      if (!used.has(key)) return key;
    }
  }

  private remove(channel: NotificationChannel): void {
    this.channels.splice(this.channels.indexOf(channel), 1);
    this.gaps.delete(channel);
    channel.close().catch((thrown: unknown) => this.logger.warn(`A channel was not closed: ${describe(thrown)}`));
  }

  /** Where no socket is offered the REST query is all there is. */
  private poll(): void {
    const now = this.clock.now();
    this.backfill.cover(this.polledUntil, now);
    this.polledUntil = now;
    this.pollTimer = this.clock.setTimeout(() => this.poll(), this.options.settings.pollMs);
  }

  private receive(text: string, notification: Notification, channel: string): void {
    const receivedAt = this.clock.now();
    this.counters.received += 1;
    this.counters.lastEventAt = receivedAt;
    const event = readOperationalEvent(notification);
    const arrival = this.recovery.arrive(event, receivedAt);
    if (!arrival.isNew) {
      this.counters.duplicates += 1;
      return;
    }
    const pending: PendingEvent = {
      text,
      topic: notification.topicName,
      id: arrival.id,
      receivedAt,
      heldMs: receivedAt,
      channel,
      source: 'socket',
      correlationId: event.correlationId ?? arrival.id,
      recoverable: event.kind === 'operational',
      attempt: 1,
    };
    this.emission.emit(pending, notification, arrival.stored);
  }

  private async recover({ id, record, event }: MissedEvent): Promise<void> {
    await this.emission.room();
    if (this.closing !== undefined) throw new ContactError('CLOSED', { attempted: 'emit missed events' });
    const receivedAt = this.clock.now();
    this.counters.lastEventAt = receivedAt;
    const topic = operationsTopic(event.code ?? '');
    const payload = { topicName: topic, eventBody: record };
    const pending: PendingEvent = {
      text: JSON.stringify(payload),
      topic,
      id,
      receivedAt,
      heldMs: Math.min(event.timeMs ?? receivedAt, receivedAt),
      channel: null,
      source: 'rest',
      correlationId: id,
      recoverable: true,
      attempt: 1,
    };
    this.emission.emit(pending, payload);
  }

  private postpone(event: PendingEvent): void {
    this.recovery.forget(event.id);
    this.backfill.cover(event.heldMs, event.heldMs + 1);
  }

  private statusOf(plan: TopicPlan): NotificationsStatus {
    const { channels, planner, backfill, rejected } = this;
    const live = channels.filter((channel) => channel.live);
    if (live.length < channels.length) {
      const problem = channels.find((channel) => !channel.live)?.problem;
      const text = problem ? 'reconnecting' : 'subscribing';
      return { state: 'connecting', text, values: { count: plan.subscribed.length }, ...reasonOf(problem?.message) };
    }
    if (plan.subscribed.length + plan.polled.length === 0) {
      const reason = planner.problems[0] ?? 'No topic of the organization matches, and no other is listed.';
      return { state: 'degraded', text: 'no-topics', reason };
    }
    if (rejected.length > 0) {
      const state = rejected.length === plan.subscribed.length && plan.polled.length === 0 ? 'refused' : 'degraded';
      return { state, text: 'topics-rejected', values: { count: rejected.length }, reason: rejectionText(rejected) };
    }
    const problem = channels.find((channel) => channel.problem)?.problem ?? backfill.problem ?? planner.error;
    if (problem) return { state: 'degraded', reason: problem.message };
    const [sentence] = planner.problems;
    if (sentence !== undefined) return { state: 'degraded', reason: sentence };
    if (channels.length === 0) return { state: 'connected', text: 'polling' };
    return { state: 'connected', text: 'topics', values: { count: this.subscribedCount } };
  }

  private get subscribedCount(): number {
    return this.channels.reduce((sum, { topics, rejected }) => sum + topics.length - rejected.length, 0);
  }

  private sum(
    name: 'twins' | 'controlFrames' | 'reconnects' | 'rollOvers' | 'channelsCreated' | 'channelsLost',
  ): number {
    return this.channels.reduce((sum, { counters }) => sum + counters[name], 0);
  }
}

function reasonOf(reason: string | undefined): { reason?: string } {
  return reason === undefined ? {} : { reason };
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
