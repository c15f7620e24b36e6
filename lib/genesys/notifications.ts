import { type Clock, systemClock, type Timer } from '../core/clock';
import { ContactError, describe } from '../core/errors';
import { type Logger, silentLogger } from '../core/log';
import { quietLogger } from '../core/quiet-logger';
import type { LiveFigures } from '../monitor/figures';
import type { Metric } from '../monitor/registry';
import { Backfill } from './backfill';
import { NotificationChannel, TOPICS_A_CHANNEL } from './channel';
import type { Notification } from './channel-settings';
import { Checkpoint } from './checkpoint';
import { Emission, type PendingEvent } from './emission';
import {
  detailsOf,
  metricsOf,
  type NotificationsStatus,
  type NotificationsView,
  statusOf,
} from './notifications-report';
import type { NotificationsOptions } from './notifications-settings';
import { readOperationalEvent } from './operational-event';
import { EventRecovery, type MissedEvent } from './recovery';
import type { RejectedTopic } from './subscription';
import { TopicPlanner } from './topic-planner';
import { definitionOf, operationsTopic, shareTopics, type TopicPlan } from './topics';

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
  private hasHadChannel = false;
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
    return statusOf(this.view);
  }

  /** For `/stats`. */
  details(): Record<string, unknown> {
    return detailsOf(this.view);
  }

  /** What the live view charts. */
  figures(): LiveFigures {
    const { emitted, acknowledged, deadLettered, expired } = this.emission.counters;
    const waiting = this.emission.unsettled;
    const done = this.options.settings.settle ? acknowledged + deadLettered + expired : emitted;
    return { received: emitted + this.emission.heldBack, done, waiting };
  }

  /** For `/metrics`. */
  metrics(): Metric[] {
    return metricsOf(this.view);
  }

  /**
   * Sends no event into the flow until {@link resume}. The channels stay open, and what comes is held: up to 10,000
   * events in memory, more of those that can be read over REST later. What the flow has, it may still settle. A
   * restart ends it.
   */
  pause(): void {
    this.emission.pause();
    this.options.onChange();
  }

  /** Goes on after a pause: first with what was held. */
  resume(): void {
    this.emission.resume();
    this.options.onChange();
  }

  get isPaused(): boolean {
    return this.emission.isPaused;
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

  private get view(): NotificationsView {
    const { planner, channels, emission, backfill, recovery, counters, failure } = this;
    const { tokens } = this.options.account;
    return { planner, channels, emission, backfill, recovery, counters, openGaps: this.gaps.size, tokens, failure };
  }

  private async open(): Promise<void> {
    const { settings, id } = this.options;
    const left = handovers.get(id);
    const handover = this.takeOver();
    handovers.delete(id);
    if (!handover) await this.recovery.open();
    const saved = handover ? handover.from : settings.backfill ? await this.checkpoint.load() : undefined;
    this.startedFrom = saved ?? this.clock.now();
    this.polledUntil = this.startedFrom;
    if (this.closing !== undefined) return;
    if (left) this.emission.inherit(left.unsettled, left.settles);
    if (settings.backfill) await this.checkpoint.start();
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
    if (forget) handovers.delete(id);
    if (this.startedFrom === undefined) return;
    // What the hand-over holds is lost should the process end now, so the checkpoint still counts it as unsettled.
    if (settings.backfill) await this.checkpoint.close();
    if (forget) return;
    const { recovery, emission } = this;
    handovers.set(id, { key: account.key, recovery, unsettled, settles: emission.settles, from });
  }

  /** What an earlier run has left, if it was for the same account. */
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

  private assign(topics: readonly string[]): void {
    const channels = [...this.channels];
    const { kept, added } = shareTopics(
      channels.map((channel) => channel.topics),
      topics,
      TOPICS_A_CHANNEL,
    );
    for (const [index, channel] of channels.entries()) {
      const group = kept[index]!;
      if (group.length === 0) this.remove(channel);
      else if (group.join() !== channel.topics.join()) channel.setTopics(group);
    }
    for (const group of added) this.addChannel(group);
  }

  private addChannel(topics: readonly string[]): void {
    const { account, store, tuning, onChange, settings } = this.options;
    const { clock, logger } = this;
    // What happened before the run is wanted once, and not again because there were no topics for a while.
    const since = this.hasHadChannel ? clock.now() : this.startedFrom!;
    this.hasHadChannel = true;
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
}
