import { Histogram } from '../monitor/histogram';
import type { AnyMetric } from '../monitor/registry';
import { type Call, durationOf, type Transition } from './call';
import { isFinal } from './state-machine';

const DURATIONS = [5, 10, 30, 60, 120, 300, 600, 1_800, 3_600];

/** Counts what happens to calls, under the names that the monitoring of such a service knows. */
export class CallMetrics {
  private readonly steps = new Map<string, number>();
  private readonly durations = new Histogram(DURATIONS);

  /** Counts the steps of a call. */
  take(call: Call, transitions: readonly Omit<Transition, 'number'>[]): void {
    for (const { from, to } of transitions) {
      const key = `${from ?? 'none'} ${to}`;
      this.steps.set(key, (this.steps.get(key) ?? 0) + 1);
    }
    const duration = durationOf(call);
    if (isFinal(call.status) && duration !== null) this.durations.observe(duration);
  }

  /** What was counted so far. `waiting` is the number of changes that the store does not have yet. */
  all(waiting: number): AnyMetric[] {
    return [
      ...[...this.steps].map(([key, value]): AnyMetric => {
        const [from_state = '', to_state = ''] = key.split(' ');
        return {
          name: 'call_state_transitions_total',
          help: 'Steps of calls from one state to the next.',
          type: 'counter',
          value,
          labels: { from_state, to_state, result: 'success' },
        };
      }),
      {
        name: 'call_duration_seconds',
        help: 'How long calls were answered.',
        type: 'histogram',
        value: this.durations.snapshot(),
      },
      {
        name: 'call_store_waiting_changes',
        help: 'Changes of calls that the store does not have yet.',
        type: 'gauge',
        value: waiting,
      },
    ];
  }
}
