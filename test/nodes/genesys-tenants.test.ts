import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { monitored } from '../../lib/monitor/registry';
import genesysTenants, { type GenesysTenantsNode } from '../../nodes/genesys-tenants';
import { defaultClient, defaultIntegration, type GenesysSimulator, startGenesysSimulator } from '../simulators/genesys';
import { type Runtime, startRuntime, until } from './helper';

describe('genesys-tenants', () => {
  let runtime: Runtime;
  let genesys: GenesysSimulator;
  let folder: string;
  const variables = new Map<string, string | undefined>();

  beforeEach(async () => {
    genesys = await startGenesysSimulator();
    folder = mkdtempSync(join(tmpdir(), 'tenants-node-'));
  });

  afterEach(async () => {
    await runtime?.stop();
    await genesys.close();
    rmSync(folder, { recursive: true, force: true });
    for (const [name, value] of variables) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    variables.clear();
  });

  function setVariable(name: string, value: string): void {
    variables.set(name, process.env[name]);
    process.env[name] = value;
  }

  const organization = () => ({
    loginUrl: genesys.url,
    apiUrl: genesys.url,
    clientId: defaultClient.id,
    clientSecret: '${TENANT_TEST_SECRET}',
    integrationId: defaultIntegration.id,
  });

  async function start(properties: Record<string, unknown>, credentials: Record<string, string> = {}): Promise<void> {
    const flow = [
      { id: 'tab', type: 'tab', label: 'Test' },
      { id: 'tenants', type: 'genesys-tenants', ...properties },
    ];
    runtime = await startRuntime([genesysTenants], flow, { credentials: { tenants: credentials } });
  }

  const node = () => runtime.node<GenesysTenantsNode>('tenants');
  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'tenants')!
      .report();
  const test = async (form: Record<string, unknown>) => {
    const answer = await fetch(`${runtime.adminUrl}/contact-center/genesys-tenants/test`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(form),
    });
    return (await answer.json()) as Record<string, unknown>;
  };

  it('has one organization for all tenants when nothing else is set', async () => {
    const { clientSecret: _from, ...rest } = organization();
    await start(rest, { clientId: defaultClient.id, clientSecret: defaultClient.secret });
    const found = await node().organizations?.find('whoever', {});
    assert.equal(found?.settings.integrationId, defaultIntegration.id);
    assert.equal(report().state, 'connected');
  });

  it('takes credentials and limits from the environment', async () => {
    setVariable('GENESYS_CLIENT_ID', defaultClient.id);
    setVariable('GENESYS_CLIENT_SECRET', defaultClient.secret);
    setVariable('TENANT_TEST_LIMIT', '120');
    const { clientId: _id, clientSecret: _secret, ...rest } = organization();
    await start({ ...rest, rateLimitPerMinute: '${TENANT_TEST_LIMIT}' });
    assert.equal((await node().organizations?.find('t', {}))?.limit.turns, 120);
  });

  it('reads tenants from a file, and again when it changes', async () => {
    setVariable('TENANT_TEST_SECRET', defaultClient.secret);
    const file = join(folder, 'tenants.json');
    writeFileSync(file, JSON.stringify({ tenants: { acme: organization() } }));
    await start({ file });
    await until(() => report().details?.['known'] === 1);
    await assert.rejects(node().organizations!.find('other', {}), { code: 'NOT_FOUND' });
    writeFileSync(file, JSON.stringify({ tenants: { acme: organization(), other: organization() } }));
    await until(() => report().details?.['known'] === 2);
    writeFileSync(file, '{');
    await until(() => report().state === 'degraded');
    assert.match(report().reason ?? '', /cannot be used/);
    assert.equal((await node().organizations?.find('acme', {}))?.settings.tenantId, 'acme');
  });

  it('reads tenants from the table of the dialog, whose secrets must be variables', async () => {
    setVariable('TENANT_TEST_SECRET', defaultClient.secret);
    await start({ table: JSON.stringify({ tenants: { acme: organization() } }) });
    assert.equal((await node().organizations?.find('acme', {}))?.settings.clientSecret, defaultClient.secret);
    await runtime.stop();
    await start({ table: JSON.stringify({ tenants: { acme: { ...organization(), clientSecret: 'pl41n-c4n4ry' } } }) });
    assert.equal(report().state, 'not-configured');
    assert.match(report().reason ?? '', /a clientSecret stands in it/);
    assert.doesNotMatch(report().reason ?? '', /pl41n/);
  });

  describe('with a tenant service', () => {
    let service: Server;
    let url: string;
    let asked: (string | undefined)[];

    beforeEach(async () => {
      asked = [];
      service = createServer((request, response) => {
        asked.push(request.headers.authorization);
        const isKnown = request.url === '/api/tenants/acme/credentials/genesys';
        response.writeHead(isKnown ? 200 : 404, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ ...organization(), clientSecret: defaultClient.secret }));
      });
      await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
      url = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
    });

    afterEach(() => {
      service.closeAllConnections();
      service.close();
    });

    it('asks it, with its token, and says of unknown tenants that they are', async () => {
      await start({ serviceUrl: url }, { serviceToken: 'serv1ce-t0ken-canary' });
      assert.equal((await node().organizations?.find('acme', {}))?.settings.clientId, defaultClient.id);
      assert.deepEqual(asked, ['Bearer serv1ce-t0ken-canary']);
      await assert.rejects(node().organizations!.find('other', {}), { code: 'NOT_FOUND' });
    });

    it('is tested from the dialog, deployed or not', async () => {
      await start({ serviceUrl: url });
      const passed = await test({ serviceUrl: url, tenantId: 'acme' });
      assert.equal(passed['ok'], true);
      assert.equal(passed['organization'], 'Simulated organization');
      assert.match(String((await test({ serviceUrl: url, tenantId: 'other' }))['message']), /there is no such tenant/);
      assert.match(String((await test({ serviceUrl: url }))['message']), /no tenant is named/);
      assert.match(String((await test({ serviceUrl: 'nonsense' }))['message']), /serviceUrl must/);
    });
  });

  it('says what is missing', async () => {
    await start({ region: 'usw2.pure.cloud' });
    assert.equal(report().state, 'not-configured');
    assert.match(report().reason ?? '', /GENESYS_CLIENT_ID/);
    assert.ok(node().problem);
    await runtime.stop();
    await start({ source: 'file' });
    assert.match(report().reason ?? '', /TENANTS_FILE/);
  });

  it('gives the regions to the dialog', async () => {
    await start({});
    const regions = await (await fetch(`${runtime.adminUrl}/contact-center/genesys-tenants/regions`)).json();
    assert.equal((regions as Record<string, string>)['us_west_2'], 'usw2.pure.cloud');
  });

  it('reports organizations without their secrets', async () => {
    setVariable('TENANT_TEST_SECRET', defaultClient.secret);
    await start({ table: JSON.stringify({ tenants: { acme: organization() } }) });
    const found = await node().organizations?.find('acme', {});
    await found?.client.exchange('GET', '/api/v2/tokens/me', { what: 'look' });
    const shown = JSON.stringify(report());
    assert.match(shown, /"perMinute":300/);
    assert.doesNotMatch(shown, new RegExp(`${defaultClient.secret}|${genesys.tokens[0]?.value}`));
  });
});
