import assert from 'node:assert/strict';
import { ContactError } from '../../../lib/core/errors';
import { GENESYS_REGIONS, genesysAddresses } from '../../../lib/genesys/regions';

describe('Genesys regions', () => {
  const expected = { loginUrl: 'https://login.usw2.pure.cloud', apiUrl: 'https://api.usw2.pure.cloud' };
  for (const given of [
    'usw2.pure.cloud',
    ' USW2.pure.cloud ',
    'us_west_2',
    'us-west-2',
    'https://api.usw2.pure.cloud',
    'https://apps.usw2.pure.cloud/directory/#/',
    'login.usw2.pure.cloud',
  ]) {
    it(`are understood as ${JSON.stringify(given)}`, () => assert.deepEqual(genesysAddresses(given), expected));
  }

  it('may be any domain, so that a new region needs no new version', () => {
    assert.equal(genesysAddresses('new9.pure.cloud').apiUrl, 'https://api.new9.pure.cloud');
  });

  it('are all domains', () => {
    for (const [name, domain] of Object.entries(GENESYS_REGIONS)) {
      assert.equal(genesysAddresses(name).apiUrl, `https://api.${domain}`);
    }
  });

  it('give way to addresses of a gateway, one by one', () => {
    assert.deepEqual(genesysAddresses(undefined, { loginUrl: 'http://l', apiUrl: 'http://a' }), {
      loginUrl: 'http://l',
      apiUrl: 'http://a',
    });
    assert.deepEqual(genesysAddresses('usw2.pure.cloud', { apiUrl: 'http://a' }), { ...expected, apiUrl: 'http://a' });
  });

  for (const given of [undefined, '', 'nowhere', 'a b.c', 'http://', '${GENESYS_ENV}']) {
    it(`are missing when it says ${JSON.stringify(given)}`, () => {
      assert.throws(
        () => genesysAddresses(given),
        (error) => error instanceof ContactError && error.code === 'CONFIGURATION',
      );
    });
  }
});
