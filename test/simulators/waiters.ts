/** Those who wait for something to become true of a simulator, which says when it has changed. */
export class Waiters {
  private readonly waiting = new Set<() => void>();

  /** Something is different now. */
  changed(): void {
    for (const look of [...this.waiting]) look();
  }

  /** Resolves as soon as `condition` holds, which is looked at after each change. */
  until(condition: () => boolean, what = String(condition), withinMs = 10_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (!condition()) return;
        clearTimeout(timer);
        this.waiting.delete(look);
        resolve();
      };
      const timer = setTimeout(() => {
        this.waiting.delete(look);
        reject(new Error(`Not within ${withinMs} ms: ${what}`));
      }, withinMs);
      this.waiting.add(look);
      look();
    });
  }
}
