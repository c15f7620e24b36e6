import assert from 'node:assert/strict';
import { addFirstUser } from '../../lib/calls/login';
import { Tokens } from '../../lib/calls/tokens';
import type { CallStoreNode } from '../../nodes/call-store';
import { CALL_MODULES, startTested, type Tested } from './calls';
import { startRuntime, until } from './helper';

const SECRET = 'a secret key of the tests, long enough';
const PASSWORD = 'correct horse battery';

describe('call-auth', () => {
  let tested: Tested;
  let hash: string;
  before(async () => {
    hash = await (await import('bcryptjs')).default.hash(PASSWORD, 4);
  });
  afterEach(() => tested.runtime.stop());

  const start = async (properties: Record<string, unknown> = {}, secretKey = SECRET) => {
    const node = { id: 'tested', type: 'call-auth', store: 'store', ...properties };
    tested = await startTested(node, undefined, { tested: { secretKey } });
    const { calls } = tested.runtime.node<CallStoreNode>('store');
    await addFirstUser(calls!.store, 'alice', hash);
  };
  const code = ({ payload }: { payload: { error?: { code: string } } }) => payload.error?.code;

  it('issues a token for the right name and password, which lets its user pass', async () => {
    await start({ mode: 'issue', lifetimeMinutes: 10 });
    const issued = await tested.answer({ payload: { username: 'alice', password: PASSWORD, grant_type: 'password' } });
    assert.equal(issued.statusCode, 200);
    assert.equal(issued.payload['token_type'], 'bearer');
    assert.equal(issued.payload['expires_in'], 600);
    assert.equal(issued.headers?.['Cache-Control'], 'no-store');
    await tested.runtime.stop();
    await start();
    const authorization = `Bearer ${issued.payload['access_token']}`;
    const passed = await tested.answer({ payload: { kept: true }, req: { headers: { authorization } } });
    assert.equal(tested.first.length, 1);
    assert.deepEqual([passed.user, passed.payload], [{ name: 'alice' }, { kept: true }]);
  });

  it('says the same to a wrong password, an unknown user and a disabled one, and locks out who goes on', async () => {
    await start({ mode: 'issue', userFailures: 2 });
    const { store } = tested.runtime.node<CallStoreNode>('store').calls!;
    await store.saveUser({ ...(await store.user('alice'))!, name: 'carol', disabled: true });
    const tries = [
      { username: 'alice', password: 'wrong' },
      { username: 'nobody', password: PASSWORD },
      { username: 'carol', password: PASSWORD },
    ];
    const answers = [];
    for (const payload of tries) answers.push(await tested.answer({ payload, correlationId: 'same' }));
    for (const { statusCode, headers, payload } of answers) {
      assert.equal(statusCode, 401);
      assert.deepEqual([headers, payload], [answers[0]!.headers, answers[0]!.payload]);
    }
    await tested.answer({ payload: tries[0] });
    const locked = await tested.answer({ payload: { username: 'alice', password: PASSWORD } });
    assert.deepEqual([locked.statusCode, code(locked)], [429, 'locked_out']);
    assert.ok(Number(locked.headers?.['Retry-After']) > 800);
    assert.equal(tested.caught.length, 0);
  });

  it('takes the address from a header only when it is told to', async () => {
    await start({ mode: 'issue', addressFailures: 1, addressHeader: 'X-Forwarded-For' });
    const enter = (address: string, username: string) =>
      tested.answer({
        payload: { username, password: 'wrong' },
        req: { ip: '127.0.0.1', headers: { 'x-forwarded-for': address } },
      });
    await enter('10.0.0.1, 10.9.9.9', 'a');
    assert.equal(code(await enter('10.0.0.1', 'b')), 'locked_out');
    assert.equal(code(await enter('10.0.0.2', 'c')), 'invalid_credentials');
    await tested.runtime.stop();
    await start({ mode: 'issue', addressFailures: 1 });
    await enter('10.0.0.1', 'a');
    assert.equal(code(await enter('10.0.0.2', 'b')), 'locked_out');
  });

  it('asks for the fields of the form', async () => {
    await start({ mode: 'issue' });
    for (const payload of [undefined, 'x', {}, { username: 'alice' }, { username: ['alice'], password: {} }]) {
      const refused = await tested.answer({ payload });
      assert.deepEqual([refused.statusCode, code(refused)], [422, 'invalid_form']);
    }
  });

  it('lets nobody pass without a valid token, and gives the id of the request back', async () => {
    await start({ issuer: 'calls' });
    const other = await new Tokens({ secret: `${SECRET}!` }).issue('alice');
    const nameless = await new Tokens({ secret: SECRET }).issue('alice');
    for (const authorization of [
      undefined,
      '',
      'Basic abc',
      'Bearer',
      `Bearer ${other.accessToken}`,
      `Bearer ${nameless.accessToken}`,
    ]) {
      const headers = { authorization, 'x-request-id': 'request-1' };
      const refused = await tested.answer({ payload: {}, req: { headers } });
      assert.deepEqual([refused.statusCode, code(refused)], [401, 'invalid_token']);
      assert.equal(refused.headers?.['WWW-Authenticate'], 'Bearer');
      assert.equal(refused.headers?.['X-Request-ID'], 'request-1');
    }
    const hostile = await tested.answer({ req: { headers: { 'x-request-id': 'a\r\nSet-Cookie: b' } } });
    assert.match(hostile.headers?.['X-Request-ID'] ?? '', /^[0-9a-f-]{36}$/);
    assert.equal(tested.first.length, 0);
    const metric = tested.report().metrics?.find(({ labels }) => labels?.['result'] === 'invalid_token');
    assert.equal(metric?.value, 7);
  });

  it('answers 503 where there is no database, and 503 to everything while it is not configured', async () => {
    await start({}, 'too short');
    assert.match(tested.report().reason ?? '', /fewer than 32 characters/);
    const { accessToken } = await new Tokens({ secret: SECRET }).issue('alice');
    const refused = await tested.answer({ req: { headers: { authorization: `Bearer ${accessToken}` } } });
    assert.deepEqual([refused.statusCode, code(refused)], [503, 'not_configured']);
    await tested.runtime.stop();
    const flow = [
      { id: 'tab', type: 'tab', label: 'Test' },
      { id: 'store', type: 'call-store', disabled: 'true' },
      { id: 'source', type: 'test-source', z: 'tab', wires: [['auth']] },
      { id: 'auth', type: 'call-auth', z: 'tab', store: 'store', mode: 'issue', wires: [[], ['second']] },
      { id: 'second', type: 'helper', z: 'tab', wires: [] },
    ];
    const runtime = await startRuntime(CALL_MODULES, flow, { credentials: { auth: { secretKey: SECRET } } });
    tested.runtime = runtime;
    const second = runtime.received('second') as { statusCode?: number; payload: { error?: { code: string } } }[];
    runtime.node('source').send({ payload: { username: 'alice', password: PASSWORD } });
    const [answer] = await until(() => second.length > 0 && second);
    assert.deepEqual([answer?.statusCode, code(answer!)], [503, 'database_disabled']);
  });
});
