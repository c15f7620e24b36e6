import type { TokenCache } from '../core/token-cache';
import type { Metric } from '../monitor/registry';
import type { NodeState } from '../monitor/states';
import type { Backfill } from './backfill';
import type { NotificationChannel } from './channel';
import type { ChannelCounters } from './channel-settings';
import type { Emission } from './emission';
import type { EventRecovery } from './recovery';
import { rejectionText } from './subscription';
import type { TopicPlanner } from './topic-planner';
import type { TopicPlan } from './topics';

/** What a status shows. */
export interface NotificationsStatus {
  state: NodeState;
  /** A key of the texts of a status. */
  text?: string;
  values?: Record<string, number>;
  reason?: string;
}

/** The parts of a receiver of notifications that have something to tell. */
export interface NotificationsView {
  planner: TopicPlanner;
  channels: readonly NotificationChannel[];
  emission: Emission;
  backfill: Backfill;
  recovery: EventRecovery;
  tokens: TokenCache;
  counters: {
    /** Events from sockets. */
    received: number;
    /** Of these, the ones that were seen before. */
    duplicates: number;
    /** Times at which a channel stopped to receive. */
    gaps: number;
    /** Milliseconds since the epoch; 0 before the first. */
    lastEventAt: number;
  };
  /** Channels that do not receive now. */
  openGaps: number;
  /** Why it could not begin at all. */
  failure: string | undefined;
}

/** What the status shows. */
export function statusOf(view: NotificationsView): NotificationsStatus {
  const { planner, channels, failure } = view;
  if (failure !== undefined) return { state: 'failed', reason: failure };
  const errors = [planner.error, ...channels.map(({ problem }) => problem)];
  const refusal = errors.find((error) => error?.code === 'REFUSED');
  if (refusal && !channels.some(({ live }) => live)) {
    const text = refusal.status === 403 ? 'no-permission' : 'wrong-credentials';
    return { state: 'refused', text, reason: refusal.message };
  }
  const { plan } = planner;
  if (!plan) return { state: 'connecting', text: 'discovering', ...reasonOf(planner.error?.message) };
  return statusOfPlan(view, plan);
}

function statusOfPlan(
  { channels, planner, backfill, emission }: NotificationsView,
  plan: TopicPlan,
): NotificationsStatus {
  const waiting = channels.filter(({ live }) => !live);
  if (waiting.length > 0) {
    const problem = waiting.find((channel) => channel.problem)?.problem;
    const text = problem ? 'reconnecting' : 'subscribing';
    return { state: 'connecting', text, values: { count: plan.subscribed.length }, ...reasonOf(problem?.message) };
  }
  if (plan.subscribed.length + plan.polled.length === 0) {
    const reason = planner.problems[0] ?? 'No topic of the organization matches, and no other is listed.';
    return { state: 'degraded', text: 'no-topics', reason };
  }
  const rejected = channels.flatMap((channel) => channel.rejected);
  if (rejected.length > 0) {
    const state = rejected.length === plan.subscribed.length && plan.polled.length === 0 ? 'refused' : 'degraded';
    return { state, text: 'topics-rejected', values: { count: rejected.length }, reason: rejectionText(rejected) };
  }
  const error = channels.find(({ problem }) => problem)?.problem ?? backfill.problem ?? planner.error;
  const reason = error?.message ?? planner.problems[0];
  if (reason !== undefined) return { state: 'degraded', reason };
  if (emission.isPaused) return { state: 'paused', text: 'held-back', values: { count: emission.heldBack } };
  if (channels.length === 0) return { state: 'connected', text: 'polling' };
  if (backfill.busy && plan.polled.length === 0) return { state: 'working', text: 'back-filling' };
  return { state: 'connected', text: 'topics', values: { count: subscribedCount(channels) } };
}

/** What `/stats` shows. */
export function detailsOf(view: NotificationsView): Record<string, unknown> {
  const { planner, channels, emission, backfill, recovery, counters, openGaps, tokens } = view;
  const { plan, problems } = planner;
  const rejected = channels.flatMap((channel) => channel.rejected);
  return {
    topics: {
      source: plan?.source ?? null,
      wanted: plan?.subscribed.length ?? 0,
      permitted: subscribedCount(channels),
      rejected,
      polledOverRest: plan?.polled ?? [],
      problems,
    },
    channels: channels.map((channel) => channel.report()),
    tokens: tokens.report(),
    events: {
      received: counters.received,
      duplicates: counters.duplicates + sum(channels, 'twins'),
      backfilled: backfill.report().missed,
      controlFrames: sum(channels, 'controlFrames'),
      ...emission.counters,
      unsettled: emission.unsettled,
      held: emission.heldBack,
      lastEventAt: counters.lastEventAt > 0 ? new Date(counters.lastEventAt).toISOString() : null,
    },
    gaps: { begun: counters.gaps, open: openGaps },
    rest: backfill.report(),
    remembered: recovery.remembered,
  };
}

/** What `/metrics` shows. */
export function metricsOf({ channels, emission, backfill, counters }: NotificationsView): Metric[] {
  const { missed, passes } = backfill.report();
  const outcomes = {
    received: counters.received,
    duplicate: counters.duplicates + sum(channels, 'twins'),
    backfilled: missed,
    ...emission.counters,
  };
  const rejected = channels.reduce((total, channel) => total + channel.rejected.length, 0);
  return [
    ...Object.entries(outcomes).map(([outcome, value]) => ({
      ...counter('events_total', 'Events by what became of them.', value),
      labels: { outcome: snakeCase(outcome) },
    })),
    counter('control_frames_total', 'Frames that are no events, such as heartbeats.', sum(channels, 'controlFrames')),
    counter('socket_reconnects_total', 'Connections that were lost.', sum(channels, 'reconnects')),
    counter('socket_roll_overs_total', 'Changes to a new connection without a gap.', sum(channels, 'rollOvers')),
    counter('channels_created_total', 'Notification channels created.', sum(channels, 'channelsCreated')),
    counter('channels_lost_total', 'Notification channels gone before their time.', sum(channels, 'channelsLost')),
    counter('gaps_total', 'Times at which a channel stopped to receive.', counters.gaps),
    counter('rest_passes_total', 'Queries for missed events.', passes),
    gauge('channels_live', 'Channels that receive.', channels.filter(({ live }) => live).length),
    gauge('topics_subscribed', 'Topics that are subscribed.', subscribedCount(channels)),
    gauge('topics_rejected', 'Topics that Genesys has refused.', rejected),
    gauge('unsettled_events', 'Events that the flow has not settled.', emission.unsettled),
    gauge('last_event_timestamp_seconds', 'When the last event came in.', counters.lastEventAt / 1_000),
  ];
}

function counter(name: string, help: string, value: number): Metric {
  return { name: `contact_center_genesys_${name}`, help, type: 'counter', value };
}

function gauge(name: string, help: string, value: number): Metric {
  return { ...counter(name, help, value), type: 'gauge' };
}

function subscribedCount(channels: readonly NotificationChannel[]): number {
  return channels.reduce((total, { topics, rejected }) => total + topics.length - rejected.length, 0);
}

function sum(channels: readonly NotificationChannel[], name: keyof ChannelCounters): number {
  return channels.reduce((total, { counters }) => total + counters[name], 0);
}

function reasonOf(reason: string | undefined): { reason?: string } {
  return reason === undefined ? {} : { reason };
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
