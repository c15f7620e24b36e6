import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CALL_STATUSES, type Call, newCall } from '../../../lib/calls/call';
import { advance, type CallChange, EDGES, isFinal } from '../../../lib/calls/state-machine';

const START = 1_000_000;
const CALL = newCall({ callId: 'id', phoneNumber: '+15550001', timeoutMs: 30_000, createdAt: START, app: 'app' });

/** Any change at any time, also before the call began: clocks differ, and events overtake each other. */
const change: fc.Arbitrary<CallChange> = fc.record(
  {
    at: fc.integer({ min: START - 1_000, max: START + 100_000 }),
    to: fc.constantFrom(...CALL_STATUSES),
    reason: fc.constantFrom('busy', 'rejected', 'cause_99'),
    channel: fc.constantFrom('PJSIP/trunk-1', 'PJSIP/trunk-2'),
    hangupRequested: fc.boolean(),
  },
  { requiredKeys: ['at'] },
);

/** The states that a call goes through under some changes, and the call at the end. */
function run(changes: readonly CallChange[]): { call: Call; states: string[] } {
  let call = CALL;
  const states = [String(call.status)];
  for (const each of changes) {
    const next = advance(call, each);
    if (!next) continue;
    assert.equal(next.call.version, call.version + 1);
    for (const { from, to } of next.steps) {
      assert.equal(from, states.at(-1));
      states.push(to);
    }
    call = next.call;
    assert.equal(call.status, states.at(-1));
  }
  return { call, states };
}

describe('the state machine of a call', () => {
  it('goes only along its edges, never backwards and never out of a final state, whatever happens in whatever order', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const { states } = run(changes);
        for (const [index, to] of states.entries()) {
          if (index > 0) assert.ok(EDGES[states[index - 1] as Call['status']].includes(to as Call['status']));
        }
        assert.equal(new Set(states).size, states.length);
      }),
      { numRuns: 5_000 },
    );
  });

  it('has timestamps in order, for exactly the states that the call went through', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const { call, states } = run(changes);
        assert.equal(call.dialedAt !== null, states.includes('dialing'));
        assert.equal(call.answeredAt !== null, states.includes('answered'));
        assert.equal(call.endedAt !== null, isFinal(call.status));
        const times = [call.createdAt, call.dialedAt, call.answeredAt, call.endedAt].filter((time) => time !== null);
        assert.deepEqual(
          times,
          times.toSorted((one, other) => one - other),
        );
      }),
      { numRuns: 5_000 },
    );
  });

  it('ends at every change that says the end, as completed exactly when the call was answered or is said to have been', () => {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 10 }),
        fc.constantFrom(...CALL_STATUSES.filter(isFinal)),
        (changes, to) => {
          const before = run(changes).call;
          const { call } = run([...changes, { to, at: START + 200_000 }]);
          assert.ok(isFinal(call.status));
          if (isFinal(before.status)) assert.deepEqual(call, before);
          else if (before.status === 'answered') assert.equal(call.status, to === 'failed' ? 'failed' : 'completed');
          else assert.equal(call.status, to);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('is not changed by a change that was taken before', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 10 }), (changes) => {
        const { call } = run(changes);
        for (const each of changes) {
          const again = advance(call, { ...each, at: START });
          // A change to a later state that was out of reach when it first came may be in reach now; no other.
          if (again) assert.ok(again.steps.length > 0 || each.hangupRequested);
          else assert.equal(again, undefined);
        }
        const twice = changes.flatMap((each) => [each, each]);
        assert.deepEqual(run(twice).call, call);
      }),
      { numRuns: 2_000 },
    );
  });

  it('fills in the steps that nobody has told of', () => {
    assert.deepEqual(run([{ to: 'busy', at: START }]).states, ['pending', 'dialing', 'busy']);
    assert.deepEqual(run([{ to: 'completed', at: START }]).states, ['pending', 'dialing', 'answered', 'completed']);
    assert.deepEqual(run([{ to: 'failed', at: START }]).states, ['pending', 'failed']);
  });

  it('keeps the reason of the end, the first name of the channel and the first request for the end', () => {
    const { call } = run([
      { at: START + 1, channel: 'PJSIP/trunk-1', to: 'dialing' },
      { at: START + 2, channel: 'PJSIP/trunk-2', hangupRequested: true },
      { at: START + 3, hangupRequested: true },
      { at: START + 4, to: 'failed', reason: 'cancelled' },
      { at: START + 5, to: 'failed', reason: 'other' },
    ]);
    assert.equal(call.channel, 'PJSIP/trunk-1');
    assert.equal(call.hangupRequestedAt, START + 2);
    assert.equal(call.failureReason, 'cancelled');
    assert.equal(call.endedAt, START + 4);
  });
});
