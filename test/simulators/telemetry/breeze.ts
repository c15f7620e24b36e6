import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { gunzipSync } from 'node:zlib';
import { selfSignedCertificate } from '../certificate';

/** An envelope that was accepted. */
export interface Envelope {
  name: string;
  time: string;
  tags: Record<string, string>;
  baseType: string;
  data: Record<string, unknown> & { properties: Record<string, string> };
}

/** How the simulated endpoint behaves. */
export interface BreezeBehaviour {
  /** The status to answer with instead of 200. */
  status?: number;
  /** Nothing is answered. */
  stalls?: boolean;
}

const TYPES: Record<string, string> = {
  EventData: 'Event',
  MetricData: 'Metric',
  MessageData: 'Message',
  ExceptionData: 'Exception',
  RemoteDependencyData: 'RemoteDependency',
  RequestData: 'Request',
};
const HOUR_MS = 3_600_000;

/**
 * The ingestion endpoint of Application Insights, `POST /v2.1/track`, over TLS only. An envelope that the schema of Breeze
 * does not allow is refused, as is one of another instrumentation key, or of a time that is too long ago or to come.
 */
export class BreezeSimulator {
  readonly envelopes: Envelope[] = [];
  readonly refused: string[] = [];
  behaviour: BreezeBehaviour = {};
  private readonly server: Server = createServer(selfSignedCertificate(), (request, response) =>
    this.serve(request, response),
  );

  constructor(readonly instrumentationKey = '11111111-2222-3333-4444-555555555555') {}

  async start(port = 0): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(port, '127.0.0.1', resolve));
    return this.port;
  }

  get port(): number {
    return (this.server.address() as { port: number }).port;
  }

  /** As the Azure portal shows it. */
  get connectionString(): string {
    const address = `https://127.0.0.1:${this.port}/`;
    return `InstrumentationKey=${this.instrumentationKey};IngestionEndpoint=${address};LiveEndpoint=${address}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** What was accepted of one type. */
  of(baseType: keyof typeof TYPES): Envelope['data'][] {
    return this.envelopes.filter((envelope) => envelope.baseType === baseType).map(({ data }) => data);
  }

  private serve(request: IncomingMessage, response: ServerResponse): void {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const { status, stalls } = this.behaviour;
      if (stalls) return;
      const answer = (code: number, body: object) => {
        response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      };
      const body = Buffer.concat(parts);
      if (request.url !== '/v2.1/track') answer(404, {});
      else if (request.method !== 'POST') answer(405, {});
      else if (status !== undefined) answer(status, { itemsReceived: 0, itemsAccepted: 0, errors: [] });
      else this.take(request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body, answer);
    });
  }

  private take(bytes: Buffer, answer: (code: number, body: object) => void): void {
    let given: unknown[];
    try {
      const parsed: unknown = JSON.parse(bytes.toString('utf8'));
      given = Array.isArray(parsed) ? parsed : [parsed];
    } catch {
      this.refused.push('the body is no JSON');
      answer(400, { itemsReceived: 0, itemsAccepted: 0, errors: [] });
      return;
    }
    const errors: { index: number; statusCode: number; message: string }[] = [];
    for (const [index, envelope] of given.entries()) {
      const problem = this.problem(envelope);
      if (problem === undefined) this.envelopes.push(read(envelope as WireEnvelope));
      else errors.push({ index, statusCode: 400, message: problem });
    }
    this.refused.push(...errors.map(({ message }) => message));
    const itemsAccepted = given.length - errors.length;
    const code = errors.length === 0 ? 200 : itemsAccepted === 0 ? 400 : 206;
    answer(code, { itemsReceived: given.length, itemsAccepted, errors });
  }

  /** Why an envelope is not accepted. */
  private problem(value: unknown): string | undefined {
    if (typeof value !== 'object' || value === null) return 'an envelope must be an object';
    const { ver, name, time, iKey, sampleRate, tags, data } = value as Partial<WireEnvelope>;
    if (ver !== undefined && ver !== 1) return '107: the version of an envelope must be 1';
    if (typeof name !== 'string' || name.length > 1_024) return '105: Field name is required';
    if (iKey !== this.instrumentationKey) return 'Invalid instrumentation key';
    const at = Date.parse(time ?? '');
    if (typeof time !== 'string' || !/^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/.test(time) || Number.isNaN(at)) {
      return '102: Field time must be a date and time';
    }
    if (Date.now() - at > 48 * HOUR_MS || at - Date.now() > 2 * HOUR_MS) return '101: Field time is out of range';
    if (sampleRate !== undefined && !(sampleRate > 0 && sampleRate <= 100)) return '103: Field sampleRate';
    if (Object.values(tags ?? {}).some((tag) => typeof tag !== 'string')) return '108: a tag must be a text';
    const { baseType = '', baseData } = data ?? {};
    if (TYPES[baseType] === undefined) return `109: Field baseType ${baseType} is not known`;
    if (name !== `Microsoft.ApplicationInsights.${TYPES[baseType]}`) return `110: ${name} does not hold ${baseType}`;
    return baseData ? dataProblem(baseType, baseData) : '111: Field baseData is required';
  }
}

interface WireEnvelope {
  ver?: number;
  name: string;
  time: string;
  iKey: string;
  sampleRate?: number;
  tags?: Record<string, string>;
  data: { baseType: string; baseData: Record<string, unknown> };
}

function dataProblem(baseType: string, data: Record<string, unknown>): string | undefined {
  if (data['ver'] !== 2) return '112: the version of the data must be 2';
  for (const [key, value] of Object.entries((data['properties'] ?? {}) as Record<string, unknown>)) {
    if (key.length > 150) return '113: the name of a property is too long';
    if (typeof value !== 'string' || value.length > 8_192) return `114: the property ${key} must be a text of 8192`;
  }
  for (const value of Object.values((data['measurements'] ?? {}) as object)) {
    if (typeof value !== 'number') return '115: a measurement must be a number';
  }
  const text = (name: string, length: number) =>
    typeof data[name] === 'string' && data[name] !== '' && (data[name] as string).length <= length;
  if (baseType === 'EventData' && !text('name', 512)) return '116: an event needs a name';
  if (baseType === 'MessageData' && !text('message', 32_768)) return '117: a message needs a text';
  if (baseType === 'MetricData') return metricProblem(data['metrics']);
  if (baseType !== 'RemoteDependencyData' && baseType !== 'RequestData') return undefined;
  if (!text('id', 512) || !/^(\d+\.)?\d\d:\d\d:\d\d(\.\d{1,7})?$/.test(String(data['duration']))) {
    return '118: what took time needs an id and a duration';
  }
  if (baseType === 'RemoteDependencyData' && !text('name', 1_024)) return '119: a dependency needs a name';
  return undefined;
}

function metricProblem(metrics: unknown): string | undefined {
  if (!Array.isArray(metrics) || metrics.length !== 1) return '120: Breeze takes one metric for each envelope';
  const { name, value } = metrics[0] as { name?: unknown; value?: unknown };
  if (typeof name !== 'string' || name === '' || name.length > 1_024) return '121: a metric needs a name';
  return typeof value === 'number' && Number.isFinite(value) ? undefined : '122: a metric needs a value';
}

function read({ name, time, tags = {}, data }: WireEnvelope): Envelope {
  const { properties = {}, ...baseData } = data.baseData as { properties?: Record<string, string> };
  return { name, time, tags, baseType: data.baseType, data: { ...baseData, properties } };
}
