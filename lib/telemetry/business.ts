import type { BusinessEvent } from '../core/business-events';
import { type Clock, systemClock, type Timer } from '../core/clock';
import type { Attributes, Signal } from './signals';

const SUMMARY_EVERY_MS = 300_000;
const HOUR_MS = 3_600_000;

/** What was done since the start, under the names that the summary has for it. */
const NOTHING = {
  cases_created: 0,
  conversations_processed: 0,
  conversations_skipped: 0,
  errors: 0,
  api_calls: 0,
  token_refreshes: 0,
  cody_polls: 0,
};

/**
 * Turns business events into the custom events and metrics that the dashboards and alerts of the Cody service have
 * always read, under the same names: times in seconds, sizes in bytes, and every five minutes a summary.
 */
export class BusinessTelemetry {
  private readonly totals = { ...NOTHING };
  private readonly startedAt: number;
  private timer: Timer | undefined;

  constructor(
    private readonly offer: (signal: Signal) => void,
    private readonly clock: Clock = systemClock,
  ) {
    this.startedAt = clock.now();
    this.schedule();
  }

  /** Tells of an event. */
  take(event: BusinessEvent): void {
    switch (event.kind) {
      case 'api-call':
        this.apiCall(event);
        break;
      case 'token-refresh':
        this.tokenRefresh(event);
        break;
      case 'rate-limit':
        this.event('rate_limit_hit', {
          api_name: event.api,
          ...(event.retryAfterMs === undefined ? {} : { retry_after: event.retryAfterMs / 1_000 }),
        });
        this.metric('rate_limit_events', 1, { api_name: event.api });
        break;
      case 'poll':
        this.poll(event);
        break;
      case 'conversation':
        this.conversation(event);
        break;
    }
  }

  /** Ends the summaries. */
  close(): void {
    this.clock.clearTimeout(this.timer);
    this.timer = undefined;
  }

  private apiCall({ api, what, tookMs, isSuccess, bytes }: Extract<BusinessEvent, { kind: 'api-call' }>): void {
    this.totals.api_calls += 1;
    const about = { api_name: api, operation: what, success: isSuccess };
    this.event('api_call', { ...about, duration: tookMs / 1_000 });
    this.metric('api_call_duration', tookMs / 1_000, about);
    this.metric('api_response_size', bytes, about);
  }

  private tokenRefresh({ api, tookMs, isSuccess }: Extract<BusinessEvent, { kind: 'token-refresh' }>): void {
    this.totals.token_refreshes += 1;
    const about = { api_name: api, success: isSuccess };
    this.event('token_refresh', { ...about, duration: tookMs / 1_000 });
    this.metric('token_refresh_duration', tookMs / 1_000, about);
    this.metric('token_refresh_attempts', 1, about);
  }

  private poll({ tookMs, found, processed, skipped, errors }: Extract<BusinessEvent, { kind: 'poll' }>): void {
    const { totals } = this;
    totals.cody_polls += 1;
    totals.conversations_skipped += skipped;
    totals.errors += errors;
    const seconds = tookMs / 1_000;
    this.event('cody_poll_completed', { duration: seconds, conversations_found: found });
    this.metric('cody_poll_count', 1);
    this.metric('cody_poll_duration', seconds);
    this.metric('conversations_found_per_poll', found);
    this.event('polling_cycle_completed', {
      duration: seconds,
      conversations_found: found,
      conversations_processed: processed,
      conversations_skipped: skipped,
      errors,
    });
    this.metric('polling_cycle_duration', seconds);
    this.metric('conversations_found_per_cycle', found);
    this.metric('conversations_processed_per_cycle', processed);
    this.metric('conversations_skipped_per_cycle', skipped);
    this.metric('errors_per_cycle', errors);
  }

  private conversation(event: Extract<BusinessEvent, { kind: 'conversation' }>): void {
    const { totals } = this;
    const { conversationId, caseId, action, tookMs, messages, characters } = event;
    const isNew = action === 'created';
    const about = { conversation_id: conversationId, case_id: caseId };
    const sizes = { message_count: messages, character_count: characters };
    totals.conversations_processed += 1;
    if (isNew) totals.cases_created += 1;
    this.event('conversation_processed', { ...about, ...sizes, action, processing_time: tookMs / 1_000 });
    this.metric('conversation_processing_time', tookMs / 1_000);
    this.metric('conversation_message_count', messages);
    this.metric('conversation_character_count', characters);
    if (isNew) {
      this.event('case_created', { ...about, ...sizes });
      this.total('cases_created_total', totals.cases_created);
      this.metric('conversation_message_count_at_creation', messages);
      this.metric('conversation_character_count_at_creation', characters);
    }
    const ratio = this.ratio;
    this.total('conversations_processed_total', totals.conversations_processed);
    this.metric('conversation_to_case_ratio', ratio);
    this.event('conversation_processing_ratio_updated', {
      conversations_processed: totals.conversations_processed,
      cases_created: totals.cases_created,
      success_rate_percent: ratio,
    });
  }

  private summarize(): void {
    const { totals } = this;
    const hours = Math.max(1, this.clock.now() - this.startedAt) / HOUR_MS;
    const perHour = (count: number) => round(count / hours);
    const operations = totals.conversations_processed + totals.errors;
    const rates = {
      cases_per_hour: perHour(totals.cases_created),
      conversations_per_hour: perHour(totals.conversations_processed),
      api_calls_per_hour: perHour(totals.api_calls),
      cody_polls_per_hour: perHour(totals.cody_polls),
      error_rate_percent: operations === 0 ? 0 : round((totals.errors * 100) / operations),
      conversation_to_case_ratio_percent: this.ratio,
    };
    const sums = Object.entries(totals).map(([name, value]) => [`total_${name}`, value] as const);
    this.event('business_metrics_summary', { ...Object.fromEntries(sums), ...rates });
    for (const [name, value] of sums) this.total(name, value);
    for (const [name, value] of Object.entries(rates)) this.metric(name, value);
  }

  /** Of a hundred conversations so many led to a new Case. */
  private get ratio(): number {
    const { cases_created, conversations_processed } = this.totals;
    return conversations_processed === 0 ? 0 : round((cases_created * 100) / conversations_processed);
  }

  private schedule(): void {
    this.timer = this.clock.setTimeout(() => {
      this.summarize();
      this.schedule();
    }, SUMMARY_EVERY_MS);
    this.timer.unref?.();
  }

  private event(name: string, attributes: Attributes): void {
    this.offer({ kind: 'event', at: this.clock.now(), name, attributes });
  }

  private metric(name: string, value: number, attributes: Attributes = {}): void {
    this.offer({ kind: 'metric', at: this.clock.now(), name, value, attributes });
  }

  private total(name: string, value: number): void {
    this.offer({ kind: 'metric', at: this.clock.now(), name, value, isTotal: true, attributes: {} });
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
