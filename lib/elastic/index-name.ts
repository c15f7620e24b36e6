const PATTERN = /\{([^}]*)\}/g;

/**
 * Makes index names: `{yyyy.MM.dd}` and the like (`yyyy`, `MM`, `dd`, `HH` in any order with anything between) are
 * filled in from a time in UTC. The last name is remembered, since neighbouring documents are of the same day.
 */
export class IndexName {
  private readonly isFixed: boolean;
  private lastHour = Number.NaN;
  private lastName = '';

  constructor(private readonly pattern: string) {
    this.isFixed = !pattern.includes('{');
  }

  /** The name for a document of this time, in milliseconds since the epoch. */
  at(timeMs: number): string {
    if (this.isFixed) return this.pattern;
    const hour = Math.floor(timeMs / 3_600_000);
    if (hour !== this.lastHour) {
      const iso = new Date(timeMs).toISOString();
      this.lastHour = hour;
      this.lastName = this.pattern.replace(PATTERN, (_whole, format: string) =>
        format
          .replace('yyyy', iso.slice(0, 4))
          .replace('MM', iso.slice(5, 7))
          .replace('dd', iso.slice(8, 10))
          .replace('HH', iso.slice(11, 13)),
      );
    }
    return this.lastName;
  }
}
