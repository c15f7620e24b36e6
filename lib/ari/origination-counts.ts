import { Histogram } from '../monitor/histogram';
import type { AnyMetric } from '../monitor/registry';

/** In seconds; a request to a healthy Asterisk takes a few milliseconds. */
const LATENCIES = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const LIMITS = new Set(['rate_limit', 'user_limit', 'number_limit', 'too_many_calls']);

/** What became of requests for calls, and how long Asterisk took. */
export class OriginationCounts {
  private readonly results = new Map<string, number>();
  /** How long Asterisk took to accept a call, in seconds. */
  readonly latency = new Histogram(LATENCIES);

  /** Counts a request: `success`, `duplicate`, or the reason of its refusal. */
  count(result: string): void {
    this.results.set(result, (this.results.get(result) ?? 0) + 1);
  }

  /** Asterisk has accepted a call after so many milliseconds. */
  took(ms: number): void {
    this.latency.observe(ms / 1_000);
  }

  /** The numbers as metrics. */
  metrics(): AnyMetric[] {
    const limited = [...this.results].reduce((sum, [reason, value]) => sum + (LIMITS.has(reason) ? value : 0), 0);
    return [
      ...[...this.results].map(
        ([result, value]): AnyMetric => ({
          name: 'calls_originated_total',
          help: 'Requests for a call, by what became of them.',
          type: 'counter',
          value,
          labels: { status: result },
        }),
      ),
      {
        name: 'call_origination_latency_seconds',
        help: 'How long Asterisk took to accept a call.',
        type: 'histogram',
        value: this.latency.snapshot(),
      },
      {
        name: 'rate_limit_exceeded_total',
        help: 'Requests that were turned away because there were too many.',
        type: 'counter',
        value: limited,
        labels: { endpoint: 'calls' },
      },
    ];
  }
}
