import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Measurement } from '../../bench/harness/benchmark';
import { EVENT_BYTES, eventId, makeEvent } from '../../bench/harness/events';
import { type CpuProfile, hotSpots } from '../../bench/harness/hot-spots';
import { judge, render } from '../../bench/harness/report';
import { compare, cpuPerItem, orderOf, rate, spread } from '../../bench/harness/statistics';

const run = (items: number, seconds: number, cpuMicroseconds = 0): Measurement => ({
  items,
  seconds,
  cpuMicroseconds,
  rssBytes: 200e6,
  heapBytes: 100e6,
});

describe('the arithmetic of the benchmarks', () => {
  it('takes the middle figure, or the mean of the two in the middle', () => {
    assert.deepEqual(spread([9, 1, 5]), { median: 5, min: 1, max: 9 });
    assert.deepEqual(spread([4, 1, 10, 2]), { median: 3, min: 1, max: 10 });
    assert.throws(() => spread([]));
  });

  it('has as many figures below the median as above it, whatever the order', () => {
    const figures = fc.array(fc.double({ min: 0, max: 1e9, noNaN: true }), { minLength: 1 });
    fc.assert(
      fc.property(figures, (values) => {
        const { median, min, max } = spread(values);
        const below = values.filter((value) => value < median).length;
        const above = values.filter((value) => value > median).length;
        assert.ok(Math.max(below, above) <= values.length / 2);
        assert.ok(min <= median && median <= max);
      }),
    );
  });

  it('counts items a second and CPU microseconds an item', () => {
    assert.equal(rate(run(3_000, 1.5)), 2_000);
    assert.equal(cpuPerItem(run(3_000, 1.5, 60_000)), 20);
  });

  it('takes ratios round by round, so that a machine that is slow for a while changes none', () => {
    const ours = [run(100, 1), run(100, 4), run(100, 2)];
    const theirs = [run(100, 2), run(100, 8), run(100, 4)];
    assert.deepEqual(compare('rate', ours, theirs), { median: 2, min: 2, max: 2 });
    assert.throws(() => compare('rate', ours, theirs.slice(1)));
  });

  it('compares contenders that were given different numbers of items', () => {
    assert.equal(compare('rate', [run(1_000, 1)], [run(10, 0.1)]).median, 10);
    assert.equal(compare('cpu', [run(1_000, 1, 5_000)], [run(10, 1, 500)]).median, 0.1);
  });

  it('lets everyone run once a round, and be the first in turn', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 6 }), fc.nat(50), (names, start) => {
        const rounds = names.map((_, round) => orderOf(names, start * names.length + round));
        for (const order of rounds) assert.deepEqual([...order].sort(), [...names].sort());
        assert.equal(new Set(rounds.map(([first]) => first)).size, names.length);
      }),
    );
  });

  it('judges targets by the median and leaves out those whose contenders did not run', () => {
    const rounds = new Map([
      ['a', [run(100, 1, 900), run(100, 1, 900), run(100, 5, 900)]],
      ['b', [run(100, 1, 300), run(100, 1, 300), run(100, 1, 300)]],
    ]);
    const outcomes = judge(
      [
        { contender: 'a', against: 'b', figure: 'rate', atLeast: 0.9 },
        { contender: 'a', figure: 'cpu', atMost: 8 },
        { contender: 'a', against: 'missing', figure: 'rate', atLeast: 1 },
      ],
      rounds,
    );
    assert.deepEqual(
      outcomes.map(({ reached, found, cpuRatio }) => [reached, found.median, cpuRatio?.median]),
      [
        [true, 1, 3],
        [false, 9, undefined],
      ],
    );
    const text = render(
      { title: 'Title', item: 'event', items: 100, rounds: 3, targets: [], prepare: async () => [] },
      rounds,
      outcomes,
    );
    assert.match(text, /^a +100 \(20 … 100\) +9\.0 \(9\.0 … 9\.0\) +200 +100$/m);
    assert.match(text, /^a : b +events\/s +1\.00 \(0\.20 … 1\.00\) +>= 0\.9 +reached +3\.00/m);
    assert.match(text, /^a +CPU µs\/event +9\.0 \(9\.0 … 9\.0\) +<= 8 +MISSED$/m);
  });

  it('shows what part of the items took how long, over all rounds', () => {
    const timed = (...items: number[]): Measurement => ({
      ...run(100, 1),
      latencyMs: {
        p50: 7,
        p95: 40,
        histogram: items.map((count, index) => ({ upToMs: [10, 50, Number.POSITIVE_INFINITY][index]!, items: count })),
      },
    });
    const rounds = new Map([
      ['a', [timed(90, 10, 0), timed(60, 30, 10)]],
      ['b', [run(100, 1)]],
    ]);
    const benchmark = { title: 'Title', item: 'event', items: 100, rounds: 2, targets: [], prepare: async () => [] };
    const text = render(benchmark, rounds, []);
    assert.match(text, /^took at most, ms +10 +50 +more$/m);
    assert.match(text, /^a +75\.0 % +20\.0 % +5\.0 %$/m);
    assert.equal(text.match(/^b /gm)?.length, 1);
  });

  it('counts the calls of an item where calls were counted', () => {
    const counted = (calls: number): Measurement => ({ ...run(100, 1), calls });
    const rounds = new Map([['a', [counted(200), counted(250), counted(200)]]]);
    const targets = [{ contender: 'a', figure: 'calls' as const, atMost: 2 }];
    const outcomes = judge(targets, rounds);
    assert.deepEqual(
      outcomes.map(({ reached, found }) => [reached, found.max]),
      [[true, 2.5]],
    );
    const benchmark = { title: 'Title', item: 'event', items: 100, rounds: 3, targets, prepare: async () => [] };
    const text = render(benchmark, rounds, outcomes);
    assert.match(text, /^a +calls\/event +2\.00 \(2\.00 … 2\.50\) +<= 2 +reached/m);
    assert.match(text, /calls\/event +RSS MB/);
  });

  it('adds up the time of a function over all places it was called from, idle time left out', () => {
    const frame = (functionName: string, url: string) => ({ functionName, url, lineNumber: 9 });
    const profile: CpuProfile = {
      nodes: [
        { id: 1, callFrame: frame('(idle)', '') },
        { id: 2, callFrame: frame('send', 'file:///pack/lib/out.js') },
        { id: 3, callFrame: frame('send', 'file:///pack/lib/out.js') },
        { id: 4, callFrame: frame('', '') },
      ],
      samples: [1, 2, 3, 4, 1],
      timeDeltas: [500, 30, 30, 40, 500],
    };
    assert.deepEqual(hotSpots(profile, 2), [
      { name: 'send lib/out.js:10', share: 0.6 },
      { name: '(native)', share: 0.4 },
    ]);
  });

  it('makes documents that all have the same size and their own ids', () => {
    fc.assert(
      fc.property(fc.nat(99_999_999), (number) => {
        assert.equal(Buffer.byteLength(JSON.stringify(makeEvent(number))), EVENT_BYTES);
        assert.equal(makeEvent(number).id, eventId(number));
      }),
    );
  });
});
