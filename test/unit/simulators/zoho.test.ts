import assert from 'node:assert/strict';
import {
  caseFields,
  defaultZoho,
  startZohoSimulator,
  type ZohoOptions,
  type ZohoSimulator,
} from '../../simulators/zoho';

interface Result {
  code: string;
  status: string;
  message: string;
  details: Record<string, unknown> & { id?: string };
}
interface Answer {
  status: number;
  headers: Headers;
  body: Record<string, unknown> & { data?: Result[]; code?: string; error?: string; access_token?: string };
}

const CASE = { Subject: 'Cody Chat', Status: 'Closed', Case_Origin: 'Web' };

describe('the simulated Zoho CRM', () => {
  let zoho: ZohoSimulator;
  let now: number;
  let token: string;

  const start = async (options: ZohoOptions = {}) => {
    await zoho?.close();
    zoho = await startZohoSimulator({ now: () => now, ...options });
    token = String((await grant()).body.access_token);
  };
  const send = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(`${zoho.url}${path}`, {
      method,
      headers: { Authorization: `Zoho-oauthtoken ${token}`, 'Content-Type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : {} } as Answer;
  };
  const grant = (form: Record<string, string> = {}) =>
    send(
      'POST',
      '/oauth/v2/token',
      new URLSearchParams({
        grant_type: 'refresh_token',
        client_id: defaultZoho.clientId,
        client_secret: defaultZoho.clientSecret,
        refresh_token: defaultZoho.refreshToken,
        ...form,
      }).toString(),
      { 'Content-Type': 'application/x-www-form-urlencoded' },
    );
  const create = (fields: Record<string, unknown>) => send('POST', '/crm/v8/Cases', { data: [{ ...CASE, ...fields }] });
  const coql = (query: string) => send('POST', '/crm/v8/coql', { select_query: query });
  const searchBy = (id: string) =>
    send('GET', `/crm/v8/Cases/search?criteria=${encodeURIComponent(`(Cody_Conversation_ID:equals:${id})`)}`);

  beforeEach(async () => {
    now = 1_700_000_000_000;
    await start();
  });
  afterEach(() => zoho.close());

  describe('accounts', () => {
    it('tell errors of a grant with status 200', async () => {
      const wrong = await grant({ refresh_token: 'revoked' });
      assert.deepEqual([wrong.status, wrong.body.error], [200, 'invalid_code']);
      assert.equal((await grant({ client_secret: 'x' })).body.error, 'invalid_client_secret');
    });

    it('give the domain of the API and no new refresh token on a refresh', async () => {
      const { body } = await grant();
      assert.equal(body['api_domain'], zoho.url);
      assert.equal(body['expires_in'], 3_600);
      assert.equal(body['refresh_token'], undefined);
    });

    it('take a grant code once, within three minutes', async () => {
      const code = zoho.oauth.grantCode();
      const { body } = await grant({ grant_type: 'authorization_code', code });
      assert.equal((await grant({ refresh_token: String(body['refresh_token']) })).body.error, undefined);
      assert.equal((await grant({ grant_type: 'authorization_code', code })).body.error, 'invalid_code');
      const late = zoho.oauth.grantCode();
      now += 181_000;
      assert.equal((await grant({ grant_type: 'authorization_code', code: late })).body.error, 'invalid_code');
    });

    it('lock out whoever asks for more than 10 tokens in ten minutes, for as long as they go on', async () => {
      for (let number = 0; number < 9; number++) assert.equal((await grant()).body.error, undefined);
      const refused = await grant();
      assert.deepEqual([refused.status, refused.body.error], [400, 'Access Denied']);
      now += 600_000;
      await grant();
      now += 299_000;
      assert.equal((await grant()).body.error, undefined);
      for (let number = 0; number < 10; number++) await grant();
      now += 299_000;
      assert.equal((await grant()).body.error, 'Access Denied');
      now += 299_000;
      assert.equal((await grant()).body.error, 'Access Denied');
      now += 600_000;
      assert.equal((await grant()).body.error, undefined);
    });

    it('keep 15 tokens alive, and end the oldest for the next', async () => {
      await start({ tokensPerWindow: 100 });
      const first = token;
      for (let number = 0; number < 14; number++) await grant();
      assert.equal((await create({})).status, 201);
      await grant();
      token = first;
      assert.equal((await create({})).body.code, 'INVALID_TOKEN');
    });
  });

  describe('records', () => {
    it('need the header of Zoho, a token that lives, and the scope', async () => {
      const bearer = await send('POST', '/crm/v8/Cases', { data: [CASE] }, { Authorization: `Bearer ${token}` });
      assert.deepEqual([bearer.status, bearer.body.code], [401, 'AUTHENTICATION_FAILURE']);
      assert.equal((await coql("select id from Cases where Subject = 'x'")).body.code, 'OAUTH_SCOPE_MISMATCH');
      now += 3_600_001;
      assert.equal((await create({})).body.code, 'INVALID_TOKEN');
    });

    it('are made with an id as text, and unknown names are left out without a word', async () => {
      const { status, body } = await create({ Nonsense: 1 });
      assert.deepEqual([status, body.data![0]!.code], [201, 'SUCCESS']);
      assert.match(String(body.data![0]!.details.id), /^\d{19}$/);
      assert.deepEqual(zoho.cases[0]!.fields, CASE);
    });

    it('are refused one by one: without a mandatory field, too long, of the wrong type', async () => {
      const wrong = async (fields: Record<string, unknown>) => (await create(fields)).body.data![0]!;
      assert.equal((await wrong({ Status: '' })).code, 'MANDATORY_NOT_FOUND');
      const long = await wrong({ Description: 'x'.repeat(32_001) });
      assert.deepEqual(
        [long.code, long.details['maximum_length'], long.details['api_name']],
        ['INVALID_DATA', 32_000, 'Description'],
      );
      assert.equal((await wrong({ CF_Message_Count: 3 })).details['expected_data_type'], 'text');
      assert.equal((await wrong({ Contact_Name: 'Cody Chat' })).details['expected_data_type'], 'jsonobject');
      assert.equal((await wrong({ Contact_Name: { id: '1' } })).code, 'INVALID_DATA');
      const mixed = await send('POST', '/crm/v8/Cases', { data: [CASE, { ...CASE, Subject: '' }] });
      assert.equal(mixed.status, 207);
    });

    it('with a unique field are refused the second time, with the id of the first', async () => {
      const first = await create({ Cody_Conversation_ID: 'abc' });
      const { status, body } = await create({ Cody_Conversation_ID: 'abc' });
      const { id } = first.body.data![0]!.details;
      assert.equal(status, 400);
      assert.equal(body.data![0]!.code, 'DUPLICATE_DATA');
      assert.equal((body.data![0]!.details['duplicate_record'] as { id: string }).id, id);
      await start({ caseFields: caseFields({ unique: false }), failureStatus: 202 });
      await create({ Cody_Conversation_ID: 'abc' });
      assert.equal((await create({ Cody_Conversation_ID: 'abc' })).status, 201);
    });

    it('are changed by their id', async () => {
      const { body } = await create({});
      const { id } = body.data![0]!.details;
      const changed = await send('PUT', `/crm/v8/Cases/${id}`, { data: [{ Description: 'new' }] });
      assert.deepEqual([changed.status, zoho.cases[0]!.fields['Description']], [200, 'new']);
      assert.equal((await send('PUT', '/crm/v8/Cases/1', { data: [{}] })).body.data![0]!.code, 'INVALID_DATA');
    });

    it('are found by a search late, and by what they only contain', async () => {
      await create({ Cody_Conversation_ID: 'abc' });
      await create({ Cody_Conversation_ID: 'abcdef' });
      assert.equal((await searchBy('abc')).status, 204);
      now += 30_000;
      assert.equal((await searchBy('abc')).body.data!.length, 2);
    });

    it('are found by COQL at once, with the scope for it', async () => {
      await start({ scopes: [...defaultZoho.scopes, 'ZohoCRM.coql.READ'] });
      await create({ Cody_Conversation_ID: "it's" });
      const query = "select id, Cody_Conversation_ID from Cases where Cody_Conversation_ID = 'it\\'s' limit 2";
      assert.deepEqual((await coql(query)).body.data, [{ id: zoho.cases[0]!.id, Cody_Conversation_ID: "it's" }]);
      assert.equal((await coql("select id from Cases where Cody_Conversation_ID = 'no'")).status, 204);
      assert.equal((await coql("select id from Cases where Nonsense = 'x'")).body.code, 'INVALID_QUERY');
      assert.equal((await coql('select id from Cases')).body.code, 'SYNTAX_ERROR');
    });
  });

  it('takes notes and attachments for a Case that is there', async () => {
    await create({});
    const { id } = zoho.cases[0]!;
    const note = (parent: unknown) =>
      send('POST', '/crm/v8/Notes', { data: [{ Parent_Id: parent, Note_Title: 't', Note_Content: 'c' }] });
    assert.equal((await note({ module: { api_name: 'Cases' }, id })).status, 201);
    assert.equal((await note(id)).body.data![0]!.code, 'INVALID_DATA');
    assert.equal((await send('GET', `/crm/v8/Cases/${id}/Notes`)).body.code, 'REQUIRED_PARAM_MISSING');
    const listed = await send('GET', `/crm/v8/Cases/${id}/Notes?fields=Note_Title`);
    assert.deepEqual(
      (listed.body.data as unknown as Record<string, unknown>[]).map(({ Note_Title }) => Note_Title),
      ['t'],
    );
    const form = new FormData();
    form.set('file', new Blob(['Grüße']), 'transcript.txt');
    const response = await fetch(`${zoho.url}/crm/v8/Cases/${id}/Attachments`, {
      method: 'POST',
      headers: { Authorization: `Zoho-oauthtoken ${token}` },
      body: form,
    });
    assert.equal(response.status, 200);
    assert.deepEqual([zoho.attachments[0]!.name, zoho.attachments[0]!.content], ['transcript.txt', 'Grüße']);
  });

  it('describes its fields, which of them are unique, and how long they may be', async () => {
    const { body } = await send('GET', '/crm/v8/settings/fields?module=Cases');
    const fields = body['fields'] as { api_name: string; unique: object; length: number }[];
    const named = (name: string) => fields.find(({ api_name }) => api_name === name)!;
    assert.deepEqual(Object.keys(named('Cody_Conversation_ID').unique), ['casesensitive']);
    assert.deepEqual(named('Subject').unique, {});
    assert.equal(named('Description').length, 32_000);
  });

  it('takes only so many requests at once, and tells of credits when half of them are used', async () => {
    await start({ concurrency: 2, credits: 10, latencyMs: 20 });
    const answers = await Promise.all([create({}), create({}), create({}), create({})]);
    assert.ok(answers.some(({ body }) => body.code === 'TOO_MANY_REQUESTS'));
    let last = await create({});
    while (last.headers.get('x-api-credits-remaining') === null) last = await create({});
    assert.ok(Number(last.headers.get('x-api-credits-remaining')) < 5);
  });
});
