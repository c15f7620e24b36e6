import assert from 'node:assert/strict';
import { ContactError } from '../../../lib/core/errors';
import { GenesysClient } from '../../../lib/genesys/client';
import { handleConversation, readConversationRequest } from '../../../lib/genesys/conversation';
import { useAccess } from '../../../lib/genesys/oauth';
import {
  defaultClient,
  defaultIntegration,
  type GenesysSimulator,
  startGenesysSimulator,
} from '../../simulators/genesys';

describe('conversations', () => {
  let genesys: GenesysSimulator;
  let client: GenesysClient;
  let release: () => void;
  let conversationId: string;
  const signal = new AbortController().signal;

  beforeEach(async () => {
    genesys = await startGenesysSimulator({ rateLimitPerMinute: Number.POSITIVE_INFINITY });
    const used = useAccess({ loginUrl: genesys.url, clientId: defaultClient.id, clientSecret: defaultClient.secret });
    release = used.release;
    client = new GenesysClient({ apiUrl: genesys.url, access: used.access, backoff: { baseMs: 1, maxMs: 5 } });
    await client.request('POST', `/api/v2/conversations/messages/${defaultIntegration.id}/inbound/open/message`, {
      what: 'begin',
      body: {
        channel: { from: { id: 'c', idType: 'Opaque' }, time: '2026-01-15T10:30:45Z', messageId: 'm' },
        text: 'x',
      },
    });
    conversationId = genesys.messaging.conversations[0]?.id ?? '';
  });

  afterEach(async () => {
    release();
    await genesys.close();
  });

  const handle = (request: Record<string, unknown>) =>
    handleConversation(
      client,
      readConversationRequest({ tenantId: 't', conversationId, ...request }, 'details'),
      signal,
    );
  const participants = () => genesys.messaging.conversations[0]?.participants ?? [];

  it('can be looked at', async () => {
    const details = (await handle({})) as { id: string; participants: unknown[] };
    assert.equal(details.id, conversationId);
    assert.equal(details.participants.length, 1);
  });

  it('can be closed, also twice and when the answer is lost', async () => {
    genesys.fail({ method: 'PATCH', path: /messages\/[^/]+$/, answer: 'reset-after' });
    await handle({ action: 'close' });
    await handle({ action: 'close' });
    assert.ok(participants().every(({ state }) => state === 'disconnected'));
  });

  it('can be transferred to a queue, a user and an address: from the agent, else from the queue', async () => {
    genesys.messaging.connectAgent(conversationId);
    await handle({ action: 'transfer', to: { queueId: 'q1' } });
    await handle({ action: 'transfer', to: { userId: 'u1' }, transferType: 'Unattended' });
    await handle({ action: 'transfer', address: 'somewhere' });
    assert.deepEqual(
      participants().map(({ purpose, queueId, userId }) => queueId ?? userId?.slice(0, 2) ?? purpose),
      ['customer', participants()[1]?.userId?.slice(0, 2), 'q1', 'u1', 'agent'],
    );
    assert.equal(participants().filter(({ state }) => state === 'connected').length, 2);
  });

  it('is transferred once when the answer to the transfer is lost', async () => {
    for (const answer of ['reset-after', 'cut-body', { status: 500 }, 'reset'] as const) {
      genesys.messaging.connectAgent(conversationId);
      const before = participants().length;
      genesys.fail({ path: /replace$/, answer });
      await handle({ action: 'transfer', to: { queueId: 'q' } });
      assert.equal(participants().length, before + 1, JSON.stringify(answer));
    }
  });

  it('gets attributes, on the customer unless someone else is named', async () => {
    await handle({ action: 'attributes', attributes: { vip: true, level: 3 } });
    assert.deepEqual(participants()[0]?.attributes, { vip: 'true', level: '3' });
    const agent = genesys.messaging.connectAgent(conversationId);
    await handle({ action: 'attributes', participantId: agent.id, attributes: { language: 'de' } });
    assert.deepEqual(agent.attributes, { language: 'de' });
  });

  it('that are not there, or have nobody to transfer, are told as not found', async () => {
    for (const action of ['details', 'close', 'transfer', 'attributes']) {
      const request = { action, conversationId: 'unknown', to: { queueId: 'q' }, attributes: { a: 'b' } };
      await assert.rejects(handle(request), { code: 'NOT_FOUND' });
    }
    await assert.rejects(handle({ action: 'transfer', to: { queueId: 'q' } }), /nobody connected as agent or acd/);
  });

  const refused: [request: unknown, problem: RegExp][] = [
    ['text', /tenantId is required/],
    [{ tenantId: 't' }, /conversationId is required/],
    [{ tenantId: 't', conversationId: 7 }, /conversationId must be a text/],
    [
      { tenantId: 't', conversationId: 'c', action: 'create' },
      /action must be one of details, close, transfer, attributes/,
    ],
    [{ tenantId: 't', conversationId: 'c', action: 'transfer' }, /exactly one of/],
    [{ tenantId: 't', conversationId: 'c', action: 'transfer', to: { queueId: 'q', userId: 'u' } }, /exactly one of/],
    [
      { tenantId: 't', conversationId: 'c', action: 'transfer', queueId: 'q', transferType: 'Cold' },
      /transferType must be/,
    ],
    [{ tenantId: 't', conversationId: 'c', action: 'attributes' }, /attributes must be an object/],
    [{ tenantId: 't', conversationId: 'c', action: 'attributes', attributes: { a: {} } }, /attributes.a must be/],
  ];
  for (const [request, problem] of refused) {
    it(`are not asked for with ${JSON.stringify(request)}`, () => {
      assert.throws(
        () => readConversationRequest(request, 'details'),
        (thrown) => thrown instanceof ContactError && thrown.code === 'INVALID_INPUT' && problem.test(thrown.message),
      );
    });
  }
});
