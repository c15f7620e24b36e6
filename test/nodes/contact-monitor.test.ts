import assert from 'node:assert/strict';
import { registerSecret } from '../../lib/core/redaction';
import type { HealthAnswer } from '../../lib/monitor/health';
import type { LiveFrame } from '../../lib/monitor/live-view';
import type { LogsAnswer } from '../../lib/monitor/logs';
import { monitored } from '../../lib/monitor/registry';
import type { NodeState } from '../../lib/monitor/states';
import type { StatsAnswer } from '../../lib/monitor/stats';
import { nodeLogger } from '../../lib/red/logger';
import { type Red, type RuntimeNode, useConfigNode } from '../../lib/red/node';
import { registerNode } from '../../lib/red/register';
import { Status } from '../../lib/red/status';
import contactMonitor from '../../nodes/contact-monitor';
import { type FlowNode, type Runtime, type StartOptions, startRuntime, until } from './helper';

interface Worker extends RuntimeNode {
  health: Status;
}

/** Two node types to be watched: a worker that keeps books, and a configuration node that it uses. */
function workers(RED: Red): void {
  registerNode<Worker>(RED, 'test-connection', (node) => {
    node.health = new Status(RED, node, {
      details: () => ({ token: 'valid', clientSecret: 'very-secret-value' }),
      groups: () => ({ tokens: { refresh_attempts: 1 } }),
    });
  });
  registerNode<Worker>(RED, 'test-worker', (node, definition) => {
    useConfigNode(RED, node, definition['connection'], 'test-connection');
    node.health = new Status(RED, node, {
      books: () => ({ received: 10, delivered: 5, duplicate: 1, rejected: 1, dropped: 0, queued: 2, inFlight: 1 }),
      details: () => ({ breaker: 'closed' }),
      actions: () => ({ pause: () => `paused ${node.id}` }),
      metrics: () => [
        {
          name: 'contact_center_batches_total',
          help: 'Batches.',
          type: 'counter',
          value: 3,
          labels: { target: 'https://u:hunter22@host' },
        },
        { name: 'not a name', help: 'Refused by Prometheus.', type: 'gauge', value: 1 },
        { name: 'contact_center_broken', help: 'No number.', type: 'gauge', value: Number.NaN },
      ],
    });
    if (definition['firstState']) node.health.set(definition['firstState'] as NodeState, { reason: 'from the start' });
  });
}

const TOKEN = 'monitor-token-123';

function monitor(id: string, tab: string, service: string, more: Record<string, unknown> = {}): FlowNode {
  const wires = [[`${id}-out`]];
  return {
    id,
    type: 'contact-monitor',
    z: tab,
    name: '',
    service,
    metricsEnabled: 'true',
    logEntries: 100,
    wires,
    ...more,
  };
}

/** Two services with a worker and a monitor each, one connection for both, and a worker on a tab of its own. */
const FLOW: FlowNode[] = [
  { id: 'tab-a', type: 'tab', label: 'A' },
  { id: 'tab-b', type: 'tab', label: 'B' },
  { id: 'tab-c', type: 'tab', label: 'C' },
  { id: 'connection', type: 'test-connection', name: 'shared' },
  { id: 'worker-a', type: 'test-worker', z: 'tab-a', name: 'first', connection: 'connection', wires: [] },
  monitor('monitor-a', 'tab-a', 'audiohook'),
  { id: 'monitor-a-out', type: 'helper', z: 'tab-a', wires: [] },
  { id: 'worker-b', type: 'test-worker', z: 'tab-b', name: '', connection: 'connection', wires: [] },
  monitor('monitor-b', 'tab-b', 'ocelot', { metricsEnabled: 'false' }),
  { id: 'monitor-b-out', type: 'helper', z: 'tab-b', wires: [] },
  { id: 'worker-c', type: 'test-worker', z: 'tab-c', name: '', wires: [] },
];

describe('contact-monitor', () => {
  let runtime: Runtime;

  async function start(flow: FlowNode[] = FLOW, options: StartOptions = {}): Promise<void> {
    runtime = await startRuntime([workers, contactMonitor], flow, {
      credentials: { 'monitor-a': { token: TOKEN } },
      ...options,
    });
  }
  const get = (path: string, headers: Record<string, string> = {}) => fetch(`${runtime.url}${path}`, { headers });
  const json = async <Body>(path: string, headers: Record<string, string> = {}): Promise<Body> =>
    (await get(path, headers)).json() as Promise<Body>;
  const worker = (id: string) => runtime.node<Worker>(id).health;

  afterEach(async () => {
    delete process.env['MONITOR_TOKEN'];
    delete process.env['METRICS_ENABLED'];
    await runtime.stop();
    assert.deepEqual(monitored.all(), [], 'a closed node is not watched any more');
  });

  describe('the sidebar', () => {
    const post = async (path: string) =>
      (await fetch(`${runtime.adminUrl}/contact-center/${path}`, { method: 'POST' })).json() as Promise<never>;

    it('is shown all nodes with what they offer, and gets a frame a second while it asks', async () => {
      await start();
      const frames: LiveFrame[] = [];
      const publish = runtime.RED.comms.publish;
      runtime.RED.comms.publish = (topic, frame) => {
        if (topic === 'contact-center/live') frames.push(frame as LiveFrame);
      };
      try {
        const frame: LiveFrame = await post('live');
        const worker = frame.services.find(({ service }) => service === 'audiohook')?.nodes[1];
        assert.deepEqual(worker?.actions, ['pause']);
        assert.equal(worker?.books?.received, 10);
        assert.ok(!JSON.stringify(frame).includes('very-secret-value'));
        await until(() => frames.length >= 2, 'frames');
      } finally {
        runtime.RED.comms.publish = publish;
      }
    });

    it('tells a node what to do, and is told when the node does not offer that', async () => {
      await start();
      assert.deepEqual(await post('nodes/worker-a/pause'), { ok: true, said: 'paused worker-a' });
      for (const path of ['nodes/worker-a/flush', 'nodes/nobody/pause', 'nodes/worker-a/constructor']) {
        const answer: { ok: boolean; message: string } = await post(path);
        assert.equal(answer.ok, false, path);
        assert.match(answer.message, /does not offer/);
      }
    });
  });

  describe('/health', () => {
    it('names every node with its service and is healthy when all are', async () => {
      await start();
      const response = await get('/health');
      const body = (await response.json()) as HealthAnswer;
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('cache-control'), 'no-store');
      assert.equal(body.status, 'healthy');
      assert.match(body.version, /^\d+\.\d+\.\d+/);
      assert.ok(Number.isInteger(body.uptime_seconds));
      assert.ok(!Number.isNaN(Date.parse(body.timestamp)));
      const seen = body.checks.map(({ service, node, type, name }) => `${service} ${node} ${type} ${name}`).sort();
      assert.deepEqual(seen, [
        'audiohook connection test-connection shared',
        'audiohook monitor-a contact-monitor contact-monitor',
        'audiohook worker-a test-worker first',
        'ocelot connection test-connection shared',
        'ocelot monitor-b contact-monitor contact-monitor',
        'ocelot worker-b test-worker test-worker',
        'unassigned worker-c test-worker test-worker',
      ]);
    });

    it('is a page of its own for a browser, in its language, with the same status', async () => {
      await start();
      const browser = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };
      const page = await get('/audiohook/health', { ...browser, 'accept-language': 'de-DE,de;q=0.9,en;q=0.5' });
      assert.equal(page.status, 200);
      assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
      assert.match(page.headers.get('vary') ?? '', /Accept/);
      assert.match(await page.text(), /<html lang="de">[\s\S]*LiveBoard/);
      worker('worker-a').set('refused');
      const english = await get('/health', { ...browser, 'accept-language': 'fr' });
      assert.equal(english.status, 503);
      assert.match(await english.text(), /<html lang="en">/);
    });

    it('gives the page the live view of its service', async () => {
      await start();
      const frame = await json<LiveFrame>('/ocelot/health?view=live');
      assert.deepEqual(
        frame.services.map(({ service, nodes }) => [service, nodes.map(({ id }) => id).sort()]),
        [['ocelot', ['connection', 'monitor-b', 'worker-b']]],
      );
    });

    it('stays at 200 while a node is degraded', async () => {
      await start();
      worker('worker-a').set('disconnected', { reason: 'the socket was closed' });
      const response = await get('/health');
      assert.equal(response.status, 200);
      assert.equal(((await response.json()) as HealthAnswer).status, 'degraded');
    });

    it('turns to 503 with the reason when a node is unhealthy, and back', async () => {
      await start();
      worker('worker-a').set('refused', { reason: 'the credentials were refused' });
      const response = await get('/health');
      const body = (await response.json()) as HealthAnswer;
      assert.equal(response.status, 503);
      assert.equal(body.status, 'unhealthy');
      const check = body.checks.find(({ node }) => node === 'worker-a')!;
      assert.equal(check.status, 'unhealthy');
      assert.equal(check.reason, 'the credentials were refused');
      assert.ok(Math.abs(Date.parse(check.since) - Date.now()) < 60_000);
      worker('worker-a').set('connected');
      assert.equal((await get('/health')).status, 200);
    });

    it('answers for one service without the troubles of another', async () => {
      await start();
      worker('worker-b').set('failed');
      assert.equal((await get('/audiohook/health')).status, 200);
      assert.equal((await get('/ocelot/health')).status, 503);
      const { checks } = await json<HealthAnswer>('/audiohook/health');
      assert.deepEqual(new Set(checks.map(({ service }) => service)), new Set(['audiohook']));
    });

    it('stays at 200 for the liveness probe whatever happens', async () => {
      await start();
      worker('worker-a').set('breaker-open');
      const response = await get('/health?probe=live');
      assert.equal(response.status, 200);
      assert.equal(((await response.json()) as HealthAnswer).status, 'unhealthy');
      assert.equal((await get('/audiohook/health?probe=live')).status, 200);
    });

    it('shows no secret that a reason holds', async () => {
      await start();
      registerSecret('hidden-password');
      worker('worker-a').set('refused', { reason: 'tried hidden-password on https://me:open-sesame@host' });
      const body = await (await get('/health')).text();
      assert.doesNotMatch(body, /hidden-password|open-sesame/);
    });
  });

  describe('routes', () => {
    it('leave other services and other paths to the flows of the user', async () => {
      await start();
      runtime.RED.httpNode.get('/:word/health', (_request, response) => {
        response.send('mine');
      });
      assert.equal(await (await get('/something/health')).text(), 'mine');
      assert.notEqual(await (await get('/audiohook/health')).text(), 'mine');
    });

    it('are gone with the last monitor and come back with the next, over redeploys', async () => {
      await start();
      const without = FLOW.filter(({ type }) => type !== 'contact-monitor');
      await runtime.deploy(without);
      for (const path of ['/health', '/stats', '/metrics', '/logs', '/audiohook/health']) {
        assert.equal((await get(path)).status, 404, path);
      }
      for (let round = 0; round < 3; round++) {
        await runtime.deploy(FLOW);
        assert.equal((await json<HealthAnswer>('/health')).checks.length, 7);
      }
    });

    it('honour the middleware that the operator has set for http-in nodes', async () => {
      await start(FLOW, {
        settings: {
          httpNodeMiddleware: (_request: unknown, response: { status(code: number): { end(): void } }) => {
            response.status(418).end();
          },
        },
      });
      assert.equal((await get('/health')).status, 418);
    });
  });

  describe('/stats', () => {
    it('shows books and facts of every node by service, without secrets', async () => {
      await start();
      const { services } = await json<StatsAnswer>('/stats');
      assert.deepEqual(Object.keys(services).sort(), ['audiohook', 'ocelot', 'unassigned']);
      const node = services['audiohook']!.nodes.find(({ id }) => id === 'worker-a')!;
      assert.deepEqual(node.books, {
        received: 10,
        delivered: 5,
        duplicate: 1,
        rejected: 1,
        dropped: 0,
        queued: 2,
        inFlight: 1,
      });
      assert.equal(node['breaker'], 'closed');
      assert.equal(node.state, 'idle');
      const connection = services['audiohook']!.nodes.find(({ id }) => id === 'connection')!;
      assert.equal(connection['clientSecret'], '***');
    });

    it('shows one service alone', async () => {
      await start();
      assert.deepEqual(Object.keys((await json<StatsAnswer>('/ocelot/stats')).services), ['ocelot']);
    });
  });

  describe('/metrics', () => {
    it('gives numbers of nodes and process in the text form', async () => {
      await start();
      const response = await get('/metrics');
      const text = await response.text();
      assert.match(response.headers.get('content-type') ?? '', /^text\/plain;.*version=0\.0\.4/);
      const labels = 'service="audiohook",node="worker-a",type="test-worker"';
      for (const line of [
        `contact_center_node_up{${labels}} 1`,
        `contact_center_messages_received_total{${labels}} 10`,
        `contact_center_messages_total{${labels},outcome="delivered"} 5`,
        `contact_center_messages_total{${labels},outcome="dropped"} 0`,
        `contact_center_queue_messages{${labels}} 2`,
        `contact_center_in_flight_messages{${labels}} 1`,
        `contact_center_batches_total{target="https://***@host",${labels}} 3`,
        '# TYPE contact_center_messages_total counter',
        '# TYPE process_cpu_seconds_total counter',
      ]) {
        assert.ok(text.includes(`${line}\n`), `${line} is missing in\n${text}`);
      }
      assert.match(text, /^nodejs_version_info/m);
      assert.doesNotMatch(text, /hunter22|not a name|contact_center_broken/);
    });

    it('says 0 for a node that is unhealthy', async () => {
      await start();
      worker('worker-a').set('stalled');
      assert.match(await (await get('/audiohook/metrics')).text(), /contact_center_node_up\{[^}]*worker-a[^}]*\} 0/);
    });

    it('gives groups as JSON to those who accept only that', async () => {
      await start();
      const groups = await json<Record<string, Record<string, unknown>>>('/metrics', { accept: 'application/json' });
      assert.equal(groups['application']!['status'], 'running');
      assert.equal(groups['application']!['health'], 'healthy');
      assert.deepEqual(groups['audiohook'], {
        nodes: 3,
        received: 10,
        delivered: 5,
        duplicate: 1,
        rejected: 1,
        dropped: 0,
        queued: 2,
        in_flight: 1,
        batches_total: 3,
      });
      assert.deepEqual(groups['tokens'], { refresh_attempts: 1 }, 'a shared node is counted once');
      assert.equal(typeof groups['timestamp'], 'number');
    });

    it('is not there unless it is switched on', async () => {
      await start();
      assert.equal((await get('/ocelot/metrics')).status, 404);
      assert.equal((await get('/audiohook/metrics')).status, 200);
      await runtime.deploy(FLOW.map((node) => ({ ...node, metricsEnabled: '${METRICS_ENABLED}' })));
      assert.equal((await get('/metrics')).status, 404);
    });

    it('is switched on by METRICS_ENABLED', async () => {
      process.env['METRICS_ENABLED'] = 'True';
      await start(FLOW.map((node) => ({ ...node, metricsEnabled: '${METRICS_ENABLED}' })));
      assert.equal((await get('/metrics')).status, 200);
    });
  });

  describe('/logs', () => {
    const authorization = { authorization: `Bearer ${TOKEN}` };

    it('is not there without a token', async () => {
      await start(FLOW, { credentials: {} });
      assert.equal((await get('/logs', authorization)).status, 404);
      await runtime.deploy(FLOW, 'full', { 'monitor-a': { token: TOKEN } });
      assert.equal((await get('/logs', authorization)).status, 200);
      assert.equal((await get('/ocelot/logs', authorization)).status, 404);
    });

    it('opens only to the right bearer', async () => {
      await start();
      const wrong = [{}, { authorization: 'Bearer wrong' }, { authorization: TOKEN }, { authorization: 'Basic abc' }];
      for (const headers of wrong as Record<string, string>[]) {
        const response = await get('/logs', headers);
        assert.equal(response.status, 401);
        assert.equal(response.headers.get('www-authenticate'), 'Bearer');
        assert.doesNotMatch(await response.text(), new RegExp(TOKEN));
      }
      assert.equal((await get('/logs', { authorization: `bearer ${TOKEN}` })).status, 200);
    });

    it('takes the token from MONITOR_TOKEN when the credential is empty', async () => {
      process.env['MONITOR_TOKEN'] = 'from-environment';
      await start(FLOW, { credentials: {} });
      assert.equal((await get('/logs', { authorization: 'Bearer from-environment' })).status, 200);
    });

    it('gives the newest lines first, by limit and level, with node and correlation id', async () => {
      await start(FLOW.map((node) => ('logEntries' in node ? { ...node, logEntries: 300 } : node)));
      const logger = nodeLogger(runtime.RED, runtime.node('worker-a'));
      for (let line = 1; line <= 250; line++) logger.info(`line ${line}`);
      logger.warn('look here', { correlationId: 'call-7' });
      runtime.RED.log.info('from the runtime');

      const all = await json<LogsAnswer>('/logs', authorization);
      assert.equal(all.count, 50);
      assert.equal(all.logs.length, 50);
      assert.equal(all.level_filter, null);
      assert.deepEqual(
        { ...all.logs[0], timestamp: '' },
        {
          timestamp: '',
          level: 'info',
          logger: 'node-red',
          message: 'from the runtime',
        },
      );
      assert.deepEqual(
        { ...all.logs[1], timestamp: '' },
        {
          timestamp: '',
          level: 'warn',
          logger: 'test-worker',
          message: 'look here',
          node: 'worker-a',
          correlationId: 'call-7',
        },
      );
      const warnings = await json<LogsAnswer>('/logs?level=WARN&limit=5', authorization);
      assert.equal(warnings.level_filter, 'warn');
      assert.deepEqual(
        warnings.logs.map(({ message }) => message),
        ['look here'],
      );
      assert.equal((await json<LogsAnswer>('/logs?limit=1000', authorization)).logs.length, 200);
      assert.equal((await get('/logs?level=loud', authorization)).status, 400);
    });

    it('gives a service only the lines of its own nodes', async () => {
      await start();
      nodeLogger(runtime.RED, runtime.node('worker-a')).warn('of a');
      nodeLogger(runtime.RED, runtime.node('worker-b')).warn('of b');
      nodeLogger(runtime.RED, runtime.node('connection')).warn('of both');
      const { logs } = await json<LogsAnswer>('/audiohook/logs?limit=2', authorization);
      assert.deepEqual(
        logs.map(({ message }) => message),
        ['of both', 'of a'],
      );
    });

    it('masks secrets, even those that became known after the line was written', async () => {
      await start();
      const logger = nodeLogger(runtime.RED, runtime.node('worker-a'));
      runtime.node('worker-a').warn('Authorization: Bearer abcdefghij');
      logger.warn('later-known-secret was used', { password: 'open' });
      registerSecret('later-known-secret');
      const text = await (await get('/logs', authorization)).text();
      assert.doesNotMatch(text, /abcdefghij|later-known-secret/);
    });

    it('listens to the runtime no more often than at first however often it is deployed', async () => {
      await start();
      const { log } = runtime.RED;
      const added: unknown[] = [];
      const removed: unknown[] = [];
      const addHandler = log.addHandler;
      const removeHandler = log.removeHandler;
      Object.assign(log, { addHandler: (it: never) => added.push(it) && addHandler(it) });
      Object.assign(log, { removeHandler: (it: never) => removed.push(it) && removeHandler(it) });
      const listeners = () => runtime.RED.events.listenerCount('flows:started');
      const before = listeners();
      for (let round = 0; round < 5; round++) await runtime.deploy(FLOW);
      assert.equal(listeners(), before, 'nobody waits for flows that have started');
      assert.equal(added.length, 5, 'two monitors share one handler');
      assert.equal(removed.length, 5);
      assert.deepEqual(removed.slice(1), added.slice(0, 4), 'what was added is what is removed');
    });
  });

  describe('changes of state', () => {
    it('are sent for the nodes of the service, with what was and what is', async () => {
      await start();
      const received = runtime.received('monitor-a-out');
      worker('worker-b').set('failed');
      worker('worker-a').set('refused', { reason: 'wrong secret' });
      const message = await until(() => received[0]);
      const { since, ...payload } = message.payload as Record<string, string>;
      assert.equal(message.topic, 'audiohook/test-worker');
      assert.deepEqual(payload, {
        service: 'audiohook',
        node: 'worker-a',
        type: 'test-worker',
        name: 'first',
        state: 'refused',
        previous: 'idle',
        health: 'unhealthy',
        reason: 'wrong secret',
      });
      assert.ok(!Number.isNaN(Date.parse(since!)));
      worker('worker-a').set('connected');
      const next = await until(() => received[1]);
      const told = next.payload as Record<string, string>;
      assert.deepEqual([told['state'], told['previous'], told['health']], ['connected', 'refused', 'healthy']);
      assert.equal(received.length, 2, 'the other service is none of its business');
    });

    it('are sent for everything when no service is named', async () => {
      await start(FLOW.map((node) => (node.id === 'monitor-a' ? { ...node, service: '' } : node)));
      const received = runtime.received('monitor-a-out');
      worker('worker-c').set('failed');
      worker('worker-b').set('failed');
      await until(() => received.length === 2);
      assert.deepEqual(
        received.map(({ topic }) => topic),
        ['unassigned/test-worker', 'ocelot/test-worker'],
      );
    });

    it('that happened before the monitor was started are sent when the flows run', async () => {
      const early = FLOW.map((node) => (node.id === 'worker-a' ? { ...node, firstState: 'not-configured' } : node));
      const received: string[] = [];
      const listen = (RED: Red) =>
        registerNode(RED, 'test-listener', (node) => {
          node.on('input', (message, _send, done) => {
            received.push((message.payload as { state: string; reason: string }).state);
            done();
          });
        });
      const flow = early.map((node) => (node.id === 'monitor-a-out' ? { ...node, type: 'test-listener' } : node));
      runtime = await startRuntime([workers, listen, contactMonitor], flow);
      await until(() => received.length > 0);
      assert.deepEqual(received, ['not-configured']);
    });
  });

  describe('its own configuration', () => {
    it('that cannot be used makes a red ring that names the property, and no route', async () => {
      await start([
        { id: 'tab-a', type: 'tab', label: 'A' },
        { id: 'monitor', type: 'contact-monitor', z: 'tab-a', name: '', service: '../etc', logEntries: 3, wires: [[]] },
      ]);
      const { status } = runtime.node('monitor') as unknown as { status: { lastCall: { args: [object] } } };
      const shown = status.lastCall.args[0] as Record<string, string>;
      assert.deepEqual([shown['fill'], shown['shape'], shown['state']], ['red', 'ring', 'not-configured']);
      assert.match(shown['reason']!, /the property service must be made of letters.*the property logEntries must be/);
      assert.equal((await get('/health')).status, 404);
    });

    it('keeps no more log lines than it says', async () => {
      await start(FLOW.map((node) => ('logEntries' in node ? { ...node, logEntries: '10' } : node)));
      for (let line = 0; line < 30; line++) runtime.RED.log.warn(`line ${line}`);
      const { logs } = await json<LogsAnswer>('/logs', { authorization: `Bearer ${TOKEN}` });
      assert.equal(logs.length, 10);
      assert.equal(logs[0]!.message, 'line 29');
    });
  });
});
