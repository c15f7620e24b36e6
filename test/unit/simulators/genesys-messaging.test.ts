import assert from 'node:assert/strict';
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  defaultClient,
  defaultIntegration,
  type GenesysSimulator,
  type GenesysSimulatorOptions,
  startGenesysSimulator,
} from '../../simulators/genesys';
import { Traffic } from '../../simulators/genesys/traffic';

const inbound = `/api/v2/conversations/messages/${defaultIntegration.id}/inbound/open`;
const time = '2026-01-15T10:30:45.123Z';
const from = { id: '+4912345', idType: 'Phone', nickname: 'Ada' };
const other = {
  id: 'other-organization',
  clients: [{ id: 'other-client', secret: 'other-secret' }],
  integrations: [{ id: 'other-integration' }],
  rateLimitPerMinute: 2,
};

/** The fields of JSON answers that these tests read. */
interface Body {
  access_token?: string;
  id?: string;
  code?: string;
  message?: string;
  conversationId?: string;
  details?: { fieldName?: string }[];
  organization?: { id: string };
  participants?: { id: string; purpose: string; state: string; messages: { id: string }[] }[];
  uploadUrl?: string;
  uploadHeaders?: Record<string, string>;
  status?: string;
  entities?: { id: string }[];
  textBody?: string;
}

describe('Genesys simulator, Open Messaging', () => {
  let genesys: GenesysSimulator;

  async function start(options: GenesysSimulatorOptions = {}) {
    genesys = await startGenesysSimulator({ rateLimitPerMinute: Number.POSITIVE_INFINITY, ...options });
    return signIn();
  }

  afterEach(() => genesys.close());

  async function signIn({ id, secret }: { id: string; secret: string } = defaultClient) {
    const authorization = `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
    const login = await fetch(`${genesys.url}/oauth/token`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' },
      body: 'grant_type=client_credentials',
    });
    const { access_token } = (await login.json()) as Body;
    return async (method: string, path: string, body?: unknown) => {
      const response = await fetch(genesys.url + path, {
        method,
        headers: { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Body };
    };
  }

  const message = (change: Record<string, unknown> = {}) => ({
    channel: { from, time, messageId: 'm1' },
    text: 'Hello',
    ...change,
  });
  const picture = { mediaType: 'Image', url: 'https://media.example.com/a.png', mime: 'image/png' };

  describe('inbound', () => {
    it('takes a text and begins a conversation, which further messages of the same customer continue', async () => {
      const api = await start();
      const first = await api('POST', `${inbound}/message?prefetchConversationId=true`, message());
      assert.equal(first.status, 200);
      const second = await api('POST', `${inbound}/message`, message({ channel: { from, time, messageId: 'm2' } }));
      assert.equal(second.body.conversationId, undefined);
      const conversations = genesys.messaging.messages.map(({ conversationId }) => conversationId);
      assert.deepEqual(conversations, [first.body.conversationId, first.body.conversationId]);
    });

    it('gives the same answer to a repeated pair of id and time, and counts it once', async () => {
      const api = await start();
      const { body } = await api('POST', `${inbound}/message`, message());
      assert.equal((await api('POST', `${inbound}/message`, message())).body.id, body.id);
      await api(
        'POST',
        `${inbound}/message`,
        message({ channel: { from, messageId: 'm1', time: '2026-01-15T10:30:45.124Z' } }),
      );
      assert.deepEqual(
        genesys.messaging.messages.map(({ repeats }) => repeats),
        [1, 0],
      );
    });

    it('refuses a repeated pair where that is switched on', async () => {
      const api = await start({ repeats: 'refuse' });
      await api('POST', `${inbound}/message`, message());
      assert.equal((await api('POST', `${inbound}/message`, message())).status, 409);
    });

    const refused: [name: string, change: Record<string, unknown>, field: string][] = [
      ['no channel', { channel: undefined }, 'channel'],
      ['no customer', { channel: { time } }, 'channel.from'],
      ['a customer without an id', { channel: { time, from: { idType: 'Phone' } } }, 'channel.from.id'],
      ['an unknown kind of id', { channel: { time, from: { id: '1', idType: 'Fax' } } }, 'channel.from.idType'],
      ['no time', { channel: { from } }, 'channel.time'],
      ['a time without a zone', { channel: { from, time: '2026-01-15T10:30:45' } }, 'channel.time'],
      ['the receiver of the old call', { channel: { from, time, to: { id: '1' } } }, 'channel.to'],
      ['the platform of the old call', { channel: { from, time, platform: 'Open' } }, 'channel.platform'],
      ['the type of the old call', { type: 'Text' }, 'type'],
      ['the direction of the old call', { direction: 'Inbound' }, 'direction'],
      ['a text that is too long', { text: 'x'.repeat(2_001) }, 'text'],
      ['metadata that is no text', { metadata: { count: 1 } }, 'metadata.count'],
      ['an empty list of contents', { content: [] }, 'content'],
      [
        'a content with its type',
        { content: [{ contentType: 'Attachment', attachment: picture }] },
        'content[0].contentType',
      ],
      ['a file without MIME', { content: [{ attachment: { ...picture, mime: '' } }] }, 'content[0].attachment.mime'],
      [
        'a file that cannot be fetched',
        { content: [{ attachment: { ...picture, url: 'file:///etc/passwd' } }] },
        'content[0].attachment.url',
      ],
    ];
    for (const [name, change, field] of refused) {
      it(`refuses ${name}, naming the field`, async () => {
        const api = await start();
        const { status, body } = await api('POST', `${inbound}/message`, message(change));
        assert.equal(status, 400);
        assert.equal(body.details?.[0]?.fieldName, field);
        assert.equal(genesys.messaging.count, 0);
      });
    }

    it('refuses a message that says nothing, an unknown integration, and a client without the permission', async () => {
      const api = await start({ organizations: [other] });
      assert.equal((await api('POST', `${inbound}/message`, message({ text: undefined }))).status, 400);
      const theirs = '/api/v2/conversations/messages/other-integration/inbound/open/message';
      assert.equal((await api('POST', theirs, message())).status, 404);
      assert.equal((await api('POST', '/api/v2/conversations/messages/inbound/open', message())).status, 404);
      genesys.withhold(['conversation:message:receive']);
      assert.equal((await api('POST', `${inbound}/message`, message())).status, 403);
    });

    it('takes files in their order, typing events and receipts', async () => {
      const api = await start();
      const content = ['a', 'b', 'c'].map((id) => ({ attachment: { ...picture, url: `https://x.example.com/${id}` } }));
      await api('POST', `${inbound}/message`, message({ text: undefined, content }));
      assert.deepEqual(
        genesys.messaging.messages[0]?.attachments.map(({ url }) => url.at(-1)),
        ['a', 'b', 'c'],
      );
      const typing = { channel: { from, time }, events: [{ eventType: 'Typing' }] };
      assert.equal((await api('POST', `${inbound}/event`, typing)).status, 200);
      const receipt = { id: 'x', channel: { to: from, time }, status: 'Delivered' };
      assert.equal((await api('POST', `${inbound}/receipt`, receipt)).status, 200);
      assert.equal((await api('POST', `${inbound}/receipt`, { ...receipt, status: 'Read' })).status, 400);
      assert.deepEqual(
        genesys.messaging.receipts.map(({ status }) => status),
        ['Delivered'],
      );
    });
  });

  describe('organizations', () => {
    it('have their own clients, integrations and limits', async () => {
      await start({ organizations: [other] });
      const api = await signIn(other.clients[0]);
      assert.equal((await api('GET', '/api/v2/tokens/me')).body.organization?.id, other.id);
      assert.equal((await api('POST', `${inbound}/message`, message())).status, 404);
      assert.equal((await api('GET', '/api/v2/tokens/me')).status, 429);
      assert.equal(genesys.traffic.count(other.id), 3);
      assert.equal(genesys.traffic.peak(other.id), 3);
    });

    it('are limited as one where that is switched on, however many tokens they have', async () => {
      await start({ organizations: [other], rateLimitScope: 'organization' });
      const first = await signIn(other.clients[0]);
      const second = await signIn(other.clients[0]);
      const statuses = [];
      for (const api of [first, second, first]) statuses.push((await api('GET', '/api/v2/tokens/me')).status);
      assert.deepEqual(statuses, [200, 200, 429]);
    });
  });

  describe('outbound', () => {
    const agentless = '/api/v2/conversations/messages/agentless';
    const body = {
      fromAddress: defaultIntegration.id,
      toAddress: 'customer',
      toAddressMessengerType: 'open',
      textBody: 'Hi',
    };

    it('sends a text without an agent, with an answer or with an empty 202', async () => {
      let api = await start();
      const answer = await api('POST', agentless, body);
      assert.equal(answer.status, 200);
      assert.equal(answer.body.conversationId, genesys.messaging.conversations[0]?.id);
      assert.equal((await api('GET', `/api/v2/conversations/messages/${answer.body.id}/details`)).body.textBody, 'Hi');
      await genesys.close();
      api = await start({ answerOutbound: 202 });
      assert.deepEqual(await api('POST', agentless, body), { status: 202, body: {} });
    });

    it('refuses files, two bodies, and a sender of another organization', async () => {
      const api = await start();
      const statuses = [];
      for (const change of [
        { content: [{ attachment: picture }] },
        { messagingTemplate: { responseId: 'x' } },
        { textBody: 'x'.repeat(2_001) },
        { toAddress: undefined },
        { fromAddress: 'unknown' },
      ]) {
        statuses.push((await api('POST', agentless, { ...body, ...change })).status);
      }
      assert.deepEqual(statuses, [400, 400, 400, 400, 404]);
    });

    async function agentLeg(api: Awaited<ReturnType<typeof start>>) {
      const { body: begun } = await api('POST', `${inbound}/message?prefetchConversationId=true`, message());
      const conversationId = begun.conversationId ?? '';
      genesys.messaging.connectAgent(conversationId);
      const { body: conversation } = await api('GET', `/api/v2/conversations/${conversationId}`);
      const agent = conversation.participants?.find(({ purpose }) => purpose === 'agent');
      const leg = `/api/v2/conversations/messages/${conversationId}/communications/${agent?.messages[0]?.id}/messages`;
      return { conversationId, leg };
    }

    it('sends on the connected leg of an agent exactly one kind of body', async () => {
      const api = await start();
      const { conversationId, leg } = await agentLeg(api);
      const sent = await api('POST', leg, { textBody: 'Hi' });
      assert.equal(sent.status, 200);
      assert.equal((await api('POST', leg, { textBody: 'Hi', mediaIds: ['x'] })).status, 400);
      assert.equal((await api('POST', leg, {})).status, 400);
      assert.equal((await api('POST', leg.replace(/communications\/[^/]+/, 'communications/x'), {})).status, 404);
      const bulk = `/api/v2/conversations/messages/${conversationId}/messages/bulk`;
      assert.deepEqual(
        (await api('POST', bulk, [sent.body.id, 'unknown'])).body.entities?.map(({ id }) => id),
        [sent.body.id],
      );
    });

    it('takes a file in four steps, and lets out only what the content profile allows', async () => {
      const api = await start();
      const { leg } = await agentLeg(api);
      const bytes = Buffer.from('a picture');
      const upload = async (fileName: string, change: { headers?: Record<string, string>; body?: string } = {}) => {
        const contentMd5 = createHash('md5').update(bytes).digest('base64');
        const request = { fileName, contentLengthBytes: bytes.length, contentMd5 };
        const { body: registered } = await api('POST', `${leg}/media/uploads`, request);
        const put = await fetch(registered.uploadUrl ?? '', {
          method: 'PUT',
          headers: { ...registered.uploadHeaders, ...change.headers },
          body: change.body ?? bytes.toString(),
        });
        const look = async () => (await api('GET', `${leg}/media/${registered.id}`)).body.status;
        return { id: registered.id, status: put.status, looks: [await look(), await look()] };
      };
      const good = await upload('a.png');
      assert.deepEqual([good.status, good.looks], [200, ['uploading', 'valid']]);
      assert.equal((await api('POST', leg, { mediaIds: [good.id] })).status, 200);
      const document = await upload('a.pdf');
      assert.deepEqual(document.looks, ['uploading', 'invalid']);
      assert.equal((await api('POST', leg, { mediaIds: [document.id] })).status, 400);
      assert.equal((await upload('b.png', { headers: { authorization: 'Bearer x' } })).status, 400);
      assert.equal((await upload('b.png', { headers: { 'x-amz-tagging': 'other' } })).status, 403);
      assert.equal((await upload('b.png', { body: 'shorter' })).status, 400);
      const tooLarge = { fileName: 'a.png', contentLengthBytes: 25_000_001 };
      assert.equal((await api('POST', `${leg}/media/uploads`, tooLarge)).status, 413);
      const badName = { fileName: 'a b.png', contentLengthBytes: 1 };
      assert.equal((await api('POST', `${leg}/media/uploads`, badName)).status, 400);
    });
  });

  describe('conversations', () => {
    it('can be looked at, transferred, described and ended, and are gone for everyone else', async () => {
      const api = await start({ organizations: [{ ...other, rateLimitPerMinute: Number.POSITIVE_INFINITY }] });
      const { body: begun } = await api('POST', `${inbound}/message?prefetchConversationId=true`, message());
      const path = `/api/v2/conversations/messages/${begun.conversationId}`;
      const stranger = await signIn(other.clients[0]);
      assert.equal((await stranger('GET', path)).status, 404);
      const agent = genesys.messaging.connectAgent(begun.conversationId ?? '');
      const participant = `${path}/participants/${agent.id}`;
      assert.equal((await api('PATCH', `${participant}/attributes`, { attributes: { vip: 'yes' } })).status, 200);
      assert.equal((await api('PATCH', `${participant}/attributes`, { attributes: { vip: true } })).status, 400);
      assert.deepEqual(agent.attributes, { vip: 'yes' });
      assert.equal((await api('POST', `${participant}/replace`, { queueId: 'q', userId: 'u' })).status, 400);
      assert.equal((await api('POST', `${participant}/replace`, { queueId: 'q' })).status, 202);
      assert.equal((await api('POST', `${participant}/replace`, { queueId: 'q' })).status, 400);
      assert.equal((await api('PATCH', path, { state: 'gone' })).status, 400);
      assert.equal((await api('PATCH', path, { state: 'disconnected' })).status, 200);
      const { body: ended } = await api('GET', path);
      assert.ok(ended.participants?.every(({ state }) => state === 'disconnected'));
      await api('POST', `${inbound}/message`, message({ channel: { from, time, messageId: 'm2' } }));
      assert.equal(genesys.messaging.conversations.length, 2);
      assert.equal((await api('GET', '/api/v2/conversations/messages/unknown')).status, 404);
    });
  });

  describe('the webhook', () => {
    let receiver: Server;
    let received: { body: string; signature: string | undefined }[];
    let statuses: number[];

    beforeEach(async () => {
      received = [];
      statuses = [];
      receiver = createServer(async (request: IncomingMessage, response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
        const signature = request.headers['x-hub-signature-256'];
        received.push({ body: Buffer.concat(chunks).toString('utf8'), signature: signature as string | undefined });
        response.writeHead(statuses.shift() ?? 200).end();
      });
      await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    });

    afterEach(() => {
      receiver.close();
    });

    it('gets texts and receipts, signed in base64 over the bytes, again after 5xx and 429, never after other answers', async () => {
      const api = await start({ webhookRetryMs: 1 });
      const webhookUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
      genesys.messaging.setWebhook(defaultIntegration.id, { webhookUrl });
      const id = randomUUID();
      statuses = [503, 429];
      const { statuses: answered } = await genesys.messaging.reply(defaultIntegration.id, 'customer', 'Grüße', id);
      assert.deepEqual(answered, [503, 429, 200]);
      const [first] = received;
      const digest = createHmac('sha256', defaultIntegration.webhookSecret)
        .update(first?.body ?? '')
        .digest('base64');
      assert.equal(first?.signature, `sha256=${digest}`);
      assert.deepEqual(new Set(received.map(({ body }) => (JSON.parse(body) as Body).id)), new Set([id]));
      await api('POST', `${inbound}/message`, message());
      const [sent] = genesys.messaging.messages;
      assert.ok(sent);
      statuses = [401];
      assert.deepEqual(
        (await genesys.messaging.confirm(sent, 'Failed', [{ code: 'x', message: 'y' }])).statuses,
        [401],
      );
      assert.equal((JSON.parse(received.at(-1)?.body ?? '{}') as Body).id, sent.id);
      await genesys.messaging.post(defaultIntegration.id, {}, { secret: null });
      assert.equal(received.at(-1)?.signature, undefined);
    });
  });

  it('can make a share of the requests go wrong', async () => {
    const api = await start();
    const fault = genesys.fail({ path: /message$/, times: 1_000, share: 0.5, answer: { status: 500 } });
    for (let n = 0; n < 100; n += 1) await api('POST', `${inbound}/message`, message());
    assert.ok(fault.hits > 10 && fault.hits < 90, `${fault.hits}`);
  });

  it('measures the most calls within any stretch of time', () => {
    const traffic = new Traffic();
    assert.equal(traffic.peak('a'), 0);
    for (let n = 0; n < 5; n += 1) traffic.add('a');
    assert.equal(traffic.peak('a', 60_000), 5);
    assert.equal(traffic.count('b'), 0);
  });
});
