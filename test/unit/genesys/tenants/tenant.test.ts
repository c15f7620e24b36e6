import assert from 'node:assert/strict';
import { ContactError } from '../../../../lib/core/errors';
import { FixedDirectory, SingleDirectory } from '../../../../lib/genesys/tenants/directory';
import { readTenants } from '../../../../lib/genesys/tenants/file';
import { chooseOrganization, readTenant } from '../../../../lib/genesys/tenants/tenant';

const environment = (name: string) => ({ SECRET_OF_A: 'secret-of-a' })[name];
const a = { region: 'usw2.pure.cloud', clientId: 'id-a', clientSecret: '${SECRET_OF_A}', integrationId: 'int-a' };
const b = {
  loginUrl: 'https://login.example.com/',
  apiUrl: 'https://api.example.com',
  clientId: 'id-b',
  clientSecret: 'secret-of-b',
  integrationId: 'int-b',
  rateLimitPerMinute: 600,
  concurrency: 4,
};
const failure = (work: () => unknown): ContactError => {
  try {
    work();
  } catch (thrown) {
    assert.ok(thrown instanceof ContactError, String(thrown));
    return thrown;
  }
  return assert.fail('nothing was thrown');
};

describe('a tenant', () => {
  it('is read with its organizations, their addresses, and secrets from the environment', () => {
    const tenant = readTenant('t', { organizations: { a, b }, default: 'b' }, environment);
    assert.deepEqual(tenant.organizations.get('a'), {
      tenantId: 't',
      organizationId: 'a',
      loginUrl: 'https://login.usw2.pure.cloud',
      apiUrl: 'https://api.usw2.pure.cloud',
      clientId: 'id-a',
      clientSecret: 'secret-of-a',
      integrationId: 'int-a',
    });
    const { loginUrl, rateLimitPerMinute, concurrency } = tenant.organizations.get('b') ?? {};
    assert.deepEqual([loginUrl, rateLimitPerMinute, concurrency], ['https://login.example.com', 600, 4]);
    assert.equal(tenant.defaultId, 'b');
  });

  it('is read in the flat form of the original tenant service', () => {
    const tenant = readTenant('t', { ...a, clientSecret: 's', rateLimits: { perMinute: 120, burst: 50 } }, environment);
    const organization = chooseOrganization(tenant, {});
    assert.deepEqual([organization.organizationId, organization.rateLimitPerMinute], ['default', 120]);
  });

  it('is told with everything that is wrong with it, without its secrets', () => {
    const error = failure(() =>
      readTenant(
        't',
        {
          organizations: {
            a: { ...a, clientSecret: '${NOT_SET}', integrationId: '' },
            b: { ...b, region: 'no region', loginUrl: 'ftp://x', rateLimitPerMinute: 0 },
            c: 'x',
          },
          default: 'd',
        },
        environment,
      ),
    );
    for (const word of [
      'organizations.a.clientSecret refers to the environment variable NOT_SET',
      'organizations.a.integrationId is not set',
      'organizations.b.loginUrl must be',
      'organizations.b.rateLimitPerMinute must be',
      'organizations.c is no object',
      'default names "d"',
    ]) {
      assert.ok(error.message.includes(word), `${word} in ${error.message}`);
    }
    assert.doesNotMatch(error.message, /secret-of/);
    assert.equal(error.code, 'CONFIGURATION');
  });

  it('needs a region or both addresses', () => {
    assert.match(failure(() => readTenant('t', { ...a, region: undefined }, environment)).message, /region is not set/);
    assert.match(failure(() => readTenant('t', { organizations: {} }, environment)).message, /no organizations/);
    assert.match(failure(() => readTenant('t', [], environment)).message, /no object/);
  });

  it('has one organization for a message: the one named, the one of the integration, the default, the only one', () => {
    const tenant = readTenant('t', { organizations: { a, b }, default: 'b' }, environment);
    assert.equal(chooseOrganization(tenant, { organizationId: 'a' }).organizationId, 'a');
    assert.equal(chooseOrganization(tenant, { integrationId: 'int-a' }).organizationId, 'a');
    assert.equal(chooseOrganization(tenant, { integrationId: 'int-x' }).organizationId, 'b');
    assert.equal(chooseOrganization(tenant, {}).organizationId, 'b');
    assert.equal(failure(() => chooseOrganization(tenant, { organizationId: 'x' })).code, 'NOT_FOUND');
    const only = readTenant('t', { organizations: { a } }, environment);
    assert.equal(chooseOrganization(only, {}).organizationId, 'a');
    const undecided = readTenant('t', { organizations: { a, b } }, environment);
    assert.equal(failure(() => chooseOrganization(undecided, {})).code, 'INVALID_INPUT');
  });
});

describe('a table of tenants', () => {
  const read = (tenants: unknown) => readTenants(JSON.stringify({ tenants }), environment);

  it('knows each tenant, and says of an unknown one that it is unknown', async () => {
    const directory = new FixedDirectory(read({ t: { organizations: { a } } }).entries, undefined);
    assert.equal((await directory.find('t', {})).clientId, 'id-a');
    assert.equal(directory.ofIntegration('int-a')?.tenantId, 't');
    assert.equal(directory.ofIntegration('int-x'), undefined);
    await assert.rejects(directory.find('u', {}), /there is no such tenant/);
  });

  it('is not spoilt by one bad tenant', async () => {
    const { entries, problems } = read({ good: a, bad: { ...a, clientId: '' } });
    const directory = new FixedDirectory(entries, undefined);
    assert.equal((await directory.find('good', {})).clientId, 'id-a');
    await assert.rejects(directory.find('bad', {}), { code: 'CONFIGURATION', retryable: true });
    assert.equal(problems.length, 1);
  });

  it('must be JSON of the right form', () => {
    assert.match(failure(() => readTenants('{', environment)).message, /no JSON/);
    for (const text of ['null', '[]', '{"tenants":[]}']) {
      assert.match(failure(() => readTenants(text, environment)).message, /not of the form/);
    }
  });
});

describe('a single organization', () => {
  it('is that of every tenant', async () => {
    const { tenantId: _none, ...organization } = chooseOrganization(readTenant('x', a, environment), {});
    const directory = new SingleDirectory(organization);
    assert.deepEqual(await directory.find('any', {}), { ...organization, tenantId: '' });
    assert.equal(await directory.find('any', {}), await directory.find('other', {}));
    await assert.rejects(directory.find('any', { organizationId: 'other' }), { code: 'NOT_FOUND' });
    assert.equal(directory.ofIntegration('int-a')?.clientId, 'id-a');
  });
});
