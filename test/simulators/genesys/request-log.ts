/** One request that arrived. `status` is 0 until it is answered, and stays 0 when it never is. */
export interface LoggedRequest {
  /** HTTP method, or `UPGRADE` for the opening of a socket. */
  method: string;
  /** Path without the query. */
  path: string;
  /** The query as sent, without the question mark. */
  query: string;
  status: number;
  /** Arrival, epoch ms. */
  at: number;
}

/** The last requests, and counters over all of them. */
export class RequestLog {
  /** Requests by `METHOD /route/{template}`; `unmatched` holds those to paths that do not exist. */
  counts: Record<string, number> = {};
  /** Answers by status. */
  statuses: Record<number, number> = {};
  private entries: LoggedRequest[] = [];

  constructor(private readonly limit: number) {}

  /** The last requests, oldest first. */
  get recent(): readonly LoggedRequest[] {
    return this.entries.slice(-this.limit);
  }

  /** Requests to the token endpoint. */
  get tokenRequests(): number {
    return this.counts['POST /oauth/token'] ?? 0;
  }

  /** Requests in all. */
  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  add(request: LoggedRequest, route: string): void {
    this.counts[route] = (this.counts[route] ?? 0) + 1;
    this.entries.push(request);
    if (this.entries.length >= 2 * this.limit) this.entries = this.entries.slice(-this.limit);
  }

  answered(request: LoggedRequest, status: number): void {
    request.status = status;
    this.statuses[status] = (this.statuses[status] ?? 0) + 1;
  }

  /** Forget everything. */
  clear(): void {
    this.counts = {};
    this.statuses = {};
    this.entries = [];
  }
}
