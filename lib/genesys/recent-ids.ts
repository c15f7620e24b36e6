/** How much {@link RecentIds} remembers. */
export interface RecentIdsOptions {
  /** At most so many ids are remembered, and at least half as many. */
  limit: number;
  /** An id is remembered for at least so long, in milliseconds, even when that makes more of them than `limit`. */
  windowMs: number;
}

/**
 * Remembers the newest ids in bounded memory. They are kept in two halves, and the older half goes as a whole: taking
 * the oldest out of one large set one by one gets slow, since each look for the first passes all the gaps.
 */
export class RecentIds {
  private newer = new Set<string>();
  private older = new Set<string>();
  private newerSince = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: RecentIdsOptions) {}

  /** How many are remembered. */
  get size(): number {
    return this.newer.size + this.older.size;
  }

  has(id: string): boolean {
    return this.newer.has(id) || this.older.has(id);
  }

  /** Remembers an id; `false` when it was remembered already. */
  add(id: string, nowMs: number): boolean {
    if (this.has(id)) return false;
    if (this.newer.size >= this.options.limit / 2 && nowMs - this.newerSince >= this.options.windowMs) {
      this.older = this.newer;
      this.newer = new Set();
    }
    if (this.newer.size === 0) this.newerSince = nowMs;
    this.newer.add(id);
    return true;
  }

  /** Forgets an id. */
  delete(id: string): void {
    if (!this.newer.delete(id)) this.older.delete(id);
  }
}
