import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type SpanRecord, tracing } from '../../lib/core/trace';
import { monitored } from '../../lib/monitor/registry';
import { dialMemory } from '../../lib/rabbitmq/memory/link';
import { registerNode } from '../../lib/red/register';
import audiohookNormalize from '../../nodes/audiohook-normalize';
import contactBroker from '../../nodes/contact-broker';
import esBulkOut from '../../nodes/es-bulk-out';
import esConnection from '../../nodes/es-connection';
import ocelotIn from '../../nodes/ocelot-in';
import ocelotPublish from '../../nodes/ocelot-publish';
import { type ElasticsearchSimulator, startElasticsearchSimulator } from '../simulators/elasticsearch';
import { VALID_DATA } from '../unit/ocelot/events';
import { drain, uniqueName } from '../unit/rabbitmq/brokers';
import { type NodeModule, type Runtime, startRuntime, until } from './helper';

const source: NodeModule = (RED) => registerNode(RED, 'test-source', () => {});
const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';
const TRACEPARENT = `00-${TRACE_ID}-${SPAN_ID}-01`;

type Stored = { trace?: { id: string }; span?: { id: string } };

describe('traces', () => {
  let runtime: Runtime;
  let elastic: ElasticsearchSimulator;
  let exchange: string;
  let spans: SpanRecord[];
  let stop: () => void;
  let bulkHeaders: string[];
  const onRequest = (message: unknown) => {
    const { request } = message as { request: { path: string; headers: unknown } };
    if (request.path.startsWith('/_bulk')) bulkHeaders.push(String(request.headers));
  };

  beforeEach(async () => {
    elastic = await startElasticsearchSimulator();
    exchange = uniqueName('events');
    spans = [];
    bulkHeaders = [];
    stop = tracing.listen((span) => spans.push(span));
    subscribe('undici:request:create', onRequest);
  });
  afterEach(async () => {
    unsubscribe('undici:request:create', onRequest);
    stop();
    await runtime.stop();
    await elastic.close();
  });

  const start = async () => {
    const broker = { broker: 'broker', exchange };
    runtime = await startRuntime(
      [source, contactBroker, ocelotPublish, ocelotIn, audiohookNormalize, esConnection, esBulkOut],
      [
        { id: 'tab', type: 'tab', label: 'Test' },
        { id: 'broker', type: 'contact-broker', addresses: 'memory:traces' },
        { id: 'elastic', type: 'es-connection', nodes: elastic.url },
        { id: 'source', type: 'test-source', z: 'tab', wires: [['publish']] },
        { id: 'publish', type: 'ocelot-publish', z: 'tab', ...broker, organizationId: 'org-1', wires: [['out'], []] },
        { id: 'out', type: 'helper', z: 'tab', wires: [] },
        {
          id: 'in',
          type: 'ocelot-in',
          z: 'tab',
          ...broker,
          queue: uniqueName('queue'),
          bindingKeys: '#',
          wires: [['bulk']],
        },
        { id: 'documents', type: 'test-source', z: 'tab', wires: [['bulk']] },
        {
          id: 'bulk',
          type: 'es-bulk-out',
          z: 'tab',
          connection: 'elastic',
          index: 'events',
          batchSeconds: 0.1,
          wires: [[], []],
        },
      ],
    );
    const reader = () => monitored.all().find(({ id }) => id === 'in');
    await until(() => reader()?.report().state === 'connected', 'a consumer');
  };
  const event = (more: object) => ({
    payload: VALID_DATA['call.ended'],
    eventType: 'call.ended',
    correlationId: 'c-1',
    ...more,
  });
  const stored = () => [...elastic.documents('events').values()].map(({ _source }) => _source as Stored);
  const ofTrace = () => spans.filter(({ context }) => context.traceId === TRACE_ID);
  const spanOf = (name: string | RegExp) => {
    const found = spans.find((span) => (typeof name === 'string' ? span.name === name : name.test(span.name)));
    assert.ok(found, `there is no span ${name} among ${spans.map((span) => span.name).join(', ')}`);
    return found;
  };

  it('lead from where they began, through a broker, into the documents of Elasticsearch', async () => {
    await start();
    const published = runtime.received('out');
    runtime.node('source').send(event({ traceparent: TRACEPARENT }) as never);
    await until(() => stored().length === 1 && ofTrace().length === 5, 'the document and the spans', 15_000);

    const publish = spanOf('ocelot-publish');
    assert.equal(publish.parentSpanId, SPAN_ID);
    assert.deepEqual(publish.attributes, {
      'node.id': 'publish',
      'node.type': 'ocelot-publish',
      'correlation.id': 'c-1',
    });
    const publishing = spanOf('ocelot-publish send');
    assert.deepEqual([publishing.kind, publishing.parentSpanId], ['producer', publish.context.spanId]);
    const processing = spanOf(/^process the queue/);
    assert.deepEqual([processing.kind, processing.parentSpanId], ['consumer', publish.context.spanId]);
    assert.equal(processing.attributes['delivery.outcome'], 'acknowledge');
    const bulk = spanOf('es-bulk-out');
    assert.equal(bulk.parentSpanId, processing.context.spanId);
    const sending = spanOf('es-bulk-out send');
    assert.equal(sending.parentSpanId, bulk.context.spanId);

    assert.deepEqual([stored()[0]?.trace, stored()[0]?.span], [{ id: TRACE_ID }, { id: bulk.context.spanId }]);
    assert.match(bulkHeaders[0] ?? '', new RegExp(`traceparent,00-${TRACE_ID}-${sending.context.spanId}-01`));
    assert.match(String((published[0] as { traceparent?: string }).traceparent), new RegExp(`^00-${TRACE_ID}-`));
  });

  it('of a batch are linked to what is in it', async () => {
    await start();
    const ids = ['a'.repeat(32), 'b'.repeat(32)];
    for (const id of ids) {
      runtime.node('documents').send({ payload: { n: id }, traceparent: `00-${id}-${SPAN_ID}-01` } as never);
    }
    await until(() => stored().length === 2 && spans.some(({ name }) => name === 'es-bulk-out send'));
    const { links, parentSpanId, attributes } = spanOf('es-bulk-out send');
    assert.deepEqual(
      links.map(({ traceId }) => traceId),
      ids,
    );
    assert.equal(parentSpanId, undefined);
    assert.equal(attributes['messaging.batch.message_count'], 2);
    assert.deepEqual(
      stored()
        .map(({ trace }) => trace?.id)
        .toSorted(),
      ids,
    );
  });

  it('leave a document alone that has a trace already', async () => {
    await start();
    runtime.node('documents').send({ payload: { trace: { id: 'mine' } }, traceparent: TRACEPARENT } as never);
    await until(() => stored().length === 1);
    assert.deepEqual(stored()[0], { trace: { id: 'mine' } });
  });

  it('tell why a message has failed', async () => {
    await start();
    runtime.node('source').send(event({ payload: {}, traceparent: TRACEPARENT }) as never);
    await until(() => spans.some(({ name }) => name === 'ocelot-publish'));
    assert.match(spanOf('ocelot-publish').error ?? '', /^Could not publish an event/);
  });

  it('leave nothing anywhere while nobody records them', async () => {
    stop();
    await start();
    const channel = await dialMemory('traces').createChannel();
    const queue = uniqueName('queue');
    await channel.assertQueue(queue);
    await channel.bindQueue(queue, exchange, '#');
    const published = runtime.received('out');
    runtime.node('source').send(event({ traceparent: TRACEPARENT }) as never);
    await until(() => stored().length === 1, 'the document');
    assert.deepEqual(spans, []);
    assert.equal('trace' in (stored()[0] ?? {}), false);
    assert.doesNotMatch(bulkHeaders.join(), /traceparent/);
    const [message] = await drain(channel, queue);
    assert.equal(message?.properties.headers?.['traceparent'], undefined);
    assert.equal((published[0] as { traceparent?: string }).traceparent, TRACEPARENT, 'what came in goes on');
    await channel.close();
  });
});
