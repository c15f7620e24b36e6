import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type DeliveryOutcome, DeliverySource } from '../../lib/core/deliveries';
import { MessageRecords } from '../../lib/genesys/messaging/records';
import { monitored } from '../../lib/monitor/registry';
import { registerNode } from '../../lib/red/register';
import contactStore, { type ContactStoreNode } from '../../nodes/contact-store';
import genesysConversation from '../../nodes/genesys-conversation';
import genesysTenants from '../../nodes/genesys-tenants';
import { defaultClient, defaultIntegration, type GenesysSimulator, startGenesysSimulator } from '../simulators/genesys';
import { type NodeModule, type Runtime, startRuntime, until } from './helper';

const source: NodeModule = (RED) => registerNode(RED, 'test-source', () => {});
type Result = { payload: Record<string, unknown>; request: unknown; kept?: string };
type Failed = { error: { code: string; retryable: boolean }; payload: unknown };

describe('genesys-conversation', () => {
  let runtime: Runtime;
  let genesys: GenesysSimulator;
  let conversationId: string;
  let results: Result[];
  let failures: Failed[];
  let caught: unknown[];

  beforeEach(async () => {
    genesys = await startGenesysSimulator({ rateLimitPerMinute: Number.POSITIVE_INFINITY });
  });

  afterEach(async () => {
    await runtime.stop();
    await genesys.close();
  });

  async function start(properties: Record<string, unknown> = {}): Promise<void> {
    const flow = [
      { id: 'tab', type: 'tab', label: 'Test' },
      {
        id: 'tenants',
        type: 'genesys-tenants',
        loginUrl: genesys.url,
        apiUrl: genesys.url,
        integrationId: defaultIntegration.id,
      },
      { id: 'store', type: 'contact-store', kind: 'memory' },
      { id: 'source', type: 'test-source', z: 'tab', wires: [['conversation']] },
      {
        id: 'conversation',
        type: 'genesys-conversation',
        z: 'tab',
        tenants: 'tenants',
        store: 'store',
        wires: [['results'], ['failures']],
        ...properties,
      },
      { id: 'results', type: 'helper', z: 'tab', wires: [] },
      { id: 'failures', type: 'helper', z: 'tab', wires: [] },
      { id: 'catch', type: 'catch', z: 'tab', scope: ['conversation'], uncaught: false, wires: [['caught']] },
      { id: 'caught', type: 'helper', z: 'tab', wires: [] },
    ];
    const credentials = { tenants: { clientId: defaultClient.id, clientSecret: defaultClient.secret } };
    runtime = await startRuntime([source, contactStore, genesysTenants, genesysConversation], flow, { credentials });
    results = runtime.received('results') as never;
    failures = runtime.received('failures') as never;
    caught = runtime.received('caught');
    const organization = await runtime.node<never>('tenants')['organizations' as never];
    const { client } = await (organization as { find: CallableFunction })['find']('t', {});
    const path = `/api/v2/conversations/messages/${defaultIntegration.id}/inbound/open/message`;
    const channel = { from: { id: 'c', idType: 'Opaque' }, time: '2026-01-15T10:30:45Z', messageId: 'm' };
    await client.exchange('POST', path, { what: 'begin', body: { channel, text: 'x' } });
    conversationId = genesys.messaging.conversations[0]?.id ?? '';
  }

  const send = (payload: unknown, more: Record<string, unknown> = {}) =>
    runtime.node('source').send({ payload, ...more } as never);
  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'conversation')!
      .report();

  it('shows, describes, transfers and closes a conversation', async () => {
    await start();
    const agent = genesys.messaging.connectAgent(conversationId);
    const about = { tenantId: 't', conversationId };
    send(about, { kept: 'yes' });
    await until(() => results.length === 1);
    assert.equal(results[0]?.payload['id'], conversationId);
    assert.deepEqual([results[0]?.request, results[0]?.kept], [about, 'yes']);
    send({ ...about, action: 'attributes', attributes: { vip: 'yes' } });
    await until(() => results.length === 2);
    send({ ...about, action: 'transfer', to: { queueId: 'q1' } });
    await until(() => results.length === 3);
    assert.deepEqual(results[2]?.payload, { conversationId, participantId: agent.id, queueId: 'q1' });
    send({ ...about, action: 'close' });
    await until(() => results.length === 4);
    assert.ok(genesys.messaging.conversations[0]?.participants.every(({ state }) => state === 'disconnected'));
    assert.equal(report().books?.delivered, 4);
    assert.equal(report().state, 'connected');
  });

  it('does what the dialog says when the message does not', async () => {
    await start({ action: 'close' });
    send({ tenantId: 't', conversationId });
    await until(() => results.length === 1);
    assert.ok(genesys.messaging.conversations[0]?.endedAt);
  });

  it('says that a conversation is not there, without an error for Catch nodes', async () => {
    await start();
    send({ tenantId: 't', conversationId: 'unknown' });
    await until(() => failures.length === 1);
    assert.equal(failures[0]?.error.code, 'NOT_FOUND');
    send({ tenantId: 't' });
    await until(() => caught.length === 1);
    assert.equal(failures[1]?.error.code, 'INVALID_INPUT');
    assert.equal(report().books?.rejected, 2);
  });

  it('settles the delivery of a request', async () => {
    await start();
    const outcomes: DeliveryOutcome[] = [];
    const deliveries = new DeliverySource<string>({
      name: 'test',
      settle: (_token, outcome) => outcomes.push(outcome),
    });
    send({ tenantId: 't', conversationId }, { delivery: deliveries.open('1') });
    await until(() => outcomes.length === 1);
    send({ tenantId: 't', conversationId: 'unknown' }, { delivery: deliveries.open('2') });
    await until(() => outcomes.length === 2);
    genesys.withhold(['conversation:communication:disconnect']);
    send({ tenantId: 't', conversationId, action: 'close' }, { delivery: deliveries.open('3') });
    await until(() => outcomes.length === 3);
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ['acknowledge', 'dead-letter', 'retry'],
    );
    assert.equal(report().state, 'refused');
  });

  it('tells what became of a message', async () => {
    await start({ action: 'message' });
    const { state } = runtime.node<ContactStoreNode>('store');
    await new MessageRecords(state!.store, 60_000).accept({
      messageId: 'm1',
      tenantId: 't',
      mode: 'inbound',
      time: '2026-01-15T10:30:45Z',
      status: 'sent',
      attempts: 1,
      holder: { id: 'x', until: 1 },
      history: [{ status: 'sent', timestamp: '2026-01-15T10:30:46Z', attempts: 1 }],
    });
    send({ messageId: 'm1' });
    await until(() => results.length === 1);
    assert.equal(results[0]?.payload['status'], 'sent');
    assert.equal(results[0]?.payload['holder'], undefined);
    send({ messageId: 'm1', tenantId: 'other' });
    send({ messageId: 'm2' });
    await until(() => failures.length === 2);
    assert.ok(failures.every(({ error }) => error.code === 'NOT_FOUND'));
    send({});
    await until(() => failures.length === 3);
    assert.equal(failures[2]?.error.code, 'INVALID_INPUT');
  });

  it('says what is missing in its configuration', async () => {
    await start({ tenants: '' });
    assert.equal(report().state, 'not-configured');
    send({ tenantId: 't', conversationId });
    await until(() => failures.length === 1);
    assert.equal(failures[0]?.error.code, 'CONFIGURATION');
  });
});
