import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Health, healthOf, type NodeState, worstOf } from '../../../lib/monitor/states';

describe('states', () => {
  it('stand for the health that decides between 200 and 503', () => {
    const healths: Record<NodeState, Health> = {
      idle: 'healthy',
      connected: 'healthy',
      working: 'healthy',
      paused: 'healthy',
      connecting: 'degraded',
      degraded: 'degraded',
      disconnected: 'degraded',
      'not-configured': 'unhealthy',
      'breaker-open': 'unhealthy',
      refused: 'unhealthy',
      stalled: 'unhealthy',
      failed: 'unhealthy',
    };
    for (const [state, health] of Object.entries(healths)) assert.equal(healthOf(state as NodeState), health, state);
  });

  it('together are as bad as the worst of them, in any order', () => {
    const health = fc.constantFrom<Health>('healthy', 'degraded', 'unhealthy');
    fc.assert(
      fc.property(fc.array(health), (healths) => {
        const expected = (['unhealthy', 'degraded'] as const).find((one) => healths.includes(one)) ?? 'healthy';
        assert.equal(worstOf(healths), expected);
      }),
    );
  });
});
