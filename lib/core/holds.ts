/** Events of one second share a hold: so fine a checkpoint need not be. */
const GRAIN_MS = 1_000;

/**
 * The times up to which a source must not forget, because something from then is not settled. Taking and giving back
 * a hold costs the same however many there are.
 */
export class Holds {
  private readonly counts = new Map<number, number>();

  /** Holds a time, in milliseconds since the epoch. Give back the same time later. */
  take(timeMs: number): void {
    const grain = Math.floor(timeMs / GRAIN_MS);
    this.counts.set(grain, (this.counts.get(grain) ?? 0) + 1);
  }

  /** Gives back a hold that was taken with the same time. */
  giveBack(timeMs: number): void {
    const grain = Math.floor(timeMs / GRAIN_MS);
    const left = (this.counts.get(grain) ?? 0) - 1;
    if (left > 0) this.counts.set(grain, left);
    else this.counts.delete(grain);
  }

  /** The earliest time that is held, at most a second too early; `undefined` when none is. */
  get oldest(): number | undefined {
    let oldest: number | undefined;
    for (const grain of this.counts.keys()) {
      if (oldest === undefined || grain < oldest) oldest = grain;
    }
    return oldest === undefined ? undefined : oldest * GRAIN_MS;
  }
}
