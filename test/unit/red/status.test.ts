import assert from 'node:assert/strict';
import FakeTimers from '@sinonjs/fake-timers';
import fc from 'fast-check';
import type { Clock } from '../../../lib/core/clock';
import { ContactError } from '../../../lib/core/errors';
import { registerSecret } from '../../../lib/core/redaction';
import { monitored, type StateChange } from '../../../lib/monitor/registry';
import { healthOf, type NodeState } from '../../../lib/monitor/states';
import type { RuntimeNode } from '../../../lib/red/node';
import { registerNode } from '../../../lib/red/register';
import { Status, type StatusSources } from '../../../lib/red/status';
import { type Runtime, startRuntime } from '../../nodes/helper';

const STATES: NodeState[] = [
  'idle',
  'not-configured',
  'connecting',
  'connected',
  'working',
  'degraded',
  'breaker-open',
  'refused',
  'stalled',
  'disconnected',
  'failed',
  'paused',
];

interface Shown {
  at: number;
  fill: string;
  shape: string;
  text: string;
  state: NodeState;
  reason?: string;
}

describe('status', () => {
  let runtime: Runtime;
  let node: RuntimeNode;
  let time: ReturnType<typeof FakeTimers.createClock>;
  let clock: Clock;
  let shown: Shown[];
  let changes: StateChange[];

  before(async () => {
    const flow = [
      { id: 'tab', type: 'tab', label: 'Tab' },
      { id: 'tested', type: 'test-node', z: 'tab', name: 'mine', wires: [] },
    ];
    runtime = await startRuntime([(RED) => registerNode(RED, 'test-node', () => {})], flow);
    node = runtime.node('tested');
  });
  after(() => runtime.stop());

  function listen(): void {
    time = FakeTimers.createClock(1_000_000);
    clock = {
      now: () => time.now,
      setTimeout: (callback, delayMs) => time.setTimeout(callback, delayMs) as never,
      clearTimeout: (timer) => time.clearTimeout(timer as never),
    };
    shown = [];
    changes = [];
    node.status = (status) => shown.push({ at: time.now, ...(status as unknown as Omit<Shown, 'at'>) });
  }
  beforeEach(listen);
  afterEach(() => node.removeAllListeners('close'));

  function withStatus(run: (status: Status) => void, sources: StatusSources = {}): void {
    const status = new Status(runtime.RED, node, sources, clock);
    const forget = monitored.onChange((change) => changes.push(change));
    try {
      run(status);
    } finally {
      forget();
      status.close();
    }
  }

  it('shows the first status at once, with state and reason for the flows', () => {
    withStatus((status) => {
      status.set('refused', { reason: 'the secret is wrong' });
      assert.deepEqual(shown, [
        {
          at: 1_000_000,
          fill: 'red',
          shape: 'dot',
          text: 'refused',
          state: 'refused',
          reason: 'the secret is wrong',
        },
      ]);
    });
  });

  it('follows the colours that users know from the core nodes', () => {
    const looks = Object.fromEntries(
      STATES.map((state) => {
        listen();
        withStatus((status) => status.set(state));
        return [state, `${shown[0]!.fill} ${shown[0]!.shape}`];
      }),
    );
    assert.deepEqual(looks, {
      idle: 'green dot',
      'not-configured': 'red ring',
      connecting: 'yellow ring',
      connected: 'green dot',
      working: 'blue dot',
      degraded: 'yellow dot',
      'breaker-open': 'red dot',
      refused: 'red dot',
      stalled: 'red dot',
      disconnected: 'red ring',
      failed: 'red ring',
      paused: 'grey ring',
    });
  });

  it('shows the newest of many after a second, and only that', () => {
    withStatus((status) => {
      status.set('connected');
      for (let count = 1; count <= 500; count++) status.set('working', { text: `sending-${count}` });
      assert.equal(shown.length, 1);
      time.tick(999);
      assert.equal(shown.length, 1);
      time.tick(1);
      assert.deepEqual(
        shown.map(({ text }) => text),
        ['connected', 'sending-500'],
      );
    });
  });

  it('does not repeat itself', () => {
    withStatus((status) => {
      for (let second = 0; second < 10; second++) {
        status.set('connected');
        time.tick(1_000);
      }
      assert.equal(shown.length, 1);
    });
  });

  it('keeps its promises over any sequence of states', () => {
    const step = fc.record({ state: fc.constantFrom(...STATES), waitMs: fc.nat(2_500), reason: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
        listen();
        withStatus((status) => {
          for (const { state, waitMs, reason } of steps) {
            status.set(state, reason ? { reason: 'because' } : {});
            time.tick(waitMs);
          }
          time.tick(1_000);
          const last = steps.at(-1)!;
          assert.equal(time.countTimers(), 0);
          assert.equal(shown.at(-1)!.state, last.state);
          assert.equal(shown.at(-1)!.reason, last.reason ? 'because' : undefined);
          assert.equal(status.report().state, last.state);
          for (let index = 1; index < shown.length; index++) {
            assert.ok(shown[index]!.at - shown[index - 1]!.at >= 1_000, 'at most one a second');
            assert.notDeepEqual({ ...shown[index], at: 0 }, { ...shown[index - 1], at: 0 }, 'no repetition');
          }
          const told: NodeState[] = ['idle', ...changes.map(({ state }) => state)];
          assert.deepEqual(
            changes.map(({ previous }) => previous),
            told.slice(0, -1),
            'each change begins where the one before ended',
          );
          assert.equal(told.at(-1), last.state);
          assert.ok(changes.every(({ state, previous }) => state !== previous));
          const turns = (states: NodeState[]) =>
            states.map(healthOf).filter((health, index, all) => health !== all[index - 1]);
          assert.deepEqual(
            turns(told),
            turns(['idle', ...steps.map(({ state }) => state)]),
            'no change of health is missed',
          );
        });
      }),
      { numRuns: 200 },
    );
  });

  it('remembers since when it is in a state, whatever is said about it meanwhile', () => {
    withStatus((status) => {
      assert.equal(status.report().since, 1_000_000);
      time.tick(5_000);
      status.set('degraded', { reason: 'first' });
      time.tick(5_000);
      status.set('degraded', { reason: 'second' });
      assert.deepEqual(status.report(), { state: 'degraded', since: 1_005_000, reason: 'second' });
    });
  });

  it('asks for books, facts, numbers and groups only when someone wants a report', () => {
    let asked = 0;
    const books = { received: 1, delivered: 1, duplicate: 0, rejected: 0, dropped: 0, queued: 0, inFlight: 0 };
    const sources = {
      books: () => {
        asked += 1;
        return books;
      },
      details: () => ({ breaker: 'closed', apiKey: 'open-sesame' }),
      metrics: () => [],
      groups: () => ({ tokens: { refreshed: 1 } }),
    };
    withStatus((status) => {
      status.set('connected');
      assert.equal(asked, 0);
      const report = status.report();
      assert.deepEqual(report.books, books);
      assert.deepEqual(report.details, { breaker: 'closed', apiKey: '***' });
      assert.deepEqual(report.groups, { tokens: { refreshed: 1 } });
    }, sources);
  });

  it('still reports its state when one of its sources throws', () => {
    const details = () => {
      throw new Error('not open');
    };
    withStatus(
      (status) => {
        status.set('failed');
        assert.deepEqual(status.report(), {
          state: 'failed',
          since: 1_000_000,
          details: { reportFailed: 'not open' },
        });
      },
      { details },
    );
  });

  it('tells an incomplete configuration from anything else that keeps a node from starting', () => {
    withStatus((status) => {
      const incomplete = new ContactError('CONFIGURATION', { attempted: 'use the configuration', answer: 'no key' });
      assert.equal(status.cannotStart(incomplete), incomplete);
      assert.deepEqual([status.report().state, status.report().reason], ['not-configured', incomplete.message]);
      assert.equal(status.cannotStart(new Error('no luck')).code, 'INTERNAL');
      assert.equal(status.report().state, 'failed');
      assert.match(status.report().reason!, /Could not start the node: no luck/);
    });
  });

  it('masks secrets in reasons everywhere', () => {
    registerSecret('status-secret');
    withStatus((status) => {
      status.set('refused', { reason: 'status-secret was refused' });
      assert.doesNotMatch(JSON.stringify([shown, status.report(), changes]), /status-secret/);
      assert.match(shown[0]!.reason!, /\*\*\* was refused/);
    });
  });

  it('ends with its node: nothing shown, nothing watched, no timer', async () => {
    const status = new Status(runtime.RED, node, {}, clock);
    assert.ok(monitored.all().some(({ id }) => id === 'tested'));
    status.set('connected');
    status.set('working');
    assert.equal(time.countTimers(), 1);
    await node.close(false);
    assert.equal(time.countTimers(), 0);
    status.set('failed');
    assert.deepEqual(
      shown.map(({ state }) => state),
      ['connected'],
    );
    assert.ok(!monitored.all().some(({ id }) => id === 'tested'));
  });
});
