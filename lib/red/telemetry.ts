import type { BooksSnapshot } from '../core/books';
import { ContactError, toContactError } from '../core/errors';
import type { Metric } from '../monitor/registry';
import type { Channel } from '../telemetry/channel';
import { GELF_PROTOCOLS, Graylog } from '../telemetry/gelf/graylog';
import { type DestinationPlan, type TelemetryMember, telemetryHub } from '../telemetry/hub';
import { JsonLines } from '../telemetry/json-lines';
import { openApplicationInsights } from '../telemetry/opentelemetry/application-insights';
import { openOtlp } from '../telemetry/opentelemetry/otlp';
import { boolean, choice, integer, number, secret, text, url, type Values } from './config';
import type { Red } from './node';
import { userPath } from './user-dir';

/** The fields of a node that sends telemetry. Each destination has a switch of its own, and all of them are off. */
export const TELEMETRY_FIELDS = {
  applicationInsights: boolean({ default: false, environment: 'ENABLE_APPLICATION_INSIGHTS' }),
  connectionString: secret({
    credential: 'connectionString',
    environmentProperty: 'connectionStringEnvironment',
    environment: 'APPLICATIONINSIGHTS_CONNECTION_STRING',
  }),
  roleName: text({ environment: ['APPLICATIONINSIGHTS_ROLE_NAME', 'OTEL_SERVICE_NAME'] }),
  otlp: boolean({ default: false, environment: 'ENABLE_OTLP' }),
  otlpEndpoint: url({ default: 'http://localhost:4318', environment: 'OTEL_EXPORTER_OTLP_ENDPOINT' }),
  otlpHeaders: secret({
    credential: 'otlpHeaders',
    environmentProperty: 'otlpHeadersEnvironment',
    environment: 'OTEL_EXPORTER_OTLP_HEADERS',
  }),
  traceShare: number({ default: 1, min: 0, max: 1, environment: 'OTEL_TRACES_SAMPLER_ARG' }),
  graylog: boolean({ default: false, environment: 'ENABLE_GRAYLOG' }),
  graylogHost: text({ default: 'localhost', environment: 'GRAYLOG_HOST' }),
  graylogPort: integer({ default: 12_201, min: 1, max: 65_535, environment: 'GRAYLOG_PORT' }),
  graylogProtocol: choice(GELF_PROTOCOLS, { default: 'udp', environment: 'GRAYLOG_PROTOCOL' }),
  jsonLines: boolean({ default: false, environment: 'ENABLE_JSON_LINES' }),
  jsonLinesFile: text({ default: 'stdout', environment: 'JSON_LINES_FILE' }),
  telemetryQueue: integer({ default: 10_000, min: 100, max: 1_000_000 }),
};

type Config = Values<typeof TELEMETRY_FIELDS>;

/** The telemetry that one node has asked for. */
export interface NodeTelemetry {
  /** Why something of it does not work, in sentences; nothing when all is well. */
  problem(): string | undefined;
  /** For `/stats`: nothing while all is off. */
  details(): Record<string, unknown>;
  /** For `/metrics`: nothing while all is off. */
  metrics(): Metric[];
  /** Leaves the destinations; one that nobody else uses sends for a moment what waits. */
  close(): Promise<void>;
}

/** Opens the destinations that are switched on. It never throws: what is wrong with one is its problem alone. */
export function openTelemetry(
  RED: Red,
  service: string | undefined,
  config: Config,
  onChange: () => void,
): NodeTelemetry {
  const member = telemetryHub.join({
    service,
    plans: plansOf(RED, service, config),
    queueLimit: config.telemetryQueue,
    traceShare: config.traceShare,
    onState: onChange,
  });
  const { channels } = member;
  return {
    problem: () => problemOf(member),
    details: () =>
      channels.length === 0
        ? {}
        : { telemetry: Object.fromEntries(channels.map((each) => [each.destination.name, told(each)])) },
    metrics: () => channels.flatMap(metricsOf),
    close: () => member.close(),
  };
}

function plansOf(RED: Red, service: string | undefined, config: Config): DestinationPlan[] {
  const { connectionString, otlpEndpoint: endpoint, otlpHeaders: headers } = config;
  const role = config.roleName ?? service ?? 'node-red-contact-center';
  const graylog = {
    host: config.graylogHost,
    port: config.graylogPort,
    protocol: config.graylogProtocol,
    application: config.roleName ?? 'contact-center',
  };
  const { jsonLinesFile } = config;
  const file = jsonLinesFile === 'stdout' ? jsonLinesFile : userPath(RED, jsonLinesFile);
  const plan = (isOn: boolean, takesTraces: boolean, settings: string[], open: DestinationPlan['open']) =>
    isOn ? [{ key: settings.join('\n'), address: settings.slice(0, 2).join(' '), takesTraces, open }] : [];
  return [
    ...plan(config.applicationInsights, true, ['application-insights', connectionString ?? '', role], () => {
      if (connectionString !== undefined) return openApplicationInsights({ connectionString, role });
      throw new ContactError('CONFIGURATION', {
        attempted: 'send telemetry to Application Insights',
        answer:
          'the credential connectionString is not set, nor is the environment variable APPLICATIONINSIGHTS_CONNECTION_STRING',
      });
    }),
    ...plan(config.otlp, true, ['otlp', endpoint, role, headers ?? ''], () => openOtlp({ endpoint, headers, role })),
    ...plan(config.graylog, false, ['graylog', JSON.stringify(graylog)], () => new Graylog(graylog)),
    ...plan(config.jsonLines, false, ['json-lines', file], () => new JsonLines({ file })),
  ];
}

function problemOf({ problems, channels }: TelemetryMember): string | undefined {
  const sentences = [
    ...problems.map((thrown) => toContactError(thrown, 'send telemetry').message),
    ...channels.flatMap(({ state }) => (state.error ? [state.error.message] : [])),
  ];
  return sentences.length === 0 ? undefined : sentences.join(' ');
}

function told(channel: Channel): Record<string, unknown> & { books: BooksSnapshot } {
  const { state, error } = channel.state;
  return { state, books: channel.books(), ...(error ? { reason: error.summary } : {}) };
}

function metricsOf(channel: Channel): Metric[] {
  const { received: _, queued, inFlight, ...outcomes } = channel.books();
  const destination = channel.destination.name;
  return [
    ...Object.entries(outcomes).map(([outcome, value]) => ({
      name: 'contact_center_telemetry_signals_total',
      help: 'Log lines, events, numbers and spans by what became of them; dropped are those that were too many.',
      type: 'counter' as const,
      value,
      labels: { destination, outcome },
    })),
    {
      name: 'contact_center_telemetry_queue_signals',
      help: 'Log lines, events, numbers and spans that wait or are being sent.',
      type: 'gauge',
      value: queued + inFlight,
      labels: { destination },
    },
  ];
}
