import assert from 'node:assert/strict';
import { seal, unseal } from '../../../../lib/core/sealing';
import type { TenantDirectory } from '../../../../lib/genesys/tenants/directory';
import { Organizations } from '../../../../lib/genesys/tenants/organizations';
import type { TenantOrganization } from '../../../../lib/genesys/tenants/tenant';
import { MemoryStore } from '../../../../lib/store/memory';
import { RationedToken } from '../../../../lib/store/rationed-token';
import {
  defaultClient,
  defaultIntegration,
  type GenesysSimulator,
  startGenesysSimulator,
} from '../../../simulators/genesys';

const defaults = { rateLimitPerMinute: 300, concurrency: 10, timeoutMs: 5_000 };

describe('organizations', () => {
  let genesys: GenesysSimulator;
  let settings: TenantOrganization;
  let changed: () => void;
  const opened: Organizations[] = [];

  beforeEach(async () => {
    genesys = await startGenesysSimulator({ rateLimitPerMinute: Number.POSITIVE_INFINITY });
    settings = {
      tenantId: 't',
      organizationId: 'o',
      loginUrl: genesys.url,
      apiUrl: genesys.url,
      clientId: defaultClient.id,
      clientSecret: defaultClient.secret,
      integrationId: defaultIntegration.id,
    };
  });

  afterEach(async () => {
    for (const each of opened.splice(0)) each.close();
    await genesys.close();
  });

  function open(sharing?: ConstructorParameters<typeof Organizations>[2]): Organizations {
    const directory: TenantDirectory = {
      find: async () => settings,
      ofIntegration: () => settings,
      problem: undefined,
      size: 1,
      onChange: (listener) => {
        changed = listener;
        return () => {};
      },
      close: () => {},
    };
    const organizations = new Organizations(directory, defaults, sharing);
    opened.push(organizations);
    return organizations;
  }

  it('are not opened any more when they are closed while one is being found', async () => {
    const organizations = open();
    const found = organizations.find('t', {});
    organizations.close();
    await assert.rejects(found, { code: 'CLOSED' });
    assert.deepEqual(organizations.all(), []);
  });

  const look = (organizations: Organizations) =>
    organizations.find('t', {}).then(({ client }) => client.exchange('GET', '/api/v2/tokens/me', { what: 'look' }));

  it('are one object each, with one token, however often they are asked for', async () => {
    const organizations = open();
    assert.equal(await organizations.find('t', {}), await organizations.find('t', {}));
    await Promise.all([look(organizations), look(organizations)]);
    assert.equal(genesys.requests.tokenRequests, 1);
    const [organization] = organizations.all();
    assert.equal(organization?.name, 't/o');
    assert.equal(organization?.limit.turns, 300);
  });

  it('go on with corrected credentials as soon as the directory has them', async () => {
    settings = { ...settings, clientSecret: 'not-the-secret', rateLimitPerMinute: 60 };
    const organizations = open();
    assert.equal((await look(organizations)).verdict.kind, 'refused');
    const told: string[] = [];
    organizations.onChange(({ name }) => told.push(name));
    settings = { ...settings, clientSecret: defaultClient.secret, rateLimitPerMinute: 90 };
    changed();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(told, ['t/o']);
    const [organization] = organizations.all();
    assert.equal(
      (await organization?.client.exchange('GET', '/api/v2/tokens/me', { what: 'look' }))?.verdict.kind,
      'delivered',
    );
    assert.equal(organization?.limit.turns, 90);
  });

  it('report without any secret', async () => {
    const organizations = open();
    await look(organizations);
    const [token] = genesys.tokens;
    const report = JSON.stringify(organizations.all().map((each) => each.report()));
    assert.doesNotMatch(report, new RegExp(defaultClient.secret));
    assert.ok(!report.includes(token?.value ?? '?'));
    assert.match(report, /"state":"valid"/);
  });

  it('share their token with other processes through the store, encrypted', async () => {
    const store = new MemoryStore();
    const sharing = { store, redis: { status: 'end' }, processes: () => 2 };
    await look(open(sharing));
    const [token] = genesys.tokens;
    const left = await store.entries('');
    assert.ok(left.length > 0);
    assert.ok(!JSON.stringify(left).includes(token?.value ?? '?'));
    // Another process has nothing but the store in common.
    const shared = new RationedToken({
      store,
      name: `genesys ${genesys.url} ${defaultClient.id}`,
      secret: defaultClient.secret,
      request: () => assert.fail('it asks for a token of its own'),
    });
    assert.equal((await shared.fetch(new AbortController().signal)).value, token?.value);
  });

  it('ask for a new token when the shared one is no longer accepted', async () => {
    const organizations = open({ store: new MemoryStore(), redis: { status: 'end' }, processes: () => 2 });
    await look(organizations);
    genesys.revokeTokens();
    assert.equal((await look(organizations)).verdict.kind, 'delivered');
    assert.equal(genesys.requests.tokenRequests, 2);
  });
});

describe('sealing', () => {
  it('gives the text back to who knows the secret, and nothing to anyone else or after a change', () => {
    const sealed = seal('ein Geheimnis', 'secret');
    assert.equal(unseal(sealed, 'secret'), 'ein Geheimnis');
    assert.notEqual(seal('ein Geheimnis', 'secret'), sealed);
    assert.equal(unseal(sealed, 'other'), undefined);
    const changedAt = (index: number) =>
      `${sealed.slice(0, index)}${sealed[index] === 'A' ? 'B' : 'A'}${sealed.slice(index + 1)}`;
    for (const broken of [undefined, 7, '', 'abc', changedAt(0), changedAt(20), changedAt(40)]) {
      assert.equal(unseal(broken, 'secret'), undefined, String(broken));
    }
  });
});
