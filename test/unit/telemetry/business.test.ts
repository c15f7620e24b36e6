import assert from 'node:assert/strict';
import FakeTimers from '@sinonjs/fake-timers';
import type { BusinessEvent } from '../../../lib/core/business-events';
import { BusinessTelemetry } from '../../../lib/telemetry/business';
import type { EventSignal, MetricSignal, Signal } from '../../../lib/telemetry/signals';

/** The names that the documents of the Cody service list. */
const EVENTS = `api_call business_metrics_summary case_created cody_poll_completed conversation_processed
  conversation_processing_ratio_updated polling_cycle_completed rate_limit_hit token_refresh`;
const METRICS = `api_call_duration api_calls_per_hour api_response_size cases_created_total cases_per_hour cody_poll_count
  cody_poll_duration cody_polls_per_hour conversation_character_count conversation_character_count_at_creation
  conversation_message_count conversation_message_count_at_creation conversation_processing_time
  conversation_to_case_ratio conversation_to_case_ratio_percent conversations_found_per_cycle
  conversations_found_per_poll conversations_per_hour conversations_processed_per_cycle conversations_processed_total
  conversations_skipped_per_cycle error_rate_percent errors_per_cycle polling_cycle_duration rate_limit_events
  token_refresh_attempts token_refresh_duration total_api_calls total_cases_created total_cody_polls
  total_conversations_processed total_conversations_skipped total_errors total_token_refreshes`;

const conversation = (action: 'created' | 'updated'): BusinessEvent => ({
  kind: 'conversation',
  conversationId: 'c1',
  caseId: '77',
  action,
  tookMs: 1_500,
  messages: 4,
  characters: 900,
});
const ONE_OF_EACH: BusinessEvent[] = [
  { kind: 'poll', tookMs: 400, found: 5, processed: 2, skipped: 3, errors: 1 },
  { kind: 'api-call', api: 'cody', what: 'list the conversations', tookMs: 250, isSuccess: true, bytes: 2_048 },
  { kind: 'token-refresh', api: 'zoho', tookMs: 100, isSuccess: true },
  { kind: 'rate-limit', api: 'zoho', retryAfterMs: 60_000 },
  conversation('created'),
];

describe('the telemetry of the business', () => {
  let time: ReturnType<typeof FakeTimers.install>;
  let told: Signal[];
  let business: BusinessTelemetry;
  const events = (name: string) =>
    told.filter((signal): signal is EventSignal => signal.kind === 'event' && signal.name === name);
  const values = (name: string) =>
    told
      .filter((signal): signal is MetricSignal => signal.kind === 'metric' && signal.name === name)
      .map(({ value }) => value);
  const names = (kind: 'event' | 'metric') =>
    [...new Set(told.flatMap((signal) => (signal.kind === kind ? [signal.name] : [])))].toSorted();

  beforeEach(() => {
    time = FakeTimers.install({ now: 1_700_000_000_000, toFake: ['Date', 'setTimeout', 'clearTimeout'] });
    told = [];
    business = new BusinessTelemetry((signal) => told.push(signal));
  });
  afterEach(() => {
    business.close();
    time.uninstall();
  });

  it('has all the names that dashboards and alerts know, and no others', () => {
    for (const event of ONE_OF_EACH) business.take(event);
    time.tick(300_000);
    assert.deepEqual(names('event'), EVENTS.split(/\s+/));
    assert.deepEqual(names('metric'), METRICS.split(/\s+/));
  });

  it('tells times in seconds and sizes in bytes, with the name of the API beside them', () => {
    for (const event of ONE_OF_EACH) business.take(event);
    assert.deepEqual(values('cody_poll_duration'), [0.4]);
    assert.deepEqual(values('conversation_processing_time'), [1.5]);
    assert.deepEqual(values('api_response_size'), [2_048]);
    const [call] = events('api_call');
    assert.deepEqual(call?.attributes, {
      api_name: 'cody',
      operation: 'list the conversations',
      success: true,
      duration: 0.25,
    });
    assert.equal(events('rate_limit_hit')[0]?.attributes['retry_after'], 60);
  });

  it('counts a Case once, however often its conversation grows', () => {
    business.take(conversation('created'));
    business.take(conversation('updated'));
    assert.equal(events('case_created').length, 1);
    assert.equal(events('conversation_processed').length, 2);
    assert.deepEqual(values('conversation_to_case_ratio'), [100, 50]);
    assert.deepEqual(events('conversation_processing_ratio_updated').at(-1)?.attributes, {
      conversations_processed: 2,
      cases_created: 1,
      success_rate_percent: 50,
    });
  });

  it('sums up every five minutes', () => {
    for (const event of ONE_OF_EACH) business.take(event);
    time.tick(299_999);
    assert.equal(events('business_metrics_summary').length, 0);
    time.tick(1);
    const [summary] = events('business_metrics_summary');
    assert.equal(summary?.attributes['total_cases_created'], 1);
    assert.equal(summary?.attributes['cases_per_hour'], 12);
    assert.equal(summary?.attributes['error_rate_percent'], 50);
    time.tick(300_000);
    assert.deepEqual(values('cases_per_hour'), [12, 6]);
    business.close();
    time.tick(600_000);
    assert.equal(events('business_metrics_summary').length, 2);
  });
});
