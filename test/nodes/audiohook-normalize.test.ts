import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { afterEach, describe, it } from 'mocha';
import type { NodeMessageInFlow } from 'node-red';
import { type DeliveryOutcome, DeliverySource } from '../../lib/core/deliveries';
import { packageVersion } from '../../lib/core/version';
import type { EventDocument } from '../../lib/genesys/normalize';
import { DEFAULT_SEVERITY_WORDS, severityMapProblem } from '../../lib/genesys/severity';
import { monitored } from '../../lib/monitor/registry';
import { registerNode } from '../../lib/red/register';
import audiohookNormalize from '../../nodes/audiohook-normalize';
import { type FlowNode, type NodeModule, type Runtime, startRuntime, until } from './helper';

const EVENT = {
  topicName: 'v2.operations.events.AUDIOHOOK-0001',
  version: '2',
  eventBody: {
    eventEntity: { id: 'AUDIOHOOK-0001', name: 'AudioHook integration error' },
    conversationId: '34c18827-5c1f-4f0e-8e52-0c5f9f6a3b11',
    timestamp: 1_763_690_445_123,
  },
  metadata: { CorrelationId: 'c1' },
};

type Output = NodeMessageInFlow & {
  payload: EventDocument;
  documentId: string;
  correlationId?: string;
  delivery?: unknown;
  parts?: Record<string, unknown>;
  custom?: { kept: boolean };
};

/** Sends a message into the flow under test. */
const source: NodeModule = (RED) => registerNode(RED, 'test-source', () => {});

describe('audiohook-normalize', () => {
  let runtime: Runtime;
  let output: Output[];
  let done: string[];
  let failures: { error: { message: string } }[];

  async function start(properties: Record<string, unknown> = {}): Promise<void> {
    const flow: FlowNode[] = [
      { id: 'tab', type: 'tab', label: 'Test' },
      { id: 'source', type: 'test-source', z: 'tab', wires: [['normalize']] },
      {
        id: 'normalize',
        type: 'audiohook-normalize',
        z: 'tab',
        name: '',
        instance: '',
        labels: '{}',
        severityMap: '{}',
        wires: [['output']],
        ...properties,
      },
      { id: 'output', type: 'helper', z: 'tab', wires: [] },
      { id: 'complete', type: 'complete', z: 'tab', scope: ['normalize'], uncaught: false, wires: [['done']] },
      { id: 'done', type: 'helper', z: 'tab', wires: [] },
      { id: 'catch', type: 'catch', z: 'tab', scope: ['normalize'], uncaught: false, wires: [['failures']] },
      { id: 'failures', type: 'helper', z: 'tab', wires: [] },
    ];
    runtime = await startRuntime([source, audiohookNormalize], flow);
    output = runtime.received('output') as Output[];
    done = runtime.received('done') as never;
    failures = runtime.received('failures') as never;
  }
  const send = (message: Record<string, unknown>) => runtime.node('source').send(message);
  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'normalize')!
      .report();

  afterEach(async () => {
    delete process.env['SEVERITY_MAP'];
    await runtime.stop();
  });

  it('turns an event into its document and keeps everything else of the message', async () => {
    await start();
    const delivery = { id: 'd-1', attempt: 1, receivedAt: 1 };
    send({ payload: EVENT, topic: 'kept', custom: { kept: true }, eventId: 'event-1', delivery });
    await until(() => done.length === 1);
    const [message] = output;
    assert.equal(message?.documentId, 'event-1');
    assert.equal(message?.payload.op.code, 'AUDIOHOOK-0001');
    assert.deepEqual(message?.payload.event, EVENT);
    assert.deepEqual(message?.payload.collector.host, hostname());
    assert.deepEqual(message?.payload.collector.version, packageVersion);
    assert.equal(message?.payload.collector.instance, `${hostname()}-${process.pid}`);
    assert.equal(message?.topic, 'kept');
    assert.deepEqual(message?.custom, { kept: true });
    assert.deepEqual(message?.delivery, delivery);
    assert.equal(message?.correlationId, 'c1');
  });

  it('keeps the correlation that the message already has', async () => {
    await start();
    send({ payload: EVENT, correlationId: 'mine' });
    await until(() => output.length === 1);
    assert.equal(output[0]?.correlationId, 'mine');
    assert.equal(output[0]?.payload.correlationId, 'mine');
  });

  it('uses the configured instance, labels and severities', async () => {
    process.env['SEVERITY_MAP'] = '{"codes": {"AUDIOHOOK-0001": "NOTICE"}}';
    await start({ instance: 'collector-eu', labels: '{"site": "Berlin"}', severityMap: '${SEVERITY_MAP}' });
    send({ payload: EVENT, enrich: { owner: 'voice' } });
    await until(() => output.length === 1);
    const { collector, labels, op } = output[0]!.payload;
    assert.equal(collector.instance, 'collector-eu');
    assert.deepEqual(labels, { site: 'Berlin', owner: 'voice' });
    assert.equal(op.severity, 'NOTICE');
  });

  it('makes one message of each event in an array, with its place, and the delivery on the last', async () => {
    await start();
    const second = { ...EVENT, eventBody: { ...EVENT.eventBody, timestamp: 1_763_690_445_124 } };
    const delivery = { id: 'd-1', attempt: 1, receivedAt: 1 };
    send({
      _msgid: 'message-1',
      payload: [EVENT, second, 'broken'],
      topic: 'kept',
      eventId: 'of one event only',
      custom: { kept: true },
      parts: { id: 'outer', index: 3 },
      delivery,
    });
    await until(() => done.length === 1);
    assert.deepEqual(
      output.map(({ payload }) => payload.op.code),
      ['AUDIOHOOK-0001', 'AUDIOHOOK-0001', 'UNKNOWN'],
    );
    assert.equal(new Set(output.map(({ documentId }) => documentId)).size, 3);
    assert.deepEqual(
      output.map(({ parts }) => parts),
      [0, 1, 2].map((index) => ({
        id: 'message-1',
        type: 'array',
        count: 3,
        index,
        parts: { id: 'outer', index: 3 },
      })),
    );
    assert.deepEqual(
      output.map((message) => message.delivery),
      [undefined, undefined, delivery],
    );
    assert.ok(output.every(({ topic, custom }) => topic === 'kept' && custom?.kept));
    assert.notEqual(output[0]?.custom, output[1]?.custom, 'a change of one message does not reach the others');
  });

  it('gives the events of an array the same identifiers when the message comes again', async () => {
    await start();
    const untimed = { eventEntity: { id: 'AUDIOHOOK-0001' } };
    const message = () => ({ payload: [untimed, untimed, EVENT], receivedAt: 1_763_690_445_999 });
    send(message());
    send(message());
    await until(() => output.length === 6);
    const ids = output.map(({ documentId }) => documentId);
    assert.deepEqual(ids.slice(0, 3), ids.slice(3));
    assert.equal(new Set(ids).size, 3);
  });

  it('settles the delivery of an array without events, for nothing after it could', async () => {
    await start();
    const settled: DeliveryOutcome[] = [];
    const deliveries = new DeliverySource({ name: 'test', settle: (_token, outcome) => settled.push(outcome) });
    send({ payload: [], delivery: deliveries.open('token') });
    await until(() => done.length === 1);
    deliveries.close();
    assert.deepEqual(settled, [{ kind: 'acknowledge' }]);
    assert.deepEqual(output, []);
  });

  it('counts what it has seen', async () => {
    await start();
    send({ payload: EVENT });
    send({ payload: { level: 'warn' } });
    send({ payload: { source: 'AudioHook' } });
    send({ payload: 'broken {' });
    await until(() => done.length === 4);
    const { state, details, metrics, groups } = report();
    assert.equal(state, 'idle');
    assert.deepEqual(details, { events: 4, errors: 1, warnings: 1, infos: 2, audiohookEvents: 2, brokenEvents: 1 });
    assert.deepEqual(groups, {
      counters: { events_total: 4, op_errors: 1, op_warns: 1, op_infos: 2, audiohook_evts: 2 },
    });
    assert.deepEqual(
      metrics?.map(({ name, labels, value }) => [name, labels?.['severity'], value]),
      [
        ['contact_center_normalized_events_total', 'error', 1],
        ['contact_center_normalized_events_total', 'warning', 1],
        ['contact_center_normalized_events_total', 'info', 2],
        ['contact_center_audiohook_events_total', undefined, 2],
        ['contact_center_broken_events_total', undefined, 1],
      ],
    );
  });

  it('says which entry of its configuration is wrong, and fails messages instead of dropping them', async () => {
    await start({ severityMap: '{"codes": {"AUDIOHOOK-0001": "BAD"}}', labels: '[]' });
    assert.equal(report().state, 'not-configured');
    assert.match(report().reason ?? '', /severityMap must be a map in which codes\.AUDIOHOOK-0001 is one of CRITICAL/);
    assert.match(report().reason ?? '', /labels must be an object of labels/);
    const already = failures.length;
    send({ payload: EVENT });
    await until(() => failures.length > already);
    assert.match(failures.at(-1)!.error.message, /severityMap/);
    assert.deepEqual(output, []);
  });

  it('treats a variable that is not set as nothing', async () => {
    await start({ severityMap: '${NO_SUCH_VARIABLE}', labels: '${NO_SUCH_VARIABLE}', instance: '${NO_SUCH_VARIABLE}' });
    send({ payload: EVENT });
    await until(() => output.length === 1);
    assert.equal(output[0]?.payload.op.severity, 'ERROR');
    assert.equal(output[0]?.payload.collector.instance, `${hostname()}-${process.pid}`);
  });
});

describe('the help of audiohook-normalize', () => {
  const help = readFileSync(`${__dirname}/../../nodes/locales/en-US/audiohook-normalize.html`, 'utf8');
  const [severityMap = '', template = ''] = [...help.matchAll(/```json\n([\s\S]*?)```/g)].map(([, code]) => code ?? '');

  it('shows the severity map that is built in', () => {
    const shown = JSON.parse(severityMap);
    assert.equal(severityMapProblem(shown), undefined);
    assert.deepEqual(shown, { codes: {}, words: DEFAULT_SEVERITY_WORDS, default: 'INFO' });
  });

  it('shows an index template that does not map what is inside of the event', () => {
    const [request = '', ...body] = template.split('\n');
    assert.match(request, /^PUT _index_template\/genesys-audiohook$/);
    const { mappings } = JSON.parse(body.join('\n')).template;
    assert.deepEqual(mappings.properties.event, { type: 'object', enabled: false });
  });
});
