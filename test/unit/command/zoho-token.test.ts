import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { main } from '../../../lib/command/main';
import { defaultZoho, startZohoSimulator, type ZohoSimulator } from '../../simulators/zoho';

describe('the command contact-center zoho-token', () => {
  let zoho: ZohoSimulator;

  beforeEach(async () => {
    zoho = await startZohoSimulator();
  });
  afterEach(() => zoho.close());

  const run = async (parameters: string[], input: string, environment: NodeJS.ProcessEnv) => {
    const [output, errors] = [new PassThrough().setEncoding('utf8'), new PassThrough().setEncoding('utf8')];
    const code = await main(parameters, { input: Readable.from([input]), output, errors, environment });
    const texts: string[] = [];
    for (const stream of [output, errors]) {
      stream.end();
      let text = '';
      for await (const chunk of stream) text += chunk;
      texts.push(text);
    }
    return { code, output: texts[0]!, errors: texts[1]! };
  };
  const client = () => ({
    ZOHO_ACCOUNTS_BASE_URL: `${zoho.url}/`,
    ZOHO_CLIENT_ID: defaultZoho.clientId,
    ZOHO_CLIENT_SECRET: defaultZoho.clientSecret,
  });

  it('exchanges the code of a self client for a refresh token that works', async () => {
    const { code, output, errors } = await run(['zoho-token'], `${zoho.oauth.grantCode()}\n`, client());
    assert.equal(code, 0);
    const token = /^ZOHO_REFRESH_TOKEN=(\S+)\n$/.exec(output)?.[1];
    assert.ok(token !== undefined && zoho.oauth.refreshTokens.has(token));
    assert.match(errors, /Self Client/);
    assert.match(errors, /ZohoCRM\.modules\.ALL,ZohoCRM\.settings\.ALL,ZohoCRM\.coql\.READ/);
    assert.doesNotMatch(errors, new RegExp(token));
    const checked = await run(['zoho-token', '--check'], '', { ...client(), ZOHO_REFRESH_TOKEN: token });
    assert.deepEqual([checked.code, /works for http/.test(checked.output)], [0, true]);
  });

  it('asks for everything that the environment does not have', async () => {
    const lines = [zoho.url, defaultZoho.clientId, defaultZoho.clientSecret, zoho.oauth.grantCode()];
    const { code, output, errors } = await run(['zoho-token'], `${lines.join('\n')}\n`, {});
    assert.equal(code, 0);
    assert.match(output, /^ZOHO_REFRESH_TOKEN=/);
    assert.match(errors, /accounts\.zoho\.eu/);
  });

  it('says what is wrong, and how to get it right', async () => {
    const wrong = await run(['zoho-token'], '1000.used-already\n', client());
    assert.equal(wrong.code, 1);
    assert.match(wrong.errors, /invalid_code/);
    const empty = await run(['zoho-token'], '', client());
    assert.deepEqual([empty.code, /no answer to "Code:"/.test(empty.errors)], [2, true]);
    const missing = await run(['zoho-token', '--check'], '', client());
    assert.deepEqual([missing.code, /ZOHO_REFRESH_TOKEN is not set/.test(missing.errors)], [2, true]);
    const nonsense = await run(['zoho-token', '--nonsense'], '', client());
    assert.deepEqual([nonsense.code, /step by step/.test(nonsense.errors)], [2, true]);
  });
});
