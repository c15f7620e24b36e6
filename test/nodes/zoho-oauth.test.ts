import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { monitored } from '../../lib/monitor/registry';
import { ZOHO_DATA_CENTERS } from '../../lib/zoho/data-centers';
import contactStore from '../../nodes/contact-store';
import zohoOauth, { type ZohoOauthNode } from '../../nodes/zoho-oauth';
import { defaultZoho, startZohoSimulator, type ZohoSimulator } from '../simulators/zoho';
import { withoutVariables } from './environment';
import { type FlowNode, type Runtime, startRuntime, until } from './helper';

const VARIABLES = [
  'ACCOUNTS_BASE_URL',
  'API_BASE_URL',
  'API_VERSION',
  'CLIENT_ID',
  'CLIENT_SECRET',
  'REFRESH_TOKEN',
].map((name) => `ZOHO_${name}`);

/** The node as it is dragged into a configuration. */
const FRESH: FlowNode = {
  id: 'zoho',
  type: 'zoho-oauth',
  name: '',
  accountsUrl: '${ZOHO_ACCOUNTS_BASE_URL}',
  apiUrl: '${ZOHO_API_BASE_URL}',
  apiVersion: '${ZOHO_API_VERSION}',
  clientIdEnvironment: 'ZOHO_CLIENT_ID',
  clientSecretEnvironment: 'ZOHO_CLIENT_SECRET',
  refreshTokenEnvironment: 'ZOHO_REFRESH_TOKEN',
  timeoutSeconds: 15,
  store: 'store',
};
const STORE: FlowNode = { id: 'store', type: 'contact-store', kind: 'embedded' };
const { clientId, clientSecret, refreshToken } = defaultZoho;
const CREDENTIALS = { clientId, clientSecret, refreshToken };

describe('zoho-oauth', () => {
  let runtime: Runtime;
  let zoho: ZohoSimulator;
  let userDir: string;
  let restore: () => void;

  beforeEach(async () => {
    restore = withoutVariables(VARIABLES);
    userDir = mkdtempSync(join(tmpdir(), 'zoho-oauth-'));
    zoho = await startZohoSimulator();
  });
  afterEach(async () => {
    await runtime.stop();
    await zoho.close();
    rmSync(userDir, { recursive: true, force: true });
    restore();
  });

  const start = async (parts: Record<string, unknown> = {}, credentials: Record<string, string> = CREDENTIALS) => {
    const flow = [STORE, { ...FRESH, accountsUrl: zoho.url, ...parts }];
    const options = { settings: { userDir }, credentials: { zoho: credentials } };
    runtime = await startRuntime([contactStore, zohoOauth], flow, options);
  };
  const node = () => runtime.node<ZohoOauthNode>('zoho');
  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'zoho')!
      .report();
  const test = async (form: Record<string, unknown>) => {
    const response = await fetch(`${runtime.adminUrl}/contact-center/zoho-oauth/test`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ ...FRESH, accountsUrl: zoho.url, ...form }),
    });
    return (await response.json()) as Record<string, unknown>;
  };

  it('gets one token, tells until when it is valid, and counts as the original service did', async () => {
    await start();
    await Promise.all([node().account!.open(), node().account!.open()]);
    assert.equal(zoho.oauth.issued.length, 1);
    assert.equal(report().state, 'connected');
    assert.match(JSON.stringify(report().details), /"state":"valid","expiresAt":"20/);
    assert.deepEqual(report().groups!['tokens'], {
      refresh_attempts: 1,
      refresh_successes: 1,
      refresh_failures: 0,
      success_rate: 100,
      rate_limit_hits: 0,
    });
    assert.ok(report().metrics!.some(({ name, value }) => name === 'token_refresh_attempts' && value === 1));
  });

  it('takes everything from the environment when nothing is filled in', async () => {
    process.env['ZOHO_ACCOUNTS_BASE_URL'] = zoho.url;
    process.env['ZOHO_CLIENT_ID'] = clientId;
    process.env['ZOHO_CLIENT_SECRET'] = clientSecret;
    process.env['ZOHO_REFRESH_TOKEN'] = refreshToken;
    await start({ accountsUrl: '${ZOHO_ACCOUNTS_BASE_URL}' }, {});
    assert.equal((await node().account!.open()).apiUrl, zoho.url);
  });

  it('keeps its token over deploys and restarts, and only encrypted', async () => {
    await start();
    const { token } = await node().account!.open();
    await runtime.deploy([STORE, { ...FRESH, accountsUrl: zoho.url, name: 'renamed' }]);
    assert.equal((await node().account!.open()).token, token);
    await runtime.stop();
    await start();
    assert.equal((await node().account!.open()).token, token);
    assert.equal(zoho.oauth.issued.length, 1);
  });

  it('says in one sentence what is not set, without a crash or a request', async () => {
    await start({}, {});
    assert.equal(node().account, undefined);
    for (const name of ['ZOHO_CLIENT_ID', 'ZOHO_CLIENT_SECRET', 'ZOHO_REFRESH_TOKEN']) {
      assert.ok(report().reason!.includes(name), report().reason);
    }
    await runtime.deploy([STORE, { ...FRESH, store: 'nowhere', apiVersion: '8' }], 'full', { zoho: CREDENTIALS });
    assert.match(report().reason!, /contact-store/);
    assert.match(report().reason!, /v8/);
    assert.equal(zoho.api.total, 0);
  });

  it('shows refused credentials as one red state with the way out, and does not ask again and again', async () => {
    await start({}, { ...CREDENTIALS, refreshToken: '1000.q9-revoked-refresh-token' });
    for (let count = 0; count < 10; count++) await assert.rejects(node().account!.open());
    await until(() => report().state === 'refused');
    assert.match(report().reason!, /zoho-token/);
    assert.doesNotMatch(JSON.stringify(report()), /q9-revoked/);
    assert.equal(zoho.oauth.requests, 1);
  });

  it('tests a connection with the values of the dialog, and tells what is wrong', async () => {
    await start({}, {});
    const passed = await test({ id: 'new', ...CREDENTIALS });
    assert.deepEqual([passed['ok'], passed['apiUrl']], [true, zoho.url]);
    const wrong = await test({ id: 'new', ...CREDENTIALS, clientSecret: 'q9-wrong-client-secret' });
    assert.deepEqual([wrong['ok'], wrong['code']], [false, 'REFUSED']);
    zoho.oauth.scopes = new Set(['ZohoCRM.modules.ALL']);
    const scope = await test({ id: 'new', ...CREDENTIALS });
    assert.equal(scope['ok'], false);
    assert.match(String(scope['message']), /OAUTH_SCOPE_MISMATCH/);
    const missing = await test({ id: 'new' });
    assert.deepEqual([missing['ok'], missing['code']], [false, 'CONFIGURATION']);
  });

  it('tests with the stored secrets when the dialog shows only their placeholders', async () => {
    await start();
    const form = { id: 'zoho', clientId, clientSecret: '__PWRD__', refreshToken: '__PWRD__' };
    assert.equal((await test(form))['ok'], true);
  });

  it('offers the data centres', async () => {
    await start();
    const response = await fetch(`${runtime.adminUrl}/contact-center/zoho-oauth/data-centers`);
    assert.deepEqual(await response.json(), ZOHO_DATA_CENTERS);
  });
});
