import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { ContactError } from '../../../lib/core/errors';
import { Channel } from '../../../lib/telemetry/channel';
import {
  ingestionEndpointOf,
  openApplicationInsights,
} from '../../../lib/telemetry/opentelemetry/application-insights';
import { optionalPackage } from '../../../lib/telemetry/opentelemetry/optional-package';
import { openOtlp, readHeaders } from '../../../lib/telemetry/opentelemetry/otlp';
import type { Signal } from '../../../lib/telemetry/signals';
import { BreezeSimulator } from '../../simulators/telemetry/breeze';
import { OtlpSimulator, type Received } from '../../simulators/telemetry/otlp';
import { until } from '../until';

const TRACE = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true };

/** One of each kind. */
function signals(at = Date.now()): Signal[] {
  return [
    { kind: 'log', at, level: 'warn', text: 'watch out', attributes: { service: 'calls' } },
    { kind: 'event', at, name: 'case_created', attributes: { case_id: '7', was_new: true, messages: 3 } },
    { kind: 'metric', at, name: 'api_call_duration', value: 0.25, attributes: { api_name: 'cody' } },
    { kind: 'metric', at, name: 'cases_created_total', value: 5, isTotal: true, attributes: {} },
    {
      kind: 'span',
      span: {
        name: 'create a Case',
        kind: 'client',
        context: TRACE,
        parentSpanId: 'c'.repeat(16),
        links: [{ ...TRACE, traceId: 'd'.repeat(32) }],
        startedAt: at - 100,
        tookMs: 12.5,
        attributes: { 'http.request.method': 'POST', 'server.address': 'www.zohoapis.com' },
        error: 'it was refused',
      },
    },
  ];
}

describe('OTLP', () => {
  let simulator: OtlpSimulator;
  let port: number;
  let channel: Channel;
  const open = (queueLimit = 1_000) => {
    const options = {
      endpoint: `http://127.0.0.1:${port}/`,
      headers: 'x-token=s%20ecret',
      role: 'messages',
      timeoutMs: 500,
    };
    channel = new Channel(openOtlp(options), { queueLimit, ageMs: 5 });
  };

  beforeEach(async () => {
    simulator = new OtlpSimulator();
    port = await simulator.start();
  });
  afterEach(async () => {
    await channel.close();
    await simulator.stop().catch(() => {});
  });

  it('takes spans, logs, events and numbers, each as the protocol has it', async () => {
    simulator.behaviour.headers = { 'x-token': 's ecret' };
    const at = 1_795_000_000_123;
    open();
    for (const signal of signals(at)) channel.offer(signal);
    await until(() => channel.books().delivered === 5);
    assert.deepEqual(simulator.refused, []);

    const span = simulator.spans[0]!;
    assert.equal(span['name'], 'create a Case');
    assert.deepEqual([span['traceId'], span['parentSpanId']], [TRACE.traceId, 'c'.repeat(16)]);
    assert.deepEqual([span['startedAt'], span['endedAt']], [at - 100, at - 87.5]);
    assert.deepEqual(span['status'], { code: 2, message: 'it was refused' });
    assert.equal(span['kind'], 3);
    assert.equal((span['links'] as object[]).length, 1);
    assert.equal(span.resource['service.name'], 'messages');

    const [log, event] = simulator.logs as [Received, Received];
    assert.deepEqual([log['body'], log['severityNumber'], log.attributes], ['watch out', 13, { service: 'calls' }]);
    assert.equal(event['eventName'], 'case_created');
    assert.equal(event.attributes['messages'], 3);

    const points = simulator.points.map(({ name, type, value, at: when }) => ({ name, type, value, when }));
    assert.deepEqual(points, [
      { name: 'api_call_duration', type: 'gauge', value: 0.25, when: at },
      { name: 'cases_created_total', type: 'sum', value: 5, when: at },
    ]);
  });

  it('gets what waited while it was away', async () => {
    await simulator.stop();
    open();
    channel.offer(signals()[1]!);
    await until(() => channel.state.state === 'retrying', 'the failure', 15_000);
    simulator = new OtlpSimulator();
    await simulator.start(port);
    await until(() => simulator.logs.length === 1, 'the event', 15_000);
  });

  it('is asked again later when it refuses the credentials, and not again when it refuses the data', async () => {
    simulator.behaviour.headers = { 'x-token': 'another' };
    open();
    channel.offer(signals()[0]!);
    await until(() => channel.state.state === 'refused');
    assert.equal(channel.books().queued, 1);
    await channel.close();
    simulator.behaviour = { status: 400 };
    open();
    channel.offer(signals()[0]!);
    await until(() => channel.books().rejected === 1);
  });

  it('holds nobody up when it does not answer: what is too much is dropped and counted', async () => {
    simulator.behaviour.stalls = true;
    open(100);
    for (let number = 0; number < 5_000; number += 1) channel.offer(signals()[0]!);
    const { received, dropped, queued, inFlight } = channel.books();
    assert.deepEqual([received, dropped, queued + inFlight], [5_000, 4_900, 100]);
    const began = Date.now();
    await channel.close();
    assert.ok(Date.now() - began < 4_000, 'and it can be closed');
  });

  it('has headers as OpenTelemetry writes them', () => {
    assert.deepEqual(readHeaders('a=1, b = x%3Dy ,c'), { a: '1', b: 'x=y' });
  });
});

describe('Application Insights', () => {
  let simulator: BreezeSimulator;
  let channel: Channel;
  const contacted = new Set<string>();
  const { connect } = Socket.prototype;
  const open = (connectionString = simulator.connectionString, queueLimit = 1_000) => {
    channel = new Channel(openApplicationInsights({ connectionString, role: 'Cody2Zoho' }), { queueLimit, ageMs: 5 });
  };

  before(() => {
    // The certificate of the simulator is nobody's but its own.
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    Socket.prototype.connect = function (this: Socket, ...given: unknown[]) {
      const [options] = [given[0]].flat() as { host?: string; port?: number }[];
      contacted.add(`${options?.host}:${options?.port}`);
      return (connect as (...given: unknown[]) => Socket).apply(this, given);
    } as typeof connect;
  });
  after(() => {
    delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    Socket.prototype.connect = connect;
  });
  beforeEach(async () => {
    simulator = new BreezeSimulator();
    await simulator.start();
    contacted.clear();
  });
  afterEach(async () => {
    await channel?.close();
    await simulator.stop().catch(() => {});
  });

  it('takes custom events and metrics under their names, log lines, and calls as dependencies', async () => {
    open();
    for (const signal of signals()) channel.offer(signal);
    await until(() => channel.books().delivered === 5);
    assert.deepEqual(simulator.refused, []);
    const [event] = simulator.of('EventData');
    assert.deepEqual(
      [event?.['name'], event?.properties],
      ['case_created', { case_id: '7', was_new: 'true', messages: '3' }],
    );
    const metrics = simulator.of('MetricData').map(({ metrics: given, properties }) => {
      const [{ name, value }] = given as [{ name: string; value: number }];
      return { name, value, properties };
    });
    assert.deepEqual(
      metrics.filter(({ name }) => name !== '_OTELRESOURCE_'),
      [
        { name: 'api_call_duration', value: 0.25, properties: { api_name: 'cody' } },
        { name: 'cases_created_total', value: 5, properties: {} },
      ],
    );
    const [line] = simulator.of('MessageData');
    assert.deepEqual([line?.['message'], line?.['severityLevel']], ['watch out', 'Warning']);
    const [dependency] = simulator.of('RemoteDependencyData');
    assert.equal(dependency?.['success'], false);
    const span = simulator.envelopes.find(({ baseType }) => baseType === 'RemoteDependencyData');
    assert.equal(span?.tags['ai.operation.id'], TRACE.traceId);
    assert.deepEqual([...new Set(simulator.envelopes.map(({ tags }) => tags['ai.cloud.role']))], ['Cody2Zoho']);
  });

  it('is sought at the address that the connection string names, and nothing else is contacted', async () => {
    open();
    for (const signal of signals()) channel.offer(signal);
    await until(() => channel.books().delivered === 5);
    assert.deepEqual([...contacted], [`127.0.0.1:${simulator.port}`]);
    assert.equal(process.env['APPLICATION_INSIGHTS_NO_STATSBEAT'], undefined, 'the environment is as it was');
  });

  for (const status of [429, 439, 500, 503]) {
    it(`keeps what was answered with ${status}`, async () => {
      simulator.behaviour.status = status;
      open();
      channel.offer(signals()[1]!);
      await until(() => channel.state.state === 'retrying');
      assert.match(channel.state.error?.message ?? '', new RegExp(`HTTP ${status}`));
      assert.equal(channel.books().queued, 1);
    });
  }

  it('does not get again what it refuses for good', async () => {
    open();
    channel.offer({ ...signals()[1]!, at: 1 } as Signal);
    await until(() => channel.books().rejected === 1);
    assert.deepEqual(simulator.refused, ['101: Field time is out of range']);
  });

  it('gets what waited while it was away', async () => {
    const { connectionString, port } = simulator;
    await simulator.stop();
    open(connectionString);
    channel.offer(signals()[1]!);
    await until(() => channel.state.state === 'retrying');
    assert.equal(channel.state.error?.code, 'UNREACHABLE');
    simulator = new BreezeSimulator();
    await simulator.start(port);
    await until(() => simulator.of('EventData').length === 1, 'the event', 15_000);
  });

  it('holds nobody up when it does not answer: what is too much is dropped and counted', async () => {
    simulator.behaviour.stalls = true;
    open(simulator.connectionString, 100);
    for (let number = 0; number < 5_000; number += 1) channel.offer(signals()[0]!);
    const { received, dropped, queued, inFlight } = channel.books();
    assert.deepEqual([received, dropped, queued + inFlight], [5_000, 4_900, 100]);
    const began = Date.now();
    await channel.close();
    assert.ok(Date.now() - began < 4_000, 'and it can be closed');
  });

  it('needs a whole connection string, and says what is missing in it', () => {
    const key = 'InstrumentationKey=11111111-2222-3333-4444-555555555555';
    assert.equal(ingestionEndpointOf(`${key};IngestionEndpoint=https://eu.example/`), 'https://eu.example');
    assert.throws(() => ingestionEndpointOf(key), /the connection string has no valid IngestionEndpoint\. Copy/);
    assert.throws(() => ingestionEndpointOf('IngestionEndpoint=https://x'), /has no valid InstrumentationKey\. Copy/);
  });
});

describe('an optional package that is not there', () => {
  it('is one sentence with the command that installs it', () => {
    const missing = { name: '@some/package', install: '@some/package@1', attempted: 'send telemetry' };
    const load = () => require('@some/package-that-is-not-there');
    assert.throws(
      () => optionalPackage(missing, load),
      (error: unknown) =>
        error instanceof ContactError &&
        error.code === 'CONFIGURATION' &&
        error.message ===
          'Could not send telemetry: the package @some/package is not installed. In the user directory of Node-RED ' +
            '(usually ~/.node-red) run "npm install @some/package@1", then start Node-RED anew.',
    );
  });
});
