import type { Measurement, Target } from './benchmark';

/** Several figures of the same thing: the middle one, and how far they lie apart. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** Throws when there is nothing to summarise. */
export function spread(values: readonly number[]): Spread {
  if (values.length === 0) throw new Error('There is no median of nothing.');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] as number;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
  return { median, min: sorted[0] as number, max: sorted.at(-1) as number };
}

/** Items a second. */
export function rate({ items, seconds }: Measurement): number {
  return items / seconds;
}

/** CPU microseconds an item. */
export function cpuPerItem({ items, cpuMicroseconds }: Measurement): number {
  return cpuMicroseconds / items;
}

const FIGURES = {
  rate,
  cpu: cpuPerItem,
  p50: ({ latencyMs }: Measurement) => latencyMs?.p50 ?? Number.NaN,
  p95: ({ latencyMs }: Measurement) => latencyMs?.p95 ?? Number.NaN,
  calls: ({ calls, items }: Measurement) => (calls ?? Number.NaN) / items,
  memory: ({ rssBytes }: Measurement) => rssBytes / 1_000_000,
};

/** Whether a figure is a time or a size, so that two of them are subtracted and not divided. */
export function isDifference(figure: Target['figure']): boolean {
  return figure === 'p50' || figure === 'p95' || figure === 'memory';
}

/**
 * A figure over the rounds; with `against` the ratio (of latencies and memory the difference) of the two that ran in the same
 * round, so that whatever slowed the machine down for a while has slowed down both.
 */
export function compare(
  figure: keyof typeof FIGURES,
  measured: readonly Measurement[],
  against?: readonly Measurement[],
): Spread {
  const take = FIGURES[figure];
  if (!against) return spread(measured.map(take));
  if (against.length !== measured.length) throw new Error('The two have run in different numbers of rounds.');
  const both = measured.map((each, round) => [take(each), take(against[round] as Measurement)] as const);
  return spread(both.map(([one, other]) => (isDifference(figure) ? one - other : one / other)));
}

/** Whether a figure is what was wanted. */
export function isReached({ atLeast, atMost }: Target, figure: number): boolean {
  return (atLeast === undefined || figure >= atLeast) && (atMost === undefined || figure <= atMost);
}

/** The order of the contenders in a round: everyone is first in turn, and follows another one each time around. */
export function orderOf<Item>(contenders: readonly Item[], round: number): Item[] {
  const start = contenders.length === 0 ? 0 : round % contenders.length;
  const turned = [...contenders.slice(start), ...contenders.slice(0, start)];
  return Math.floor(round / Math.max(1, contenders.length)) % 2 === 0 ? turned : turned.reverse();
}
