import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HttpClient } from '../../../../lib/core/http';
import { FileDirectory } from '../../../../lib/genesys/tenants/file';
import { ServiceDirectory } from '../../../../lib/genesys/tenants/service';
import { until } from '../../until';

const organization = { region: 'usw2.pure.cloud', clientId: 'id', clientSecret: 'tulip-Xk7', integrationId: 'int' };

describe('a file of tenants', () => {
  let folder: string;
  let path: string;
  let directory: FileDirectory;
  const write = (tenants: unknown) => writeFileSync(path, JSON.stringify({ tenants }));

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tenants-'));
    path = join(folder, 'tenants.json');
  });

  afterEach(() => {
    directory.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const open = () => {
    directory = new FileDirectory({ path, environment: () => undefined });
  };

  it('is read before the first question is answered, and again when it changes', async () => {
    write({ t: organization });
    open();
    assert.equal((await directory.find('t', {})).clientId, 'id');
    let changes = 0;
    directory.onChange(() => {
      changes += 1;
    });
    write({ t: { ...organization, clientId: 'other' }, u: organization });
    await until(() => changes > 0);
    assert.equal((await directory.find('t', {})).clientId, 'other');
    assert.equal(directory.size, 2);
  });

  it('keeps its last good state while it cannot be used, as a whole and for each tenant', async () => {
    write({ t: organization, u: organization });
    open();
    await directory.find('t', {});
    writeFileSync(path, '{"tenants": ');
    await until(() => directory.problem !== undefined);
    assert.equal((await directory.find('t', {})).clientId, 'id');
    write({ t: { ...organization, clientSecret: '${NOT_SET}' }, u: { ...organization, clientId: 'new' } });
    await until(() => /NOT_SET/.test(directory.problem ?? ''));
    assert.equal((await directory.find('t', {})).clientId, 'id');
    assert.equal((await directory.find('u', {})).clientId, 'new');
    write({ t: organization });
    await until(() => directory.problem === undefined);
    await assert.rejects(directory.find('u', {}), { code: 'NOT_FOUND' });
  });

  it('makes messages wait while it has never been readable', async () => {
    open();
    await assert.rejects(directory.find('t', {}), { code: 'CONFIGURATION', retryable: true });
    write({ t: organization });
    await until(() => directory.problem === undefined && directory.size === 1);
    assert.equal((await directory.find('t', {})).clientId, 'id');
  });
});

describe('a tenant service', () => {
  let server: Server;
  let url: string;
  let http: HttpClient;
  let answer: { status: number; body: unknown };
  let asked: { url: string | undefined; authorization: string | undefined }[];
  let now: number;
  let directory: ServiceDirectory;

  beforeEach(async () => {
    asked = [];
    now = 1_000_000;
    answer = { status: 200, body: organization };
    server = createServer((request, response) => {
      asked.push({ url: request.url, authorization: request.headers.authorization });
      response.writeHead(answer.status, { 'content-type': 'application/json', 'retry-after': '7' });
      response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    http = new HttpClient();
    const clock = { now: () => now, setTimeout, clearTimeout };
    directory = new ServiceDirectory({ http, url, token: 'service-token', clock });
  });

  afterEach(() => {
    directory.close();
    http.close();
    server.closeAllConnections();
    server.close();
  });

  it('is asked once for many messages, with its token, and again when the answer is old', async () => {
    const found = await Promise.all(Array.from({ length: 50 }, () => directory.find('tenant one', {})));
    assert.equal(found[0]?.clientId, 'id');
    assert.deepEqual(asked, [
      { url: '/api/tenants/tenant%20one/credentials/genesys', authorization: 'Bearer service-token' },
    ]);
    now += 300_001;
    answer = { status: 200, body: { organizations: { o: { ...organization, clientId: 'new' } } } };
    let changes = 0;
    directory.onChange(() => {
      changes += 1;
    });
    assert.equal((await directory.find('tenant one', {})).clientId, 'id');
    await until(() => changes === 1);
    assert.equal((await directory.find('tenant one', {})).clientId, 'new');
    assert.equal(asked.length, 2);
    assert.equal(directory.ofIntegration('int')?.tenantId, 'tenant one');
  });

  it('may go away: the last good answer stays, and it is not asked in a storm', async () => {
    await directory.find('t', {});
    now += 300_001;
    answer = { status: 500, body: '<html>' };
    for (let count = 0; count < 20; count++) assert.equal((await directory.find('t', {})).clientId, 'id');
    await until(() => directory.problem !== undefined);
    for (let count = 0; count < 20; count++) await directory.find('t', {});
    assert.equal(asked.length, 2);
    answer = { status: 200, body: organization };
    now += 5_001;
    await directory.find('t', {});
    await until(() => directory.problem === undefined);
  });

  it('says of an unknown tenant that it is unknown, and is asked again only later', async () => {
    answer = { status: 404, body: {} };
    for (let count = 0; count < 20; count++) {
      await assert.rejects(directory.find('t', {}), { code: 'NOT_FOUND', retryable: false });
    }
    assert.equal(asked.length, 1);
    answer = { status: 200, body: organization };
    now += 30_001;
    assert.equal((await directory.find('t', {})).clientId, 'id');
  });

  const failures: [status: number, body: unknown, code: string][] = [
    [500, '', 'BUSY'],
    [429, '', 'BUSY'],
    [401, '', 'REFUSED'],
    [403, '', 'REFUSED'],
    [302, '', 'PROTOCOL'],
    [200, '<html>', 'PROTOCOL'],
    [200, { organizations: { o: {} } }, 'CONFIGURATION'],
  ];
  for (const [status, body, code] of failures) {
    it(`makes messages wait after ${status} ${JSON.stringify(body)}: ${code}`, async () => {
      answer = { status, body };
      await assert.rejects(directory.find('t', {}), { code, retryable: true });
      await assert.rejects(directory.find('t', {}), { code });
      assert.equal(asked.length, 1);
      now += 7_001;
      answer = { status: 200, body: organization };
      assert.equal((await directory.find('t', {})).clientId, 'id');
    });
  }

  it('calls no tenant unknown because it is closed before it was answered', async () => {
    const found = directory.find('t', {});
    directory.close();
    await assert.rejects(found, { code: 'CLOSED', retryable: true });
  });

  it('takes no variable of the environment for a secret', async () => {
    answer = { status: 200, body: { ...organization, clientSecret: '${PATH}' } };
    await assert.rejects(directory.find('t', {}), /PATH, which is not set/);
  });
});
