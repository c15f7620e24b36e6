import type { AnyMetric } from '../monitor/registry';

/** The numbers of requests by what became of them; `issues` where tokens are issued, and names may be locked out. */
export function authMetrics(counts: ReadonlyMap<string, number>, issues: boolean): AnyMetric[] {
  const locked = (counts.get('locked_out') ?? 0) + (counts.get('too_many_requests') ?? 0);
  const attempts = [...counts].map(
    ([result, value]): AnyMetric => ({
      name: 'auth_attempts_total',
      help: 'Requests for a token and requests with one, by what became of them.',
      type: 'counter',
      value,
      labels: { result },
    }),
  );
  if (!issues) return attempts;
  return [
    ...attempts,
    {
      name: 'rate_limit_exceeded_total',
      help: 'Requests that were turned away because there were too many.',
      type: 'counter',
      value: locked,
      labels: { endpoint: 'token' },
    },
  ];
}
