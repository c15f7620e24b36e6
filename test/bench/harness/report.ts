import type { Benchmark, Measurement, Target } from './benchmark';
import { compare, isReached, type Spread, spread } from './statistics';

const FIGURES: Record<Target['figure'], (item: string) => string> = {
  rate: (item) => `${item}s/s`,
  cpu: (item) => `CPU µs/${item}`,
  p50: () => 'p50 ms',
  p95: () => 'p95 ms',
  calls: (item) => `calls/${item}`,
  memory: () => 'RSS MB',
};

const DIGITS: Record<Target['figure'], number> = { rate: 0, cpu: 1, p50: 2, p95: 2, calls: 2, memory: 1 };

/** What every contender took, round by round. */
export type Rounds = ReadonlyMap<string, readonly Measurement[]>;

/** A target and what became of it. */
export interface Outcome {
  target: Target;
  found: Spread;
  /** By the median. */
  reached: boolean;
  /** For a ratio of rates also that of the CPU time, which other work on the machine disturbs less. */
  cpuRatio?: Spread;
}

/** Holds the rounds against the targets. One whose contenders did not run is left out. */
export function judge(targets: readonly Target[], rounds: Rounds): Outcome[] {
  return targets.flatMap((target): Outcome[] => {
    const measured = rounds.get(target.contender);
    const against = target.against === undefined ? undefined : rounds.get(target.against);
    if (!measured || (target.against !== undefined && !against)) return [];
    const found = compare(target.figure, measured, against);
    const reached = isReached(target, found.median);
    return [{ target, found, reached, ...(against ? { cpuRatio: compare('cpu', measured, against) } : {}) }];
  });
}

/** The report that a person reads. */
export function render({ title, item, items, rounds: count }: Benchmark, rounds: Rounds, outcomes: Outcome[]): string {
  const timed = [...rounds.values()].some((measured) => measured.some(({ latencyMs }) => latencyMs));
  const counted = [...rounds.values()].some((measured) => measured.some(({ calls }) => calls));
  const contenders = [...rounds].map(([name, measured]) => [
    name,
    text(compare('rate', measured), 0),
    text(compare('cpu', measured), 1),
    ...(timed ? [text(compare('p50', measured), 2), text(compare('p95', measured), 2)] : []),
    ...(counted ? [text(compare('calls', measured), 2)] : []),
    megabytes(measured.map(({ rssBytes }) => rssBytes)),
    megabytes(measured.map(({ heapBytes }) => heapBytes)),
  ]);
  const targets = outcomes.map(({ target, found, reached, cpuRatio }) => [
    `${target.contender}${target.against ? ` : ${target.against}` : ''}`,
    FIGURES[target.figure](item),
    text(found, target.against ? 2 : DIGITS[target.figure]),
    target.atLeast === undefined ? `<= ${target.atMost}` : `>= ${target.atLeast}`,
    reached ? 'reached' : 'MISSED',
    cpuRatio ? text(cpuRatio, 2) : '',
  ]);
  return [
    `${title}: ${items} ${item}s a round, median (lowest … highest) of ${count} rounds`,
    '',
    table(
      [
        '',
        `${item}s/s`,
        `CPU µs/${item}`,
        ...(timed ? ['p50 ms', 'p95 ms'] : []),
        ...(counted ? [FIGURES.calls(item)] : []),
        'RSS MB',
        'heap MB',
      ],
      contenders,
    ),
    '',
    table(['target', 'figure', 'found', 'wanted', '', 'CPU ratio'], targets),
    ...histograms(rounds),
  ].join('\n');
}

/** What part of the items took how long, all rounds together, for contenders that have counted it. */
function histograms(rounds: Rounds): string[] {
  const rows = [...rounds].flatMap(([name, measured]) => {
    const counted = measured.flatMap(({ latencyMs }) => latencyMs?.histogram ?? []);
    if (counted.length === 0) return [];
    const total = counted.reduce((sum, { items }) => sum + items, 0);
    const sums = new Map<number, number>();
    for (const { upToMs, items } of counted) sums.set(upToMs, (sums.get(upToMs) ?? 0) + items);
    return [{ name, shares: new Map([...sums].map(([upToMs, items]) => [upToMs, (100 * items) / total])) }];
  });
  if (rows.length === 0) return [];
  const limits = [...new Set(rows.flatMap(({ shares }) => [...shares.keys()]))].sort((one, other) => one - other);
  const head = [
    'took at most, ms',
    ...limits.map((limit) => (limit < Number.MAX_SAFE_INTEGER ? String(limit) : 'more')),
  ];
  const cells = rows.map(({ name, shares }) => [
    name,
    ...limits.map((limit) => `${(shares.get(limit) ?? 0).toFixed(1)} %`),
  ]);
  return ['', table(head, cells)];
}

function text({ median, min, max }: Spread, digits: number): string {
  if (Number.isNaN(median)) return '';
  const [middle, low, high] = [median, min, max].map((value) =>
    value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits }),
  );
  return `${middle} (${low} … ${high})`;
}

function megabytes(bytes: readonly number[]): string {
  return (spread(bytes).max / 1_000_000).toFixed(0);
}

/** Columns of equal width; the first is aligned to the left, the others to the right. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map((row) => row.map((cell, column) => (column ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!))))
    .map((cells) => cells.join('   ').trimEnd())
    .join('\n');
}
