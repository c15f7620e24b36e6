const DATE = /\{([^}]*)\}/g;
/** A date and time without a zone: Elasticsearch takes it for UTC, `Date` for the time of this machine. */
const WITHOUT_ZONE = /^\d{4}-\d\d-\d\d[T ][\d:.]+$/;
/** Other years have more than four digits. */
const EARLIEST_MS = Date.parse('0000-01-01T00:00:00Z');
const LATEST_MS = Date.parse('9999-12-31T23:59:59Z');
const HOUR_MS = 3_600_000;

/** What a configured name must look like, so that Elasticsearch takes it once the dates are filled in. */
export const INDEX_PATTERN = /^(?![-_+])(?:[^A-Z\\/*?"<>|\s,#:{}]|\{(?:yyyy|MM|dd|HH|[^A-Za-z\\/*?"<>|\s,#:{}])+\})+$/;

/**
 * Makes index names: `{yyyy.MM.dd}` and the like (`yyyy`, `MM`, `dd`, `HH` in any order with anything between) are
 * filled in from a time in UTC. The last name is remembered, since neighbouring documents are of the same hour.
 */
export class IndexName {
  private readonly isFixed: boolean;
  private lastHour = Number.NaN;
  private lastName = '';

  constructor(private readonly pattern: string) {
    this.isFixed = !pattern.includes('{');
  }

  /** The name for a document with this `@timestamp`; without a usable one `nowMs` counts, in milliseconds since the epoch. */
  at(timestamp: unknown, nowMs: number): string {
    if (this.isFixed) return this.pattern;
    const timeMs = readTime(timestamp, nowMs);
    const hour = Math.floor(timeMs / HOUR_MS);
    if (hour !== this.lastHour) {
      const iso = new Date(timeMs).toISOString();
      this.lastHour = hour;
      this.lastName = this.pattern.replace(DATE, (_whole, format: string) =>
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

function readTime(timestamp: unknown, nowMs: number): number {
  const isUnzoned = typeof timestamp === 'string' && WITHOUT_ZONE.test(timestamp);
  const timeMs = new Date(isUnzoned ? `${timestamp}Z` : (timestamp as string)).getTime();
  const isUsable = timestamp !== undefined && timestamp !== null && timeMs >= EARLIEST_MS && timeMs <= LATEST_MS;
  return isUsable ? timeMs : nowMs;
}
