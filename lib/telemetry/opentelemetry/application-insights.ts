import { ContactError, describe } from '../../core/errors';
import type { Destination } from '../destination';
import { type Exporter, OpenTelemetryDestination } from './destination';
import { optionalPackage } from './optional-package';

/** An Application Insights resource. */
export interface ApplicationInsightsOptions {
  /** `InstrumentationKey=…;IngestionEndpoint=…`, as the Azure portal shows it. */
  connectionString: string;
  /** The role under which the telemetry appears (`cloud_RoleName`). */
  role: string;
}

/** What the exporter hands on to the client of Azure. */
interface ExporterOptions {
  connectionString: string;
  disableOfflineStorage: boolean;
  retryOptions: { maxRetries: number };
  additionalPolicies: { policy: Policy; position: 'perCall' }[];
}

interface Policy {
  name: string;
  sendRequest<Request, Response extends { status: number }>(
    request: Request,
    next: (request: Request) => Promise<Response>,
  ): Promise<Response>;
}

type ExporterClass = new (options: ExporterOptions) => Exporter;
interface AzureMonitor {
  AzureMonitorTraceExporter: ExporterClass;
  AzureMonitorLogExporter: ExporterClass;
  AzureMonitorMetricExporter: ExporterClass;
}

/** The last release that runs on Node 20. Without a version npm would take one of 2020. */
const PACKAGE = '@azure/monitor-opentelemetry-exporter';
const INSTALL = `${PACKAGE}@1.0.0-beta.42`;
const ATTEMPTED = 'send telemetry to Application Insights';

/** Taken, taken in part, and another address: of these the exporter makes what is right. */
const LEFT_TO_EXPORTER = new Set([200, 206, 307, 308]);

/**
 * Without its folder the exporter calls a batch exported that it will never send: when the endpoint is away, and when it
 * answers that it may be tried again later. An error that it does not know is told to us.
 */
const TELL_FAILURES: Policy = {
  name: 'tell-failures',
  sendRequest: async (request, next) => {
    const response = await next(request).catch((thrown: unknown) => {
      throw new Error(describe(thrown));
    });
    if (LEFT_TO_EXPORTER.has(response.status)) return response;
    throw Object.assign(new Error('the telemetry was not taken'), { answered: response.status });
  },
};

/**
 * Application Insights, through the exporter of Azure Monitor. Throws `CONFIGURATION` when that is not installed, or when
 * the connection string does not say where to send to.
 */
export function openApplicationInsights({ connectionString, role }: ApplicationInsightsOptions): Destination {
  const target = ingestionEndpointOf(connectionString);
  const azure = optionalPackage<AzureMonitor>({ name: PACKAGE, install: INSTALL, attempted: ATTEMPTED }, () =>
    withoutUsageStatistics(() => require('@azure/monitor-opentelemetry-exporter')),
  );
  // What waits for a better time waits in our own queue, in bounded number, and not in a folder of its own.
  const options: ExporterOptions = {
    connectionString,
    disableOfflineStorage: true,
    retryOptions: { maxRetries: 0 },
    additionalPolicies: [{ policy: TELL_FAILURES, position: 'perCall' }],
  };
  const exporters = withoutUsageStatistics(() => ({
    spans: new azure.AzureMonitorTraceExporter(options),
    logs: new azure.AzureMonitorLogExporter(options),
    metrics: new azure.AzureMonitorMetricExporter(options),
  }));
  return new OpenTelemetryDestination({ name: 'application-insights', target, role }, exporters);
}

/**
 * The address that the connection string names. Without one the exporter would send to an address of its own choice,
 * which is right for hardly anybody.
 */
export function ingestionEndpointOf(connectionString: string): string {
  const parts = new Map(
    connectionString.split(';').flatMap((part) => {
      const [, key = '', value = ''] = /^\s*(\w+)\s*=\s*(.*?)\s*$/.exec(part) ?? [];
      return key === '' || value === '' ? [] : [[key.toLowerCase(), value] as const];
    }),
  );
  const endpoint = parts.get('ingestionendpoint') ?? '';
  const missing = [
    ...(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(parts.get('instrumentationkey') ?? '')
      ? []
      : ['InstrumentationKey']),
    ...(URL.canParse(endpoint) ? [] : ['IngestionEndpoint']),
  ];
  if (missing.length === 0) return new URL(endpoint).origin;
  throw new ContactError('CONFIGURATION', {
    attempted: ATTEMPTED,
    answer: `the connection string has no valid ${missing.join(' and no valid ')}`,
    advice: 'Copy the whole connection string from the overview of the resource in the Azure portal.',
  });
}

/** The exporter would tell its maker about itself, at addresses that nobody has configured. It asks for this variable. */
function withoutUsageStatistics<Result>(work: () => Result): Result {
  const names = ['APPLICATION_INSIGHTS_NO_STATSBEAT', 'APPLICATIONINSIGHTS_SDKSTATS_DISABLED'];
  const before = names.map((name) => process.env[name]);
  for (const name of names) process.env[name] = 'true';
  try {
    return work();
  } finally {
    for (const [index, name] of names.entries()) {
      if (before[index] === undefined) delete process.env[name];
      else process.env[name] = before[index];
    }
  }
}
