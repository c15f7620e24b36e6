import type { Metric } from '../monitor/registry';
import type { EventDocument } from './normalize';
import type { EventKind } from './operational-event';
import { type SeverityClass, severityClass } from './severity';

/** Counts the documents that were made, in numbers since the node was started. */
export class EventTally {
  private readonly bySeverity: Record<SeverityClass, number> = { error: 0, warning: 0, info: 0 };
  private audiohook = 0;
  private broken = 0;

  /** Counts one document. */
  count(op: EventDocument['op'], kind: EventKind): void {
    this.bySeverity[severityClass(op.severity)] += 1;
    if (op.isAudioHook) this.audiohook += 1;
    if (kind === 'broken') this.broken += 1;
  }

  /** What the status reports: plain facts, Prometheus metrics, and the counters of the original service by their names. */
  readonly sources = {
    details: () => this.counts,
    metrics: () => this.metrics(),
    groups: () => {
      const { events, errors, warnings, infos, audiohookEvents } = this.counts;
      const counters = { events_total: events, op_errors: errors, op_warns: warnings, op_infos: infos };
      return { counters: { ...counters, audiohook_evts: audiohookEvents } };
    },
  };

  private get counts() {
    const { error: errors, warning: warnings, info: infos } = this.bySeverity;
    const events = errors + warnings + infos;
    return { events, errors, warnings, infos, audiohookEvents: this.audiohook, brokenEvents: this.broken };
  }

  private metrics(): Metric[] {
    const counter = (name: string, help: string, value: number, labels?: Record<string, string>): Metric => ({
      name: `contact_center_${name}_total`,
      help,
      type: 'counter',
      value,
      ...(labels && { labels }),
    });
    const help = 'Events that were made into documents, by the class of their severity.';
    return [
      ...Object.entries(this.bySeverity).map(([severity, value]) =>
        counter('normalized_events', help, value, { severity }),
      ),
      counter('audiohook_events', 'Events about AudioHook that were made into documents.', this.audiohook),
      counter('broken_events', 'Events that could not be read and were kept as text.', this.broken),
    ];
  }
}
