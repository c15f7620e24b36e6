import assert from 'node:assert/strict';
import fc from 'fast-check';
import { readAnswer } from '../../../lib/ari/answers';
import { type EndingFacts, endingOf } from '../../../lib/ari/endings';
import { ClockShift, readEvent } from '../../../lib/ari/events';

const FACTS: EndingFacts = {
  answered: false,
  served: false,
  cause: undefined,
  techCause: undefined,
  requestCause: undefined,
  hangupRequested: false,
  elapsedMs: 500,
  timeoutMs: 30_000,
};

// As real Asterisks have told them: 22.10 with SIP codes, 16.28 without.
const RECORDED: [what: string, facts: Partial<EndingFacts>, ending: string][] = [
  ['busy, 22', { cause: 17, techCause: 486, requestCause: 17 }, 'busy busy'],
  ['busy, 16', { cause: 17, requestCause: 17 }, 'busy busy'],
  ['declined, 22', { cause: 21, techCause: 603, requestCause: 21 }, 'failed rejected'],
  ['forbidden, 22', { cause: 21, techCause: 403, requestCause: 21 }, 'failed rejected'],
  ['declined, 16', { cause: 21, requestCause: 21 }, 'failed rejected'],
  ['not found, 22', { cause: 1, techCause: 404, requestCause: 1 }, 'failed invalid_number'],
  ['not found, 16', { cause: 1, requestCause: 1 }, 'failed invalid_number'],
  ['unavailable, 22', { cause: 19, techCause: 480, requestCause: 19 }, 'no_answer no_answer'],
  ['our timeout, 22', { cause: 19, techCause: 480, elapsedMs: 30_010 }, 'no_answer no_answer'],
  ['our timeout, 16', { cause: 0, elapsedMs: 30_010 }, 'no_answer no_answer'],
  ['our timeout, 16, whose timer is a little early', { cause: 0, elapsedMs: 29_950 }, 'no_answer no_answer'],
  [
    'no SIP answer for 32 s, 22',
    { cause: 18, techCause: 408, requestCause: 18, elapsedMs: 32_000, timeoutMs: 60_000 },
    'failed unreachable',
  ],
  ['service unavailable, 22', { cause: 34, techCause: 503, requestCause: 34 }, 'failed congestion'],
  ['server error, 22', { cause: 38, techCause: 500, requestCause: 38 }, 'failed network_error'],
  ['not acceptable, 22', { cause: 58, techCause: 488, requestCause: 58 }, 'failed media_not_acceptable'],
  ['ended by us while it rang', { cause: 16, requestCause: 32, hangupRequested: true }, 'failed cancelled'],
  ['ended by another while it rang', { cause: 16, requestCause: 32 }, 'failed cancelled'],
  ['Asterisk stopped while it rang', { cause: 0, requestCause: 4 }, 'failed asterisk_stopped'],
  ['answered and over', { answered: true, served: true, cause: 16 }, 'completed'],
  ['answered, the callee hung up, 22', { answered: true, served: true, cause: 0 }, 'completed'],
  ['answered, the dialplan ended it with another cause', { answered: true, served: true, cause: 21 }, 'completed'],
  ['answered, and nobody was there for it', { answered: true, cause: 0 }, 'failed ivr_not_started'],
  [
    'answered, and ended by us before anything began',
    { answered: true, cause: 16, hangupRequested: true },
    'completed',
  ],
  ['a cause that nobody knows', { cause: 99 }, 'failed cause_99'],
  ['no cause at all', {}, 'failed cause_0'],
];

describe('the end of a call', () => {
  for (const [what, facts, ending] of RECORDED) {
    it(`${what}: ${ending}`, () => {
      const { to, reason } = endingOf({ ...FACTS, ...facts });
      assert.equal([to, reason].filter(Boolean).join(' '), ending);
    });
  }

  it('is completed exactly when it was answered and served, whatever the causes', () => {
    const number = fc.option(fc.integer({ min: 0, max: 700 }), { nil: undefined });
    const facts = fc.record({
      answered: fc.boolean(),
      served: fc.boolean(),
      cause: number,
      techCause: number,
      requestCause: number,
      hangupRequested: fc.boolean(),
      elapsedMs: fc.nat(100_000),
      timeoutMs: fc.nat(100_000),
    });
    fc.assert(
      fc.property(facts, (each) => {
        const { to, reason } = endingOf(each);
        if (each.answered && each.served) assert.deepEqual([to, reason], ['completed', undefined]);
        if (!each.answered) assert.notEqual(to, 'completed');
        if (to !== 'completed') assert.match(reason ?? '', /^[a-z0-9_]+$/);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('an answer of the REST interface', () => {
  it('that leads elsewhere says that the address is wrong, not what was asked', () => {
    const redirect = { status: 301, headers: { location: 'https://elsewhere/' }, text: '<html>Moved</html>' };
    assert.throws(() => readAnswer('make a call', redirect), { code: 'PROTOCOL', reason: 'ari_unavailable' });
  });
});

describe('an event', () => {
  it('is read with the form of time and cause that Asterisk has', () => {
    const channel = { id: 'x', name: 'PJSIP/trunk-1', state: 'Down', dialplan: { app_name: 'AppDial2' } };
    const event = readEvent(
      JSON.stringify({
        type: 'ChannelDestroyed',
        timestamp: '2026-11-21T01:59:45.680+0000',
        cause: 17,
        tech_cause: 486,
        channel,
      }),
    );
    assert.equal(event?.at, Date.UTC(2026, 10, 21, 1, 59, 45, 680));
    assert.deepEqual([event?.cause, event?.techCause, event?.channel?.id], [17, 486, 'x']);
    const dial = readEvent(JSON.stringify({ type: 'Dial', dialstatus: '', peer: channel, timestamp: 'never' }));
    assert.deepEqual([dial?.channel?.id, dial?.dialStatus, dial?.at], ['x', '', undefined]);
    const cut = readEvent(JSON.stringify({ type: 'StasisStart', channel: { ...channel, dialplan: null } }));
    assert.deepEqual([cut?.type, cut?.channel], ['StasisStart', undefined]);
  });

  it('is nothing when it is none, whatever arrives', () => {
    for (const text of ['', '{', 'null', '[]', '{}', '"x"', '{"type":1}']) assert.equal(readEvent(text), undefined);
    fc.assert(
      fc.property(fc.json(), (text) => {
        readEvent(text);
        readEvent(`{"type":"Dial","peer":${text},"playback":${text},"cause":${text}}`);
      }),
    );
  });

  it('has its own time when the clocks agree, and one moved onto our clock when they do not', () => {
    const agreeing = new ClockShift();
    assert.equal(agreeing.adjust(1_000_000, 1_000_005), 1_000_000);
    assert.equal(agreeing.adjust(1_000_100, 1_000_900), 1_000_100);
    const behind = new ClockShift();
    assert.equal(behind.adjust(1_000_000, 4_600_003), 4_600_003);
    assert.equal(behind.adjust(1_000_200, 4_600_900), 4_600_203);
    assert.equal(behind.adjust(undefined, 5), 5);
  });
});
