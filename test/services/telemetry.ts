import { BreezeSimulator } from '../simulators/telemetry/breeze';
import { GelfTcpSimulator } from '../simulators/telemetry/gelf';
import { OtlpSimulator } from '../simulators/telemetry/otlp';

/** Everything that telemetry can be sent to, as strict simulators. */
export interface TelemetryReceivers {
  /** What switches all of it on, lines of JSON in a file of the user directory as well. */
  readonly environment: Record<string, string>;
  /** All that has arrived, by the name of the receiver. */
  received(): Record<'spans' | 'logs' | 'points' | 'envelopes' | 'messages', readonly object[]>;
  /** What was not as the protocols want it. */
  refused(): string[];
  close(): Promise<void>;
}

/** Starts a collector of OpenTelemetry that wants `headers`, a Graylog and an endpoint of Application Insights. */
export async function startTelemetryReceivers(headers: Record<string, string>): Promise<TelemetryReceivers> {
  const [otlp, graylog, breeze] = [new OtlpSimulator(), new GelfTcpSimulator(), new BreezeSimulator()];
  otlp.behaviour = { headers };
  const [otlpPort, graylogPort] = await Promise.all([otlp.start(), graylog.start(), breeze.start()]);
  return {
    environment: {
      ENABLE_OTLP: 'true',
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${otlpPort}`,
      OTEL_EXPORTER_OTLP_HEADERS: Object.entries(headers)
        .map(([name, value]) => `${name}=${value}`)
        .join(','),
      ENABLE_GRAYLOG: 'true',
      GRAYLOG_HOST: '127.0.0.1',
      GRAYLOG_PORT: String(graylogPort),
      GRAYLOG_PROTOCOL: 'tcp',
      ENABLE_APPLICATION_INSIGHTS: 'true',
      APPLICATIONINSIGHTS_CONNECTION_STRING: breeze.connectionString,
      NODE_TLS_REJECT_UNAUTHORIZED: '0',
      ENABLE_JSON_LINES: 'true',
      JSON_LINES_FILE: 'telemetry.jsonl',
    },
    received: () => ({
      spans: otlp.spans,
      logs: otlp.logs,
      points: otlp.points,
      envelopes: breeze.envelopes,
      messages: graylog.messages,
    }),
    refused: () => [...otlp.refused, ...graylog.refused, ...breeze.refused],
    close: async () => {
      await Promise.all([otlp.stop(), graylog.stop(), breeze.stop()]);
    },
  };
}
