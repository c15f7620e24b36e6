import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { settleDelivery } from '../../lib/core/deliveries';
import { type SpanRecord, tracing } from '../../lib/core/trace';
import { dialMemory } from '../../lib/rabbitmq/memory/link';
import { registerNode } from '../../lib/red/register';
import { traceOf } from '../../lib/red/tracing';
import contactBroker from '../../nodes/contact-broker';
import contactStore from '../../nodes/contact-store';
import genesysMessageOut from '../../nodes/genesys-message-out';
import genesysNotificationsIn from '../../nodes/genesys-notifications-in';
import genesysOauth from '../../nodes/genesys-oauth';
import genesysTenants from '../../nodes/genesys-tenants';
import genesysWebhookIn from '../../nodes/genesys-webhook-in';
import { defaultClient, defaultIntegration, type GenesysSimulator, startGenesysSimulator } from '../simulators/genesys';
import { textMessage } from '../unit/genesys/messaging/sender-harness';
import { drain, uniqueName } from '../unit/rabbitmq/brokers';
import { type FlowNode, type NodeModule, type Runtime, startRuntime, until } from './helper';

const source: NodeModule = (RED) => registerNode(RED, 'test-source', () => {});
const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';
const TRACEPARENT = `00-${TRACE_ID}-${SPAN_ID}-01`;
const OPEN_MESSAGE = /\/inbound\/open\/message\b/;
type Traced = { traceparent?: string; correlationId?: string };

describe('traces through Genesys Cloud', () => {
  let runtime: Runtime;
  let genesys: GenesysSimulator;
  let spans: SpanRecord[];
  let stop: () => void;
  let exchange: string;
  /** The headers of requests for messages, as they went out. */
  let requests: string[];
  const onRequest = (event: unknown) => {
    const { request } = event as { request: { path: string; headers: unknown } };
    if (OPEN_MESSAGE.test(request.path)) requests.push(String(request.headers));
  };

  beforeEach(async () => {
    genesys = await startGenesysSimulator({ rateLimitPerMinute: Number.POSITIVE_INFINITY, webhookRetryMs: 20 });
    [spans, requests, exchange] = [[], [], uniqueName('status')];
    stop = tracing.listen((span) => spans.push(span));
    subscribe('undici:request:create', onRequest);
  });
  afterEach(async () => {
    unsubscribe('undici:request:create', onRequest);
    stop();
    await runtime.stop();
    await genesys.close();
  });

  const start = async (nodes: FlowNode[]) => {
    const shared: FlowNode[] = [
      { id: 'tab', type: 'tab', label: 'Test' },
      { id: 'account', type: 'genesys-oauth', name: '', loginUrl: genesys.url, apiUrl: genesys.url },
      {
        id: 'tenants',
        type: 'genesys-tenants',
        loginUrl: genesys.url,
        apiUrl: genesys.url,
        integrationId: defaultIntegration.id,
      },
      { id: exchange, type: 'contact-store', kind: 'memory' },
      { id: 'broker', type: 'contact-broker', addresses: 'memory:genesys-traces' },
      { id: 'out', type: 'helper', z: 'tab', wires: [] },
    ];
    const client = { clientId: defaultClient.id, clientSecret: defaultClient.secret };
    const modules = [source, contactBroker, contactStore, genesysOauth, genesysTenants];
    runtime = await startRuntime(
      [...modules, genesysMessageOut, genesysNotificationsIn, genesysWebhookIn],
      [...shared, ...nodes],
      {
        credentials: { account: client, tenants: client, tested: { secret: defaultIntegration.webhookSecret } },
      },
    );
    return runtime.received('out') as Traced[];
  };
  const tested = (node: Record<string, unknown> & { type: string }): FlowNode => ({
    id: 'tested',
    z: 'tab',
    store: exchange,
    tenants: 'tenants',
    wires: [['out'], []],
    ...node,
  });

  /** A source of notifications in front of the helper, connected. */
  const listening = async (settle: boolean) => {
    const node = { type: 'genesys-notifications-in', account: 'account', include: 'audiohook', settle };
    const out = await start([tested(node)]);
    // The helper emits no event when the flows have started.
    runtime.RED.events.emit('flows:started');
    await until(() => genesys.channels.some(({ topics, sockets }) => topics.length > 0 && sockets > 0), 'a channel');
    await genesys.generate({ count: 2 }).done;
    await until(() => out.length === 2, 'the events');
    return out;
  };

  it('begin with an event of a notification, one for each event', async () => {
    const out = await listening(false);
    const begun = spans.filter(({ name }) => name === 'genesys-notifications-in');
    assert.deepEqual(
      begun.map(({ kind, parentSpanId }) => [kind, parentSpanId]),
      Array(2).fill(['consumer', undefined]),
    );
    assert.equal(new Set(begun.map(({ context }) => context.traceId)).size, 2);
    assert.deepEqual(
      out.map(({ traceparent, correlationId }) => [traceparent, correlationId]),
      begun.map(({ context, attributes }) => [
        `00-${context.traceId}-${context.spanId}-01`,
        attributes['correlation.id'],
      ]),
    );
  });

  it('last as long as the delivery where the flow settles, and tell how it ended', async () => {
    const [first, second] = await listening(true);
    assert.deepEqual(
      spans.filter(({ name }) => name.includes('notifications')),
      [],
    );
    settleDelivery(first as object, { kind: 'acknowledge' });
    settleDelivery(second as object, { kind: 'acknowledge' });
    const ended = spans.filter(({ name }) => name === 'process genesys-notifications-in');
    assert.deepEqual(
      ended.map(({ context, attributes }) => [context.traceId, attributes['delivery.outcome']]),
      [first, second].map((message) => [traceOf(message)?.traceId, 'acknowledge']),
    );
  });

  it('begin with what is posted to the webhook', async () => {
    const out = await start([tested({ type: 'genesys-webhook-in' })]);
    genesys.messaging.setWebhook(defaultIntegration.id, { webhookUrl: `${runtime.url}/genesys/webhook` });
    await genesys.messaging.reply(defaultIntegration.id, 'customer', 'Hello');
    await until(() => out.length === 1, 'the message');
    const [span] = spans.filter(({ name }) => name === 'genesys-webhook-in');
    assert.equal(out[0]?.traceparent, `00-${span?.context.traceId}-${span?.context.spanId}-01`);
  });

  it('lead through the request for a message into the event about its status', async () => {
    const channel = await dialMemory('genesys-traces').createChannel();
    const queue = uniqueName('queue');
    await channel.assertExchange(exchange, 'topic', { durable: true });
    await channel.assertQueue(queue);
    await channel.bindQueue(queue, exchange, '#');
    const out = await start([
      { id: 'source', type: 'test-source', z: 'tab', wires: [['tested']] },
      tested({ type: 'genesys-message-out', broker: 'broker', statusExchange: exchange }),
    ]);
    const message = { payload: textMessage('m1'), traceparent: TRACEPARENT };
    runtime.node('source').send(message as never);
    await until(() => out.length === 1 && requests.length === 1, 'the message to be sent', 10_000);
    assert.match(requests[0] ?? '', new RegExp(`traceparent,00-${TRACE_ID}-[0-9a-f]{16}-01`));
    assert.match(out[0]?.traceparent ?? '', new RegExp(`^00-${TRACE_ID}-`));
    const [event] = await until(async () => {
      const events = await drain(channel, queue);
      return events.length > 0 && events;
    }, 'an event about the status');
    assert.match(String(event?.properties.headers?.['traceparent']), new RegExp(`^00-${TRACE_ID}-`));
    await channel.close();
  });

  it('are continued from the header of the HTTP request that a message came with', async () => {
    const out = await start([
      { id: 'source', type: 'test-source', z: 'tab', wires: [['tested']] },
      tested({ type: 'genesys-message-out' }),
    ]);
    const req = { headers: { traceparent: TRACEPARENT } };
    runtime.node('source').send({ payload: textMessage('m2'), req } as never);
    await until(() => out.length === 1, 'the message to be sent', 10_000);
    assert.match(out[0]?.traceparent ?? '', new RegExp(`^00-${TRACE_ID}-`));
    assert.match(requests[0] ?? '', new RegExp(`traceparent,00-${TRACE_ID}-`));
    const span = spans.find(({ name }) => name === 'genesys-message-out');
    assert.equal(span?.parentSpanId, SPAN_ID);
  });
});
