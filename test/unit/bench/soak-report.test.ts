import assert from 'node:assert/strict';
import fc from 'fast-check';
import { renderSoak, type Sample, type SoakResult, slope } from '../../bench/harness/soak-report';

describe('the report of a run of hours', () => {
  const sample = (minutes: number, changes: Partial<Sample> = {}): Sample => ({
    minutes,
    rssBytes: 150e6,
    mappedBytes: null,
    heapBytes: 50e6,
    externalBytes: 20e6,
    emitters: 600,
    emittersByClass: { Socket: 50, '': 10 },
    listeners: 500,
    eventTargets: 50,
    handles: 60,
    handlesByKind: { 'connection to port 5672': 4 },
    resources: 30,
    cpuMicroseconds: minutes * 6e6,
    loopDelayMs: { p50: 0.1, p99: 20, max: 100 },
    books: 7,
    unbalanced: [],
    sick: [],
    handed: {},
    arrived: {},
    ...changes,
  });
  const result = (samples: Sample[], changes: Partial<SoakResult> = {}): SoakResult => ({
    startedAt: '2026-01-01T00:00:00.000Z',
    endedAt: '2026-01-01T02:00:00.000Z',
    machine: 'A machine',
    rates: { calls: 1 },
    asterisk: '',
    samples,
    handed: { calls: 10 },
    arrived: { calls: 10 },
    failures: [],
    complaints: [],
    ...changes,
  });
  const cells = (text: string, name: string) =>
    text
      .split('\n')
      .find((line) => line.startsWith(`| ${name} `))
      ?.split('|')
      .map((cell) => cell.trim())
      .slice(2, -1);

  it('finds the slope of any line, whatever lies in between', () => {
    const number = fc.integer({ min: -1_000, max: 1_000 });
    fc.assert(
      fc.property(number, number, fc.uniqueArray(number, { minLength: 2 }), (start, growth, places) => {
        const found = slope(places.map((x) => [x, start + growth * x] as const));
        assert.ok(Math.abs(found - growth) < 1e-6, `${found} instead of ${growth}`);
      }),
    );
    assert.equal(
      Number(
        slope([
          [0, 0],
          [1, 3],
          [2, 0],
        ]).toFixed(9),
      ),
      0,
    );
  });

  it('counts what grew in the second half only, an hour', () => {
    const minutes = Array.from({ length: 121 }, (_, minute) => minute);
    const listeners = (minute: number) => (minute < 60 ? minute : 60 + (minute - 60) / 60);
    const text = renderSoak(result(minutes.map((minute) => sample(minute, { listeners: listeners(minute) }))));
    assert.deepEqual(cells(text, 'event listeners'), ['0', '60', '61', '0', '61', '+1.0']);
    assert.equal(cells(text, 'open files and sockets')?.at(-1), '+0.0');
    assert.match(text, /took 10\.0 % of one core/);
  });

  it('names the kinds of which there are more or fewer at the end of the second half than at its beginning', () => {
    const minutes = Array.from({ length: 121 }, (_, minute) => minute);
    const handles = (minute: number) => ({ 'connection to port 5672': minute > 100 ? 6 : 4, '/dev/null': 1 });
    const text = renderSoak(result(minutes.map((minute) => sample(minute, { handlesByKind: handles(minute) }))));
    assert.match(text, /Open files and sockets by kind.*:\n\n- connection to port 5672: 4\.0, then 6\.0\n\n/);
    assert.match(text, /Event emitters by kind: as many in the last ten looks as in the first ten/);
  });

  it('names each look at books that did not balance, what was missing and what was logged', () => {
    const samples = [sample(0), sample(1, { unbalanced: ['es-bulk-out n1: {}'], sick: ['a is unhealthy: b'] })];
    const text = renderSoak(
      result(samples, { arrived: { calls: 8 }, failures: ['calls that are open'], complaints: ['[warn] slow'] }),
    );
    assert.match(text, /one did not balance: 1\./);
    assert.match(text, /- minute 1: es-bulk-out n1: \{\}\n- minute 1: a is unhealthy: b/);
    assert.deepEqual(cells(text, 'calls'), ['10', '8', '2']);
    assert.match(text, /- calls that are open/);
    assert.match(text, /- `\[warn\] slow`/);
    assert.match(renderSoak(result(samples)), /exactly once\.[\s\S]*No warning and no error\./);
  });
});
