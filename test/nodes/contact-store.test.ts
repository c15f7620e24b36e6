import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { monitored } from '../../lib/monitor/registry';
import contactStore, { type ContactStoreNode } from '../../nodes/contact-store';
import { type RedisServer, startRedis } from '../services/redis';
import { requireService } from '../services/requirements';
import { type FlowNode, type Runtime, startRuntime, until } from './helper';

/** The node as it is dragged into a configuration. */
const FRESH: FlowNode = {
  id: 'store',
  type: 'contact-store',
  name: '',
  kind: 'auto',
  url: '${REDIS_URL}',
  passwordEnvironment: 'REDIS_PASSWORD',
  prefix: 'contact-center:',
};
const VARIABLES = ['REDIS_URL', 'REDIS_PASSWORD'];

describe('contact-store', () => {
  let runtime: Runtime;
  let userDir: string;
  let environment: Record<string, string | undefined>;

  beforeEach(() => {
    environment = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]));
    for (const name of VARIABLES) delete process.env[name];
    userDir = mkdtempSync(join(tmpdir(), 'contact-store-'));
  });

  afterEach(async () => {
    await runtime.stop();
    rmSync(userDir, { recursive: true, force: true });
    for (const [name, value] of Object.entries(environment)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });

  const start = async (parts: Record<string, unknown> = {}, credentials: Record<string, string> = {}) => {
    const options = { settings: { userDir }, credentials: { store: credentials } };
    runtime = await startRuntime([contactStore], [{ ...FRESH, ...parts }], options);
  };
  const node = () => runtime.node<ContactStoreNode>('store');
  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'store')!
      .report();
  const test = async (form: Record<string, unknown>) => {
    const response = await fetch(`${runtime.adminUrl}/contact-center/contact-store/test`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ ...FRESH, ...form }),
    });
    assert.equal(response.status, 200);
    return (await response.json()) as Record<string, unknown>;
  };

  it('keeps everything on disk when there is no Redis, over a redeploy and a restart', async () => {
    await start();
    assert.equal(node().state!.kind, 'embedded');
    await node().state!.store.set('kept', 1);
    await runtime.deploy([{ ...FRESH, name: 'renamed' }]);
    assert.equal(await node().state!.store.get('kept'), 1);
    await runtime.stop();
    await start();
    assert.equal(await node().state!.store.get('kept'), 1);
    assert.equal(report().state, 'connected');
  });

  it('keeps what is in memory over a redeploy', async () => {
    await start({ kind: 'memory' });
    await node().state!.store.set('kept', 1);
    await runtime.deploy([{ ...FRESH, kind: 'memory', name: 'renamed' }]);
    assert.equal(await node().state!.store.get('kept'), 1);
  });

  it('says in one sentence what is wrong, without a crash', async () => {
    await start({ kind: 'redis' });
    assert.equal(node().state, undefined);
    assert.equal(report().state, 'not-configured');
    assert.match(report().reason!, /REDIS_URL/);
    await runtime.deploy([{ ...FRESH, url: 'http://localhost' }]);
    assert.match(report().reason!, /redis:\/\//);
  });

  it('stays open for a node that still writes while everything is being closed', async () => {
    await start();
    const { state } = node();
    const release = state!.hold();
    const stopped = runtime.deploy([]);
    await state!.store.set('late', 1);
    release();
    await stopped;
    await runtime.deploy([FRESH]);
    assert.equal(await node().state!.store.get('late'), 1);
  });

  it('tests the store with the values of the dialog', async () => {
    await start();
    const answer = await test({ id: 'new', kind: 'embedded' });
    assert.deepEqual([answer['ok'], answer['kind']], [true, 'embedded']);
    const missing = await test({ id: 'new', kind: 'redis' });
    assert.deepEqual([missing['ok'], missing['code']], [false, 'CONFIGURATION']);
    const nobody = await test({ id: 'new', url: 'redis://127.0.0.1:1' });
    assert.deepEqual([nobody['ok'], nobody['code']], [false, 'UNREACHABLE']);
  });

  describe('with Redis', () => {
    const program = requireService('redis');
    let redis: RedisServer;

    beforeEach(async () => {
      redis = await startRedis({ program: program.location, appendOnly: true, password: 'a-long-password' });
    });
    afterEach(() => redis.close());

    it('uses it when the environment names it, and hides the password', async () => {
      process.env['REDIS_URL'] = `redis://127.0.0.1:${redis.port}`;
      process.env['REDIS_PASSWORD'] = 'a-long-password';
      await start();
      await node().state!.store.set('kept', { n: 1 });
      const client = redis.client();
      assert.equal(await client.get('contact-center:kept'), '{"n":1}');
      await until(() => report().state === 'connected');
      assert.doesNotMatch(JSON.stringify(report()), /a-long-password/);
      const answer = await test({ id: 'new' });
      assert.deepEqual([answer['ok'], answer['kind']], [true, 'redis']);
      assert.match(String(answer['version']), /^\d+\./);
      const wrong = await test({ id: 'new', password: 'not-the-password' });
      assert.deepEqual([wrong['ok'], wrong['code']], [false, 'REFUSED']);
    });

    it('says loudly that it is alone while Redis is away, and uses it again when it is back', async () => {
      await start({ url: redis.url });
      const { state } = node();
      await state!.store.set('kept', 1);
      await redis.kill();
      await until(() => report().state === 'disconnected');
      assert.match(report().reason!, /goes on alone/);
      assert.equal(state!.alone, true);
      await state!.store.set('missed', 1);
      await redis.restart();
      await until(() => report().state === 'connected');
      assert.equal(await redis.client().get('contact-center:missed'), '1');
      assert.ok(report().metrics!.some(({ name, value }) => name === 'contact_center_store_alone' && value === 0));
    });
  });
});
