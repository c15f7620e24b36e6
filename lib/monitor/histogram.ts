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
