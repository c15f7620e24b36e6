import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { type DeliveryOutcome, DeliverySource } from '../../lib/core/deliveries';
import { monitored } from '../../lib/monitor/registry';
import { registerNode } from '../../lib/red/register';
import contactSettle from '../../nodes/contact-settle';
import { type FlowNode, type NodeModule, type Runtime, startRuntime, until } from './helper';

const source: NodeModule = (RED) => registerNode(RED, 'test-source', () => {});
/** Fails over every message whose payload is `fail`. */
const worker: NodeModule = (RED) =>
  registerNode(RED, 'test-worker', (node) => {
    node.on('input', (message, send, done) => {
      if (message.payload === 'fail') {
        done(Object.assign(new Error('it broke'), { code: 'REJECTED' }));
        return;
      }
      send(message);
      done();
    });
  });

describe('contact-settle', () => {
  let runtime: Runtime;
  let outcomes: DeliveryOutcome[];
  let deliveries: DeliverySource<string>;
  let out: { settled: boolean; payload: unknown }[];

  beforeEach(() => {
    outcomes = [];
    deliveries = new DeliverySource({ name: 'test', settle: (_token, outcome) => outcomes.push(outcome) });
  });
  afterEach(async () => {
    deliveries.close();
    await runtime.stop();
  });

  const start = async (properties: Record<string, unknown>, extra: FlowNode[] = [], first = 'settle') => {
    runtime = await startRuntime(
      [source, worker, contactSettle],
      [
        { id: 'tab', type: 'tab', label: 'Test' },
        { id: 'source', type: 'test-source', z: 'tab', wires: [[first]] },
        { id: 'settle', type: 'contact-settle', z: 'tab', wires: [['out']], ...properties },
        { id: 'out', type: 'helper', z: 'tab', wires: [] },
        ...extra,
      ],
    );
    out = runtime.received('out') as never;
  };
  const send = (message: Record<string, unknown> = {}) => {
    const count = out.length;
    runtime.node('source').send({ delivery: deliveries.open('token'), ...message });
    return until(() => out[count]);
  };

  it('acknowledges, and passes the message on', async () => {
    await start({ action: 'acknowledge' });
    const passed = await send({ payload: 'kept' });
    assert.deepEqual(outcomes, [{ kind: 'acknowledge' }]);
    assert.equal(passed.settled, true);
    assert.equal(passed.payload, 'kept');
  });

  it('has a message tried again after the wait, or after that of the source', async () => {
    await start({ action: 'retry', delaySeconds: '7' });
    await send();
    assert.equal(outcomes[0]?.kind === 'retry' && outcomes[0].delayMs, 7_000);
    await runtime.stop();
    await start({ action: 'retry' });
    await send();
    assert.equal(outcomes[1]?.kind === 'retry' && outcomes[1].delayMs, undefined);
  });

  it('dead-letters with the reason of the node, or with what the message says', async () => {
    await start({ action: 'dead-letter', reason: 'no such customer' });
    await send();
    assert.match(outcomes[0]?.kind === 'dead-letter' ? outcomes[0].error.message : '', /no such customer/);
    await runtime.stop();
    await start({ action: 'dead-letter' });
    await send({ error: { code: 'REJECTED', message: 'mapping', status: 400 } });
    const second = outcomes[1]?.kind === 'dead-letter' ? outcomes[1].error : undefined;
    assert.equal(second?.code, 'REJECTED');
    assert.equal(second?.status, 400);
    assert.match(second?.message ?? '', /mapping/);
  });

  it('does what the message asks for', async () => {
    await start({});
    await send({ settle: 'retry' });
    await send({ settle: { action: 'retry', delaySeconds: 3 } });
    await send({ settle: { action: 'dead-letter', reason: 'because' } });
    await send({ settle: 'acknowledge', error: { message: 'ignored' } });
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ['retry', 'retry', 'dead-letter', 'acknowledge'],
    );
    assert.equal(outcomes[1]?.kind === 'retry' && outcomes[1].delayMs, 3_000);
    assert.match(outcomes[2]?.kind === 'dead-letter' ? outcomes[2].error.message : '', /because/);
  });

  it('goes by the error otherwise: one that may pass is worth another attempt', async () => {
    await start({});
    await send();
    await send({ error: { message: 'x', retryable: true } });
    await send({ error: { message: 'x', retryable: false } });
    await send({ error: { message: 'x', code: 'INVALID_INPUT' } });
    await send({ error: { message: 'x', code: 'UNREACHABLE' } });
    await send({ error: { message: 'x', source: { id: 'function' } } });
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ['acknowledge', 'retry', 'dead-letter', 'dead-letter', 'retry', 'retry'],
    );
  });

  it('passes on what carries no delivery, or one that is settled, and says so', async () => {
    await start({});
    assert.equal((await send({ delivery: undefined })).settled, false);
    const delivery = deliveries.open('token');
    assert.equal((await send({ delivery })).settled, true);
    assert.equal((await send({ delivery })).settled, false);
    const { details } = monitored
      .all()
      .find(({ id }) => id === 'settle')!
      .report();
    assert.deepEqual(details?.['settled'], { acknowledge: 1, retry: 0, 'dead-letter': 0, nothing: 2 });
  });

  it('refuses a wish that it does not understand, and leaves the delivery alone', async () => {
    const scope: FlowNode[] = [
      { id: 'catch', type: 'catch', z: 'tab', scope: null, uncaught: false, wires: [['caught']] },
      { id: 'caught', type: 'helper', z: 'tab', wires: [] },
    ];
    await start({}, scope);
    const caught = runtime.received('caught') as unknown as { error: { message: string } }[];
    runtime.node('source').send({ delivery: deliveries.open('token'), settle: 'maybe' });
    await until(() => caught.length === 1);
    assert.match(caught[0]!.error.message, /acknowledge, retry or dead-letter/);
    // A timer that is set so far ahead goes off at once.
    const settle = { action: 'retry', delaySeconds: 3_000_000 };
    runtime.node('source').send({ delivery: deliveries.open('token'), settle } as never);
    await until(() => caught.length === 2);
    assert.match(caught[1]!.error.message, /from 0 to 604800/);
    assert.equal(deliveries.counts().open, 2);
  });

  it('settles everything behind a Catch and a Complete node', async () => {
    const flow: FlowNode[] = [
      { id: 'worker', type: 'test-worker', z: 'tab', wires: [[]] },
      { id: 'catch', type: 'catch', z: 'tab', scope: ['worker'], uncaught: false, wires: [['settle']] },
      { id: 'complete', type: 'complete', z: 'tab', scope: ['worker'], uncaught: false, wires: [['settle']] },
    ];
    await start({}, flow, 'worker');
    await send({ payload: 'work' });
    await send({ payload: 'fail' });
    assert.equal(outcomes[0]?.kind, 'acknowledge');
    assert.equal(outcomes[1]?.kind, 'dead-letter');
    assert.match(outcomes[1]?.kind === 'dead-letter' ? outcomes[1].error.message : '', /it broke/);
    assert.equal(deliveries.counts().open, 0);
  });
});
