/** When the calls of each organization arrived, refused ones included: what a rate limit is measured by. */
export class Traffic {
  private readonly arrivals = new Map<string, number[]>();

  /** Counts one call, now. */
  add(organizationId: string): void {
    const times = this.arrivals.get(organizationId);
    if (times) times.push(performance.now());
    else this.arrivals.set(organizationId, [performance.now()]);
  }

  /** Calls of an organization so far. */
  count(organizationId: string): number {
    return this.arrivals.get(organizationId)?.length ?? 0;
  }

  /** The most calls that arrived within any stretch of `windowMs`. */
  peak(organizationId: string, windowMs = 60_000): number {
    const times = this.arrivals.get(organizationId) ?? [];
    let most = 0;
    let first = 0;
    times.forEach((time, index) => {
      while ((times[first] as number) <= time - windowMs) first += 1;
      most = Math.max(most, index - first + 1);
    });
    return most;
  }

  /** Forgets what has arrived so far. */
  clear(): void {
    this.arrivals.clear();
  }
}
