import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { businessEvents } from '../../lib/core/business-events';
import { tracing } from '../../lib/core/trace';
import type { HealthAnswer } from '../../lib/monitor/health';
import type { StatsAnswer } from '../../lib/monitor/stats';
import { nodeLogger } from '../../lib/red/logger';
import type { Red, RuntimeNode } from '../../lib/red/node';
import { registerNode } from '../../lib/red/register';
import { Status } from '../../lib/red/status';
import contactBroker from '../../nodes/contact-broker';
import contactMonitor from '../../nodes/contact-monitor';
import ocelotPublish from '../../nodes/ocelot-publish';
import { GelfUdpSimulator } from '../simulators/telemetry/gelf';
import { OtlpSimulator, type Received } from '../simulators/telemetry/otlp';
import { VALID_DATA } from '../unit/ocelot/events';
import { uniqueName } from '../unit/rabbitmq/brokers';
import { type FlowNode, type Runtime, startRuntime, until } from './helper';

interface Worker extends RuntimeNode {
  health: Status;
}

function workers(RED: Red): void {
  registerNode<Worker>(RED, 'test-worker', (node) => {
    node.health = new Status(RED, node, {
      books: () => ({ received: 3, delivered: 2, duplicate: 0, rejected: 0, dropped: 0, queued: 1, inFlight: 0 }),
    });
  });
}

/** Two services with a monitor and a worker each. */
const FLOW: FlowNode[] = [
  { id: 'tab-a', type: 'tab', label: 'A' },
  { id: 'tab-b', type: 'tab', label: 'B' },
  { id: 'worker-a', type: 'test-worker', z: 'tab-a', name: 'first', wires: [] },
  { id: 'worker-b', type: 'test-worker', z: 'tab-b', name: 'second', wires: [] },
  { id: 'monitor-a', type: 'contact-monitor', z: 'tab-a', name: '', service: 'audiohook', wires: [[]] },
  { id: 'monitor-b', type: 'contact-monitor', z: 'tab-b', name: '', service: 'ocelot', wires: [[]] },
];
const MESSAGES = 200;
const VARIABLES = /^(ENABLE_|GRAYLOG_|OTEL_|APPLICATIONINSIGHTS_|JSON_LINES_)/;

describe('the telemetry of contact-monitor', () => {
  let runtime: Runtime;
  const start = async (flow = FLOW) => {
    runtime = await startRuntime([workers, contactMonitor], flow, {
      settings: { logging: { console: { level: 'info' } } },
    });
  };
  const environment = (variables: Record<string, string>) => Object.assign(process.env, variables);
  const warn = (id: string, text: string, fields = {}) => nodeLogger(runtime.RED, runtime.node(id)).warn(text, fields);
  const stats = async () => {
    const { services } = (await (await fetch(`${runtime.url}/stats`)).json()) as StatsAnswer;
    return services['audiohook']?.nodes.find(({ id }) => id === 'monitor-a')?.['telemetry'];
  };

  afterEach(async () => {
    for (const name of Object.keys(process.env)) if (VARIABLES.test(name)) delete process.env[name];
    await runtime.stop();
    assert.equal(tracing.isOn || businessEvents.isOn, false, 'nothing is listened to any more');
  });

  describe('with Graylog', () => {
    let graylog: GelfUdpSimulator;
    const texts = () => graylog.messages.map(({ short_message }) => short_message);

    beforeEach(async () => {
      graylog = new GelfUdpSimulator();
      environment({ ENABLE_GRAYLOG: 'true', GRAYLOG_HOST: '127.0.0.1', GRAYLOG_PORT: String(await graylog.start()) });
    });
    afterEach(() => graylog.stop());

    it('brings every log line once, with its service and node, although two monitors ask for it', async () => {
      await start();
      warn('worker-a', 'the queue is long', { code: 'BUSY', correlationId: 'c-1', apiKey: 'hunter2hunter2' });
      runtime.RED.log.info('a line of the runtime');
      await until(() => texts().includes('a line of the runtime'));
      assert.deepEqual(graylog.refused, []);
      for (const line of ['the queue is long', 'a line of the runtime']) {
        assert.equal(texts().filter((text) => text === line).length, 1, line);
      }
      const message = graylog.messages.find(({ short_message }) => short_message === 'the queue is long')!;
      const { _application, _service, _node, _logger, _node_name, _correlation_id, _code, _apiKey, level } = message;
      assert.deepEqual(
        { _application, _service, _node, _logger, _node_name, _correlation_id, _code, _apiKey, level },
        {
          _application: 'contact-center',
          _service: 'audiohook',
          _node: 'worker-a',
          _logger: 'test-worker',
          _node_name: 'first',
          _correlation_id: 'c-1',
          _code: 'BUSY',
          _apiKey: '***',
          level: 4,
        },
      );
    });

    it('tells of each change of state', async () => {
      await start();
      runtime.node<Worker>('worker-b').health.set('refused', { reason: 'the credentials were refused' });
      await until(() => texts().includes('node_state_changed'));
      const change = graylog.messages.find(({ _node }) => _node === 'worker-b')!;
      assert.deepEqual(
        [change['_service'], change['_state'], change['_health'], change['_reason']],
        ['ocelot', 'refused', 'unhealthy', 'the credentials were refused'],
      );
    });

    it('leaves out the lines of services whose monitor does not ask for it', async () => {
      await start(FLOW.map((node) => (node.id === 'monitor-b' ? { ...node, graylog: 'false' } : node)));
      warn('worker-b', 'not for Graylog');
      warn('worker-a', 'for Graylog');
      await until(() => texts().includes('for Graylog'));
      assert.ok(!texts().includes('not for Graylog'));
    });

    it('shows its books in /stats', async () => {
      await start();
      warn('worker-a', 'one');
      const shown = await until(async () => {
        const found = (await stats()) as { graylog: { state: string; books: { delivered: number } } };
        return found.graylog.books.delivered > 0 && found;
      });
      assert.equal(shown.graylog.state, 'working');
    });
  });

  it('goes over OTLP: log lines, the books of the nodes, business events, and spans', async () => {
    const collector = new OtlpSimulator();
    collector.behaviour.headers = { authorization: 'Bearer collector-token' };
    const port = await collector.start();
    environment({
      ENABLE_OTLP: 'true',
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20collector-token',
    });
    await start();
    assert.equal(tracing.isOn, true);
    warn('worker-a', 'watch out');
    tracing.start('work', { attributes: { 'node.id': 'worker-b' } }).end();
    businessEvents.tell({ kind: 'rate-limit', api: 'zoho', retryAfterMs: 1_000 });
    await until(() => collector.spans.length > 0 && collector.points.length > 0 && collector.logs.length > 1);
    assert.deepEqual(collector.refused, []);
    const [span, ...others] = collector.spans as [Received];
    assert.deepEqual([span.attributes['service'], span.resource['service.name'], others], ['ocelot', 'ocelot', []]);
    assert.ok(collector.logs.some(({ body }) => body === 'watch out'));
    assert.ok(collector.logs.some(({ eventName }) => eventName === 'rate_limit_hit'));
    assert.ok(collector.points.some(({ name }) => name === 'rate_limit_events'));
    await collector.stop();
  });

  for (const [answers, listen] of [
    ['refuse every connection', false],
    ['take every connection and never answer', true],
  ] as const) {
    it(`holds up no flow and no close while its receivers ${answers}`, async () => {
      const silent = createServer();
      const sockets = new Set<Socket>();
      silent.on('connection', (socket) => sockets.add(socket.on('error', () => {}).pause()));
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
      const { port } = silent.address() as AddressInfo;
      if (!listen) await new Promise((resolve) => silent.close(resolve));
      environment({
        ENABLE_OTLP: 'true',
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
        ENABLE_GRAYLOG: 'true',
        GRAYLOG_HOST: '127.0.0.1',
        GRAYLOG_PORT: String(port),
        GRAYLOG_PROTOCOL: 'tcp',
      });
      runtime = await startRuntime(
        [workers, contactMonitor, contactBroker, ocelotPublish],
        [
          ...FLOW,
          { id: 'broker', type: 'contact-broker', addresses: 'memory:dead-telemetry' },
          { id: 'source', type: 'test-worker', z: 'tab-a', name: 'source', wires: [['publish']] },
          {
            id: 'publish',
            type: 'ocelot-publish',
            z: 'tab-a',
            broker: 'broker',
            exchange: uniqueName('events'),
            organizationId: 'org-1',
            // Nobody is bound to the exchange: the broker gives each of them back.
            wires: [[], ['returned']],
          },
          { id: 'returned', type: 'helper', z: 'tab-a', wires: [] },
        ],
      );
      const returned = runtime.received('returned');
      for (let number = 0; number < MESSAGES; number += 1) {
        warn('worker-a', `line ${number}`);
        runtime.node('source').send({ payload: VALID_DATA['call.ended'], eventType: 'call.ended' } as never);
      }
      await until(() => returned.length === MESSAGES, 'all messages', 15_000);
      const shown = (await stats()) as Record<string, { books?: { delivered: number } }>;
      assert.equal(shown['otlp']?.books?.delivered, 0);
      assert.equal((await fetch(`${runtime.url}/health`)).status, 200);
      await runtime.stop();
      for (const socket of sockets) socket.destroy();
      silent.close();
      await start();
    });
  }

  it('that cannot be set up makes the monitor degraded, in one sentence, and stops nothing', async () => {
    environment({ ENABLE_APPLICATION_INSIGHTS: 'true' });
    await start();
    const response = await fetch(`${runtime.url}/health`);
    assert.equal(response.status, 200);
    const { checks } = (await response.json()) as HealthAnswer;
    const check = checks.find(({ node }) => node === 'monitor-a')!;
    assert.equal(check.status, 'degraded');
    assert.match(
      check.reason ?? '',
      /^Could not send telemetry to Application Insights: .* the environment variable APPLICATIONINSIGHTS_CONNECTION_STRING\. Correct/,
    );
  });

  it('is off unless it is switched on, and loads nothing then', async () => {
    await start();
    assert.equal(await stats(), undefined);
    assert.equal(tracing.isOn || businessEvents.isOn, false);
    const script = `
      require('./nodes/contact-monitor.ts');
      console.log(Object.keys(require.cache).filter((file) => /@azure|opentelemetry\\/(exporter|sdk)/.test(file)).length);`;
    const output = execFileSync(process.execPath, ['--import', 'tsx', '-e', script], { encoding: 'utf8' });
    assert.equal(output.trim(), '0');
  });
});
