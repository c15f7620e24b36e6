import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { LiveFrame } from '../../lib/monitor/live-view';
import { monitored } from '../../lib/monitor/registry';
import { types } from '../unit/design/checkout';
import { type NodeModule, type Runtime, startRuntime, until } from './helper';

/** What Node-RED itself puts before a route; the helper of the tests lets everybody pass. */
interface Authentication {
  init(settings: object, storage: object): void;
  needsPermission: Runtime['RED']['auth']['needsPermission'];
}

const authentication = createRequire(__filename)('@node-red/editor-api/lib/auth') as Authentication;

/** Who each token belongs to, by what they may do. */
const TOKENS = [
  ['looks', 'read'],
  ['acts', '*'],
  ['only-flows', 'flows.write'],
  ['looks-at-monitor', 'contact-monitor.read'],
] as const;
const adminAuth = {
  type: 'credentials',
  users: [{ username: 'person', password: '', permissions: '*' }],
  tokens: TOKENS.map(([token, scope]) => ({ token, user: 'person', scope })),
};

const guarded: NodeModule = (RED) => {
  authentication.init({ adminAuth }, { getSessions: async () => ({}) });
  RED.auth.needsPermission = authentication.needsPermission;
};
const modules = types.map((type) => (require(`../../nodes/${type}`) as { default: NodeModule }).default);

/** The part of an Express application that says what routes there are. */
interface Routed {
  _router: { stack: { route?: { path: string; methods: Record<string, boolean> } }[] };
}

describe('a runtime with adminAuth', () => {
  let runtime: Runtime;
  let told: string[];
  let forget: () => void;

  beforeEach(async () => {
    runtime = await startRuntime([guarded, ...modules], [{ id: 'tab', type: 'tab', label: 'Tab' }]);
    told = [];
    forget = monitored.add({
      id: 'one',
      type: 'test-source',
      name: 'one',
      flowIds: () => ['tab'],
      report: () => ({ state: 'connected', since: 0 }),
      actions: () => ({ pause: () => told.push('pause') }),
    });
  });
  afterEach(async () => {
    forget();
    authentication.init({}, {});
    await runtime.stop();
  });

  const ask = (method: string, path: string, token?: string) =>
    fetch(`${runtime.adminUrl}${path}`, {
      method,
      headers: { 'Content-Type': 'application/json', ...(token ? { Authorization: `Bearer ${token}` } : {}) },
      ...(method === 'POST' ? { body: '{}' } : {}),
    });

  /** Each route of the pack for the editor, as method and path. */
  const routes = () =>
    (runtime.RED.httpAdmin as unknown as Routed)._router.stack.flatMap(({ route }) =>
      route?.path.startsWith('/contact-center/')
        ? Object.keys(route.methods).map((method) => [method.toUpperCase(), route.path] as const)
        : [],
    );

  const open = async (token?: string): Promise<string[]> => {
    const answers = routes().map(async ([method, path]) => {
      const { status } = await ask(method, path.replace(':id', 'one').replace(':action', 'pause'), token);
      return status === 401 ? [] : [path];
    });
    return (await Promise.all(answers)).flat().toSorted();
  };

  it('opens no route of the pack to somebody without a token, with a wrong one, or with other rights', async () => {
    assert.ok(routes().length > 15);
    assert.deepEqual([await open(), await open('guessed'), await open('only-flows')], [[], [], []]);
    assert.deepEqual(told, []);
  });

  it('lets who may only read look at the sidebar and choose from lists, and do nothing', async () => {
    const acts = /\/(test|:action)$/;
    const looks = routes().flatMap(([, path]) => (acts.test(path) ? [] : [path]));
    assert.ok(looks.includes('/contact-center/live') && looks.length < routes().length - 5);
    assert.deepEqual(await open('looks'), looks.toSorted());
    assert.deepEqual(told, []);
  });

  it('lets who may read the monitor look at the sidebar, and who may write tell a node what to do', async () => {
    assert.deepEqual(await open('looks-at-monitor'), ['/contact-center/live']);
    // A frame is up to a second old.
    const node = await until(async () => {
      const frame = (await (await ask('POST', '/contact-center/live', 'looks')).json()) as LiveFrame;
      return frame.services.flatMap(({ nodes }) => nodes).find(({ id }) => id === 'one');
    }, 'a frame with the node');
    assert.deepEqual(node.actions, ['pause']);
    const answer = await ask('POST', '/contact-center/nodes/one/pause', 'acts');
    assert.deepEqual(await answer.json(), { ok: true });
    assert.deepEqual(told, ['pause']);
  });
});
