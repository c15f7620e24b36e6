import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitored } from '../../lib/monitor/registry';
import type { CallStoreNode } from '../../nodes/call-store';
import { someCall } from '../unit/calls/stores';
import { CALL_MODULES } from './calls';
import { type FlowNode, type Runtime, startRuntime, until } from './helper';

const HASH = '$2b$04$abcdefghijklmnopqrstuuMwJq0dVYQ0Q1Yf0bZlN0o1jY0Y0Y0Y0';

describe('call-store', () => {
  let runtime: Runtime;
  let userDir: string;

  beforeEach(() => {
    userDir = mkdtempSync(join(tmpdir(), 'call-store-'));
  });
  afterEach(async () => {
    await runtime.stop();
    rmSync(userDir, { recursive: true, force: true });
  });

  const flow = (properties: Record<string, unknown>): FlowNode[] => [
    { id: 'tab', type: 'tab', label: 'Test' },
    { id: 'store', type: 'call-store', kind: 'auto', ...properties },
  ];
  const start = async (properties: Record<string, unknown>, credentials: Record<string, string> = {}) => {
    const options = { credentials: { store: credentials }, settings: { userDir } };
    runtime = await startRuntime(CALL_MODULES, flow(properties), options);
    return runtime.node<CallStoreNode>('store');
  };
  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'store')!
      .report();

  it('keeps calls on disk when nothing is said, over a deploy', async () => {
    const node = await start({});
    assert.equal(node.calls?.store.kind, 'embedded');
    const call = someCall();
    await node.calls!.book.register(call);
    node.calls!.book.record(call.callId, { to: 'dialing', at: call.createdAt });
    await runtime.deploy(flow({ name: 'changed' }));
    const next = runtime.node<CallStoreNode>('store');
    assert.equal((await next.calls!.store.get(call.callId))?.status, 'dialing');
    await until(() => report().state === 'connected');
  });

  it('adds the first user, in a database or on disk, and has no users without a database', async () => {
    const node = await start({ firstUser: 'alice' }, { firstUserHash: HASH });
    await until(async () => (await node.calls!.store.user('alice')) !== undefined);
    assert.equal(node.calls!.hasUsers, true);
    await runtime.deploy(flow({ disabled: 'true', firstUser: 'alice' }));
    const disabled = runtime.node<CallStoreNode>('store');
    assert.equal(disabled.calls!.hasUsers, false);
    assert.equal(disabled.calls!.store.kind, 'memory');
  });

  it('says what is wrong with its configuration, without the password in an address', async () => {
    const node = await start({ kind: 'postgresql' }, { databaseUrl: 'mysql://user:hunter22@host/calls' });
    assert.equal(node.calls, undefined);
    assert.equal(report().state, 'not-configured');
    assert.match(report().reason ?? '', /postgresql:\/\//);
    assert.doesNotMatch(report().reason ?? '', /hunter22/);
    await runtime.stop();
    await start({ kind: 'postgresql' });
    assert.match(report().reason ?? '', /databaseUrl is not set, nor is the environment variable DATABASE_URL/);
    await runtime.stop();
    await start({ firstUser: 'alice' }, { firstUserHash: 'a plain password' });
    await until(() => report().state === 'not-configured');
    assert.match(report().reason ?? '', /not one of bcrypt/);
    assert.doesNotMatch(report().reason ?? '', /plain password/);
  });

  it('shows that the database is away, and tries again by itself', async () => {
    await start({}, { databaseUrl: 'postgresql://user:hunter22@127.0.0.1:1/calls' });
    await until(() => report().state === 'disconnected');
    assert.match(report().reason ?? '', /127\.0\.0\.1:1\/calls/);
    assert.doesNotMatch(JSON.stringify(report()), /hunter22/);
  });

  it('tests what is in the dialog', async () => {
    await start({});
    const test = async (form: Record<string, unknown>) => {
      const answer = await fetch(`${runtime.adminUrl}/contact-center/call-store/test`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(form),
      });
      return (await answer.json()) as Record<string, unknown>;
    };
    const kept = await test({ kind: 'embedded', folder: 'elsewhere' });
    assert.deepEqual([kept['ok'], kept['kind'], kept['users']], [true, 'embedded', 0]);
    const away = await test({ kind: 'auto', databaseUrl: 'postgresql://user:hunter22@127.0.0.1:1/calls' });
    assert.deepEqual([away['ok'], away['code']], [false, 'UNREACHABLE']);
    assert.doesNotMatch(JSON.stringify(away), /hunter22/);
  });
});
