import type { BusinessEvent } from '../core/business-events';
import type { Verdict } from '../core/verdicts';
import { counter, gauge } from '../monitor/metric';
import type { Metric } from '../monitor/registry';
import type { TokenCounters } from './account';
import type { CaseResult } from './case-work';
import type { CallCounters } from './client';
import type { CaseConversation } from './conversation';

/** What became of conversations, in numbers since the start. */
export class CaseCounters {
  created = 0;
  updated = 0;
  unchanged = 0;
  notes = 0;
  attachments = 0;
  rejected = 0;

  /** Counts a conversation that has come to an end; one that is tried again is not at its end. */
  count({ kind }: Verdict, result: CaseResult | undefined): void {
    if (kind === 'rejected') this.rejected += 1;
    if (!result) return;
    this[result.action] += 1;
    this.notes += result.notes;
    this.attachments += result.attachments;
  }

  /** Conversations that came to an end. */
  get processed(): number {
    return this.created + this.updated + this.unchanged + this.rejected;
  }

  /** Of a hundred conversations so many led to a new Case. */
  get ratioPercent(): number {
    return this.processed === 0 ? 0 : (this.created / this.processed) * 100;
  }
}

/** What leaves by output 1: the message with its Case, and the conversation without the long text. */
export function caseMessage(message: object | undefined, conversation: CaseConversation, result: CaseResult): object {
  const { transcript: _whole, ...about } = conversation;
  return { ...message, topic: 'case', payload: result, conversation: about };
}

/** What counts for the business about a conversation that has come to its Case. */
export function caseEvent({ metrics }: CaseConversation, result: CaseResult, tookMs: number): BusinessEvent {
  const { conversationId, caseId, action } = result;
  const { messageCount: messages, totalCharacters: characters } = metrics;
  return { kind: 'conversation', conversationId, caseId, action, tookMs, messages, characters };
}

/** What `/metrics` shows: each number under the name that the original service gave it, and under one of the pack. */
export function caseMetrics(cases: CaseCounters, calls: CallCounters | undefined): Metric[] {
  const { calls: made = 0, tookMs = 0, rateLimitHits = 0, failures = 0, creditsRemaining } = calls ?? {};
  return [
    counter('cases_created_total', 'Cases that were made.', cases.created),
    counter('conversations_processed_total', 'Conversations that came to an end.', cases.processed),
    gauge('conversation_to_case_ratio', 'Of a hundred conversations so many led to a new Case.', cases.ratioPercent),
    counter('api_calls_total', 'Calls of the Zoho CRM API.', made),
    gauge('api_call_duration', 'How long a call takes on average, in seconds.', made === 0 ? 0 : tookMs / 1_000 / made),
    counter('rate_limit_events', 'Calls that were one too many.', rateLimitHits),
    ...(['created', 'updated', 'unchanged'] as const).map((action) => ({
      ...counter('contact_center_zoho_cases_total', 'Conversations by what became of their Case.', cases[action]),
      labels: { action },
    })),
    counter('contact_center_zoho_notes_total', 'Notes that were added.', cases.notes),
    counter('contact_center_zoho_attachments_total', 'Transcripts that were attached.', cases.attachments),
    counter('contact_center_zoho_calls_total', 'Calls of the API.', made),
    counter('contact_center_zoho_call_seconds_total', 'How long all calls took.', tookMs / 1_000),
    counter('contact_center_zoho_call_failures_total', 'Calls that were refused or failed.', failures),
    counter('contact_center_zoho_rate_limit_hits_total', 'Calls that were one too many.', rateLimitHits),
    ...(creditsRemaining === undefined
      ? []
      : [gauge('contact_center_zoho_credits_remaining', 'API credits left of the day.', creditsRemaining)]),
  ];
}

/** What `/metrics` shows of tokens. */
export function tokenMetrics({ attempts, successes, failures, rateLimitHits, tookMs }: TokenCounters): Metric[] {
  return [
    counter('token_refresh_attempts', 'Requests for an access token.', attempts),
    gauge(
      'token_refresh_duration',
      'How long such a request takes on average, in seconds.',
      attempts === 0 ? 0 : tookMs / 1_000 / attempts,
    ),
    counter('contact_center_zoho_token_requests_total', 'Requests for an access token.', attempts),
    counter('contact_center_zoho_tokens_total', 'Access tokens that were given.', successes),
    counter('contact_center_zoho_token_failures_total', 'Requests for an access token that failed.', failures),
    counter('contact_center_zoho_token_lock_outs_total', 'Requests that were one too many.', rateLimitHits),
  ];
}

/** The group `tokens` of the JSON form of `/metrics`, as the original service had it. */
export function tokenGroup({ attempts, successes, failures, rateLimitHits }: TokenCounters): Record<string, number> {
  return {
    refresh_attempts: attempts,
    refresh_successes: successes,
    refresh_failures: failures,
    success_rate: attempts === 0 ? 100 : Math.round((successes / attempts) * 1_000) / 10,
    rate_limit_hits: rateLimitHits,
  };
}
