import { ContactError, describe } from '../../core/errors';
import type { Entry } from '../../core/spool';
import type { Verdict } from '../../core/verdicts';
import type { Destination, DestinationName } from '../destination';
import type { EventSignal, LogSignal, MetricSignal, Signal, SignalKind, SpanSignal } from '../signals';
import { logShape, metricsShape, type Resource, resourceOf, spanShape } from './shapes';

/** What an exporter of OpenTelemetry is, whatever it exports. */
export interface Exporter {
  export(batch: unknown, done: (result: { code: number; error?: Error }) => void): void;
  shutdown(): Promise<void>;
}

/** One exporter for each of the three kinds that OpenTelemetry knows. */
export interface Exporters {
  spans: Exporter;
  logs: Exporter;
  metrics: Exporter;
}

/** Settings of an {@link OpenTelemetryDestination}. */
export interface OpenTelemetryOptions {
  name: DestinationName;
  /** Where it goes, for errors. */
  target: string;
  /** What the telemetry says it is from. */
  role: string;
}

const BATCH_ITEMS = 512;
const SUCCESS = 0;
/** An exporter that has not told how it ended by then never will. */
const EXPORT_WITHIN_MS = 30_000;
const SHUTDOWN_WITHIN_MS = 1_000;

/** A destination behind exporters of OpenTelemetry. */
export class OpenTelemetryDestination implements Destination {
  readonly name: DestinationName;
  readonly target: string;
  readonly kinds: ReadonlySet<SignalKind> = new Set(['log', 'event', 'metric', 'span']);
  readonly batchItems = BATCH_ITEMS;
  private readonly resource: Resource;
  private readonly startedAt = Date.now() - Math.round(process.uptime() * 1_000);

  constructor(
    { name, target, role }: OpenTelemetryOptions,
    private readonly exporters: Exporters,
  ) {
    this.name = name;
    this.target = target;
    this.resource = resourceOf(role);
  }

  encode(): string {
    return '';
  }

  /** Each kind goes its own way, and only what was not taken is sent again. */
  async send(entries: readonly Entry<Signal>[], abort: AbortSignal): Promise<Verdict | Verdict[]> {
    const signals = entries.map(({ context }) => context as Signal);
    const { exporters, resource } = this;
    const spans = signals.filter((signal): signal is SpanSignal => signal.kind === 'span');
    const logs = signals.filter((signal): signal is LogSignal | EventSignal => /^(log|event)$/.test(signal.kind));
    const metrics = signals.filter((signal): signal is MetricSignal => signal.kind === 'metric');
    const [ofSpans, ofLogs, ofMetrics] = await Promise.all([
      this.export(exporters.spans, spans.length, () => spans.map((span) => spanShape(span, resource)), abort),
      this.export(exporters.logs, logs.length, () => logs.map((log) => logShape(log, resource)), abort),
      this.export(exporters.metrics, metrics.length, () => metricsShape(metrics, resource, this.startedAt), abort),
    ]);
    const verdicts = signals.map(({ kind }) => (kind === 'span' ? ofSpans : kind === 'metric' ? ofMetrics : ofLogs));
    // When nothing is taken, nothing else is worth a try now.
    const [first] = verdicts;
    const isSame = first !== undefined && verdicts.every((verdict) => verdict.kind === first.kind);
    return isSame && (first.kind === 'busy' || first.kind === 'refused') ? first : verdicts;
  }

  async close(): Promise<void> {
    const all = Object.values(this.exporters).map((exporter: Exporter) => exporter.shutdown().catch(() => {}));
    let timer: NodeJS.Timeout | undefined;
    const enough = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, SHUTDOWN_WITHIN_MS);
    });
    await Promise.race([Promise.all(all), enough]);
    clearTimeout(timer);
  }

  private export(exporter: Exporter, count: number, batch: () => unknown, abort: AbortSignal): Promise<Verdict> {
    if (count === 0) return Promise.resolve({ kind: 'delivered' });
    return new Promise((resolve) => {
      const finish = (verdict: Verdict) => {
        clearTimeout(timer);
        abort.removeEventListener('abort', stop);
        resolve(verdict);
      };
      const stop = () => finish(this.judge(new Error('it was given up')));
      const timer = setTimeout(() => finish(this.judge(new Error('no answer within 30 s'))), EXPORT_WITHIN_MS);
      abort.addEventListener('abort', stop, { once: true });
      try {
        exporter.export(batch(), ({ code, error }) =>
          finish(code === SUCCESS ? { kind: 'delivered' } : this.judge(error ?? new Error('it was not taken'))),
        );
      } catch (thrown) {
        finish(this.judge(thrown));
      }
    });
  }

  /** The status of the answer is in one place for each exporter. */
  private judge(thrown: unknown): Verdict {
    const { code, answered } = thrown as { code?: unknown; answered?: unknown };
    const status = [answered, code].find((each) => typeof each === 'number');
    const told = describe(thrown).replace(/\s+/g, ' ').trim();
    const answer = `${status === undefined ? '' : `HTTP ${status}, `}${told}`.slice(0, 500);
    const facts = {
      attempted: 'export telemetry',
      target: this.target,
      answer,
      ...(typeof status === 'number' ? { status } : {}),
    };
    if (status === 401 || status === 403) return { kind: 'refused', error: new ContactError('REFUSED', facts) };
    const isPassing = typeof status !== 'number' || status === 408 || status === 429 || status === 439 || status >= 500;
    if (isPassing) {
      const word = typeof status === 'number' ? 'BUSY' : 'UNREACHABLE';
      return { kind: 'busy', fault: 'failure', error: new ContactError(word, facts) };
    }
    return { kind: 'rejected', error: new ContactError('REJECTED', facts) };
  }
}
