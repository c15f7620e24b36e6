import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import WebSocket from 'ws';
import type { HealthAnswer } from '../../lib/monitor/health';
import type { LogsAnswer } from '../../lib/monitor/logs';
import { until } from '../nodes/helper';
import { type FlowEntry, type NodeRed, ROOT, startNodeRed } from '../services/node-red';

const FLOWS: FlowEntry[] = [
  { id: 'tab', type: 'tab', label: 'Tab' },
  {
    id: 'monitor',
    type: 'contact-monitor',
    z: 'tab',
    name: '',
    service: 'audiohook',
    metricsEnabled: '${METRICS_ENABLED}',
    tokenEnvironment: 'MONITOR_TOKEN',
    logEntries: 100,
    x: 100,
    y: 40,
    wires: [[]],
  },
  { id: 'wrong', type: 'contact-monitor', z: 'tab', name: 'wrong', service: 'no spaces', x: 100, y: 80, wires: [[]] },
  {
    id: 'log',
    type: 'function',
    z: 'tab',
    name: '',
    func: 'node.warn({ message: "a line with fields", correlationId: "call-7" });',
    outputs: 0,
    x: 300,
    y: 120,
    wires: [],
  },
  { id: 'once', type: 'inject', z: 'tab', props: [], once: true, onceDelay: 0.1, x: 100, y: 160, wires: [['log']] },
];

describe('contact-monitor in a Node-RED of its own', () => {
  let nodeRed: NodeRed;

  before(async function () {
    this.timeout(90_000);
    const jsonLog = JSON.stringify(join(ROOT, 'dist/lib/monitor/json-log'));
    nodeRed = await startNodeRed({
      flows: FLOWS,
      env: { METRICS_ENABLED: 'true', MONITOR_TOKEN: 'flow-monitor-token', LOG_LEVEL: undefined },
      settings: `{ logging: {
        console: { level: 'info' },
        json: { level: 'info', metrics: false, audit: false, handler: require(${jsonLog}).handler },
      } }`,
    });
  });
  after(() => nodeRed?.stop());

  it('answers on the four addresses from the environment alone', async () => {
    const health = await nodeRed.request('/health');
    assert.equal(health.status, 503, 'one of the monitors is not configured');
    const { checks } = (await health.json()) as HealthAnswer;
    assert.match(checks.find(({ node }) => node === 'wrong')!.reason!, /the property service must be made of letters/);
    assert.equal((await nodeRed.request('/audiohook/stats')).status, 200);
    const metrics = await (await nodeRed.request('/metrics')).text();
    assert.match(metrics, /^contact_center_node_up\{service="audiohook",node="monitor",type="contact-monitor"\} 1$/m);
    assert.match(metrics, /^process_resident_memory_bytes \d+$/m);
    assert.equal((await nodeRed.request('/logs')).status, 401);
    const headers = { authorization: 'Bearer flow-monitor-token' };
    const line = await until(async () => {
      const { logs } = (await (await nodeRed.request('/logs', { headers })).json()) as LogsAnswer;
      return logs.find(({ message }) => message === 'a line with fields');
    });
    assert.deepEqual([line.level, line.logger, line.correlationId], ['warn', 'function', 'call-7']);
  });

  it('writes its log as lines of JSON, each with its node', async () => {
    const lines = await until(() => {
      const all = nodeRed.log().split('\n');
      const parsed = all.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
      return parsed.some(({ correlationId }) => correlationId === 'call-7') && parsed;
    });
    const own = lines.find(({ node }) => node?.id === 'wrong');
    assert.deepEqual(
      [own.level, own.node.type, own.node.name, own.flow, own.code],
      ['error', 'contact-monitor', 'wrong', 'tab', 'CONFIGURATION'],
    );
    assert.doesNotMatch(nodeRed.log(), /flow-monitor-token/);
  });

  it('shows the editor a status with its text in words', async () => {
    const socket = new WebSocket(`${nodeRed.url.replace('http', 'ws')}/comms`);
    try {
      const statuses = new Map<string, Record<string, string>>();
      socket.on('message', (data) => {
        for (const { topic, data: status } of [JSON.parse(String(data))].flat()) statuses.set(topic, status);
      });
      await once(socket, 'open');
      socket.send(JSON.stringify({ subscribe: 'status/#' }));
      const well = await until(() => statuses.get('status/monitor'));
      assert.deepEqual([well['fill'], well['shape'], well['text']], ['green', 'dot', 'watching']);
      const wrong = await until(() => statuses.get('status/wrong'));
      assert.deepEqual([wrong['fill'], wrong['shape'], wrong['text']], ['red', 'ring', 'not configured: fill in']);
    } finally {
      socket.terminate();
    }
  });
});
