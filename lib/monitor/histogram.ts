/** How often a value was at most so much, as Prometheus counts it. */
export interface HistogramSnapshot {
  /** Each bound with the number of values that were not above it. */
  buckets: (readonly [bound: number, count: number])[];
  sum: number;
  count: number;
}

/** Counts values by their size. */
export class Histogram {
  private readonly counts: number[];
  private sum = 0;
  private count = 0;

  /** `bounds` in ascending order, in base units. */
  constructor(private readonly bounds: readonly number[]) {
    this.counts = bounds.map(() => 0);
  }

  /** Counts a value. */
  observe(value: number): void {
    this.sum += value;
    this.count += 1;
    for (const [index, bound] of this.bounds.entries()) {
      if (value <= bound) this.counts[index] = (this.counts[index] ?? 0) + 1;
    }
  }

  /** What was counted so far. */
  snapshot(): HistogramSnapshot {
    const buckets = this.bounds.map((bound, index) => [bound, this.counts[index] ?? 0] as const);
    return { buckets, sum: this.sum, count: this.count };
  }
}

/** What was counted between two snapshots of the same histogram; all of it without an earlier one. */
export function since(earlier: HistogramSnapshot | undefined, later: HistogramSnapshot): HistogramSnapshot {
  // A node that was started anew counts from the beginning.
  if (!earlier || earlier.count > later.count) return later;
  return {
    buckets: later.buckets.map(([bound, count], index) => [bound, count - (earlier.buckets[index]?.[1] ?? 0)] as const),
    sum: later.sum - earlier.sum,
    count: later.count - earlier.count,
  };
}

/**
 * The value that so large a share of all values is not above, interpolated within its bucket as Prometheus does it;
 * the highest bound for values that are above it, `undefined` without any value.
 */
export function quantile({ buckets, count }: HistogramSnapshot, share: number): number | undefined {
  if (count === 0) return undefined;
  const rank = share * count;
  let [lower, below] = [0, 0];
  for (const [bound, upTo] of buckets) {
    if (upTo >= rank) return lower + ((bound - lower) * (rank - below)) / Math.max(1, upTo - below);
    [lower, below] = [bound, upTo];
  }
  return lower;
}
