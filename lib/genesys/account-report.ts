import type { Metric } from '../monitor/registry';
import type { GenesysAccount } from './account';

/** What `/stats` tells of an account: its token and the turns under its rate limit. Nothing in it is secret. */
export function accountReport({ tokens, limit }: GenesysAccount): Record<string, unknown> {
  return { tokens: tokens.report(), rateLimit: { waiting: limit.waiting, pausedForMs: limit.pausedForMs } };
}

/** The numbers of an account. */
export function accountMetrics(account: GenesysAccount): Metric[] {
  const { obtained, failures } = account.tokens.report();
  const expiresAt = account.tokens.current?.expiresAt ?? 0;
  return [
    { name: 'contact_center_tokens_obtained_total', help: 'Access tokens obtained.', type: 'counter', value: obtained },
    {
      name: 'contact_center_token_failures_total',
      help: 'Requests for an access token that failed.',
      type: 'counter',
      value: failures,
    },
    {
      name: 'contact_center_token_expiry_timestamp_seconds',
      help: 'When the access token expires; 0 without one.',
      type: 'gauge',
      value: expiresAt / 1_000,
    },
    {
      name: 'contact_center_rate_limit_waiting',
      help: 'Calls that wait for their turn under the rate limit.',
      type: 'gauge',
      value: account.limit.waiting,
    },
  ];
}
