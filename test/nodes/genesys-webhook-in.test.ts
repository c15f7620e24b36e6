import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { settleDelivery } from '../../lib/core/deliveries';
import { MessageRecords } from '../../lib/genesys/messaging/records';
import { monitored } from '../../lib/monitor/registry';
import contactStore, { type ContactStoreNode } from '../../nodes/contact-store';
import genesysTenants from '../../nodes/genesys-tenants';
import genesysWebhookIn from '../../nodes/genesys-webhook-in';
import { defaultClient, defaultIntegration, type GenesysSimulator, startGenesysSimulator } from '../simulators/genesys';
import { type Runtime, type StartOptions, startRuntime, until } from './helper';

const { id: integration, webhookSecret: secret } = defaultIntegration;
type Received = { topic: string; payload: Record<string, unknown>; genesys: { id: string }; delivery?: object };

describe('genesys-webhook-in', () => {
  let runtime: Runtime;
  let genesys: GenesysSimulator;
  let messages: Received[];
  let receipts: Received[];
  let events: Received[];
  /** What a store in memory holds outlives a test. */
  let store = 0;

  beforeEach(async () => {
    store += 1;
    genesys = await startGenesysSimulator({ webhookRetryMs: 20 });
  });

  afterEach(async () => {
    await runtime.stop();
    await genesys.close();
  });

  async function start(
    properties: Record<string, unknown> = {},
    options: StartOptions = {},
    credentials: Record<string, string> = { secret },
  ): Promise<void> {
    const flow = [
      { id: 'tab', type: 'tab', label: 'Test' },
      { id: `webhook-store-${store}`, type: 'contact-store', kind: 'memory' },
      {
        id: 'tenants',
        type: 'genesys-tenants',
        loginUrl: genesys.url,
        apiUrl: genesys.url,
        integrationId: integration,
      },
      {
        id: 'webhook',
        type: 'genesys-webhook-in',
        z: 'tab',
        store: `webhook-store-${store}`,
        tenants: 'tenants',
        wires: [['messages'], ['receipts'], ['events']],
        ...properties,
      },
      ...['messages', 'receipts', 'events'].map((id) => ({ id, type: 'helper', z: 'tab', wires: [] })),
    ];
    runtime = await startRuntime([contactStore, genesysTenants, genesysWebhookIn], flow, {
      ...options,
      credentials: {
        webhook: credentials,
        tenants: { clientId: defaultClient.id, clientSecret: defaultClient.secret },
      },
    });
    messages = runtime.received('messages') as never;
    receipts = runtime.received('receipts') as never;
    events = runtime.received('events') as never;
    genesys.messaging.setWebhook(integration, { webhookUrl: `${runtime.url}/genesys/webhook` });
  }

  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'webhook')!
      .report();

  it('sends messages, receipts and events out of an output each', async () => {
    await start();
    const reply = await genesys.messaging.reply(integration, 'customer', 'Grüße');
    assert.deepEqual(reply.statuses, [200]);
    await until(() => messages.length === 1);
    const { topic, payload } = messages[0]!;
    assert.deepEqual([topic, payload['to'], payload['text']], ['message', 'customer', 'Grüße']);
    assert.equal(payload['integrationId'], integration);
    await genesys.messaging.typing(integration, 'customer');
    await until(() => events.length === 1);
    assert.equal(events[0]?.payload['type'], 'Event');
    await genesys.messaging.post(integration, { type: 'Hologram', id: 'h' });
    await until(() => events.length === 2);
    assert.equal(report().state, 'connected');
  });

  it('keeps the status of the message that a receipt is about', async () => {
    await start();
    const { state } = runtime.node<ContactStoreNode>(`webhook-store-${store}`);
    const records = new MessageRecords(state!.store, 60_000);
    const record = {
      messageId: 'm1',
      tenantId: 't',
      mode: 'inbound' as const,
      time: '2026-01-15T10:30:45Z',
      status: 'sent' as const,
      attempts: 1,
      genesysMessageId: 'g1',
      correlationId: 'c1',
      history: [],
    };
    await records.accept(record);
    await records.link(record);
    const about = { id: 'g1', from: 'customer', messageId: undefined, integrationId: integration };
    await genesys.messaging.confirm(about, 'Delivered');
    await until(() => receipts.length === 1);
    assert.deepEqual([receipts[0]?.payload['messageId'], receipts[0]?.payload['status']], ['m1', 'delivered']);
    assert.equal((receipts[0] as unknown as { correlationId: string }).correlationId, 'c1');
    assert.equal((await records.find('m1'))?.record.status, 'delivered');
  });

  it('refuses what is forged, and takes what is posted again only once', async () => {
    await start();
    const body = { type: 'Text', id: 'x', text: 'Hello' };
    assert.deepEqual((await genesys.messaging.post(integration, body, { secret: 'guessed-wr0ng' })).statuses, [401]);
    assert.deepEqual((await genesys.messaging.post(integration, body, { secret: null })).statuses, [401]);
    for (let times = 0; times < 3; times += 1) {
      assert.deepEqual((await genesys.messaging.post(integration, body)).statuses, [200]);
    }
    await until(() => messages.length === 1);
    const { forged, duplicates, messages: taken } = report().details ?? {};
    assert.deepEqual([forged, duplicates, taken], [2, 2, 1]);
  });

  it('checks the bytes as they came, also where a middleware has parsed them', async () => {
    const parse = (request: { body?: unknown } & AsyncIterable<Buffer>, _response: unknown, next: () => void) => {
      void (async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk);
        request.body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
        next();
      })();
    };
    await start({}, { settings: { httpNodeMiddleware: parse } });
    assert.deepEqual((await genesys.messaging.reply(integration, 'customer', 'Grüße')).statuses, [200]);
  });

  it('answers when the flow has settled what it got, where that is wanted', async () => {
    await start({ waitForFlow: true });
    const taken = genesys.messaging.reply(integration, 'customer', 'first', 'first');
    await until(() => messages.length === 1);
    settleDelivery(messages[0]!, { kind: 'acknowledge' });
    assert.deepEqual((await taken).statuses, [200]);
    const again = genesys.messaging.reply(integration, 'customer', 'second', 'second');
    await until(() => messages.length === 2);
    settleDelivery(messages[1]!, { kind: 'retry' });
    await until(() => messages.length === 3);
    settleDelivery(messages[2]!, { kind: 'acknowledge' });
    assert.deepEqual((await again).statuses, [503, 200]);
  });

  it('has an address of its own where that is wanted, and is gone when it is not deployed', async () => {
    await start({ path: 'acme' });
    const post = (path: string) => {
      genesys.messaging.setWebhook(integration, { webhookUrl: `${runtime.url}${path}` });
      return genesys.messaging.reply(integration, 'customer', 'Hello');
    };
    assert.deepEqual((await post('/genesys/webhook')).statuses, [404]);
    assert.deepEqual((await post('/genesys/webhook/acme')).statuses, [200]);
    await runtime.deploy([{ id: 'tab', type: 'tab', label: 'Test' }]);
    assert.deepEqual((await post('/genesys/webhook/acme')).statuses, [404]);
  });

  it('refuses a body that is too large, and says so to who is still sending it', async () => {
    await start();
    const answer = await fetch(`${runtime.url}/genesys/webhook`, { method: 'POST', body: 'x'.repeat(8_000_000) });
    assert.equal(answer.status, 400);
    assert.match(((await answer.json()) as { message: string }).message, /larger than 1000000 bytes/);
  });

  it('needs a secret, or tenants that may have one', async () => {
    await start({}, {}, {});
    assert.equal(report().state, 'not-configured');
    assert.match(report().reason ?? '', /GENESYS_WEBHOOK_SECRET/);
    assert.deepEqual((await genesys.messaging.reply(integration, 'customer', 'Hello')).statuses, [404]);
  });
});
