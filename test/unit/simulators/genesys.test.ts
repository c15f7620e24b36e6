import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import fc from 'fast-check';
import { WebSocket } from 'ws';
import {
  defaultClient,
  defaultTopics,
  type GenesysSimulator,
  type GenesysSimulatorOptions,
  numberOf,
  startGenesysSimulator,
} from '../../simulators/genesys';
import { EventStore } from '../../simulators/genesys/event-store';

const topicA = 'v2.operations.events.AUDIOHOOK-0001';
const topicB = 'v2.operations.events.AUDIOHOOK-0002';
const channelsPath = '/api/v2/notifications/channels';
const queryPath = '/api/v2/usage/events/query';
const user = '0f8f91f9-a27d-4ddf-9026-7e1e3a8d73a6';
const presence = `v2.users.${user}.presence`;

/** The fields of JSON answers that these tests read. */
interface Body {
  access_token?: string;
  token_type?: string;
  expires_in?: number;
  error?: string;
  description?: string;
  error_description?: string;
  message?: string;
  code?: string;
  status?: number;
  contextId?: string;
  details?: { entityId?: string }[];
  errors?: Body[];
  OAuthClient?: { id: string };
  id?: string;
  name?: string;
  connectUri?: string;
  expires?: string;
  entities?: Entity[];
  nextUri?: string;
  previousUri?: string;
  eventDefinitionAggregates?: { eventDefinition: { id: string }; eventCount: number }[];
}

/** The fields of listed things that these tests read. */
interface Entity {
  id?: string;
  key?: string;
  value?: number;
  state?: string;
  rejectionReason?: string;
  missingPermissions?: string[];
  entityName?: string;
  conversation?: { id: string };
  dateCreated?: string;
}

interface Reply {
  status: number;
  headers: Headers;
  text: string;
  body: Body;
}

interface Frame {
  topicName?: string;
  result?: string;
  eventBody?: Record<string, unknown>;
  [name: string]: unknown;
}

describe('Genesys simulator', () => {
  let genesys: GenesysSimulator;
  const opened: WebSocket[] = [];

  async function start(options: GenesysSimulatorOptions = {}): Promise<void> {
    genesys = await startGenesysSimulator(options);
  }

  afterEach(async () => {
    for (const websocket of opened.splice(0)) websocket.terminate();
    await genesys.close();
  });

  async function call(method: string, path: string, init: RequestInit = {}): Promise<Reply> {
    const response = await fetch(genesys.url + path, { ...init, method });
    const text = await response.text();
    const json = response.headers.get('content-type')?.startsWith('application/json') && text !== '';
    return { status: response.status, headers: response.headers, text, body: json ? (JSON.parse(text) as Body) : {} };
  }

  const basic = (id: string, secret: string) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;

  function login(
    change: { method?: string; authorization?: string; type?: string; body?: string } = {},
  ): Promise<Reply> {
    const method = change.method ?? 'POST';
    return call(method, '/oauth/token', {
      headers: {
        authorization: change.authorization ?? basic(defaultClient.id, defaultClient.secret),
        'content-type': change.type ?? 'application/x-www-form-urlencoded',
      },
      ...(method === 'POST' && { body: change.body ?? 'grant_type=client_credentials' }),
    });
  }

  /** A caller with a token of its own. */
  async function signIn(id: string = defaultClient.id, secret: string = defaultClient.secret) {
    const token = (await login({ authorization: basic(id, secret) })).body.access_token as string;
    const api = (method: string, path: string, body?: unknown) =>
      call(method, path, {
        headers: {
          authorization: `Bearer ${token}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
    return { token, api };
  }

  type Api = Awaited<ReturnType<typeof signIn>>['api'];

  /** A new channel with these topics. */
  async function channel(api: Api, ...topics: string[]): Promise<{ id: string; connectUri: string; expires: string }> {
    const { body } = await api('POST', channelsPath);
    if (topics.length > 0) {
      const { status } = await api(
        'PUT',
        `${channelsPath}/${body.id}/subscriptions`,
        topics.map((id) => ({ id })),
      );
      assert.equal(status, 200);
    }
    return body as { id: string; connectUri: string; expires: string };
  }

  /** An open socket that keeps its frames; `next` waits for the first new one that fits. */
  async function connect(uri: string) {
    const websocket = new WebSocket(uri);
    opened.push(websocket);
    const frames: Frame[] = [];
    let look = () => {};
    websocket.on('message', (data) => {
      const text = String(data);
      frames.push(text.startsWith('{') ? (JSON.parse(text) as Frame) : { text });
      look();
    });
    const closed = new Promise<number>((resolve) => websocket.on('close', resolve));
    websocket.on('error', () => {});
    let seen = 0;
    const next = (fits: (frame: Frame) => boolean) =>
      new Promise<Frame>((resolve) => {
        look = () => {
          while (seen < frames.length) {
            const frame = frames[seen++] as Frame;
            if (!fits(frame)) continue;
            look = () => {};
            resolve(frame);
            return;
          }
        };
        look();
      });
    await once(websocket, 'open');
    return { websocket, frames, next, closed };
  }

  /** The status with which an upgrade is refused. */
  async function refusedWith(uri: string): Promise<number> {
    const websocket = new WebSocket(uri);
    opened.push(websocket);
    websocket.on('error', () => {});
    const [, response] = (await once(websocket, 'unexpected-response')) as [unknown, { statusCode: number }];
    return response.statusCode;
  }

  const entities = (reply: Reply): Entity[] => reply.body.entities ?? [];

  const isEvent = (frame: Frame) => frame.topicName?.startsWith('v2.operations.') === true;

  describe('token endpoint', () => {
    it('gives a bearer token for the one request form that the vendor takes', async () => {
      await start({ tokenLifetimeSeconds: 300 });
      const { status, body } = await login();
      assert.equal(status, 200);
      assert.deepEqual(Object.keys(body), ['access_token', 'token_type', 'expires_in']);
      assert.equal(body.token_type, 'bearer');
      assert.equal(body.expires_in, 300);
      assert.equal(genesys.requests.tokenRequests, 1);
      const { api } = await signIn();
      const me = await api('GET', '/api/v2/tokens/me');
      assert.equal(me.body.OAuthClient?.id, defaultClient.id);
      assert.equal((await api('HEAD', '/api/v2/tokens/me')).status, 200);
      assert.equal((await api('DELETE', '/api/v2/tokens/me')).status, 200);
      assert.equal((await api('HEAD', '/api/v2/tokens/me')).status, 401);
    });

    it('refuses every other request form in the OAuth error form', async () => {
      await start();
      const cases: [Parameters<typeof login>[0], number, string][] = [
        [{ method: 'GET' }, 405, 'invalid_request'],
        [{ authorization: '' }, 401, 'invalid_client'],
        [{ authorization: 'Bearer abc' }, 401, 'invalid_client'],
        [{ authorization: basic('unknown', defaultClient.secret) }, 401, 'invalid_client'],
        [{ authorization: basic(defaultClient.id, 'wrong') }, 401, 'invalid_client'],
        [{ type: 'application/json' }, 400, 'invalid_request'],
        [{ body: 'grant_type=client_credentials&scope=x' }, 400, 'invalid_request'],
        [{ body: `grant_type=client_credentials&client_id=${defaultClient.id}` }, 400, 'invalid_request'],
        [{ body: 'grant_type=password' }, 400, 'unsupported_grant_type'],
        [{ body: '' }, 400, 'invalid_request'],
      ];
      for (const [change, status, error] of cases) {
        const reply = await login(change);
        assert.equal(reply.status, status, JSON.stringify(change));
        assert.equal(reply.body.error, error, JSON.stringify(change));
        assert.equal(reply.body.description, reply.body.error_description);
        assert.equal(reply.body.code, undefined);
      }
    });

    it('refuses a disabled client and a changed secret, and can use status 400 for it', async () => {
      await start({ invalidClientStatus: 400 });
      const { api } = await signIn();
      genesys.setSecret('rotated');
      assert.equal((await login()).status, 400);
      assert.equal((await api('HEAD', '/api/v2/tokens/me')).status, 200);
      genesys.setSecret(defaultClient.secret);
      genesys.disableClient();
      assert.equal((await api('GET', '/api/v2/tokens/me')).body.code, 'bad.credentials');
      assert.equal((await login()).body.error, 'invalid_client');
      genesys.enableClient();
      assert.equal((await login()).status, 200);
    });
  });

  describe('platform API', () => {
    it('answers 401 with one of the three codes, in the platform error form with the correlation id', async () => {
      await start({ tokenLifetimeMs: 40 });
      const { token } = await signIn();
      await genesys.until(() => genesys.tokens.length === 0);
      const cases: [string | undefined, string][] = [
        [undefined, 'authentication.required'],
        [basic(defaultClient.id, defaultClient.secret), 'authentication.required'],
        ['Bearer made-up', 'bad.credentials'],
        [`Bearer ${token}`, 'credentials.expired'],
      ];
      for (const [authorization, code] of cases) {
        const reply = await call('GET', '/api/v2/nowhere', authorization ? { headers: { authorization } } : {});
        assert.equal(reply.status, 401);
        assert.equal(reply.body.code, code);
        assert.equal(reply.body.status, 401);
        assert.equal(reply.body.contextId, reply.headers.get('inin-correlation-id'));
        assert.deepEqual(reply.body.details, []);
        assert.deepEqual(reply.body.errors, []);
      }
    });

    it('answers 404, 405, 400, 413 and 415 for what is not there or not understood', async () => {
      await start();
      const { token, api } = await signIn();
      const { id } = await channel(api);
      assert.equal((await api('GET', '/api/v2/nowhere')).status, 404);
      assert.equal((await api('DELETE', `${channelsPath}/${id}`)).status, 405);
      assert.equal((await api('GET', queryPath)).status, 405);
      assert.equal((await api('POST', queryPath, { interval: 'x'.repeat(520_000) })).status, 413);
      const raw = (type: string, body: string) =>
        call('POST', queryPath, { headers: { authorization: `Bearer ${token}`, 'content-type': type }, body });
      assert.equal((await raw('text/plain', '{}')).status, 415);
      assert.equal((await raw('application/json', '{')).status, 400);
    });

    it('limits calls per token, with the counting headers and the documented 429', async () => {
      await start({ rateLimitPerMinute: 2 });
      const { api } = await signIn();
      const first = await api('GET', '/api/v2/tokens/me');
      assert.equal(first.headers.get('inin-ratelimit-count'), '1');
      assert.equal(first.headers.get('inin-ratelimit-allowed'), '2');
      assert.match(first.headers.get('inin-ratelimit-reset') ?? '', /^\d+$/);
      await api('GET', '/api/v2/tokens/me');
      const third = await api('GET', '/api/v2/tokens/me');
      assert.equal(third.status, 429);
      assert.equal(third.body.code, 'too.many.requests.retry.after');
      const seconds = third.headers.get('retry-after');
      assert.equal(third.body.message, `Rate limit exceeded the maximum. Retry the request in [${seconds}] seconds`);
      const other = await signIn();
      assert.equal((await other.api('GET', '/api/v2/tokens/me')).status, 200);
      const limits = await other.api('GET', '/api/v2/organizations/limits/namespaces/platform.api');
      assert.ok(entities(limits).some(({ key, value }) => key?.startsWith('client') && value === 2));
    });
  });

  describe('available topics', () => {
    it('lists entities with their id only, and the fields that expand asks for', async () => {
      await start();
      const { api } = await signIn();
      const path = '/api/v2/notifications/availabletopics';
      const plain = entities(await api('GET', path));
      assert.equal(plain.length, defaultTopics.length);
      assert.ok(plain.every((topic) => Object.keys(topic).join() === 'id'));
      assert.ok(!plain.some(({ id }) => /audiohook/i.test(String(id))));
      const expanded = (await api('GET', `${path}?expand=transports,topicParameters&includePreview=false`)).body[
        'entities'
      ] as Body[];
      assert.ok(expanded.length < plain.length);
      const operations = expanded.find(({ id }) => id === 'v2.operations.events.{id}');
      assert.deepEqual(operations, {
        id: 'v2.operations.events.{id}',
        transports: ['All'],
        topicParameters: ['operationalEventId'],
      });
      assert.equal((await api('GET', `${path}?expand=everything`)).status, 400);
      assert.equal((await api('GET', `${path}?includePreview=1`)).status, 400);
    });
  });

  describe('channels', () => {
    it('are made with a loopback socket address, listed per token, and hidden from other clients', async () => {
      const second = { id: 'second', secret: 'second-secret' };
      await start({ clients: [defaultClient, second] });
      const { api, token } = await signIn();
      const made = await channel(api);
      assert.match(made.connectUri, /^ws:\/\/127\.0\.0\.1:\d+\/channels\/streaming-/);
      assert.ok(Date.parse(made.expires) > Date.now() + 23 * 3_600_000);
      assert.equal(genesys.channels[0]?.token, token);
      const sibling = await signIn();
      await channel(sibling.api);
      assert.deepEqual((await api('GET', channelsPath)).body.entities, [made]);
      const all = entities(await api('GET', `${channelsPath}?includechannels=oauthclient`));
      assert.deepEqual(
        all.map(({ id }) => id !== undefined),
        [true, false],
      );
      assert.equal((await api('GET', `${channelsPath}?includechannels=all`)).status, 400);
      const stranger = await signIn(second.id, second.secret);
      assert.equal((await api('HEAD', `${channelsPath}/${made.id}`)).status, 200);
      assert.equal((await sibling.api('HEAD', `${channelsPath}/${made.id}`)).status, 200);
      assert.equal((await stranger.api('HEAD', `${channelsPath}/${made.id}`)).status, 404);
      assert.equal((await stranger.api('PUT', `${channelsPath}/${made.id}/subscriptions`, [])).status, 404);
    });

    it('are evicted by the 21st of a client: the least recently used, unconnected ones first', async () => {
      await start();
      const { api } = await signIn();
      const made = [];
      for (let index = 0; index < 20; index++) made.push(await channel(api));
      const [first, second, third] = made as [(typeof made)[0], (typeof made)[0], (typeof made)[0]];
      const { closed } = await connect(first.connectUri);
      await api('HEAD', `${channelsPath}/${second.id}`);
      await channel(api);
      const head = async (id: string) => (await api('HEAD', `${channelsPath}/${id}`)).status;
      assert.deepEqual([await head(first.id), await head(second.id), await head(third.id)], [200, 200, 404]);
      assert.equal(await refusedWith(third.connectUri), 404);
      genesys.evict(first.id);
      await closed;
      assert.equal(await head(first.id), 404);
    });

    it('expire', async () => {
      await start({ channelLifetimeMs: 30 });
      const { api } = await signIn();
      const { id, connectUri } = await channel(api);
      await genesys.until(() => genesys.channels.length === 0);
      assert.equal((await api('HEAD', `${channelsPath}/${id}`)).status, 404);
      assert.equal(await refusedWith(connectUri), 404);
    });

    it('live longer after a PUT of their subscriptions, and only then', async () => {
      await start();
      const { api } = await signIn();
      const { id, expires } = await channel(api);
      const path = `${channelsPath}/${id}/subscriptions`;
      const made = genesys.channels[0]?.createdAt ?? 0;
      while (Date.now() <= made) await api('POST', path, [{ id: topicA }]);
      assert.equal(genesys.channels[0]?.expiresAt, Date.parse(expires));
      await api('PUT', path, [{ id: topicA }]);
      assert.ok((genesys.channels[0]?.expiresAt ?? 0) > Date.parse(expires));
    });

    it('die with the token that made them, after a token_revoked frame', async () => {
      await start();
      const { api } = await signIn();
      const { connectUri } = await channel(api, topicA);
      const { next, closed } = await connect(connectUri);
      genesys.revokeTokens();
      const frame = await next(({ topicName }) => topicName?.startsWith('v2.system.token_revoked.') === true);
      assert.equal(frame.eventBody?.systemTopicType, 'token_revoked');
      await closed;
      assert.equal(await refusedWith(connectUri), 404);
    });

    it('can be taken over by a newer token where that is switched on', async () => {
      await start({ renewalAdoptsChannel: true });
      const old = await signIn();
      const { id } = await channel(old.api);
      const renewed = await signIn();
      await renewed.api('PUT', `${channelsPath}/${id}/subscriptions`, [{ id: topicA }]);
      await old.api('DELETE', '/api/v2/tokens/me');
      assert.equal((await renewed.api('HEAD', `${channelsPath}/${id}`)).status, 200);
    });
  });

  describe('subscriptions', () => {
    it('take a bare array of ids: POST adds, PUT replaces, GET lists, DELETE clears', async () => {
      await start();
      const { api } = await signIn();
      const path = `${channelsPath}/${(await channel(api)).id}/subscriptions`;
      const ids = async () => entities(await api('GET', path)).map(({ id }) => id);
      const posted = await api('POST', path, [{ id: topicA }]);
      assert.deepEqual(posted.body, { entities: [{ id: topicA, state: 'Permitted', selfUri: path }] });
      await api('POST', path, [{ id: topicB }]);
      assert.deepEqual(await ids(), [topicA, topicB]);
      await api('PUT', path, [{ id: presence }]);
      assert.deepEqual(await ids(), [presence]);
      assert.equal((await api('DELETE', path)).status, 200);
      assert.deepEqual(await ids(), []);
      for (const body of [{ topics: [topicA] }, [topicA], [{ topic: topicA }], [{ id: 1 }], [{ id: '' }], null, 'x']) {
        assert.equal((await api('PUT', path, body)).status, 400, JSON.stringify(body));
      }
      assert.equal((await api('PUT', `${path}?ignoreErrors=yes`, [])).status, 400);
    });

    it('fail as a whole for one bad topic and change nothing, or name it per topic with ignoreErrors', async () => {
      await start();
      const { api } = await signIn();
      const { id } = await channel(api, topicA);
      const path = `${channelsPath}/${id}/subscriptions`;
      genesys.withhold(['presence:userPresence:view']);
      const bad: [string, number][] = [
        ['v2.operations.events.{id}', 400],
        ['v2.operations.events.AUDIOHOOK-9999', 400],
        ['v2.users.me.presence', 400],
        ['platform.integration.audiohook', 400],
        ['channel.metadata', 400],
        ['v2.system.socket_closing', 400],
        [`v2.detail.events.conversation.${user}.acw`, 400],
        [`v2.users.${user}.badges.chats`, 400],
        [`${topicA}${'0'.repeat(200)}`, 400],
        [presence, 403],
      ];
      for (const [topic, status] of bad) {
        const whole = await api('PUT', path, [{ id: topicB }, { id: topic }]);
        assert.equal(whole.status, status, topic);
        assert.equal(whole.body.details?.[0]?.entityId, topic);
        assert.deepEqual(genesys.channels[0]?.topics, [topicA]);
        const each = await api('POST', `${path}?ignoreErrors=true`, [{ id: topicA }, { id: topic }]);
        assert.equal(each.status, 200);
        const [fine, rejected] = entities(each);
        assert.equal(fine?.state, 'Permitted');
        assert.equal(rejected?.state, 'Rejected');
        assert.ok(rejected?.rejectionReason);
        assert.deepEqual(rejected?.missingPermissions, status === 403 ? ['presence:userPresence:view'] : undefined);
      }
      assert.deepEqual(genesys.channels[0]?.topics, [topicA]);
    });

    it('hold up to 1000 topics in all', async () => {
      const definitions = Array.from({ length: 1001 }, (_, index) => ({ id: `CODE-${index}` }));
      await start({ definitions });
      const { api } = await signIn();
      const path = `${channelsPath}/${(await channel(api)).id}/subscriptions`;
      const topics = definitions.map(({ id }) => ({ id: `v2.operations.events.${id}` }));
      assert.equal((await api('PUT', `${path}?ignoreErrors=true`, topics)).status, 400);
      assert.equal((await api('PUT', path, topics.slice(0, 1000))).status, 200);
      assert.equal((await api('POST', path, topics.slice(0, 1000))).status, 200);
      assert.equal((await api('POST', path, topics.slice(1000))).status, 400);
    });

    it('combine tails of one prefix into one topic whose events arrive under their own names', async () => {
      await start();
      const { api } = await signIn();
      const combined = 'v2.operations.events?AUDIOHOOK-0001&AUDIOHOOK-0002';
      const { id, connectUri } = await channel(api, combined);
      assert.deepEqual(genesys.channels[0]?.topics, [combined]);
      const { next } = await connect(connectUri);
      await genesys.publish({ code: 'AUDIOHOOK-0002' });
      assert.equal((await next(isEvent)).topicName, topicB);
      const partly = await api('PUT', `${channelsPath}/${id}/subscriptions?ignoreErrors=true`, [
        { id: 'v2.operations.events?AUDIOHOOK-0001&NONE-1' },
      ]);
      assert.deepEqual(
        entities(partly).map(({ id, state }) => [id, state]),
        [
          ['v2.operations.events?AUDIOHOOK-0001&NONE-1', 'Permitted'],
          ['v2.operations.events.NONE-1', 'Rejected'],
        ],
      );
    });

    it('are refused where the operations topic is only offered to EventBridge', async () => {
      await start({ operationsTransports: ['EventBridge'] });
      const { api } = await signIn();
      const { id } = await channel(api);
      assert.equal((await api('PUT', `${channelsPath}/${id}/subscriptions`, [{ id: topicA }])).status, 400);
    });
  });

  describe('sockets', () => {
    it('need no token, get heartbeats unasked, and a pong for the JSON ping', async () => {
      await start({ heartbeatMs: 10 });
      const { api } = await signIn();
      const { connectUri } = await channel(api);
      const { websocket, next } = await connect(connectUri);
      assert.equal(websocket.extensions, '');
      assert.deepEqual(await next(() => true), {
        topicName: 'channel.metadata',
        eventBody: { message: 'WebSocket Heartbeat' },
      });
      genesys.mute('heartbeats');
      websocket.send('{"message":"ping"}');
      assert.deepEqual(await next(({ eventBody }) => eventBody?.message === 'pong'), {
        topicName: 'channel.metadata',
        eventBody: { message: 'pong' },
      });
      websocket.ping();
      await once(websocket, 'pong');
    });

    it('answer what they do not understand with a control frame, and take subscriptions', async () => {
      await start();
      const { api } = await signIn();
      const { websocket, next } = await connect((await channel(api)).connectUri);
      for (const text of ['no json', '[]', '{"message":"dance"}', '{"message":"subscribe","topics":"x"}']) {
        websocket.send(text);
        assert.equal((await next(({ result }) => result !== undefined)).result, '400', text);
      }
      websocket.send(Buffer.from('{"message":"ping"}'));
      assert.equal((await next(() => true)).result, '400');
      websocket.send(JSON.stringify({ message: 'subscribe', topics: ['v2.nothing'], correlationId: 'c1' }));
      const failure = await next(() => true);
      assert.deepEqual([failure.result, failure['status'], failure['correlationId']], ['400', 'failure', 'c1']);
      websocket.send(JSON.stringify({ message: 'subscribe', topics: [topicA], correlationId: 'c2' }));
      assert.deepEqual(await next(() => true), { result: '200', status: 'subscribed', correlationId: 'c2' });
      assert.deepEqual(genesys.channels[0]?.topics, [topicA]);
    });

    it('are one to a channel: a second one displaces the first', async () => {
      await start();
      const { api } = await signIn();
      const { connectUri } = await channel(api, topicA);
      const first = await connect(connectUri);
      const second = await connect(connectUri);
      await first.closed;
      await genesys.publish({ code: 'AUDIOHOOK-0001' });
      await second.next(isEvent);
      assert.equal(genesys.channels[0]?.sockets, 1);
    });

    it('overlap after socket_closing until the old one is closed, with events on both or on the newest', async () => {
      for (const overlapDelivery of ['both', 'newest'] as const) {
        await start({ overlapDelivery });
        const { api } = await signIn();
        const { id, connectUri } = await channel(api, topicA);
        const first = await connect(connectUri);
        genesys.socketClosing(id);
        await first.next(({ topicName }) => topicName === 'v2.system.socket_closing');
        const second = await connect(connectUri);
        assert.equal(genesys.channels[0]?.sockets, 2);
        await genesys.publish({ code: 'AUDIOHOOK-0001' });
        genesys.sendFrame(id, { message: 'after the event' });
        await second.next(isEvent);
        await first.next(({ message }) => message === 'after the event');
        assert.equal(first.frames.filter(isEvent).length, overlapDelivery === 'both' ? 1 : 0);
        genesys.socketClosing(id, 0);
        await Promise.all([first.closed, second.closed]);
        assert.equal((await api('HEAD', `${channelsPath}/${id}`)).status, 200);
        await genesys.close();
      }
    });

    it('misbehave on command: raw frames, half-open, dropped, slow, mute, refused', async () => {
      await start({ heartbeatMs: 5 });
      genesys.mute();
      const isPong = ({ eventBody }: Frame) => eventBody?.message === 'pong';
      const { api } = await signIn();
      const { id, connectUri } = await channel(api, topicA);
      let connection = await connect(connectUri);
      connection.websocket.send('{"message":"ping"}');
      connection.websocket.send('muted, so this is what is answered');
      assert.equal((await connection.next(() => true)).result, '400');
      genesys.sendFrame(id, 'not JSON');
      assert.deepEqual(await connection.next(() => true), { text: 'not JSON' });
      genesys.sendFrame('all', { result: '404' });
      assert.deepEqual(await connection.next(() => true), { result: '404' });
      genesys.noLongerSubscribed();
      const gone = await connection.next(() => true);
      assert.equal(gone.eventBody?.reason, 'another_channel_subscribed');
      assert.deepEqual(genesys.channels[0]?.topics, []);
      await api('PUT', `${channelsPath}/${id}/subscriptions`, [{ id: topicA }]);
      genesys.slow(30);
      await genesys.publish({ code: 'AUDIOHOOK-0001' });
      await connection.next(isEvent);
      genesys.halfOpen();
      genesys.unmute();
      connection.websocket.send('{"message":"ping"}');
      await genesys.publish({ code: 'AUDIOHOOK-0001' });
      assert.deepEqual([genesys.channels[0]?.eventsSent, genesys.channels[0]?.eventsLost], [1, 1]);
      assert.equal(connection.websocket.readyState, WebSocket.OPEN);
      genesys.drop(id);
      assert.equal(await connection.closed, 1006);
      assert.ok(!connection.frames.some(isPong));
      genesys.mute();
      const refusal = genesys.refuseUpgrades(503);
      assert.equal(await refusedWith(connectUri), 503);
      refusal.remove();
      genesys.refuseUpgrades(401, 1);
      assert.equal(await refusedWith(connectUri), 401);
      connection = await connect(connectUri);
      assert.equal(genesys.requests.counts['UPGRADE /channels/{channelId}'], 4);
      assert.equal(connection.frames.length, 0);
    });
  });

  describe('operational events', () => {
    const event = {
      code: 'AUDIOHOOK-0001',
      entityId: user,
      entityType: 'integration',
      entityName: 'AudioHook Monitor EU',
      conversationId: '34c18827-77a6-4970-ad66-6f2966c85bad',
      parentEntityId: 'b1f0c2de-5a55-4c0e-9d51-3f3d1c7f2a10',
      version: '1.0',
      errorCode: 'connection.timeout',
      dateCreated: '2026-01-15T10:30:45.123Z',
    };
    const day = '2026-01-15T00:00:00Z/2026-01-16T00:00:00Z';

    it('have the notification form on the socket and the record form over REST', async () => {
      await start();
      const { api } = await signIn();
      const { next } = await connect((await channel(api, topicA)).connectUri);
      await genesys.publish(event);
      const { metadata, ...frame } = await next(isEvent);
      assert.match((metadata as { CorrelationId: string }).CorrelationId, /^[0-9a-f-]{36}$/);
      assert.deepEqual(frame, {
        topicName: topicA,
        version: '2',
        eventBody: {
          eventEntity: {
            id: 'AUDIOHOOK-0001',
            name: 'AudioHook integration error',
            description: 'The provisioned server URI is invalid.',
          },
          entityId: user,
          entityName: 'AudioHook Monitor EU',
          entityType: 'integration',
          parentEntity: event.parentEntityId,
          conversationId: event.conversationId,
          errorCode: 'connection.timeout',
          version: '1.0',
          timestamp: Date.parse(event.dateCreated),
        },
      });
      const { body } = await api('POST', queryPath, { interval: day });
      assert.deepEqual(body.entities, [
        {
          eventDefinition: { id: 'AUDIOHOOK-0001', selfUri: '/api/v2/usage/events/definitions/AUDIOHOOK-0001' },
          entityId: user,
          entityName: 'AudioHook Monitor EU',
          errorCode: 'connection.timeout',
          parentEntityId: event.parentEntityId,
          conversation: { id: event.conversationId, selfUri: `/api/v2/conversations/${event.conversationId}` },
          dateCreated: event.dateCreated,
          dateModified: event.dateCreated,
          entityVersion: '1.0',
        },
      ]);
      await genesys.publish({ code: 'AUDIOHOOK-0001', timestamp: null });
      assert.ok(!('timestamp' in ((await next(isEvent)).eventBody ?? {})));
      assert.throws(() => genesys.publish({ code: 'NONE-1' }), /no event definition NONE-1/);
    });

    it('reach exactly the channels subscribed to their topic, and are not replayed to a socket that comes later', async () => {
      await start();
      const { api } = await signIn();
      const one = await channel(api, topicA);
      const both = await channel(api, topicA, topicB);
      const oneSocket = await connect(one.connectUri);
      await genesys.publish([{ code: 'AUDIOHOOK-0001' }, { code: 'AUDIOHOOK-0002' }]);
      await genesys.publish({ code: 'AUDIOHOOK-0001', entityName: 'sent to REST only' }, { socket: false });
      await genesys.publish({ code: 'AUDIOHOOK-0001', entityName: 'sent to sockets only' }, { rest: false });
      await oneSocket.next(({ eventBody }) => eventBody?.entityName === 'sent to sockets only');
      assert.equal(oneSocket.frames.length, 2);
      const late = await connect(both.connectUri);
      await genesys.publish({ code: 'AUDIOHOOK-0002', entityName: 'after the gap' });
      assert.equal((await late.next(isEvent)).eventBody?.entityName, 'after the gap');
      const [, view] = genesys.channels;
      assert.deepEqual([view?.eventsSent, view?.eventsLost], [1, 3]);
      assert.equal(genesys.stored, 4);
    });

    it('have definitions that need the permission usage:events:view', async () => {
      await start();
      const { api } = await signIn();
      const list = entities(await api('GET', '/api/v2/usage/events/definitions'));
      assert.ok(list.some(({ id }) => id === 'AUDIOHOOK-0001'));
      assert.ok(list.some(({ id }) => !id?.startsWith('AUDIOHOOK')));
      const one = await api('GET', '/api/v2/usage/events/definitions/AUDIOHOOK-0001');
      assert.equal(one.body.name, 'AudioHook integration error');
      assert.equal((await api('GET', '/api/v2/usage/events/definitions/NONE')).status, 404);
      genesys.withhold(['usage:events:view']);
      for (const path of ['/api/v2/usage/events/definitions', '/api/v2/usage/events/definitions/AUDIOHOOK-0001']) {
        const refused = await api('GET', path);
        assert.equal(refused.status, 403);
        assert.equal(refused.body.code, 'missing.permissions');
        assert.match(String(refused.body.message), /usage:events:view/);
      }
      assert.equal((await api('POST', queryPath, { interval: day })).status, 403);
    });

    it('can be queried by interval, definition and text, newest first', async () => {
      await start();
      const { api } = await signIn();
      await genesys.publish([
        { ...event, entityName: 'start', dateCreated: '2026-01-15T00:00:00Z' },
        { ...event, entityName: 'last', dateCreated: '2026-01-15T23:59:59.999Z' },
        { ...event, entityName: 'next day', dateCreated: '2026-01-16T00:00:00Z' },
        { ...event, entityName: 'noon', code: 'AUDIOHOOK-0002', dateCreated: '2026-01-15T12:00:00Z' },
      ]);
      const names = async (body: object) =>
        entities(await api('POST', queryPath, { interval: day, ...body })).map((each) => String(each.entityName));
      assert.deepEqual(await names({}), ['last', 'noon', 'start']);
      assert.deepEqual(await names({ sortOrder: 'ASC' }), ['start', 'noon', 'last']);
      assert.deepEqual(await names({ eventDefinitionIds: ['AUDIOHOOK-0002'] }), ['noon']);
      assert.deepEqual(await names({ searchTerm: 'NOON' }), ['noon']);
      const aggregates = await api('POST', '/api/v2/usage/events/aggregates/query', { interval: day });
      assert.deepEqual(
        aggregates.body.eventDefinitionAggregates?.map((each) => [each.eventDefinition.id, each.eventCount]),
        [
          ['AUDIOHOOK-0001', 2],
          ['AUDIOHOOK-0002', 1],
        ],
      );
    });

    it('cannot be queried with anything but a valid interval, known properties and a page of 1 to 200', async () => {
      await start();
      const { api } = await signIn();
      const bodies: unknown[] = [
        {},
        [],
        { interval: '2026-01-15' },
        { interval: '2026-01-15T00:00:00Z' },
        { interval: '2026-01-15T00:00:00Z/PT1H' },
        { interval: '2026-01-16T00:00:00Z/2026-01-15T00:00:00Z' },
        { interval: `${day}/2026-01-17T00:00:00Z` },
        { interval: day, sortOrder: 'desc' },
        { interval: day, eventDefinitionIds: 'AUDIOHOOK-0001' },
        { interval: day, searchTerm: 1 },
        { interval: day, pageSize: 10 },
      ];
      for (const body of bodies) assert.equal((await api('POST', queryPath, body)).status, 400, JSON.stringify(body));
      for (const query of ['pageSize=0', 'pageSize=201', 'pageSize=x', 'after=x', 'before=x']) {
        assert.equal((await api('POST', `${queryPath}?${query}`, { interval: day })).status, 400, query);
      }
      assert.equal((await api('POST', `${queryPath}?pageSize=200`, { interval: day })).status, 200);
    });

    it('page without a double or a gap while new events arrive, forth and back', async () => {
      await start();
      const { api } = await signIn();
      const at = (number: number) => ({
        ...event,
        entityName: `${number}`,
        dateCreated: Date.parse(event.dateCreated) + (number >> 1),
      });
      await genesys.publish(Array.from({ length: 7 }, (_, number) => at(number)));
      const page = async (uri: string, body: object = {}) => {
        const reply = await api('POST', uri, { interval: day, ...body });
        const names = entities(reply).map(({ entityName }) => Number(entityName));
        return {
          ...reply,
          names,
          next: reply.body.nextUri as string | undefined,
          previous: reply.body.previousUri as string | undefined,
        };
      };
      const first = await page(`${queryPath}?pageSize=3`);
      assert.deepEqual(first.names, [6, 5, 4]);
      assert.equal(first.previous, undefined);
      await genesys.publish(at(9));
      const second = await page(first.next as string);
      assert.deepEqual(second.names, [3, 2, 1]);
      const third = await page(second.next as string);
      assert.deepEqual([third.names, third.next], [[0], undefined]);
      const back = await page(third.previous as string);
      assert.deepEqual(back.names, [3, 2, 1]);
      assert.equal((await page(first.next as string, { searchTerm: 'other question' })).status, 400);
    });

    it('wait for a client that does not read, and arrive whole', async () => {
      await start();
      const { api } = await signIn();
      const { websocket, frames } = await connect((await channel(api, topicA)).connectUri);
      websocket.pause();
      let settled = false;
      const names = Array.from({ length: 200 }, (_, index) => `${index}`.padEnd(200_000, 'ä'));
      const published = genesys.publish(names.map((entityName) => ({ code: 'AUDIOHOOK-0001', entityName })));
      void published.then(() => {
        settled = true;
      });
      await api('GET', '/api/v2/tokens/me');
      assert.equal(settled, false);
      websocket.resume();
      await published;
      while (frames.length < names.length) await once(websocket, 'message');
      assert.ok(frames.every(({ eventBody }, index) => eventBody?.entityName === names[index]));
    });

    it('may show up late in the query', async () => {
      await start({ restVisibleAfterMs: 3_600_000 });
      const { api } = await signIn();
      await genesys.publish(event);
      assert.deepEqual((await api('POST', queryPath, { interval: day })).body.entities, []);
      assert.equal(genesys.stored, 1);
    });

    it('are generated numbered and in order, in the same two forms', async () => {
      await start();
      const { api } = await signIn();
      const connection = await connect((await channel(api, topicA)).connectUri);
      const count = 20_000;
      const run = genesys.generate({ count, startNumber: 100 });
      await run.done;
      assert.equal(run.sent, count);
      const last = await connection.next(
        ({ eventBody }) => numberOf(String(eventBody?.conversationId)) === 100 + count - 1,
      );
      const numbers = connection.frames.map(({ eventBody }) => numberOf(String(eventBody?.conversationId)));
      assert.deepEqual(
        numbers,
        Array.from({ length: count }, (_, index) => 100 + index),
      );
      const { body } = await api('POST', `${queryPath}?pageSize=1`, {
        interval: `2026-01-01T00:00:00/${new Date(Date.now() + 1000).toISOString()}`,
      });
      const record = body.entities?.[0];
      assert.equal(record?.conversation?.id, last.eventBody?.conversationId);
      assert.equal(Date.parse(String(record?.dateCreated)), last.eventBody?.timestamp);
    });

    it('stop being generated on command and when the simulator closes', async () => {
      await start();
      const stopped = genesys.generate({ count: 1_000_000, ratePerSecond: 1000 });
      stopped.stop();
      await stopped.done;
      assert.ok(stopped.finishedAt !== undefined && stopped.sent < stopped.count);
      const endless = genesys.generate({ count: 1_000_000, ratePerSecond: 1 });
      await genesys.close();
      await endless.done;
    });
  });

  describe('faults', () => {
    it('answer instead of the platform, in its error forms, as often as the rule says', async () => {
      await start();
      const { api } = await signIn();
      const fault = genesys.fail({ path: /tokens\/me$/, method: 'GET', times: 2, skip: 1, answer: { status: 503 } });
      const statuses = [];
      for (let count = 0; count < 4; count++) statuses.push((await api('GET', '/api/v2/tokens/me')).status);
      assert.deepEqual(statuses, [200, 503, 503, 200]);
      assert.equal(fault.hits, 2);
      genesys.fail({ path: /./, answer: { status: 429, headers: { 'Retry-After': '7' } } });
      const limited = await api('GET', '/api/v2/tokens/me');
      assert.equal(limited.headers.get('retry-after'), '7');
      assert.match(String(limited.body.message), /\[7\] seconds/);
      genesys.fail({ path: /./, answer: { status: 502 } });
      assert.match((await api('GET', '/api/v2/tokens/me')).text, /^<html>/);
      genesys.fail({ path: /oauth/, answer: { status: 400 } });
      assert.equal((await login()).body.error, 'invalid_client');
      genesys.fail({ path: /./, answer: 'not-json' });
      const page = await api('GET', '/api/v2/tokens/me');
      assert.deepEqual([page.status, page.headers.get('content-type')], [200, 'text/html']);
    });

    it('break connections before the request takes effect, after it, or in the middle of the answer', async () => {
      await start();
      const { api } = await signIn();
      for (const [answer, made] of [
        ['reset', 0],
        ['reset-after', 1],
        ['cut-body', 1],
      ] as const) {
        const before = genesys.channels.length;
        genesys.fail({ path: /channels$/, answer });
        await assert.rejects(api('POST', channelsPath), TypeError, answer);
        assert.equal(genesys.channels.length - before, made, answer);
      }
    });

    it('hang until the caller gives up, or answer late', async () => {
      await start();
      const { token, api } = await signIn();
      const hang = genesys.fail({ path: /tokens/, answer: 'hang' });
      const abort = new AbortController();
      const hanging = call('GET', '/api/v2/tokens/me', {
        headers: { authorization: `Bearer ${token}` },
        signal: abort.signal,
      });
      await genesys.until(() => hang.hits === 1);
      abort.abort();
      await assert.rejects(hanging, { name: 'AbortError' });
      assert.equal(genesys.requests.recent.at(-1)?.status, 0);
      genesys.fail({ path: /tokens/, answer: { delayMs: 20 } });
      assert.equal((await api('GET', '/api/v2/tokens/me')).status, 200);
      const fault = genesys.fail({ path: /tokens/, times: Number.POSITIVE_INFINITY, answer: { status: 500 } });
      assert.equal((await api('GET', '/api/v2/tokens/me')).status, 500);
      fault.remove();
      assert.equal((await api('GET', '/api/v2/tokens/me')).status, 200);
    });
  });

  it('closes at once, whatever hangs', async () => {
    await start();
    const { token, api } = await signIn();
    const { connectUri } = await channel(api);
    const halfOpen = await connect(connectUri);
    genesys.halfOpen();
    const request = genesys.fail({ path: /tokens/, answer: 'hang' });
    const upgrade = genesys.fail({ path: /^.channels/, answer: 'hang' });
    const headers = { authorization: `Bearer ${token}` };
    const unanswered = assert.rejects(call('GET', '/api/v2/tokens/me', { headers }), TypeError);
    const unopened = assert.rejects(connect(connectUri), /socket hang up|ECONNRESET/);
    await genesys.until(() => request.hits + upgrade.hits === 2);
    await genesys.close();
    await Promise.all([unanswered, unopened, halfOpen.closed]);
  });

  it('runs as a process of its own that obeys commands over HTTP', async () => {
    await start();
    const main = join(__dirname, '../../simulators/genesys/main.ts');
    const child = spawn(process.execPath, ['--import', 'tsx', main, '--options', '{"rateLimitPerMinute":"Infinity"}'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
      const { url } = JSON.parse(line) as { url: string };
      interface State {
        published: number;
        stored: number;
        requests: { tokenRequests: number };
        faults: { hits: number }[];
        runs: { sent: number }[];
      }
      const control = async (verb: string, body: object) => {
        const response = await fetch(`${url}/__control/${verb}`, { method: 'POST', body: JSON.stringify(body) });
        return { status: response.status, body: (await response.json()) as { sent?: number } };
      };
      const run = await control('generate', { count: 1000, wait: true });
      assert.equal(run.body.sent, 1000);
      await control('publish', { events: [{ code: 'AUDIOHOOK-0002' }] });
      await control('fail', { path: '^/oauth/token$', times: 'Infinity', answer: { status: 503 } });
      assert.equal((await fetch(`${url}/oauth/token`, { method: 'POST' })).status, 503);
      const state = (await (await fetch(`${url}/__control/state`)).json()) as State;
      assert.deepEqual([state.published, state.stored], [1001, 1001]);
      assert.equal(state.requests.tokenRequests, 1);
      assert.equal(state.faults[0]?.hits, 1);
      assert.equal(state.runs[0]?.sent, 1000);
      assert.equal((await control('explode', {})).status, 400);
    } finally {
      child.kill('SIGTERM');
    }
    const [code] = (await once(child, 'exit')) as [number | null];
    assert.equal(code, 0);
  });

  it('keeps events in the order of creation and pages them completely, whatever order they come in', async () => {
    await start();
    const source = { event: () => ({ code: 'X' }) };
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 30 }),
        fc.constantFrom('ASC' as const, 'DESC' as const),
        fc.integer({ min: 1, max: 7 }),
        (times, order, limit) => {
          const store = new EventStore(1000, 0);
          for (const time of times) store.add('X', time, source);
          const selection = { from: 2, to: 8, order, limit, wanted: () => true };
          const seen: number[] = [];
          for (
            let page = store.select(selection);
            page.length > 0;
            page = store.select({ ...selection, after: page.at(-1) })
          ) {
            seen.push(...page.map(({ createdAt }) => createdAt));
          }
          const expected = times.filter((time) => time >= 2 && time < 8).sort((one, other) => one - other);
          assert.deepEqual(seen, order === 'ASC' ? expected : expected.reverse());
        },
      ),
    );
  });
});
