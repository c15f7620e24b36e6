import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Decision, decide, type Look, type Memory } from '../../../lib/cody/settling';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const RULES = { settleMs: 5 * MINUTE, intervalMs: 30_000, capMs: DAY, watchMs: 30 * DAY };
const NOW = 1_700_000_000_000;

const look = (silentMs: number, parts: Partial<Look> = {}): Look => ({
  hash: 'now',
  newestAt: NOW - silentMs,
  firstNewAt: NOW - silentMs,
  isEmpty: false,
  ...parts,
});

describe('settling', () => {
  const cases: [name: string, Look, Memory, Decision][] = [
    ['in talk', look(MINUTE), {}, { kind: 'wait', nextLookAt: NOW + 4 * MINUTE }],
    ['in talk, seen before', look(MINUTE), { seen: 'now' }, { kind: 'wait', nextLookAt: NOW + 4 * MINUTE }],
    ['silent for long enough, first look', look(5 * MINUTE), {}, { kind: 'wait', nextLookAt: NOW + 24_000 }],
    [
      'silent for long enough, changed',
      look(5 * MINUTE),
      { seen: 'before' },
      { kind: 'wait', nextLookAt: NOW + 24_000 },
    ],
    ['silent for long enough, unchanged', look(5 * MINUTE), { seen: 'now' }, { kind: 'emit', reason: 'settled' }],
    ['silent for so long that one look is enough', look(11 * MINUTE), {}, { kind: 'emit', reason: 'settled' }],
    [
      'never silent, for a day',
      look(MINUTE, { firstNewAt: NOW - DAY }),
      { seen: 'x' },
      { kind: 'emit', reason: 'cap' },
    ],
    ['soon a day old', look(1_000, { firstNewAt: NOW - DAY + MINUTE }), {}, { kind: 'wait', nextLookAt: NOW + MINUTE }],
    ['known, silent for an hour', look(HOUR), { committed: 'now' }, { kind: 'rest', nextLookAt: NOW + HOUR / 2 }],
    ['known, just settled', look(1_000), { committed: 'now' }, { kind: 'rest', nextLookAt: NOW + 30_000 }],
    ['known, silent for a month', look(30 * DAY), { committed: 'now' }, { kind: 'rest', nextLookAt: undefined }],
    ['refused for good', look(HOUR), { failed: 'now' }, { kind: 'rest', nextLookAt: NOW + HOUR / 2 }],
    [
      'grown after it was refused',
      look(6 * MINUTE),
      { failed: 'old', seen: 'now' },
      { kind: 'emit', reason: 'settled' },
    ],
    ['empty', look(MINUTE, { isEmpty: true }), {}, { kind: 'rest', nextLookAt: NOW + 30_000 }],
    ['empty for a month', look(31 * DAY, { isEmpty: true }), {}, { kind: 'rest', nextLookAt: undefined }],
  ];
  for (const [name, given, memory, expected] of cases) {
    it(`${name}: ${expected.kind}`, () => assert.deepEqual(decide(given, memory, RULES, NOW), expected));
  }

  it('never emits before the silence, except at the cap, and never the same content twice', () => {
    const silence = fc.integer({ min: 0, max: 40 * DAY });
    const hash = fc.constantFrom('now', 'before', undefined);
    fc.assert(
      fc.property(silence, fc.integer({ min: 0, max: 2 * DAY }), hash, hash, (silentMs, more, seen, committed) => {
        const memory: Memory = { ...(seen ? { seen } : {}), ...(committed ? { committed } : {}) };
        const decision = decide(look(silentMs, { firstNewAt: NOW - silentMs - more }), memory, RULES, NOW);
        if (decision.kind !== 'emit') {
          assert.ok((decision.nextLookAt ?? NOW) >= NOW);
          return;
        }
        assert.notEqual(committed, 'now');
        if (decision.reason === 'settled') assert.ok(silentMs >= RULES.settleMs);
        else assert.ok(silentMs + more >= RULES.capMs);
      }),
    );
  });

  it('looks at an unchanged conversation a few times in its first month, and then never again', () => {
    let now = NOW;
    let looks = 0;
    for (;;) {
      const decision = decide({ ...look(0), newestAt: NOW }, { committed: 'now' }, RULES, now);
      looks += 1;
      assert.equal(decision.kind, 'rest');
      if (decision.kind !== 'rest' || decision.nextLookAt === undefined) break;
      now = decision.nextLookAt;
    }
    assert.ok(looks < 35, `${looks} looks`);
  });
});
