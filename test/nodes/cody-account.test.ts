import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { monitored } from '../../lib/monitor/registry';
import codyAccount, { type CodyAccountNode } from '../../nodes/cody-account';
import { type CodySimulator, defaultApiKey, startCodySimulator } from '../simulators/cody';
import { withoutVariables } from './environment';
import { type FlowNode, type Runtime, startRuntime } from './helper';

/** The node as it is dragged into a configuration. */
const FRESH: FlowNode = {
  id: 'account',
  type: 'cody-account',
  name: '',
  apiUrl: '${CODY_API_URL}',
  apiKeyEnvironment: 'CODY_API_KEY',
};

describe('cody-account', () => {
  let runtime: Runtime;
  let cody: CodySimulator;
  let restore: () => void;

  beforeEach(async () => {
    restore = withoutVariables(['CODY_API_URL', 'CODY_API_KEY']);
    cody = await startCodySimulator();
  });
  afterEach(async () => {
    await runtime.stop();
    await cody.close();
    restore();
  });

  const start = async (parts: Record<string, unknown> = {}, credentials: Record<string, string> = {}) => {
    runtime = await startRuntime([codyAccount], [{ ...FRESH, ...parts }], { credentials: { account: credentials } });
  };
  const node = () => runtime.node<CodyAccountNode>('account');
  const test = async (form: Record<string, unknown>) => {
    const response = await fetch(`${runtime.adminUrl}/contact-center/cody-account/test`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ ...FRESH, ...form }),
    });
    return (await response.json()) as Record<string, unknown>;
  };

  it('opens the account with what the environment has', async () => {
    process.env['CODY_API_URL'] = cody.url;
    process.env['CODY_API_KEY'] = defaultApiKey;
    await start();
    cody.chat();
    assert.equal((await node().account!.client.conversations(1)).items.length, 1);
  });

  it('opens it with what was typed in', async () => {
    await start({ apiUrl: `${cody.url}/` }, { apiKey: defaultApiKey });
    assert.deepEqual((await node().account!.client.bots()).length, 1);
  });

  it('says in one sentence what is not set, without a crash or a request', async () => {
    await start();
    assert.equal(node().account, undefined);
    const report = monitored
      .all()
      .find(({ id }) => id === 'account')!
      .report();
    assert.equal(report.state, 'not-configured');
    assert.match(report.reason!, /CODY_API_KEY/);
    assert.equal(cody.api.total, 0);
  });

  it('tests a connection with the values of the dialog, and tells what is wrong', async () => {
    await start();
    cody.chat();
    const passed = await test({ id: 'new', apiUrl: cody.url, apiKey: defaultApiKey });
    assert.deepEqual([passed['ok'], passed['conversations']], [true, 1]);
    const wrong = await test({ id: 'new', apiUrl: cody.url, apiKey: 'q9-wrong-key' });
    assert.deepEqual([wrong['ok'], wrong['code']], [false, 'REFUSED']);
    assert.doesNotMatch(JSON.stringify(wrong), /q9-wrong-key/);
    const nobody = await test({ id: 'new', apiUrl: 'http://127.0.0.1:1', apiKey: defaultApiKey });
    assert.deepEqual([nobody['ok'], nobody['code']], [false, 'UNREACHABLE']);
    const missing = await test({ id: 'new', apiUrl: cody.url });
    assert.deepEqual([missing['ok'], missing['code']], [false, 'CONFIGURATION']);
  });
});
