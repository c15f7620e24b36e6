import { hostname } from 'node:os';
import type { SpanKind, TraceContext } from '../../core/trace';
import { packageVersion } from '../../core/version';
import type { Attributes, EventSignal, LogSignal, MetricSignal, SpanSignal } from '../signals';

/**
 * What the exporters of OpenTelemetry take, as its SDK for JavaScript defines it. The signals are brought into these
 * forms directly: the SDK would queue and batch them a second time, in a second way.
 */

/** Seconds since the epoch, and nanoseconds. */
type HrTime = [seconds: number, nanoseconds: number];

/** What the telemetry is about. */
export interface Resource {
  attributes: Attributes;
}

interface SpanContextShape {
  traceId: string;
  spanId: string;
  traceFlags: number;
  isRemote?: boolean;
  traceState?: { serialize(): string };
}

/** Who has told it. */
const SCOPE = { name: 'node-red-contact-center', version: packageVersion };
const KINDS: Record<SpanKind, number> = { internal: 0, server: 1, client: 2, producer: 3, consumer: 4 };
/** Numbers of severities as OpenTelemetry has them. */
const SEVERITIES = new Map(Object.entries({ trace: 1, debug: 5, info: 9, warn: 13, error: 17, fatal: 21 }));
const INFO = 9;
const STATUS = { unset: 0, error: 2 };
const DATA_POINT_TYPE = { gauge: 2, sum: 3 };
const CUMULATIVE = 1;
const DOUBLE = 1;

/** The attribute that makes an event of a log record: in OpenTelemetry its name, in Application Insights a custom event. */
const CUSTOM_EVENT_NAME = 'microsoft.custom_event.name';

/** The process as the source of telemetry, under the name of its role. */
export function resourceOf(role: string): Resource {
  return {
    attributes: {
      'service.name': role,
      'service.version': packageVersion,
      'service.instance.id': `${hostname()}-${process.pid}`,
      'host.name': hostname(),
      'process.pid': process.pid,
    },
  };
}

/** A moment in milliseconds since the epoch. */
function hrTimeOf(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1_000_000)];
}

/** A `ReadableSpan`. */
export function spanShape({ span }: SpanSignal, resource: Resource): object {
  const { name, kind, context, parentSpanId, links, startedAt, tookMs, attributes, error } = span;
  const own = contextShape(context);
  const parent = parentSpanId === undefined ? undefined : { ...own, spanId: parentSpanId };
  return {
    name,
    kind: KINDS[kind],
    spanContext: () => own,
    parentSpanContext: parent,
    parentSpanId,
    startTime: hrTimeOf(startedAt),
    endTime: hrTimeOf(startedAt + tookMs),
    duration: hrTimeOf(tookMs),
    status: error === undefined ? { code: STATUS.unset } : { code: STATUS.error, message: error },
    attributes,
    links: links.map((link) => ({ context: { ...contextShape(link), isRemote: true } })),
    events: [],
    ended: true,
    resource,
    instrumentationScope: SCOPE,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

/** A `ReadableLogRecord`: a log line, or an event. */
export function logShape(signal: LogSignal | EventSignal, resource: Resource): object {
  const { trace_id: traceId, span_id: spanId, ...attributes } = signal.attributes;
  const time = hrTimeOf(signal.at);
  const isLog = signal.kind === 'log';
  const level = isLog ? signal.level : 'info';
  return {
    hrTime: time,
    hrTimeObserved: time,
    severityNumber: SEVERITIES.get(level) ?? INFO,
    severityText: level.toUpperCase(),
    body: isLog ? signal.text : signal.name,
    ...(isLog ? {} : { eventName: signal.name }),
    attributes: isLog ? attributes : { ...attributes, [CUSTOM_EVENT_NAME]: signal.name },
    ...(typeof traceId === 'string' && typeof spanId === 'string'
      ? { spanContext: { traceId, spanId, traceFlags: 1 } }
      : {}),
    resource,
    instrumentationScope: SCOPE,
    droppedAttributesCount: 0,
  };
}

/** `ResourceMetrics`: the numbers by their names, each with its own time. */
export function metricsShape(signals: readonly MetricSignal[], resource: Resource, startedAt: number): object {
  const byName = new Map<string, MetricSignal[]>();
  for (const signal of signals) {
    const points = byName.get(signal.name);
    if (points) points.push(signal);
    else byName.set(signal.name, [signal]);
  }
  const metrics = [...byName].map(([name, points]) => {
    const isTotal = points[0]?.isTotal === true;
    return {
      descriptor: {
        name,
        description: '',
        unit: '',
        type: isTotal ? 'COUNTER' : 'GAUGE',
        valueType: DOUBLE,
        advice: {},
      },
      aggregationTemporality: CUMULATIVE,
      dataPointType: isTotal ? DATA_POINT_TYPE.sum : DATA_POINT_TYPE.gauge,
      ...(isTotal ? { isMonotonic: true } : {}),
      dataPoints: points.map(({ at, value, attributes }) => ({
        // A clock that was set back must not make it end before it began.
        startTime: hrTimeOf(isTotal ? Math.min(startedAt, at) : at),
        endTime: hrTimeOf(at),
        attributes,
        value,
      })),
    };
  });
  return { resource, scopeMetrics: [{ scope: SCOPE, metrics }] };
}

function contextShape({ traceId, spanId, sampled, state }: TraceContext): SpanContextShape {
  return {
    traceId,
    spanId,
    traceFlags: sampled ? 1 : 0,
    ...(state === undefined ? {} : { traceState: { serialize: () => state } }),
  };
}
