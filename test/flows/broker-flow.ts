import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../nodes/helper';
import { type FlowEntry, type NodeRed, type NodeRedOptions, startNodeRed } from '../services/node-red';

/** What a node of the flow says about itself in `/stats`. */
export interface NodeStats {
  id: string;
  type: string;
  state: string;
  reason?: string;
  books?: Record<string, number>;
  deliveries?: Record<string, number>;
}

/** A flow that publishes numbered events on request, and remembers which of them were done and which failed. */
export function publishingFlow(brokerUrl: string, publish: Record<string, unknown> = {}): FlowEntry[] {
  return [
    ...common(brokerUrl),
    { id: 'go', type: 'http in', z: 'tab', url: '/go', method: 'get', wires: [['start']] },
    {
      id: 'start',
      type: 'function',
      z: 'tab',
      outputs: 2,
      func: `
        const from = Number(msg.req.query.from), end = from + Number(msg.req.query.count);
        const each = Number(msg.req.query.each), key = msg.req.query.key ?? 'numbered';
        let n = from;
        msg.payload = { started: true };
        node.send([null, msg]);
        const timer = setInterval(() => {
          for (let i = 0; i < each && n < end; i += 1, n += 1) {
            node.send([{ eventType: 'test.' + key, organizationId: 'org', payload: { n }, n }, null]);
          }
          if (n >= end) clearInterval(timer);
        }, 20);`,
      wires: [['publish'], ['answer']],
    },
    {
      id: 'publish',
      type: 'ocelot-publish',
      z: 'tab',
      broker: 'broker',
      ...publish,
      wires: [[], ['failed']],
    },
    { id: 'complete', type: 'complete', z: 'tab', scope: ['publish'], uncaught: false, wires: [['done']] },
    { id: 'done', type: 'function', z: 'tab', outputs: 1, func: remember('done', 'msg.n'), wires: [[]] },
    {
      id: 'failed',
      type: 'function',
      z: 'tab',
      outputs: 1,
      func: remember('failed', '({ n: msg.payload.data?.n ?? msg.n, code: msg.error.code })'),
      wires: [[]],
    },
    { id: 'ask', type: 'http in', z: 'tab', url: '/remembered', method: 'get', wires: [['tell']] },
    {
      id: 'tell',
      type: 'function',
      z: 'tab',
      outputs: 1,
      func: `msg.payload = { done: flow.get('done') ?? [], failed: flow.get('failed') ?? [] }; return msg;`,
      wires: [['answer']],
    },
    { id: 'answer', type: 'http response', z: 'tab', wires: [] },
  ];
}

/** What a {@link consumingFlow} does with each message before it is settled. */
export interface Work {
  /** The body of a function node; it has `fs`, `record(line)` and the message. */
  func: string;
  /** Properties of its contact-queue-in. */
  source: Record<string, unknown>;
  /** Whether the messages that come out of the function, and its errors, are settled; true when left out. */
  settled?: boolean;
}

/** A flow that works on the messages of a queue and leaves a line in `work.log` of its user directory for each. */
export function consumingFlow(brokerUrl: string, { func, source, settled = true }: Work): FlowEntry[] {
  return [
    ...common(brokerUrl),
    { id: 'in', type: 'contact-queue-in', z: 'tab', broker: 'broker', ...source, wires: [['work']] },
    {
      id: 'work',
      type: 'function',
      z: 'tab',
      outputs: 1,
      // What was written stays when the process is killed.
      func: `const record = (line) => global.get('fs').appendFileSync('work.log', line + '\\n');\n${func}`,
      wires: [settled ? ['settle'] : []],
    },
    { id: 'catch', type: 'catch', z: 'tab', scope: ['work'], uncaught: false, wires: [settled ? ['settle'] : []] },
    { id: 'settle', type: 'contact-settle', z: 'tab', wires: [[]] },
  ];
}

/** What function nodes of a {@link consumingFlow} may use. */
export const WORK_SETTINGS = "{ functionGlobalContext: { fs: require('node:fs') } }";

/** The lines that a {@link consumingFlow} has written. */
export function workOf({ userDir }: NodeRed): string[] {
  const path = join(userDir, 'work.log');
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
}

/** The tab, the broker and the monitor of every flow. */
export function common(brokerUrl: string): FlowEntry[] {
  return [
    { id: 'tab', type: 'tab', label: 'Test' },
    { id: 'broker', type: 'contact-broker', name: 'RabbitMQ', addresses: brokerUrl, heartbeatSeconds: 5 },
    { id: 'monitor', type: 'contact-monitor', z: 'tab', service: 'ocelot', metricsEnabled: 'true', wires: [[]] },
  ];
}

function remember(name: string, value: string): string {
  return `const all = flow.get('${name}') ?? []; all.push(${value}); flow.set('${name}', all);`;
}

/** What has no place on the canvas counts as a configuration node. */
export function placed(flows: readonly FlowEntry[]): FlowEntry[] {
  return flows.map((entry) => ('z' in entry ? { x: 100, y: 100, ...entry } : entry));
}

/** Starts Node-RED with a flow that uses a broker. */
export function startBrokerFlow(flows: FlowEntry[], options: Omit<NodeRedOptions, 'flows'> = {}): Promise<NodeRed> {
  return startNodeRed({ flows: placed(flows), env: { MODULE: undefined, RABBITMQ_URL: undefined }, ...options });
}

/** Asks one node how it stands. */
export async function statsOf(nodeRed: NodeRed, id: string): Promise<NodeStats> {
  const answer = await nodeRed.request('/stats');
  const { services } = (await answer.json()) as { services: Record<string, { nodes: NodeStats[] }> };
  const found = Object.values(services)
    .flatMap(({ nodes }) => nodes)
    .find((node) => node.id === id);
  if (!found) throw new Error(`/stats does not know ${id}`);
  return found;
}

/** Waits until a node is in one of these states, and gives what it says then. */
export async function untilState(
  nodeRed: NodeRed,
  id: string,
  states: string[],
  withinMs = 30_000,
): Promise<NodeStats> {
  let stats: NodeStats | undefined;
  try {
    await until(
      async () => {
        stats = await statsOf(nodeRed, id);
        return states.includes(stats.state);
      },
      '',
      withinMs,
    );
  } catch {
    throw new Error(`${id} is not ${states.join(' or ')} within ${withinMs} ms but ${JSON.stringify(stats)}`);
  }
  return stats!;
}

/** Begins to publish events with the numbers from `from` on, `each` of them every 20 ms. */
export async function publishNumbers(
  nodeRed: NodeRed,
  { from = 0, count, each = 20, key }: { from?: number; count: number; each?: number; key?: string },
): Promise<void> {
  const query = new URLSearchParams({ from: String(from), count: String(count), each: String(each) });
  if (key) query.set('key', key);
  const answer = await nodeRed.request(`/go?${query}`);
  if (!answer.ok) throw new Error(`/go answered ${answer.status}`);
}

/** The numbers of the events that were done, and of those that left the failure output. */
export async function remembered(nodeRed: NodeRed): Promise<{ done: number[]; failed: { n: number; code: string }[] }> {
  return (await (await nodeRed.request('/remembered')).json()) as never;
}
