import assert from 'node:assert/strict';
import { ContactError } from '../../../lib/core/errors';
import { MemoryStore, type MemoryValues } from '../../../lib/store/memory';
import { ZohoAccount } from '../../../lib/zoho/account';
import { apiUrlOf } from '../../../lib/zoho/data-centers';
import { defaultZoho, startZohoSimulator, type ZohoOptions, type ZohoSimulator } from '../../simulators/zoho';

describe('Zoho account', () => {
  let zoho: ZohoSimulator;
  let values: MemoryValues;
  let accounts: ZohoAccount[];

  const start = async (options: ZohoOptions = {}) => {
    zoho = await startZohoSimulator(options);
    values = new Map();
    accounts = [];
  };
  const open = (credentials: { refreshToken?: string; clientSecret?: string; accountsUrl?: string } = {}) => {
    const { clientId, clientSecret, refreshToken } = defaultZoho;
    const account = new ZohoAccount({
      accountsUrl: zoho.url,
      apiUrl: undefined,
      apiVersion: 'v8',
      clientId,
      clientSecret,
      refreshToken,
      store: new MemoryStore(undefined, values),
      ...credentials,
    });
    accounts.push(account);
    return account;
  };
  const failure = async (account: ZohoAccount): Promise<ContactError> => {
    const thrown: unknown = await account.open().catch((error: unknown) => error);
    assert.ok(thrown instanceof ContactError);
    return thrown;
  };

  afterEach(async () => {
    for (const each of accounts) each.close();
    await zoho.close();
  });

  it('takes the address of the API from the token answer', async () => {
    await start({ apiDomain: 'https://www.zohoapis.eu' });
    assert.equal((await open().open()).apiUrl, 'https://www.zohoapis.eu');
    assert.equal((await open().open()).apiUrl, 'https://www.zohoapis.eu', 'also from the store');
    assert.equal(zoho.oauth.issued.length, 1);
  });

  it('corrects the data centre of a usual address, and leaves any other address alone', () => {
    const accountsUrl = 'https://accounts.zoho.com';
    const named = 'https://www.zohoapis.eu';
    const chosen = (configured: string | undefined, told: string | undefined = named) =>
      apiUrlOf({ configured, named: told, accountsUrl });
    assert.equal(chosen('https://www.zohoapis.com'), named);
    assert.equal(chosen(undefined), named);
    assert.equal(chosen('https://sandbox.zohoapis.com'), 'https://sandbox.zohoapis.com');
    assert.equal(chosen('http://127.0.0.1:1234'), 'http://127.0.0.1:1234');
    assert.equal(apiUrlOf({ configured: undefined, named: undefined, accountsUrl }), 'https://www.zohoapis.com');
  });

  it('understands both forms of the lifetime', async () => {
    await start({ expiresInMilliseconds: true, tokenLifetimeSeconds: 1_800 });
    const account = open();
    await account.open();
    const { obtainedAt, expiresAt } = account.tokens.current!;
    assert.equal(expiresAt - obtainedAt, 1_800_000);
  });

  it('tells refused credentials from a lock-out, though both may come with status 200', async () => {
    await start({ throttleStatus: 200, tokensPerWindow: 3 });
    const revoked = await failure(open({ refreshToken: '1000.another-refresh-token' }));
    assert.deepEqual([revoked.code, revoked.reason], ['REFUSED', 'invalid_code']);
    assert.match(revoked.message, /zoho-token/);
    assert.equal((await failure(open({ clientSecret: 'not-the-secret' }))).reason, 'invalid_client_secret');
    await open({ refreshToken: '1000.a-third-refresh-token' })
      .open()
      .catch(() => {});
    const locked = await failure(open());
    assert.deepEqual([locked.code, locked.reason, locked.retryAfterMs], ['BUSY', 'token_limit', 300_000]);
    assert.equal(accounts.at(-1)!.counters.rateLimitHits, 1);
  });

  it('does not ask again during a lock-out', async () => {
    await start({ tokensPerWindow: 0 });
    const account = open();
    for (let time = 0; time < 20; time++) await failure(account);
    for (let time = 0; time < 5; time++) await failure(open());
    assert.equal(zoho.oauth.requests, 1);
  });

  it('keeps every secret out of its errors', async () => {
    await start();
    zoho.fail({ path: /token/, answer: { status: 400, body: { error: `no ${defaultZoho.clientSecret}` } } });
    const { message } = await failure(open());
    assert.doesNotMatch(message, new RegExp(defaultZoho.clientSecret));
  });
});
