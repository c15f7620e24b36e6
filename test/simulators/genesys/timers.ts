/** Longest delay that a Node.js timer can hold; longer ones fire at once, so they are cut to this. */
const longestDelayMs = 2 ** 31 - 1;

/** Every timer of one simulator, so that closing it leaves none behind. Timers never keep the process alive. */
export class Timers {
  private readonly running = new Set<NodeJS.Timeout>();
  private readonly pausing = new Set<() => void>();
  private cleared = false;

  /** Run `work` once after `delayMs`; the returned function cancels it. */
  after(delayMs: number, work: () => void): () => void {
    const timer = setTimeout(
      () => {
        this.running.delete(timer);
        work();
      },
      Math.min(Math.max(delayMs, 0), longestDelayMs),
    );
    return this.track(timer);
  }

  /** Run `work` every `periodMs`; the returned function cancels it. */
  every(periodMs: number, work: () => void): () => void {
    return this.track(setInterval(work, Math.min(periodMs, longestDelayMs)));
  }

  /** Resolve after `delayMs`, or when the timers are cleared. */
  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.cleared) {
        resolve();
        return;
      }
      const done = () => {
        this.pausing.delete(done);
        resolve();
      };
      this.pausing.add(done);
      this.after(delayMs, done);
    });
  }

  /** Cancel everything for good: no timer starts any more. */
  clear(): void {
    this.cleared = true;
    for (const timer of this.running) clearTimeout(timer);
    this.running.clear();
    for (const done of this.pausing) done();
  }

  private track(timer: NodeJS.Timeout): () => void {
    if (this.cleared) clearTimeout(timer);
    timer.unref();
    this.running.add(timer);
    return () => {
      clearTimeout(timer);
      this.running.delete(timer);
    };
  }
}
