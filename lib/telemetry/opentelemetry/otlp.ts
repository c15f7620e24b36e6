import { registerSecret } from '../../core/redaction';
import { percentDecoded } from '../../core/text';
import type { Destination } from '../destination';
import { type Exporter, OpenTelemetryDestination } from './destination';
import { optionalPackage } from './optional-package';

/** Where an OpenTelemetry collector, or whatever else takes OTLP over HTTP, listens. */
export interface OtlpOptions {
  /** Such as `http://localhost:4318`: `/v1/traces`, `/v1/logs` and `/v1/metrics` are put behind it. */
  endpoint: string;
  /** Sent with each request, as `name=value,name=value` with values as in an address: what OpenTelemetry writes so. */
  headers?: string | undefined;
  /** What the telemetry says it is from. */
  role: string;
  /** For one request and its repetitions; default 10,000. */
  timeoutMs?: number;
}

type ExporterClass = new (options: { url: string; headers: Record<string, string>; timeoutMillis: number }) => Exporter;

/** The last releases that run on Node 20. */
const VERSION = '0.223';
const ATTEMPTED = 'send telemetry over OTLP';
const TIMEOUT_MS = 10_000;
const INSTALL = ['trace', 'logs', 'metrics'].map((kind) => `@opentelemetry/exporter-${kind}-otlp-http@${VERSION}`);

/** OTLP over HTTP, as JSON. Throws `CONFIGURATION` when the packages for it are not installed. */
export function openOtlp({ endpoint, headers = '', role, timeoutMs = TIMEOUT_MS }: OtlpOptions): Destination {
  const given = readHeaders(headers);
  const name = (kind: string) => `@opentelemetry/exporter-${kind}-otlp-http`;
  const found = (kind: string) => ({ name: name(kind), install: INSTALL.join(' '), attempted: ATTEMPTED });
  const { OTLPTraceExporter } = optionalPackage<{ OTLPTraceExporter: ExporterClass }>(found('trace'), () =>
    require('@opentelemetry/exporter-trace-otlp-http'),
  );
  const { OTLPLogExporter } = optionalPackage<{ OTLPLogExporter: ExporterClass }>(found('logs'), () =>
    require('@opentelemetry/exporter-logs-otlp-http'),
  );
  const { OTLPMetricExporter } = optionalPackage<{ OTLPMetricExporter: ExporterClass }>(found('metrics'), () =>
    require('@opentelemetry/exporter-metrics-otlp-http'),
  );
  const base = endpoint.replace(/\/+$/, '');
  const options = (path: string) => ({ url: `${base}/v1/${path}`, headers: given, timeoutMillis: timeoutMs });
  return new OpenTelemetryDestination(
    { name: 'otlp', target: base.replace(/\/\/[^/@]*@/, '//'), role },
    {
      spans: new OTLPTraceExporter(options('traces')),
      logs: new OTLPLogExporter(options('logs')),
      metrics: new OTLPMetricExporter(options('metrics')),
    },
  );
}

/** Headers as the environment variables of OpenTelemetry have them; their values become known as secrets. */
export function readHeaders(text: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const part of text.split(',')) {
    const [, name, value] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(part) ?? [];
    if (name === undefined || value === undefined) continue;
    headers[name] = percentDecoded(value);
    registerSecret(headers[name]);
  }
  return headers;
}
