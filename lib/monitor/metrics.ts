import type { Metric as PrometheusMetric, Registry } from 'prom-client';
import type { BooksSnapshot } from '../core/books';
import { redact } from '../core/redaction';
import { packageVersion } from '../core/version';
import { healthAnswer } from './health';
import type { Member } from './members';
import type { AnyMetric, HistogramMetric, Metric, MetricGroupParts } from './registry';
import { healthOf } from './states';

const METRIC_NAME = /^[a-z_:][a-z0-9_:]*$/i;
const LABEL_NAME = /^[a-z_][a-z0-9_]*$/i;

const SETTLED: (keyof BooksSnapshot)[] = ['delivered', 'duplicate', 'rejected', 'dropped'];

let processMetrics: Registry | undefined;

/** The members' numbers and those of the process in the text form of Prometheus. */
export async function metricsText(members: Member[]): Promise<{ contentType: string; body: string }> {
  // Only a runtime whose metrics are read pays for the library, which also begins to observe the garbage collection.
  const { collectDefaultMetrics, Registry: PrometheusRegistry } = await import('prom-client');
  if (!processMetrics) {
    processMetrics = new PrometheusRegistry();
    collectDefaultMetrics({ register: processMetrics });
  }
  const registry = new PrometheusRegistry();
  await fill(registry, members.flatMap(metricsOf));
  const parts = [await registry.metrics(), await processMetrics.metrics()];
  return { contentType: registry.contentType, body: parts.filter((part) => part.trim() !== '').join('\n') };
}

/**
 * All numbers of one member, with the labels that every one of them has. One that Prometheus would not accept is left
 * out: the others are still worth having.
 */
export function metricsOf({ service, node, report }: Member): AnyMetric[] {
  const labels = { service, node: node.id, type: node.type };
  const up = healthOf(report.state) === 'unhealthy' ? 0 : 1;
  const found: AnyMetric[] = [
    {
      name: 'contact_center_node_up',
      help: 'Whether the node does its work: 1 when it is healthy or degraded, 0 when it is unhealthy.',
      type: 'gauge',
      value: up,
      labels,
    },
  ];
  const { books } = report;
  if (books) {
    found.push(
      {
        name: 'contact_center_messages_received_total',
        help: 'Messages that the node has taken; always the sum of those settled, queued and in flight.',
        type: 'counter',
        value: books.received,
        labels,
      },
      ...SETTLED.map((outcome) => ({
        name: 'contact_center_messages_total',
        help: 'Messages that the node has settled, by outcome.',
        type: 'counter' as const,
        value: books[outcome],
        labels: { ...labels, outcome },
      })),
      {
        name: 'contact_center_queue_messages',
        help: 'Messages that wait in the node.',
        type: 'gauge',
        value: books.queued,
        labels,
      },
      {
        name: 'contact_center_in_flight_messages',
        help: 'Messages that are being sent.',
        type: 'gauge',
        value: books.inFlight,
        labels,
      },
    );
  }
  for (const metric of report.metrics ?? []) found.push({ ...metric, labels: { ...metric.labels, ...labels } });
  return found.filter(isUsable);
}

/** Puts metrics into a registry; where two nodes give one name different types, the first of them wins. */
async function fill(registry: Registry, metrics: AnyMetric[]): Promise<void> {
  const { Counter, Gauge } = await import('prom-client');
  const byName = new Map<string, AnyMetric[]>();
  for (const metric of metrics) {
    const family = byName.get(metric.name) ?? [];
    byName.set(metric.name, family);
    if (family.length === 0 || family[0]!.type === metric.type) family.push(metric);
  }
  for (const [name, family] of byName) {
    const { help, type } = family[0]!;
    if (type === 'histogram') {
      registry.registerMetric(asHistogram(name, help, family as HistogramMetric[]));
      continue;
    }
    const labelNames = [...new Set(family.flatMap(({ labels }) => Object.keys(labels ?? {})))];
    const options = { name, help: help || name, labelNames, registers: [registry] };
    const instrument = type === 'counter' ? new Counter(options) : new Gauge(options);
    for (const { labels, value } of family as Metric[]) instrument.inc(shownLabels(labels), value);
  }
}

function shownLabels(labels: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).map(([label, text]) => [label, redact(String(text))]));
}

/** The library counts the values of a histogram itself; these are counted already. */
function asHistogram(name: string, help: string, family: HistogramMetric[]): PrometheusMetric {
  const values = family.flatMap(({ labels, value: { buckets, sum, count } }) => {
    const shown = shownLabels(labels);
    const bounds: [string, number][] = buckets.map(([bound, upTo]) => [String(bound), upTo]);
    return [
      ...[...bounds, ['+Inf', count] as const].map(([le, value]) => ({
        metricName: `${name}_bucket`,
        labels: { ...shown, le },
        value,
      })),
      { metricName: `${name}_sum`, labels: shown, value: sum },
      { metricName: `${name}_count`, labels: shown, value: count },
    ];
  });
  const metric = { name, help, type: 'histogram', aggregator: 'sum', values };
  return { name, get: async () => metric } as unknown as PrometheusMetric;
}

function isUsable(metric: AnyMetric): boolean {
  const { name, labels = {} } = metric;
  // The library keeps metrics by name in an object, which has properties of its own, such as `toString`.
  if (
    !METRIC_NAME.test(name) ||
    name in Object.prototype ||
    !Object.keys(labels).every((label) => LABEL_NAME.test(label))
  )
    return false;
  if (metric.type === 'histogram') return true;
  const { type, value } = metric;
  return Number.isFinite(value) && (type === 'gauge' || value >= 0);
}

/** The JSON form of `/metrics`: groups of plain names and numbers. */
export type MetricGroups = Record<string, Record<string, unknown> | number>;

/**
 * The same numbers in groups: `application`, one for each service, and those that nodes name themselves, such as
 * `tokens`. `timestamp` is in seconds since the epoch.
 */
export function metricGroups(members: Member[]): MetricGroups {
  // Without a prototype: a service may have the name of one of its properties.
  const groups: MetricGroupParts = Object.create(null);
  const add = (group: string, name: string, value: number | boolean) => {
    groups[group] ??= {};
    const before = groups[group][name] ?? (typeof value === 'boolean' ? false : 0);
    groups[group][name] = typeof value === 'boolean' ? before === true || value : Number(before) + value;
  };
  const asked = new Set<Member['node']>();
  for (const { service, node, report } of members) {
    add(service, 'nodes', 1);
    for (const [account, value] of Object.entries(report.books ?? {})) {
      add(service, account === 'inFlight' ? 'in_flight' : account, value);
    }
    for (const metric of (report.metrics ?? []).filter(isUsable)) {
      const name = metric.name.replace(/^contact_center_/, '');
      if (metric.type !== 'histogram') add(service, name, metric.value);
      else for (const part of ['sum', 'count'] as const) add(service, `${name}_${part}`, metric.value[part]);
    }
    // A node that several services use has done its work only once.
    if (asked.has(node)) continue;
    asked.add(node);
    for (const [group, numbers] of Object.entries(report.groups ?? {})) {
      for (const [name, value] of Object.entries(numbers)) add(group, name, value);
    }
  }
  const { status: health, uptime_seconds } = healthAnswer(members);
  const application = {
    // Whoever answers runs; how well is another matter.
    status: 'running',
    health,
    version: packageVersion,
    uptime_seconds,
    resident_memory_bytes: process.memoryUsage.rss(),
  };
  const { application: own, ...others } = groups;
  return { application: { ...application, ...own }, ...others, timestamp: Math.floor(Date.now() / 1_000) };
}
