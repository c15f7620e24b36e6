/** One request, noted when its answer was sent or when it was given up. */
export interface RequestLogEntry {
  method: string;
  path: string;
  /** Without the question mark; empty when there is none. */
  querystring: string;
  /** The status of the answer; 0 when there was none (reset, hang, gone client). */
  status: number;
  /** Length of the body as it came over the wire. */
  bytes: number;
  /** Operations of a bulk request; 0 for all else. */
  items: number;
  /** Milliseconds since the epoch at which the request arrived. */
  at: number;
  /** What went wrong on command, or `undefined`. */
  fault?: string;
}

/** Counts requests and remembers the last ones. */
export class RequestLog {
  /** Answered or given up, control requests aside. */
  total = 0;
  bulk = 0;
  /** Operations in bulk requests. */
  items = 0;
  bytes = 0;
  readonly byStatus: Record<number, number> = {};
  /** Bulk requests under way now, and the most there ever were at a time. */
  bulkInFlight = 0;
  bulkInFlightPeak = 0;
  /** The last requests, oldest first. */
  readonly log: RequestLogEntry[] = [];
  readonly #listeners = new Set<(entry: RequestLogEntry) => void>();

  constructor(readonly limit = 1_000) {}

  /** Calls `listener` for each request from now on; the function given back ends that. */
  onRequest(listener: (entry: RequestLogEntry) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Starts counting anew. */
  reset(): void {
    this.total = 0;
    this.bulk = 0;
    this.items = 0;
    this.bytes = 0;
    this.bulkInFlightPeak = this.bulkInFlight;
    this.log.length = 0;
    for (const status of Object.keys(this.byStatus)) delete this.byStatus[Number(status)];
  }

  bulkStarted(): void {
    this.bulkInFlight++;
    this.bulkInFlightPeak = Math.max(this.bulkInFlightPeak, this.bulkInFlight);
  }

  note(entry: RequestLogEntry, bulk: boolean): void {
    this.total++;
    if (bulk) {
      this.bulk++;
      this.bulkInFlight--;
    }
    this.items += entry.items;
    this.bytes += entry.bytes;
    this.byStatus[entry.status] = (this.byStatus[entry.status] ?? 0) + 1;
    if (this.log.length >= this.limit) this.log.splice(0, Math.ceil(this.limit / 10));
    this.log.push(entry);
    for (const listener of this.#listeners) listener(entry);
  }
}
