import assert from 'node:assert/strict';
import { OriginationCounts } from '../../../lib/ari/origination-counts';

describe('the counts of calls that were asked for', () => {
  it('tell what became of each request, and how many were one too many', () => {
    const counts = new OriginationCounts();
    for (const result of ['success', 'success', 'duplicate', 'rate_limit', 'number_limit', 'invalid_number']) {
      counts.count(result);
    }
    counts.took(30);
    const metrics = counts.metrics();
    const numberOf = (name: string, status?: string) =>
      metrics.find((metric) => metric.name === name && (!status || metric.labels?.['status'] === status))?.value;
    assert.equal(numberOf('calls_originated_total', 'success'), 2);
    assert.equal(numberOf('calls_originated_total', 'invalid_number'), 1);
    assert.equal(numberOf('rate_limit_exceeded_total'), 2);
    assert.equal((numberOf('call_origination_latency_seconds') as { count: number }).count, 1);
  });
});
