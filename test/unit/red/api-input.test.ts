import assert from 'node:assert/strict';
import type { NodeMessageInFlow } from 'node-red';
import { type DeliveryOutcome, DeliverySource } from '../../../lib/core/deliveries';
import { ContactError } from '../../../lib/core/errors';
import { onRequest, type RequestHandling } from '../../../lib/red/api-input';
import type { RuntimeNode } from '../../../lib/red/node';
import { registerNode } from '../../../lib/red/register';
import { type FlowNode, type Runtime, startRuntime, until } from '../../nodes/helper';

const FLOW: FlowNode[] = [
  { id: 'tab', type: 'tab', label: 'Tab' },
  { id: 'tested', type: 'test-node', z: 'tab', name: '', wires: [['good'], ['refused']] },
  { id: 'good', type: 'helper', z: 'tab', wires: [] },
  { id: 'refused', type: 'helper', z: 'tab', wires: [] },
  { id: 'catch', type: 'catch', z: 'tab', scope: null, uncaught: false, wires: [['caught']] },
  { id: 'caught', type: 'helper', z: 'tab', wires: [] },
  { id: 'complete', type: 'complete', z: 'tab', scope: ['tested'], wires: [['completed']] },
  { id: 'completed', type: 'helper', z: 'tab', wires: [] },
];

type Refused = NodeMessageInFlow & { statusCode: number; headers: Record<string, string>; error: { code: string } };

describe('requests to the call API', () => {
  let runtime: Runtime;
  let node: RuntimeNode;
  let good: NodeMessageInFlow[];
  let refused: Refused[];
  let caught: NodeMessageInFlow[];
  let completed: NodeMessageInFlow[];

  async function start(handling: Omit<RequestHandling, 'attempted'>): Promise<void> {
    const build = (built: RuntimeNode) => onRequest(built, { attempted: 'answer', ...handling });
    runtime = await startRuntime([(RED) => registerNode(RED, 'test-node', build)], FLOW);
    node = runtime.node('tested');
    [good, caught, completed] = [runtime.received('good'), runtime.received('caught'), runtime.received('completed')];
    refused = runtime.received('refused') as Refused[];
  }

  afterEach(() => runtime.stop());

  it('are answered by the first output, under the id that they came with', async () => {
    await start({ handle: async (message, requestId) => Object.assign(message, { payload: requestId }) });
    node.receive({ correlationId: 'request-1' } as never);
    node.receive({ req: { headers: { 'x-request-id': 'request-2' } } } as never);
    await until(() => completed.length === 2);
    assert.deepEqual(
      good.map(({ payload }) => payload),
      ['request-1', 'request-2'],
    );
  });

  it('that are refused leave by the second, which is an answer like any other', async () => {
    const told: string[] = [];
    const error = new ContactError('NOT_FOUND', { attempted: 'find it' });
    await start({ handle: () => Promise.reject(error), onRefused: ({ code }) => told.push(code) });
    node.receive({ correlationId: 'request-1' } as never);
    await until(() => completed.length === 1);
    const [message] = refused;
    assert.deepEqual([message?.statusCode, message?.error.code, told], [404, 'NOT_FOUND', ['NOT_FOUND']]);
    assert.equal(message?.headers['X-Request-ID'], 'request-1');
    assert.equal(caught.length, 0);
  });

  it('that a defect stands in the way of fail, and so does every refused one that settles a delivery', async () => {
    await start({ handle: () => Promise.reject(new TypeError('x is undefined')) });
    node.receive({});
    await until(() => caught.length === 1);
    assert.equal(refused[0]?.statusCode, 500);
    await runtime.stop();

    const outcomes: DeliveryOutcome[] = [];
    const source = new DeliverySource({ name: 'test', settle: (_token, outcome) => outcomes.push(outcome) });
    const error = new ContactError('INVALID_INPUT', { attempted: 'read it' });
    await start({ handle: () => Promise.reject(error), settle: true });
    node.receive({ delivery: source.open('token') } as never);
    await until(() => caught.length === 1);
    assert.deepEqual([refused[0]?.statusCode, outcomes[0]?.kind], [422, 'dead-letter']);
    source.close();
  });

  it('fail when their answer cannot be sent, and leave no rejection behind', async () => {
    const rejections: unknown[] = [];
    const listen = (reason: unknown) => rejections.push(reason);
    process.on('unhandledRejection', listen);
    const outcomes: DeliveryOutcome[] = [];
    const source = new DeliverySource({ name: 'test', settle: (_token, outcome) => outcomes.push(outcome) });
    await start({ handle: async (message) => message, settle: true });
    node.send = () => {
      throw new Error('no wire');
    };
    node.receive({ delivery: source.open('token') } as never);
    await until(() => caught.length === 1);
    process.off('unhandledRejection', listen);
    assert.deepEqual(rejections, []);
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ['dead-letter'],
    );
    source.close();
  });
});
