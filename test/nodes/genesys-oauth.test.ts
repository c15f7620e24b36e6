import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { GENESYS_REGIONS } from '../../lib/genesys/regions';
import { monitored } from '../../lib/monitor/registry';
import genesysOauth, { type GenesysOauthNode } from '../../nodes/genesys-oauth';
import { defaultClient, type GenesysSimulator, startGenesysSimulator } from '../simulators/genesys';
import { type FlowNode, type Runtime, startRuntime, until } from './helper';

const VARIABLES = ['GENESYS_ENV', 'GENESYS_LOGIN_URL', 'GENESYS_API_URL', 'GENESYS_CLIENT_ID', 'GENESYS_CLIENT_SECRET'];

/** The node as it is dragged into a configuration: every field names its environment variable. */
const FRESH: FlowNode = {
  id: 'account',
  type: 'genesys-oauth',
  name: '',
  region: '${GENESYS_ENV}',
  loginUrl: '${GENESYS_LOGIN_URL}',
  apiUrl: '${GENESYS_API_URL}',
  clientIdEnvironment: 'GENESYS_CLIENT_ID',
  clientSecretEnvironment: 'GENESYS_CLIENT_SECRET',
};

describe('genesys-oauth', () => {
  let genesys: GenesysSimulator;
  let runtime: Runtime;
  let environment: Record<string, string | undefined>;

  beforeEach(async () => {
    environment = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]));
    for (const name of VARIABLES) delete process.env[name];
    genesys = await startGenesysSimulator();
  });

  afterEach(async () => {
    await runtime.stop();
    await genesys.close();
    for (const [name, value] of Object.entries(environment)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });

  async function start(parts: Record<string, unknown> = {}, credentials: Record<string, string> = {}): Promise<void> {
    runtime = await startRuntime([genesysOauth], [{ ...FRESH, ...parts }], { credentials: { account: credentials } });
  }

  const node = () => runtime.node<GenesysOauthNode>('account');
  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'account')!
      .report();
  const simulator = () => ({ loginUrl: genesys.url, apiUrl: genesys.url });
  const credentials = { clientId: defaultClient.id, clientSecret: defaultClient.secret };

  it('gets one token with the credentials of the node, and says until when it is valid', async () => {
    await start(simulator(), credentials);
    const { account } = node();
    await Promise.all([account!.tokens.get(), account!.tokens.get()]);
    assert.equal(genesys.requests.tokenRequests, 1);
    assert.equal(report().state, 'connected');
    assert.match(JSON.stringify(report().details), /"state":"valid","expiresAt":"20/);
    assert.ok(
      report().metrics!.some(({ name, value }) => name === 'contact_center_tokens_obtained_total' && value === 1),
    );
  });

  it('takes everything from the environment when nothing is filled in', async () => {
    process.env['GENESYS_CLIENT_ID'] = defaultClient.id;
    process.env['GENESYS_CLIENT_SECRET'] = defaultClient.secret;
    process.env['GENESYS_LOGIN_URL'] = genesys.url;
    process.env['GENESYS_API_URL'] = genesys.url;
    await start();
    await node().account!.tokens.get();
    assert.equal(genesys.requests.tokenRequests, 1);
  });

  it('takes other environment variables when they are named', async () => {
    process.env['OTHER_SECRET'] = defaultClient.secret;
    await start({ ...simulator(), clientSecretEnvironment: 'OTHER_SECRET' }, { clientId: defaultClient.id });
    delete process.env['OTHER_SECRET'];
    await node().account!.tokens.get();
  });

  it('says in one sentence what is not set, without a crash or a request', async () => {
    await start();
    assert.equal(node().account, undefined);
    assert.equal(report().state, 'not-configured');
    for (const name of ['clientId', 'GENESYS_CLIENT_ID', 'clientSecret', 'GENESYS_CLIENT_SECRET']) {
      assert.ok(report().reason!.includes(name), report().reason);
    }
    assert.equal(genesys.requests.total, 0);
  });

  it('says that the region is missing or makes no sense', async () => {
    await start({}, credentials);
    assert.match(report().reason!, /region/);
    await runtime.deploy([{ ...FRESH, region: 'no region' }]);
    assert.match(report().reason!, /"no region" is no region/);
  });

  it('shows refused credentials as one state with the way out, and does not repeat the request', async () => {
    await start(simulator(), { ...credentials, clientSecret: 'not-the-secret' });
    for (let count = 0; count < 20; count++) await assert.rejects(node().account!.tokens.get());
    assert.equal(report().state, 'refused');
    assert.match(report().reason!, /client secret/);
    assert.doesNotMatch(JSON.stringify(report()), /not-the-secret/);
    assert.equal(genesys.requests.tokenRequests, 1);
  });

  it('keeps its token over a deploy, and forgets it with other credentials', async () => {
    await start(simulator(), credentials);
    await node().account!.tokens.get();
    for (let count = 0; count < 5; count++)
      await runtime.deploy([{ ...FRESH, ...simulator(), name: `deploy ${count}` }]);
    assert.equal(report().state, 'connected');
    await node().account!.tokens.get();
    assert.equal(genesys.requests.tokenRequests, 1);
  });

  describe('in the editor', () => {
    const test = async (form: Record<string, unknown>) => {
      const response = await fetch(`${runtime.adminUrl}/contact-center/genesys-oauth/test`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ ...FRESH, ...form }),
      });
      assert.equal(response.status, 200);
      return (await response.json()) as Record<string, unknown>;
    };

    it('tests a connection with the values of the dialog, before anything is deployed', async () => {
      await start();
      const answer = await test({ id: 'new', ...simulator(), ...credentials });
      assert.deepEqual(
        { ...answer, ms: undefined },
        { ok: true, organization: 'Simulated organization', lifetimeSeconds: 86_400, ms: undefined },
      );
    });

    it('tests with the stored secret when the dialog shows only its placeholder', async () => {
      await start(simulator(), credentials);
      assert.equal((await test({ ...simulator(), ...credentials, clientSecret: '__PWRD__' }))['ok'], true);
    });

    it('tells what is wrong', async () => {
      await start();
      const wrong = await test({ ...simulator(), ...credentials, clientSecret: 'not-the-secret' });
      assert.deepEqual([wrong['ok'], wrong['code']], [false, 'REFUSED']);
      const missing = await test(simulator());
      assert.deepEqual([missing['ok'], missing['code']], [false, 'CONFIGURATION']);
      const nobody = await test({ loginUrl: 'http://127.0.0.1:1', apiUrl: genesys.url, ...credentials });
      assert.deepEqual([nobody['ok'], nobody['code']], [false, 'UNREACHABLE']);
      const noApi = await test({ loginUrl: genesys.url, apiUrl: `${genesys.url}/elsewhere`, ...credentials });
      assert.deepEqual([noApi['ok'], noApi['code']], [false, 'NOT_FOUND']);
    });

    it('offers the regions', async () => {
      await start();
      const response = await fetch(`${runtime.adminUrl}/contact-center/genesys-oauth/regions`);
      assert.deepEqual(await response.json(), GENESYS_REGIONS);
    });
  });

  it('leaves nothing behind when it is removed', async () => {
    await start(simulator(), credentials);
    await node().account!.tokens.get();
    await runtime.deploy([]);
    await until(() => monitored.all().length === 0);
  });
});
