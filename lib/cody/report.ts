import type { LiveFigures } from '../monitor/figures';
import { counter, gauge } from '../monitor/metric';
import type { Metric, MetricGroupParts, NodeActions } from '../monitor/registry';
import type { NodeState } from '../monitor/states';
import type { CodyPoller } from './poller';

/** What a status shows. */
export interface PollerStatus {
  state: NodeState;
  /** A key of the texts of a status. */
  text?: string;
  values?: Record<string, number>;
  reason?: string;
}

/** What the status shows. */
export function statusOf(poller: CodyPoller): PollerStatus {
  const { problem, counters, looks, lease, client, settings } = poller;
  if (problem?.code === 'REFUSED') return { state: 'refused', text: 'wrong-credentials', reason: problem.message };
  if (looks.deliveries.stalled) {
    return {
      state: 'stalled',
      reason: 'All conversations that may be in the flow are there, and none comes to its end.',
    };
  }
  if (poller.isPaused) return { state: 'paused' };
  if (!poller.isPolling) {
    const holder = lease?.holder;
    return { state: 'paused', text: 'standby', ...(holder ? { reason: 'Another process polls.' } : {}) };
  }
  if (problem) return { state: 'degraded', reason: problem.message };
  if (client.pausedForMs > 0) return { state: 'degraded', text: 'rate-limited', reason: 'Cody has asked for a pause.' };
  if (counters.polls === 0) return { state: 'connecting', text: 'starting' };
  const progress = historyOf(poller);
  if (progress) return { state: 'working', text: 'history', values: { page: progress.page, pages: progress.pages } };
  if (settings.dryRun) return { state: 'connected', text: 'dry-run', values: { count: counters.wouldSend } };
  return { state: 'connected', text: 'sent', values: { count: counters.processed } };
}

/** What the node reports of a poller, once there is one. */
export function reportOf(poller: () => CodyPoller | undefined): {
  details(): Record<string, unknown>;
  metrics(): Metric[];
  groups(): MetricGroupParts;
  live(): LiveFigures;
  actions(): NodeActions;
} {
  const ask = <Answer>(question: (asked: CodyPoller) => Answer, none: Answer): Answer => {
    const asked = poller();
    return asked ? question(asked) : none;
  };
  return {
    details: () => ask(detailsOf, {}),
    metrics: () => ask(metricsOf, []),
    groups: () => ask((asked) => groupsOf(asked, process.uptime()), {}),
    live: () => ask(liveOf, {}),
    actions: () =>
      ask<NodeActions>(
        (asked) => (asked.isPaused ? { resume: () => asked.resume() } : { pause: () => asked.pause() }),
        {},
      ),
  };
}

/** What the live view charts: conversations that went into the flow. */
function liveOf({ looks }: CodyPoller): LiveFigures {
  const { open, acknowledged, retried, deadLettered } = looks.deliveries.counts();
  const done = acknowledged + retried + deadLettered;
  return { received: open + done, done, waiting: open };
}

/** What `/stats` shows. */
function detailsOf(poller: CodyPoller): Record<string, unknown> {
  const { counters, walk, book, looks, problem, client, settings } = poller;
  return {
    polling: poller.isPolling,
    conversations: {
      ...counters,
      watched: book.size,
      inFlow: looks.underWay,
    },
    list: { direction: walk.direction, pages: walk.pages, total: walk.total ?? null },
    history: historyOf(poller) ?? null,
    deliveries: looks.deliveries.counts(),
    calls: { ...client.counters, pausedForMs: client.pausedForMs },
    ...(settings.dryRun ? { wouldSend: looks.wouldSend } : {}),
    ...(problem ? { problem: problem.message } : {}),
  };
}

/** How far the first walk through the list has come. */
function historyOf({ walk }: CodyPoller): { page: number; pages: number } | undefined {
  const { position, pages } = walk;
  if (position === undefined || walk.isShort) return undefined;
  return { page: walk.direction === 'oldest-first' ? pages - position + 1 : position, pages };
}

/** What `/metrics` shows: each number under the name that the original service gave it, and under one of the pack. */
function metricsOf({ counters, book, looks, client: { counters: calls } }: CodyPoller): Metric[] {
  const polls = Math.max(1, counters.polls);
  return [
    counter('cody_poll_count', 'Polls of Cody.', counters.polls),
    gauge('cody_poll_duration', 'How long the latest poll took, in seconds.', counters.lastPollMs / 1_000),
    gauge('polling_cycle_duration', 'How long a poll takes on average, in seconds.', counters.pollMs / 1_000 / polls),
    gauge('conversations_found_per_poll', 'Conversations that the latest poll has read.', counters.foundInLastPoll),
    gauge('conversations_processed_per_cycle', 'Conversations that arrived, by poll.', counters.processed / polls),
    gauge('conversations_skipped_per_cycle', 'Looks that found nothing to send, by poll.', counters.skipped / polls),
    gauge('errors_per_cycle', 'Errors by poll.', counters.errors / polls),
    counter('contact_center_cody_polls_total', 'Polls of Cody.', counters.polls),
    counter('contact_center_cody_poll_seconds_total', 'How long all polls took.', counters.pollMs / 1_000),
    counter('contact_center_cody_looks_total', 'Looks at the messages of a conversation.', counters.looks),
    counter('contact_center_cody_conversations_sent_total', 'Conversations sent into the flow.', counters.emitted),
    counter(
      'contact_center_cody_conversations_total',
      'Conversations that arrived where they should.',
      counters.processed,
    ),
    counter('contact_center_cody_skipped_total', 'Looks that found nothing to send.', counters.skipped),
    counter('contact_center_cody_capped_total', 'Conversations taken before they had settled.', counters.capped),
    counter('contact_center_cody_errors_total', 'Polls and looks that failed.', counters.errors),
    counter('contact_center_cody_calls_total', 'Calls of the API.', calls.calls),
    counter('contact_center_cody_call_seconds_total', 'How long all calls took.', calls.tookMs / 1_000),
    counter('contact_center_cody_rate_limit_hits_total', 'Calls that were one too many.', calls.rateLimitHits),
    gauge('contact_center_cody_calls_in_last_poll', 'Calls during the latest poll.', counters.callsInLastPoll),
    gauge('contact_center_cody_watched', 'Conversations that are looked at again.', book.size),
    gauge('contact_center_cody_in_flow', 'Conversations that the flow has not settled.', looks.underWay),
    gauge('contact_center_cody_stalled', 'Whether nothing in the flow moves.', looks.deliveries.stalled ? 1 : 0),
  ];
}

/** The groups of the JSON form of `/metrics`, as the original service had them. */
function groupsOf({ counters, isPolling }: CodyPoller, uptimeSeconds: number): MetricGroupParts {
  const hours = Math.max(uptimeSeconds, 1) / 3_600;
  return {
    application: { polling_active: isPolling },
    conversations: {
      total_processed: counters.processed,
      total_skipped: counters.skipped,
      total_errors: counters.errors,
      processing_rate_per_hour: Math.round((counters.processed / hours) * 10) / 10,
    },
  };
}
