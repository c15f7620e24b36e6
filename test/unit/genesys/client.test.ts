import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { ContactError } from '../../../lib/core/errors';
import { remoteCountOf } from '../../../lib/genesys/answers';
import { GenesysClient } from '../../../lib/genesys/client';
import { type GenesysAccess, useAccess } from '../../../lib/genesys/oauth';
import {
  defaultClient,
  type FaultAnswer,
  type GenesysSimulator,
  type GenesysSimulatorOptions,
  startGenesysSimulator,
} from '../../simulators/genesys';
import { until } from '../until';

describe('Genesys client', () => {
  const cleanUp: (() => unknown)[] = [];
  let genesys: GenesysSimulator;
  let access: GenesysAccess;
  let client: GenesysClient;

  afterEach(async () => {
    for (const step of cleanUp.splice(0).reverse()) await step();
  });

  async function start(options: GenesysSimulatorOptions = {}, secret: string = defaultClient.secret): Promise<void> {
    genesys = await startGenesysSimulator({ rateLimitPerMinute: Number.POSITIVE_INFINITY, ...options });
    cleanUp.push(() => genesys.close());
    const credentials = { loginUrl: genesys.url, clientId: defaultClient.id, clientSecret: secret };
    const used = useAccess(credentials);
    cleanUp.push(used.release);
    access = used.access;
    client = new GenesysClient({ apiUrl: genesys.url, access, backoff: { baseMs: 1, maxMs: 5 }, timeoutMs: 500 });
  }

  const definitions = (signal?: AbortSignal) =>
    client.request('GET', '/api/v2/usage/events/definitions', {
      what: 'list the event definitions',
      ...(signal ? { signal } : {}),
    });
  const create = () => client.request('POST', '/api/v2/notifications/channels', { what: 'create a channel' });
  const failure = (promise: Promise<unknown>): Promise<ContactError> =>
    promise.then(
      () => assert.fail('it succeeded'),
      (error: unknown) => {
        assert.ok(error instanceof ContactError, String(error));
        return error;
      },
    );
  const calls = (route: string) => genesys.requests.counts[route] ?? 0;
  const DEFINITIONS = 'GET /api/v2/usage/events/definitions';
  const CHANNELS = 'POST /api/v2/notifications/channels';

  it('calls with a token that it gets once', async () => {
    await start();
    const answers = await Promise.all(Array.from({ length: 20 }, () => definitions()));
    assert.ok(answers.every((answer) => Array.isArray((answer as { entities: unknown[] }).entities)));
    assert.equal(genesys.requests.tokenRequests, 1);
  });

  it('gives nothing back for an answer without a body', async () => {
    await start();
    const answer = await client.request('HEAD', '/api/v2/tokens/me', { what: 'check the token' });
    assert.equal(answer, undefined);
  });

  it('renews a refused token once, however many of 200 calls fail with it', async () => {
    await start();
    // Nothing is given up and sent again because the machine is busy.
    client = new GenesysClient({ apiUrl: genesys.url, access });
    await definitions();
    genesys.revokeTokens();
    await Promise.all(Array.from({ length: 200 }, () => definitions()));
    assert.equal(genesys.requests.tokenRequests, 2);
    const refused = genesys.requests.statuses[401] ?? 0;
    assert.ok(refused > 1 && refused <= 200, `${refused} refused`);
    assert.equal(calls(DEFINITIONS), 1 + 200 + refused);
  });

  it('tells a 401 that a new token does not help against, without a storm of token requests', async () => {
    await start();
    genesys.fail({ path: /^\/api\//, times: Number.POSITIVE_INFINITY, answer: { status: 401 } });
    for (let count = 0; count < 50; count++) {
      const error = await failure(definitions());
      assert.equal(error.code, 'REFUSED');
    }
    assert.ok(genesys.requests.tokenRequests <= 3, `${genesys.requests.tokenRequests} token requests`);
    assert.ok(calls(DEFINITIONS) <= 6, `${calls(DEFINITIONS)} calls`);
  });

  it('makes one request with a wrong secret however often it is called, and says what to check', async () => {
    await start({}, 'not-the-secret');
    for (let count = 0; count < 100; count++) {
      const error = await failure(definitions());
      assert.equal(error.code, 'REFUSED');
      assert.match(error.message, /invalid_client/);
      assert.match(error.message, /client secret/);
      assert.doesNotMatch(error.message, /not-the-secret/);
    }
    assert.equal(genesys.requests.tokenRequests, 1);
    assert.equal(genesys.requests.total, 1);
  });

  for (const status of [400, 401] as const) {
    it(`takes invalid_client with status ${status} for a refusal`, async () => {
      await start({ invalidClientStatus: status }, 'not-the-secret');
      assert.equal((await failure(definitions())).code, 'REFUSED');
    });
  }

  it('does not renew the token on a 403, does not repeat it, and names the permission', async () => {
    await start();
    genesys.withhold(['usage:events:view']);
    const error = await failure(definitions());
    assert.equal(error.code, 'REFUSED');
    assert.equal(error.status, 403);
    assert.match(error.message, /usage:events:view/);
    assert.match(error.message, /context [\w-]+/);
    assert.equal(calls(DEFINITIONS), 1);
    assert.equal(genesys.requests.tokenRequests, 1);
  });

  it('waits as long as a 429 asks, and all other calls wait with it', async () => {
    await start();
    await definitions();
    genesys.fail({ path: /definitions/, answer: { status: 429, headers: { 'Retry-After': '1' } } });
    const limited = definitions();
    await genesys.until(() => genesys.requests.statuses[429] === 1);
    await until(() => access.limit.pausedForMs > 0);
    await Promise.all([limited, create()]);
    const refused = genesys.requests.recent.find(({ status }) => status === 429)!;
    const later = genesys.requests.recent.slice(genesys.requests.recent.indexOf(refused) + 1);
    assert.equal(later.length, 2);
    assert.ok(later.every(({ at }) => at - refused.at >= 1_000));
  });

  it('does not sit out a wait above 180 s, and does not ask again before it is over', async () => {
    await start();
    genesys.fail({ path: /definitions/, answer: { status: 429, headers: { 'Retry-After': '3600' } } });
    const error = await failure(definitions());
    assert.equal(error.code, 'BUSY');
    assert.equal(error.retryAfterMs, 3_600_000);
    await failure(definitions());
    assert.equal(calls(DEFINITIONS), 1);
  });

  it('tells what is left of such a wait, and sits out a rest that is short enough', async () => {
    await start();
    let now = Date.now();
    client = new GenesysClient({ apiUrl: genesys.url, access, clock: { now: () => now, setTimeout, clearTimeout } });
    genesys.fail({ path: /definitions/, answer: { status: 429, headers: { 'Retry-After': '3600' } } });
    await failure(definitions());
    now += 3_000_000;
    const error = await failure(definitions());
    assert.deepEqual([error.code, error.status, error.retryAfterMs], ['BUSY', 429, 600_000]);
    now += 500_000;
    const stop = new AbortController();
    const waiting = failure(definitions(stop.signal));
    await until(() => access.limit.pausedForMs > 90_000);
    stop.abort();
    assert.equal((await waiting).code, 'CLOSED');
    assert.equal(calls(DEFINITIONS), 1);
  });

  const passing: [string, FaultAnswer][] = [
    ['408', { status: 408 }],
    ['500', { status: 500 }],
    ['502 with a page of a gateway', { status: 502 }],
    ['503', { status: 503 }],
    ['504', { status: 504 }],
    ['a reset before the answer', 'reset'],
    ['a reset after it took effect', 'reset-after'],
    ['a body that breaks off', 'cut-body'],
    ['a page instead of JSON', 'not-json'],
    ['no answer at all', 'hang'],
  ];
  for (const [name, answer] of passing) {
    it(`repeats a read after ${name}`, async () => {
      await start();
      const fault = genesys.fail({ path: /definitions/, times: 2, answer });
      const body = (await definitions()) as { entities: unknown[] };
      assert.equal(fault.hits, 2);
      assert.ok(body.entities.length > 0);
    });
  }

  it('gives up after four attempts and tells the readable text of a gateway page', async () => {
    await start();
    genesys.fail({ path: /definitions/, times: 100, answer: { status: 502 } });
    const error = await failure(definitions());
    assert.equal(calls(DEFINITIONS), 4);
    assert.equal(error.code, 'BUSY');
    assert.match(error.message, /HTTP 502, Gateway Bad Gateway/);
    assert.doesNotMatch(error.message, /</);
  });

  for (const answer of ['reset-after', 'cut-body', 'hang', { status: 503 }] as const) {
    it(`does not repeat a POST that may have taken effect: ${JSON.stringify(answer)}`, async () => {
      await start();
      genesys.fail({ path: /channels$/, answer });
      await failure(create());
      assert.equal(calls(CHANNELS), 1);
    });
  }

  for (const status of [400, 404, 409, 413, 415]) {
    it(`does not repeat a POST after ${status}`, async () => {
      await start();
      genesys.fail({ path: /channels$/, answer: { status } });
      const error = await failure(create());
      assert.equal(error.status, status);
      assert.equal(error.retryable, false);
      assert.equal(calls(CHANNELS), 1);
    });
  }

  it('repeats when nobody listens, and says that the address could not be reached', async () => {
    await start();
    await definitions();
    const nobody = new GenesysClient({ apiUrl: 'http://127.0.0.1:1', access, backoff: { baseMs: 1, maxMs: 2 } });
    const error = await failure(nobody.request('POST', '/api/v2/x', { what: 'try' }));
    assert.equal(error.code, 'UNREACHABLE');
    assert.match(error.message, /127\.0\.0\.1:1/);
  });

  it('ends at once when it is told to stop, wherever it is', async () => {
    await start();
    await definitions();
    const faults: FaultAnswer[] = ['hang', { status: 429, headers: { 'Retry-After': '100' } }];
    for (const answer of faults) {
      genesys.fail({ path: /definitions/, answer });
      const before = genesys.requests.total;
      const stop = new AbortController();
      const call = failure(definitions(stop.signal));
      await genesys.until(() => genesys.requests.total > before);
      stop.abort();
      assert.equal((await call).code, 'CLOSED');
    }
    assert.equal((await failure(definitions(AbortSignal.abort()))).code, 'CLOSED');
  });

  it('never lets the token or the secret into an error', async () => {
    await start();
    genesys.fail({
      path: /definitions/,
      times: 1,
      answer: { status: 400, body: { message: `you sent Bearer ${(await access.tokens.get()).value}` } },
    });
    const error = await failure(definitions());
    const told = `${error.message} ${error.stack} ${JSON.stringify(error)}`;
    assert.ok(!told.includes(access.tokens.current!.value));
    assert.ok(!told.includes(defaultClient.secret));
  });

  describe('one exchange', () => {
    const exchange = () => client.exchange('POST', '/api/v2/notifications/channels', { what: 'create a channel' });
    const fail = (answer: FaultAnswer) => genesys.fail({ path: /channels/, answer });

    it('is sent once, whatever comes back, and says what that means', async () => {
      await start();
      await definitions();
      const cases: [answer: FaultAnswer, kind: string, fault?: string][] = [
        [{ status: 400 }, 'rejected'],
        [{ status: 403 }, 'refused'],
        [{ status: 404 }, 'rejected'],
        [{ status: 500 }, 'busy', 'failure'],
        [{ status: 503 }, 'busy', 'failure'],
        ['reset', 'unknown'],
        ['reset-after', 'unknown'],
        ['cut-body', 'unknown'],
        ['not-json', 'unknown'],
      ];
      for (const [answer, kind, fault] of cases) {
        fail(answer);
        const before = calls(CHANNELS);
        const { verdict } = await exchange();
        assert.equal(verdict.kind, kind, JSON.stringify(answer));
        assert.equal(verdict.kind === 'busy' ? verdict.fault : undefined, fault);
        assert.equal(calls(CHANNELS), before + 1);
      }
      const { verdict, body } = await exchange();
      assert.equal(verdict.kind, 'delivered');
      assert.equal(typeof (body as { id?: unknown }).id, 'string');
    });

    it('is sent twice when the token was not accepted, and no more', async () => {
      await start();
      await definitions();
      fail({ status: 401 });
      assert.equal((await exchange()).verdict.kind, 'delivered');
      assert.equal(calls(CHANNELS), 2);
      genesys.fail({ path: /channels/, times: 9, answer: { status: 401 } });
      assert.equal((await exchange()).verdict.kind, 'refused');
      assert.ok(calls(CHANNELS) <= 4);
    });

    it('is not sent while Genesys has asked for a pause that nobody should sit out', async () => {
      await start();
      await definitions();
      fail({ status: 429, headers: { 'Retry-After': '181' } });
      for (let count = 0; count < 3; count++) {
        const { verdict } = await exchange();
        const waitMs = verdict.kind === 'busy' ? verdict.error.retryAfterMs : undefined;
        assert.ok(waitMs !== undefined && waitMs > 180_000 && waitMs <= 181_000, `${waitMs} ms`);
      }
      assert.equal(calls(CHANNELS), 1);
    });

    it('is refused without being sent when there is no token', async () => {
      await start({}, 'not-the-secret');
      const { verdict, hasArrived } = await exchange();
      assert.deepEqual([verdict.kind, hasArrived], ['refused', false]);
      assert.equal(calls(CHANNELS), 0);
    });

    it('tells that it is about to be sent, each time and not before its turn', async () => {
      await start();
      await definitions();
      fail({ status: 401 });
      let told = 0;
      const beforeSend = async () => {
        assert.equal(calls(CHANNELS), told);
        told += 1;
      };
      access.limit.pauseFor(50);
      const sending = client.exchange('POST', '/api/v2/notifications/channels', { what: 'create', beforeSend });
      await until(() => access.limit.waiting === 1);
      assert.equal(told, 0);
      assert.equal((await sending).hasArrived, true);
      assert.equal(told, 2);
    });
  });

  it('believes no count whose window ends at a time in place of in some seconds', () => {
    const headers = { 'inin-ratelimit-count': '299', 'inin-ratelimit-allowed': '300', 'inin-ratelimit-reset': '7' };
    assert.deepEqual(remoteCountOf({ headers }), { count: 299, allowed: 300, resetMs: 7_000 });
    assert.equal(remoteCountOf({ headers: { ...headers, 'inin-ratelimit-reset': '1768471845' } }), undefined);
    assert.equal(remoteCountOf({ headers: {} }), undefined);
  });

  it('learns the real limit from what the answers say', async () => {
    await start({ rateLimitPerMinute: 120 });
    await definitions();
    assert.equal(access.limit.turns, 120);
  });
});

describe('Genesys access', () => {
  it('is one for all who use the same credentials, and survives a redeploy', async () => {
    // A client of its own: the access of another test, at an address that the system has given out again, is still kept.
    const client = { ...defaultClient, id: randomUUID() };
    const genesys = await startGenesysSimulator({ clients: [client] });
    const credentials = { loginUrl: genesys.url, clientId: client.id, clientSecret: client.secret };
    const first = useAccess(credentials);
    const second = useAccess({ ...credentials });
    assert.equal(first.access, second.access);
    await Promise.all([first.access.tokens.get(), second.access.tokens.get()]);
    first.release();
    second.release();
    second.release();
    const third = useAccess(credentials);
    await third.access.tokens.get();
    assert.equal(genesys.requests.tokenRequests, 1);
    third.release();
    await genesys.close();
  });

  it('is another one for another secret, client or address', () => {
    const credentials = { loginUrl: 'http://127.0.0.1:1', clientId: 'one', clientSecret: 'first-secret' };
    const all = [
      credentials,
      { ...credentials, clientId: 'two' },
      { ...credentials, clientSecret: 'second-secret' },
      { ...credentials, loginUrl: 'http://127.0.0.1:2' },
    ].map((each) => useAccess(each));
    assert.equal(new Set(all.map(({ access }) => access)).size, 4);
    for (const { release } of all) release();
  });
});
