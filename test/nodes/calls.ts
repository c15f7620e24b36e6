import type { NodeMessageInFlow } from 'node-red';
import { monitored, type NodeActions } from '../../lib/monitor/registry';
import { registerNode } from '../../lib/red/register';
import ariConnection from '../../nodes/ari-connection';
import ariEventsIn from '../../nodes/ari-events-in';
import ariOriginate from '../../nodes/ari-originate';
import callAuth from '../../nodes/call-auth';
import callLookup from '../../nodes/call-lookup';
import callStore from '../../nodes/call-store';
import type { AriSimulator } from '../simulators/ari';
import { type FlowNode, type NodeModule, type Runtime, startRuntime, until } from './helper';

/** Sends a message into the flow under test. */
const source: NodeModule = (RED) => registerNode(RED, 'test-source', () => {});

export const CALL_MODULES = [source, callStore, ariConnection, ariOriginate, ariEventsIn, callLookup, callAuth];

/** What the flows of these tests have in common: a store in memory, and an Asterisk when there is one. */
export function baseFlow(asterisk?: AriSimulator): FlowNode[] {
  const connection = { id: 'asterisk', type: 'ari-connection', store: 'store', app: 'tests' };
  return [
    { id: 'tab', type: 'tab', label: 'Test' },
    { id: 'store', type: 'call-store', kind: 'memory' },
    ...(asterisk ? [{ ...connection, url: asterisk.url, username: asterisk.user }] : []),
    { id: 'source', type: 'test-source', z: 'tab', wires: [['tested']] },
    { id: 'first', type: 'helper', z: 'tab', wires: [] },
    { id: 'second', type: 'helper', z: 'tab', wires: [] },
    { id: 'catch', type: 'catch', z: 'tab', scope: ['tested'], wires: [['caught']] },
    { id: 'caught', type: 'helper', z: 'tab', wires: [] },
    { id: 'complete', type: 'complete', z: 'tab', scope: ['tested'], uncaught: false, wires: [['done']] },
    { id: 'done', type: 'helper', z: 'tab', wires: [] },
  ];
}

/** A message that left the node under test. */
export type Left = NodeMessageInFlow & {
  payload: Record<string, unknown> & { error?: { code: string } };
  error?: { code: string; message: string };
  statusCode?: number;
  headers?: Record<string, string>;
  callId?: string;
  user?: { name: string };
};

/** The node under test in a running flow, and what leaves it. */
export interface Tested {
  runtime: Runtime;
  first: Left[];
  second: Left[];
  caught: NodeMessageInFlow[];
  done: NodeMessageInFlow[];
  send(message: Record<string, unknown>): void;
  /** Sends a message and gives the one that leaves for it. */
  answer(message: Record<string, unknown>): Promise<Left>;
  report(id?: string): ReturnType<ReturnType<typeof monitored.all>[number]['report']>;
  /** What the node under test offers in the sidebar. */
  actions(): NodeActions;
}

/** Runs a node with the id `tested`; it is ready when the Asterisk is, if there is one. */
export async function startTested(
  tested: FlowNode,
  asterisk?: AriSimulator,
  credentials: Record<string, Record<string, string>> = {},
  settings: Record<string, unknown> = {},
): Promise<Tested> {
  const flow = [...baseFlow(asterisk), { z: 'tab', wires: [['first'], ['second']], ...tested, id: 'tested' }];
  const secrets = asterisk ? { asterisk: { password: asterisk.password } } : {};
  const runtime = await startRuntime(CALL_MODULES, flow, { credentials: { ...secrets, ...credentials }, settings });
  const [first, second] = [runtime.received('first') as Left[], runtime.received('second') as Left[]];
  const monitoredNode = (id: string) => monitored.all().find((node) => node.id === id)!;
  const report = (id = 'tested') => monitoredNode(id).report();
  const send = (message: Record<string, unknown>) => runtime.node('source').send(message);
  if (asterisk) {
    // The helper emits no event when the flows have started.
    runtime.RED.events.emit('flows:started');
    await until(() => report('asterisk').state === 'connected', 'the connection');
  }
  return {
    runtime,
    first,
    second,
    caught: runtime.received('caught'),
    done: runtime.received('done'),
    report,
    actions: () => monitoredNode('tested').actions?.() ?? {},
    send,
    async answer(message) {
      const before = [first.length, second.length];
      send(message);
      return until(() => first[before[0]!] ?? second[before[1]!], 'an answer');
    },
  };
}
