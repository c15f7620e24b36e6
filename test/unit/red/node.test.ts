import assert from 'node:assert/strict';
import { ContactError } from '../../../lib/core/errors';
import { monitored } from '../../../lib/monitor/registry';
import { findConfigNode, flowIdsOf, offered, useConfigNode } from '../../../lib/red/node';
import { registerNode } from '../../../lib/red/register';
import { Status } from '../../../lib/red/status';
import { type FlowNode, type NodeModule, type Runtime, startRuntime, until } from '../../nodes/helper';

const modules: NodeModule[] = [
  (RED) => registerNode(RED, 'test-connection', () => {}),
  (RED) =>
    registerNode(RED, 'test-tenants', (node, definition) => {
      useConfigNode(RED, node, definition['connection'], 'test-connection');
    }),
  (RED) =>
    registerNode(RED, 'test-user', (node, definition) => {
      useConfigNode(RED, node, definition['connection'], 'test-connection');
      useConfigNode(RED, node, definition['tenants'], 'test-tenants');
    }),
  (RED) =>
    registerNode(RED, 'test-broken', (node) => {
      new Status(RED, node).set('connected');
      throw new Error('no luck with Bearer abcdefghijkl');
    }),
];

const user = (id: string, z: string, more: Record<string, unknown>): FlowNode => ({
  id,
  type: 'test-user',
  z,
  name: '',
  wires: [],
  ...more,
});

describe('nodes', () => {
  let runtime: Runtime;
  afterEach(() => runtime.stop());

  const FLOW: FlowNode[] = [
    { id: 'tab-a', type: 'tab', label: 'A' },
    { id: 'tab-b', type: 'tab', label: 'B' },
    { id: 'connection', type: 'test-connection', name: '' },
    { id: 'tenants', type: 'test-tenants', name: '', connection: 'connection' },
    { id: 'unused', type: 'test-connection', name: '' },
    user('a', 'tab-a', { connection: 'connection' }),
    user('b', 'tab-b', { tenants: 'tenants' }),
  ];

  it('work for their own tab, and configuration nodes for the tabs of all who use them', async () => {
    runtime = await startRuntime(modules, FLOW);
    const tabs = (id: string) => flowIdsOf(runtime.node(id)).sort();
    assert.deepEqual(tabs('a'), ['tab-a']);
    assert.deepEqual(tabs('tenants'), ['tab-b']);
    assert.deepEqual(tabs('connection'), ['tab-a', 'tab-b'], 'also through another configuration node');
    assert.deepEqual(tabs('unused'), []);
  });

  it('in a subflow work for the tab on which the subflow is', async () => {
    runtime = await startRuntime(modules, [
      { id: 'tab-a', type: 'tab', label: 'A' },
      { id: 'sub', type: 'subflow', name: 'Sub', in: [], out: [] },
      { id: 'connection', type: 'test-connection', name: '' },
      user('inner', 'sub', { connection: 'connection' }),
      { id: 'instance', type: 'subflow:sub', z: 'tab-a', name: '', wires: [] },
    ]);
    const connection = runtime.node('connection');
    assert.equal(Object.keys(connection.users ?? {}).length, 1);
    assert.deepEqual(flowIdsOf(connection), ['tab-a']);
  });

  it('are users of a configuration node as long as they run', async () => {
    runtime = await startRuntime(modules, FLOW);
    const connection = runtime.node('connection');
    assert.deepEqual(Object.keys(connection.users!).sort(), ['a', 'b'], 'b through another configuration node');
    const first = runtime.node('a');
    await runtime.deploy(
      FLOW.map((entry) => (entry.id === 'a' ? { ...entry, name: 'changed' } : entry)),
      'nodes',
    );
    assert.equal(runtime.node('connection'), connection, 'the configuration node was not restarted');
    assert.notEqual(connection.users!['a'], first);
    assert.equal(connection.users!['a'], runtime.node('a'));
    await runtime.deploy(
      FLOW.filter(({ id }) => id !== 'a'),
      'nodes',
    );
    assert.deepEqual(Object.keys(connection.users!), ['b']);
  });

  // The runtime follows the users of a configuration node: one that is global itself would send it round in a circle.
  it('that are configuration nodes of configuration nodes show their status and errors on the tabs of who uses them', async () => {
    runtime = await startRuntime(modules, [
      ...FLOW,
      { id: 'status', type: 'status', z: 'tab-b', name: '', scope: null, wires: [['seen']] },
      { id: 'catch', type: 'catch', z: 'tab-b', name: '', scope: null, wires: [['seen']] },
      { id: 'seen', type: 'helper', z: 'tab-b', wires: [] },
    ]);
    const seen = runtime.received('seen') as { status?: { source: { id: string } }; error?: { message: string } }[];
    runtime.node('connection').status({ text: 'here' });
    runtime.node('connection').error('there', {});
    await until(() => seen.length >= 2);
    assert.deepEqual(
      seen.map(({ status, error }) => status?.source.id ?? error?.message),
      ['connection', 'there'],
    );
  });

  it('find no configuration node that is missing, disabled, or of another type', async () => {
    const disabled = { id: 'off', type: 'test-connection', name: '', d: true };
    runtime = await startRuntime(modules, [...FLOW, disabled]);
    const find = (id: unknown) => findConfigNode(runtime.RED, id, 'test-connection');
    assert.equal(find('connection'), runtime.node('connection'));
    for (const id of ['', undefined, 7, 'nowhere', 'off', 'tenants', 'a'])
      assert.equal(find(id), undefined, String(id));
  });

  it('get what a configuration node offers, or are told why there is none', async () => {
    runtime = await startRuntime(modules, FLOW);
    const problem = new ContactError('CONFIGURATION', { attempted: 'use the configuration', answer: 'no key' });
    type Account = { account?: { key: string }; problem?: ContactError };
    const working: Account = { account: { key: 'k' } };
    assert.equal(offered(working, 'account'), working.account);
    assert.throws(() => offered<Account, 'account'>({ problem }, 'account'), problem);
    assert.throws(() => offered<Account, 'account'>({}, 'account'), /CONFIGURATION|does not work/);
    assert.throws(() => offered<Account, 'account'>(undefined, 'account'), /is not deployed.*deploy first/);
  });

  it('that throw when they start are shown in red and logged, and the others go on', async () => {
    const broken: FlowNode = { id: 'broken', type: 'test-broken', z: 'tab-a', name: '', wires: [] };
    runtime = await startRuntime(modules, [...FLOW, broken]);
    const { status, error } = runtime.node('broken') as unknown as Record<
      'status' | 'error',
      { lastCall: { args: [Record<string, string>] } }
    >;
    const [shown] = status.lastCall.args;
    assert.deepEqual([shown['fill'], shown['shape'], shown['state']], ['red', 'ring', 'failed']);
    const reports = monitored.all().filter(({ id }) => id === 'broken');
    assert.equal(reports.length, 1, 'the node is there once');
    const report = reports[0]!.report();
    assert.match(report.reason!, /Could not start the node: no luck/);
    const [logged] = error.lastCall.args;
    assert.match(String(logged), /Could not start the node/);
    assert.doesNotMatch(JSON.stringify([logged, shown, report]), /abcdefghijkl/);
    assert.ok(runtime.node('a'));
  });
});
