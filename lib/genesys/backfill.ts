import { type BackoffOptions, backoffDelayMs } from '../core/backoff';
import { type Clock, delay } from '../core/clock';
import { type ContactError, toContactError } from '../core/errors';
import type { Logger } from '../core/log';
import type { ApiRequest, EventRecovery, MissedEvent } from './recovery';

/** Settings of a {@link Backfill}. */
export interface BackfillOptions {
  recovery: EventRecovery;
  request: ApiRequest;
  /** Takes a missed event; the next one follows when its promise resolves. */
  onMissed(missed: MissedEvent): Promise<void> | void;
  /** Something has changed that a status may show. */
  onChange(): void;
  /** An event shows up in the REST query at most so long after it was created. Default 60,000 ms. */
  settleMs?: number;
  /** Between attempts after a failure; default 5 s to 5 min. */
  backoff?: BackoffOptions;
  clock: Clock;
  logger: Logger;
}

interface Range {
  from: number;
  to: number;
}

/** What `/stats` shows of the REST query. */
export interface BackfillReport {
  /** Times that the query was asked, all pages counted as one. */
  passes: number;
  /** Records that were read. */
  records: number;
  /** Of these, the ones that had been missed. */
  missed: number;
  /** From when on something may still be missing, ISO 8601. */
  openSince: string | null;
  problem: string | null;
}

/** So many event definitions are named in a query; of more, all events are asked for and the others left out here. */
const MOST_NAMED_DEFINITIONS = 100;

/**
 * Reads over REST what the socket has missed. A range is asked for at once, and once more when also the events that
 * show up late must be there. Ranges that come in meanwhile are joined: to read a time twice does no harm.
 */
export class Backfill {
  private readonly options: Required<BackfillOptions>;
  private readonly stopping = new AbortController();
  private waking = new AbortController();
  private definitions: ReadonlySet<string> = new Set();
  private due: Range | undefined;
  private current: Range | undefined;
  private working = false;
  private failures = 0;
  private problemNow: ContactError | undefined;
  private readonly counters = { passes: 0, records: 0, missed: 0 };

  constructor(options: BackfillOptions) {
    this.options = { settleMs: 60_000, backoff: { baseMs: 5_000, maxMs: 300_000 }, ...options };
  }

  /** The event definitions whose events are wanted. */
  setDefinitions(ids: readonly string[]): void {
    this.definitions = new Set(ids);
  }

  /** Asks for what was created from one time to another, both in milliseconds since the epoch. */
  cover(from: number, to: number): void {
    if (this.definitions.size === 0 || this.stopping.signal.aborted) return;
    this.add({ from, to });
    this.waking.abort();
    this.begin();
  }

  /** From when on something may still be missing, in milliseconds since the epoch. */
  get openSince(): number | undefined {
    const times = [this.due?.from, this.current?.from].filter((time) => time !== undefined);
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  /** Whether a query is under way. */
  get busy(): boolean {
    return this.current !== undefined;
  }

  /** Why the query fails. */
  get problem(): ContactError | undefined {
    return this.problemNow;
  }

  /** For `/stats`. */
  report(): BackfillReport {
    const { openSince, counters, problemNow } = this;
    return {
      ...counters,
      openSince: openSince === undefined ? null : new Date(openSince).toISOString(),
      problem: problemNow?.message ?? null,
    };
  }

  /** Ends what is under way. */
  close(): void {
    this.stopping.abort();
    this.waking.abort();
  }

  private begin(): void {
    if (this.working || !this.due || this.stopping.signal.aborted) return;
    this.working = true;
    this.work().then(
      () => {
        this.working = false;
        this.begin();
      },
      (thrown: unknown) => {
        this.working = false;
        this.options.logger.error(toContactError(thrown, 'read missed events').message);
      },
    );
  }

  private add(range: Range): void {
    const { due } = this;
    this.due = due ? { from: Math.min(due.from, range.from), to: Math.max(due.to, range.to) } : range;
  }

  private async work(): Promise<void> {
    const { clock, settleMs, onChange } = this.options;
    while (this.due && !this.stopping.signal.aborted) {
      this.waking = new AbortController();
      this.current = this.due;
      this.due = undefined;
      onChange();
      const left = await this.pass(this.current);
      this.current = undefined;
      if (left) this.add(left);
      onChange();
      if (this.failures > 0) await this.pauseAfterFailure();
      else if (left) await delay(left.to + settleMs + 1 - clock.now(), { clock, signal: this.waking.signal });
    }
  }

  /** Asks once. What is left to be asked for later comes back. */
  private async pass(range: Range): Promise<Range | undefined> {
    const { recovery, request, onMissed, logger } = this.options;
    const { definitions } = this;
    try {
      const result = await recovery.fetchMissed({
        ...range,
        ...(definitions.size <= MOST_NAMED_DEFINITIONS ? { definitionIds: [...definitions] } : {}),
        request,
        onRecord: async (missed) => {
          if (!definitions.has(missed.event.code ?? '')) return;
          this.counters.missed += 1;
          await onMissed(missed);
        },
        signal: this.stopping.signal,
      });
      this.counters.passes += 1;
      this.counters.records += result.records;
      this.failures = 0;
      this.problemNow = undefined;
      return result.settledUntil < range.to ? { from: result.settledUntil, to: range.to } : undefined;
    } catch (thrown) {
      const error = toContactError(thrown, 'read missed events');
      if (this.stopping.signal.aborted) return range;
      this.failures += 1;
      logger.warn(error.message, { code: error.code });
      this.problemNow = error;
      return range;
    }
  }

  private async pauseAfterFailure(): Promise<void> {
    const { clock, backoff } = this.options;
    const pauseMs = Math.max(backoffDelayMs(this.failures, backoff), this.problemNow?.retryAfterMs ?? 0);
    await delay(pauseMs, { clock, signal: this.stopping.signal });
  }
}
