import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { gunzipSync } from 'node:zlib';

/** A span, log record or data point with the plain values of its attributes. */
export type Received = Record<string, unknown> & {
  attributes: Record<string, unknown>;
  resource: Record<string, unknown>;
};

/** How the simulated collector behaves. */
export interface OtlpBehaviour {
  /** The status to answer with instead of 200. */
  status?: number;
  /** Nothing is answered. */
  stalls?: boolean;
  /** Headers that every request must have. */
  headers?: Record<string, string>;
}

class Problem extends Error {}

const VALUES = ['stringValue', 'boolValue', 'intValue', 'doubleValue', 'arrayValue', 'kvlistValue', 'bytesValue'];

/**
 * An OpenTelemetry collector's receiver of OTLP over HTTP in its JSON form (protocol 1.x): `/v1/traces`, `/v1/logs` and
 * `/v1/metrics`. It refuses with 400 what does not follow the protocol: ids that are not hexadecimal and of full length,
 * enumerations by name, times that are not whole nanoseconds, values of two types.
 */
export class OtlpSimulator {
  readonly spans: Received[] = [];
  readonly logs: Received[] = [];
  /** Data points, each with the `name` and the `type` of its metric. */
  readonly points: Received[] = [];
  readonly refused: string[] = [];
  behaviour: OtlpBehaviour = {};
  private readonly server: Server = createServer((request, response) => this.serve(request, response));

  async start(port = 0): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(port, '127.0.0.1', resolve));
    return (this.server.address() as { port: number }).port;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(request: IncomingMessage, response: ServerResponse): void {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const { status, stalls, headers = {} } = this.behaviour;
      if (stalls) return;
      const answer = (code: number, body: unknown) => {
        response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      };
      if (status !== undefined) return answer(status, { code: 14, message: 'simulated' });
      if (Object.entries(headers).some(([name, value]) => request.headers[name] !== value)) {
        return answer(401, { code: 16, message: 'unauthenticated' });
      }
      if (request.method !== 'POST') return answer(405, { message: 'method not allowed' });
      if (request.headers['content-type'] !== 'application/json') return answer(415, { message: 'media type' });
      try {
        const body = Buffer.concat(parts);
        this.take(request.url ?? '', request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body);
        answer(200, { partialSuccess: {} });
      } catch (thrown) {
        const { message } = thrown as Error;
        this.refused.push(message);
        answer(message === 'no such path' ? 404 : 400, { code: 3, message });
      }
    });
  }

  private take(path: string, bytes: Buffer): void {
    const body = object(JSON.parse(bytes.toString('utf8')), 'the body');
    if (path === '/v1/traces') this.spans.push(...readAll(body, 'resourceSpans', 'scopeSpans', 'spans', readSpan));
    else if (path === '/v1/logs') this.logs.push(...readAll(body, 'resourceLogs', 'scopeLogs', 'logRecords', readLog));
    else if (path === '/v1/metrics') {
      const found = readAll(body, 'resourceMetrics', 'scopeMetrics', 'metrics', readMetric);
      this.points.push(
        ...found.flatMap(({ points, resource }) => (points as Received[]).map((point) => ({ ...point, resource }))),
      );
    } else throw new Problem('no such path');
  }
}

function readAll(
  body: Record<string, unknown>,
  resources: string,
  scopes: string,
  items: string,
  read: (item: Record<string, unknown>) => Record<string, unknown>,
): Received[] {
  return list(body[resources], resources).flatMap((entry) => {
    const resource = attributesOf(object(entry['resource'], 'the resource')['attributes']);
    must(typeof resource['service.name'] === 'string', 'a resource needs its service.name');
    return list(entry[scopes], scopes).flatMap((scope) => {
      must(typeof object(scope['scope'], 'the scope')['name'] === 'string', 'a scope needs its name');
      return list(scope[items], items).map((item) => ({ attributes: {}, ...read(item), resource }));
    });
  });
}

function readSpan(span: Record<string, unknown>): Record<string, unknown> {
  const { traceId, spanId, parentSpanId, name, kind, links = [], status } = span;
  ids(traceId, spanId);
  must(parentSpanId === undefined || isId(parentSpanId, 16), 'parentSpanId must be 16 hexadecimal digits');
  must(typeof name === 'string' && name !== '', 'a span needs a name');
  must(Number.isInteger(kind) && (kind as number) >= 1 && (kind as number) <= 5, 'kind must be a number from 1 to 5');
  const startedAt = nanoseconds(span['startTimeUnixNano'], 'startTimeUnixNano');
  const endedAt = nanoseconds(span['endTimeUnixNano'], 'endTimeUnixNano');
  must(endedAt >= startedAt, 'a span must not end before it begins');
  const { code = 0 } = object(status ?? {}, 'status') as { code?: unknown };
  must(code === 0 || code === 1 || code === 2, 'the code of a status must be 0, 1 or 2');
  for (const link of list(links, 'links')) ids(link['traceId'], link['spanId']);
  return { ...span, attributes: attributesOf(span['attributes']), startedAt, endedAt };
}

function readLog(log: Record<string, unknown>): Record<string, unknown> {
  const { severityNumber, traceId, spanId, body } = log;
  nanoseconds(log['timeUnixNano'], 'timeUnixNano');
  nanoseconds(log['observedTimeUnixNano'], 'observedTimeUnixNano');
  must(
    Number.isInteger(severityNumber) && (severityNumber as number) >= 0 && (severityNumber as number) <= 24,
    'severityNumber must be a number from 0 to 24',
  );
  if (traceId !== undefined || spanId !== undefined) ids(traceId, spanId);
  return { ...log, body: anyValue(body), attributes: attributesOf(log['attributes']) };
}

function readMetric(metric: Record<string, unknown>): Record<string, unknown> {
  const { name } = metric;
  must(typeof name === 'string' && /^[a-z][\w./-]{0,254}$/i.test(name), `${String(name)} is not the name of a metric`);
  const types = ['gauge', 'sum', 'histogram', 'exponentialHistogram', 'summary'].filter((type) => type in metric);
  must(types.length === 1, 'a metric has one kind of data');
  const [type = ''] = types;
  const data = object(metric[type], type);
  if (type === 'sum') {
    must(data['aggregationTemporality'] === 1 || data['aggregationTemporality'] === 2, 'a sum needs its temporality');
  }
  const points = list(data['dataPoints'], 'dataPoints').map((point) => {
    const at = nanoseconds(point['timeUnixNano'], 'timeUnixNano');
    must(
      nanoseconds(point['startTimeUnixNano'], 'startTimeUnixNano') <= at,
      'a data point must not end before it begins',
    );
    must('asInt' in point !== 'asDouble' in point, 'a data point has one value');
    const value = Number(point['asInt'] ?? point['asDouble']);
    must(Number.isFinite(value), 'a value must be a number');
    return {
      name,
      type,
      at,
      value,
      isMonotonic: data['isMonotonic'] === true,
      attributes: attributesOf(point['attributes']),
    };
  });
  return { points };
}

function attributesOf(value: unknown): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const { key, value: inner } of list(value ?? [], 'attributes') as { key?: unknown; value?: unknown }[]) {
    must(typeof key === 'string' && key !== '' && !Object.hasOwn(found, key), `the attribute ${String(key)} is no key`);
    found[key as string] = anyValue(inner);
  }
  return found;
}

function anyValue(value: unknown): unknown {
  const entries = Object.entries(object(value, 'a value'));
  must(entries.length === 1 && VALUES.includes(entries[0]?.[0] ?? ''), 'a value has one type');
  const [type = '', plain] = entries[0] ?? [];
  const types: Record<string, string> = { stringValue: 'string', boolValue: 'boolean', doubleValue: 'number' };
  must(types[type] === undefined || typeof plain === types[type], `${type} must be a ${types[type]}`);
  must(type !== 'intValue' || /^-?\d+$/.test(String(plain)), 'intValue must be a whole number');
  return type === 'intValue' ? Number(plain) : plain;
}

function ids(traceId: unknown, spanId: unknown): void {
  must(isId(traceId, 32) && isId(spanId, 16), 'an id must be hexadecimal, of full length and not all zeros');
}

function isId(value: unknown, length: number): boolean {
  return typeof value === 'string' && value.length === length && /^[0-9a-f]+$/i.test(value) && !/^0+$/.test(value);
}

/** As milliseconds. In JSON a 64 bit number is a text of digits. */
function nanoseconds(value: unknown, name: string): number {
  must(/^\d{1,20}$/.test(String(value)), `${name} must be whole nanoseconds`);
  return Number(BigInt(String(value)) / 1_000n) / 1_000;
}

function list(value: unknown, name: string): Record<string, unknown>[] {
  must(Array.isArray(value), `${name} must be a list`);
  return (value as unknown[]).map((entry) => object(entry, name));
}

function object(value: unknown, name: string): Record<string, unknown> {
  must(typeof value === 'object' && value !== null && !Array.isArray(value), `${name} must be an object`);
  return value as Record<string, unknown>;
}

function must(condition: boolean, message: string): void {
  if (!condition) throw new Problem(message);
}
