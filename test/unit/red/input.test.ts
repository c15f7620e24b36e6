import assert from 'node:assert/strict';
import FakeTimers from '@sinonjs/fake-timers';
import type { NodeMessageInFlow } from 'node-red';
import { ContactError } from '../../../lib/core/errors';
import { type Done, guard, onClose, onInput, onInputDeferred, type Send } from '../../../lib/red/input';
import type { RuntimeNode } from '../../../lib/red/node';
import { registerNode } from '../../../lib/red/register';
import { type FlowNode, type Runtime, startRuntime, until } from '../../nodes/helper';

const FLOW: FlowNode[] = [
  { id: 'tab', type: 'tab', label: 'Tab' },
  { id: 'tested', type: 'test-node', z: 'tab', name: '', wires: [['out']] },
  { id: 'out', type: 'helper', z: 'tab', wires: [] },
  { id: 'catch', type: 'catch', z: 'tab', scope: null, uncaught: false, wires: [['caught']] },
  { id: 'caught', type: 'helper', z: 'tab', wires: [] },
  { id: 'complete', type: 'complete', z: 'tab', scope: ['tested'], wires: [['completed']] },
  { id: 'completed', type: 'helper', z: 'tab', wires: [] },
];

type Caught = { error: { message: string; code?: string } };

describe('input', () => {
  let runtime: Runtime;
  let caught: NodeMessageInFlow[];
  let completed: NodeMessageInFlow[];
  const errorOf = (message: NodeMessageInFlow) => (message as unknown as Caught).error;

  /** Starts a flow whose node is set up by `build`. */
  async function start(build: (node: RuntimeNode) => void): Promise<RuntimeNode> {
    runtime = await startRuntime([(RED) => registerNode(RED, 'test-node', build)], FLOW);
    caught = runtime.received('caught');
    completed = runtime.received('completed');
    return runtime.node('tested');
  }

  afterEach(() => runtime.stop());

  describe('onInput', () => {
    it('completes a message when the handler resolves, not before', async () => {
      let release = () => {};
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      const node = await start((it) => onInput(it, () => gate));
      node.receive({ payload: 1 });
      node.receive({ payload: 2 });
      assert.equal(completed.length, 0);
      release();
      await until(() => completed.length === 2);
      assert.equal(caught.length, 0);
    });

    it('sends on behalf of the message', async () => {
      const node = await start((it) => onInput(it, async (message, send) => send({ ...message, payload: 'sent' })));
      const sent = runtime.received('out');
      node.receive({ payload: 'given', _msgid: 'm1' });
      await until(() => completed.length === 1);
      assert.deepEqual(
        sent.map(({ payload, _msgid }) => [payload, _msgid]),
        [['sent', 'm1']],
      );
    });

    it('takes the message and the code of what the handler rejects with to Catch nodes', async () => {
      const node = await start((it) =>
        onInput(it, async () => {
          throw new ContactError('REJECTED', { attempted: 'index the document', answer: 'no such field' });
        }),
      );
      node.receive({ payload: 'kept', topic: 'first' });
      const message = await until(() => caught[0]);
      assert.equal(message.payload, 'kept');
      assert.equal(errorOf(message).code, 'REJECTED');
      assert.match(errorOf(message).message, /Could not index the document: no such field\./);
      assert.equal(completed.length, 0);
    });

    for (const [what, thrown] of [
      ['nothing', undefined],
      ['an empty text', ''],
      ['a text', 'broken'],
      ['null', null],
      ['a foreign error', new TypeError('x is not a function')],
    ] as const) {
      it(`fails the message when the handler rejects with ${what}`, async () => {
        const node = await start((it) => onInput(it, () => Promise.reject(thrown)));
        node.receive({});
        assert.equal(errorOf(await until(() => caught[0])).code, 'INTERNAL');
        assert.equal(completed.length, 0);
      });
    }

    it('fails the message when the handler throws before it gives a promise', async () => {
      const node = await start((it) =>
        onInput(it, () => {
          throw new Error('at once');
        }),
      );
      node.receive({});
      assert.match(errorOf(await until(() => caught[0])).message, /at once/);
    });

    it('masks secrets in what a handler throws', async () => {
      const node = await start((it) => onInput(it, () => Promise.reject(new Error('Bearer abcdefghijklm'))));
      node.receive({});
      assert.doesNotMatch(JSON.stringify(await until(() => caught[0])), /abcdefghijklm/);
    });
  });

  describe('onInputDeferred', () => {
    it('completes a message with the first call of done and ignores the others', async () => {
      const kept: Done[] = [];
      const node = await start((it) => onInputDeferred(it, (_message, _send: Send, done) => kept.push(done)));
      node.receive({});
      await until(() => kept.length === 1);
      kept[0]!();
      kept[0]!();
      kept[0]!(new Error('too late'));
      await until(() => completed.length === 1);
      node.receive({});
      await until(() => kept.length === 2);
      kept[1]!();
      await until(() => completed.length === 2);
      assert.equal(caught.length, 0);
    });

    it('fails a message once when the handler calls done with an error and then throws', async () => {
      const node = await start((it) =>
        onInputDeferred(it, (_message, _send, done) => {
          done(new Error('first'));
          throw new Error('second');
        }),
      );
      node.receive({});
      node.receive({});
      await until(() => caught.length === 2);
      for (const message of caught) assert.match(errorOf(message).message, /first/);
    });

    it('fails a message when the handler throws', async () => {
      const node = await start((it) =>
        onInputDeferred(it, () => {
          throw new ContactError('BUFFER_FULL', { attempted: 'take the message' });
        }),
      );
      node.receive({});
      assert.equal(errorOf(await until(() => caught[0])).code, 'BUFFER_FULL');
    });
  });

  describe('onClose', () => {
    const logged = (node: RuntimeNode) =>
      (node as unknown as { error: { args: unknown[][] } }).error.args.map(([error]) => String(error));

    it('makes the runtime wait until the handler has finished', async () => {
      const steps: string[] = [];
      const node = await start((it) =>
        onClose(it, async () => {
          steps.push('begun');
          await new Promise((resolve) => setImmediate(resolve));
          steps.push('finished');
        }),
      );
      await node.close(false);
      assert.deepEqual(steps, ['begun', 'finished']);
    });

    it('tells a restart from a removal', async () => {
      const told: boolean[] = [];
      await start((it) => onClose(it, (removed) => told.push(removed)));
      await runtime.deploy(FLOW.map((entry) => (entry.id === 'tested' ? { ...entry, name: 'changed' } : entry)));
      await runtime.deploy(FLOW.filter(({ id }) => id !== 'tested'));
      assert.deepEqual(told, [false, true]);
    });

    for (const [way, handler] of [
      ['rejects', () => Promise.reject(new Error('could not flush'))],
      [
        'throws',
        () => {
          throw new Error('could not flush');
        },
      ],
    ] as const) {
      it(`logs a handler that ${way} and lets the runtime go on`, async () => {
        const node = await start((it) => onClose(it, handler));
        await node.close(true);
        assert.deepEqual(logged(node).length, 1);
        assert.match(logged(node)[0]!, /Could not close the node: could not flush/);
      });
    }

    it('gives up a handler that never finishes after 4.5 seconds, and says so', async () => {
      const node = await start((it) => onClose(it, () => new Promise(() => {})));
      const time = FakeTimers.install({ toFake: ['setTimeout', 'clearTimeout'] });
      try {
        let closed = false;
        const closing = node.close(true).then(() => {
          closed = true;
        });
        await time.tickAsync(4_499);
        assert.equal(closed, false);
        await time.tickAsync(1);
        await closing;
        assert.match(logged(node)[0]!, /not finished within 4\.5 seconds/);
        assert.equal(time.countTimers(), 0);
      } finally {
        time.uninstall();
        node.removeAllListeners('close');
      }
    });

    it('leaves no timer behind when the handler is quick', async () => {
      const node = await start((it) => onClose(it, async () => {}));
      const time = FakeTimers.install({ toFake: ['setTimeout', 'clearTimeout'] });
      try {
        await node.close(true);
        assert.equal(time.countTimers(), 0);
      } finally {
        time.uninstall();
      }
    });
  });

  describe('guard', () => {
    it('takes what a callback throws or rejects with to Catch nodes', async () => {
      const node = await start(() => {});
      guard(node, () => {
        throw new Error('from a timer');
      })();
      guard(node, async (word: string) => {
        throw new ContactError('UNREACHABLE', { attempted: word });
      })('renew the token');
      await until(() => caught.length === 2);
      assert.match(errorOf(caught[0]!).message, /from a timer/);
      assert.equal(errorOf(caught[1]!).code, 'UNREACHABLE');
    });
  });
});
