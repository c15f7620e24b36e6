import { setMaxListeners } from 'node:events';
import { type BackoffOptions, backoffDelayMs } from './backoff';
import { Books, type BooksSnapshot } from './books';
import { Breaker, type BreakerOptions, type BreakerState } from './breaker';
import { type Clock, systemClock, type Timer } from './clock';
import { ContactError, toContactError } from './errors';
import type { Entry, Spool } from './spool';
import { type FinalVerdict, isFinal, type Verdict } from './verdicts';

/** What happens to new messages when the buffer is full. */
export type OverflowPolicy = 'refuse' | 'drop-oldest' | 'drop-newest';

/** How an entry ended. */
export type Ending = FinalVerdict | { kind: 'dropped'; error: ContactError };

/** What became of one batch. */
export interface BatchReport {
  items: number;
  bytes: number;
  delivered: number;
  duplicate: number;
  rejected: number;
  /** Put back, to be sent again. */
  retried: number;
  tookMs: number;
}

/** How an outbox stands. */
export interface OutboxState {
  /** `refused`: credentials or rights are at fault. `retrying`: the remote system is unwell or away. */
  state: 'working' | 'retrying' | 'refused' | 'breaker-open';
  error?: ContactError;
}

export interface OutboxOptions<Context> {
  spool: Spool<Context>;
  /** A batch is cut at this many items, bytes, or when its oldest item is this old. */
  batch: { items: number; bytes: number; ageMs: number };
  /** How many batches are on their way at the same time. */
  concurrency: number;
  /** What the buffer holds at most. */
  limits: { items: number; bytes: number };
  overflow: OverflowPolicy;
  backoff: BackoffOptions;
  breaker?: BreakerOptions;
  /**
   * An entry that could not be sent in so many attempts ends as `rejected`, with the error of the last one; without a
   * number it is tried for ever. Refused credentials do not end it.
   */
  attempts?: number;
  /** The longest pause between attempts while credentials are refused, in milliseconds; default 60 000. */
  refusedPauseMs?: number;
  /**
   * Sends a batch and says what became of each entry, or of all of them with a single verdict. After a single verdict
   * the whole outbox pauses; an entry with a verdict of its own waits by itself. An entry whose outcome is `unknown` is
   * sent again, so what is sent must be idempotent, or the outcome looked up here. The breaker counts a batch as failed
   * when all of it failed.
   */
  send(entries: readonly Entry<Context>[], signal: AbortSignal): Promise<Verdict | readonly Verdict[]>;
  /** Called once for each entry, when it needs no further care. */
  onEnding(entry: Entry<Context>, ending: Ending): void;
  onBatch?(report: BatchReport): void;
  onState?(state: OutboxState): void;
  clock?: Clock;
}

/**
 * Sends what comes in to a remote system: buffers it, cuts batches, retries, keeps the books. Whatever is taken in
 * ends exactly once in `onEnding`, or stays in the spool for whoever opens it next.
 */
export class Outbox<Context> {
  private readonly books = new Books();
  private readonly breaker: Breaker;
  private readonly clock: Clock;
  private readonly abort = new AbortController();
  /** Batches on their way. */
  private flying = 0;
  private sending = new Set<Promise<void>>();
  /** Whole requests that failed in a row; a single one is then on its way at a time. */
  private failures = 0;
  private refusals = 0;
  private pausedUntil = 0;
  private timer: Timer | undefined;
  private timerAt = Number.POSITIVE_INFINITY;
  /** Entries that wait for their own time, after a verdict that concerned them alone. */
  private readonly waiting = new Map<Timer, Entry<Context>[]>();
  private current: OutboxState = { state: 'working' };
  private closing = false;
  private draining = false;

  constructor(private readonly options: OutboxOptions<Context>) {
    this.clock = options.clock ?? systemClock;
    this.breaker = new Breaker(options.breaker);
    // Each batch on its way listens, more than once.
    setMaxListeners(0, this.abort.signal);
    const { earlier, count } = options.spool;
    this.books.restore(earlier ?? { delivered: 0, duplicate: 0, rejected: 0, dropped: 0 }, count);
    if (count > 0) this.pump();
  }

  get state(): OutboxState {
    return this.current;
  }

  get breakerState(): BreakerState {
    return this.breaker.state;
  }

  /** The books, as they are now. */
  snapshot(): BooksSnapshot {
    return this.books.snapshot();
  }

  /** How much is buffered. */
  get buffered(): { items: number; bytes: number } {
    const { count, bytes } = this.options.spool;
    return { items: count, bytes };
  }

  /** `onSafe` is called once: without an error when the spool has the entry, with one when it was not taken in. */
  offer(body: string, context: Context, onSafe: (error?: ContactError) => void): void {
    const bytes = Buffer.byteLength(body);
    const { spool, limits } = this.options;
    this.books.receive();
    const entry: Entry<Context> = { body, bytes, context, receivedAt: this.clock.now(), attempts: 0, key: 0 };
    const isFull = () => spool.count + 1 > limits.items || spool.bytes + bytes > limits.bytes;
    if (this.closing) {
      this.turnAway(entry, new ContactError('CLOSED', { attempted: 'take a document in' }), 'rejected', onSafe);
      return;
    }
    if (isFull() && !this.makeRoom(entry, isFull, onSafe)) return;
    spool.append(entry, (error) => {
      if (error) this.turnAway(entry, error, 'rejected', onSafe);
      else onSafe();
      if (!error) this.arrived();
    });
  }

  /** Counts something that came in and could not be made into an entry. */
  refuse(): void {
    this.books.receive();
    this.books.settleQueued('rejected');
    this.options.spool.settle([], this.books.totals());
  }

  /** Ends the pause after a failure: what was at fault has been put right. */
  retryNow(): void {
    this.pausedUntil = 0;
    this.pump();
  }

  /**
   * Stops the intake, sends what waits for as long as `withinMs` allows, and closes the spool. Answers what a spool in
   * memory still holds.
   */
  async close(withinMs: number): Promise<Entry<Context>[]> {
    this.closing = true;
    this.draining = true;
    for (const [timer, entries] of this.waiting) {
      this.clock.clearTimeout(timer);
      this.options.spool.giveBack(entries);
    }
    this.waiting.clear();
    this.pump();
    let timer: Timer | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = this.clock.setTimeout(() => resolve('late'), withinMs);
    });
    while (this.sending.size > 0 && this.current.state === 'working') {
      if ((await Promise.race([Promise.allSettled([...this.sending]), late])) === 'late') break;
    }
    this.draining = false;
    if (this.sending.size > 0) this.abort.abort();
    await Promise.allSettled([...this.sending]);
    this.clock.clearTimeout(timer);
    this.clock.clearTimeout(this.timer);
    return this.options.spool.close();
  }

  private arrived(): void {
    const { spool, batch } = this.options;
    if (spool.readyCount >= batch.items || spool.readyBytes >= batch.bytes) this.pump();
    else this.wakeAt((spool.oldestAt ?? this.clock.now()) + batch.ageMs);
  }

  /** False when the entry was turned away. */
  private makeRoom(entry: Entry<Context>, isFull: () => boolean, onSafe: (error?: ContactError) => void): boolean {
    const { spool, limits, overflow, onEnding } = this.options;
    const error = new ContactError('BUFFER_FULL', {
      attempted: 'take a document in',
      answer: `the buffer holds ${spool.count} of ${limits.items} documents and ${spool.bytes} of ${limits.bytes} bytes`,
    });
    if (overflow === 'drop-oldest') {
      while (isFull()) {
        const [oldest] = spool.take(1, 0);
        if (!oldest) break;
        this.books.settleQueued('dropped');
        spool.settle([oldest], this.books.totals());
        onEnding(oldest, { kind: 'dropped', error });
      }
      if (!isFull()) return true;
    }
    this.turnAway(entry, error, overflow === 'refuse' ? 'rejected' : 'dropped', onSafe);
    return false;
  }

  private turnAway(
    entry: Entry<Context>,
    error: ContactError,
    account: 'rejected' | 'dropped',
    onSafe: (error?: ContactError) => void,
  ): void {
    this.books.settleQueued(account);
    this.options.spool.settle([], this.books.totals());
    onSafe(error);
    this.options.onEnding(entry, { kind: account, error });
  }

  /** Starts as many batches as may be on their way now. */
  private pump(): void {
    const { spool, batch, concurrency } = this.options;
    const now = this.clock.now();
    while (!this.abort.signal.aborted && (!this.closing || this.draining) && spool.readyCount > 0) {
      if (now < this.pausedUntil) {
        if (!this.closing) this.wakeAt(this.pausedUntil);
        return;
      }
      // One request at a time probes a system that has just failed.
      if (this.flying >= (this.failures > 0 ? 1 : concurrency)) return;
      const due = (spool.oldestAt ?? now) + batch.ageMs;
      const isCut = spool.readyCount >= batch.items || spool.readyBytes >= batch.bytes || now >= due;
      if (!isCut && !this.closing) {
        this.wakeAt(due);
        return;
      }
      const entries = spool.take(batch.items, batch.bytes);
      this.flying += 1;
      this.books.start(entries.length);
      const sent = this.sendBatch(entries).finally(() => {
        this.sending.delete(sent);
        this.flying -= 1;
        this.pump();
      });
      this.sending.add(sent);
    }
  }

  private async sendBatch(entries: Entry<Context>[]): Promise<void> {
    const began = this.clock.now();
    for (const entry of entries) entry.attempts += 1;
    const result = await this.breaker.call(async () => {
      let verdicts: Verdict | readonly Verdict[];
      try {
        verdicts = await this.options.send(entries, this.abort.signal);
      } catch (thrown) {
        verdicts = { kind: 'unknown', error: toContactError(thrown, 'send a batch') };
      }
      const failed = [verdicts].flat().every((verdict: Verdict) => isFailure(verdict));
      return { verdicts, failed };
    });
    if (!result) {
      const error = new ContactError('BREAKER_OPEN', { attempted: 'send a batch' });
      this.putBack(entries);
      for (const entry of entries) entry.attempts -= 1;
      this.pause(this.breaker.openMs / 4, { state: 'breaker-open', error });
      return;
    }
    const { verdicts } = result;
    if (Array.isArray(verdicts)) this.settleEach(entries, this.giveUp(entries, verdicts as readonly Verdict[]), began);
    else this.settleAll(entries, verdicts as Verdict, began);
  }

  /** What was tried often enough is not tried again. */
  private giveUp(entries: readonly Entry<Context>[], verdicts: readonly Verdict[]): Verdict[] {
    const { attempts = Number.POSITIVE_INFINITY } = this.options;
    return verdicts.map((verdict, index) => {
      const isSpent = !isFinal(verdict) && verdict.kind !== 'refused' && (entries[index]?.attempts ?? 0) >= attempts;
      return isSpent ? { kind: 'rejected', error: verdict.error } : verdict;
    });
  }

  /** The whole batch met the same end. */
  private settleAll(entries: Entry<Context>[], verdict: Verdict, began: number): void {
    const each = this.giveUp(entries, new Array<Verdict>(entries.length).fill(verdict));
    if (each.some(isFinal)) {
      this.settleEach(entries, each, began);
    } else {
      this.putBack(entries);
      this.options.onBatch?.({ ...emptyReport(entries, this.clock.now() - began), retried: entries.length });
    }
    if (isFinal(verdict) || this.abort.signal.aborted) return;
    const { backoff, refusedPauseMs = 60_000 } = this.options;
    const { error } = verdict;
    if (verdict.kind === 'refused') {
      this.refusals += 1;
      const pauseMs = backoffDelayMs(this.refusals, { ...backoff, maxMs: refusedPauseMs });
      this.pause(pauseMs, { state: 'refused', error });
      return;
    }
    this.failures += 1;
    const pauseMs = Math.max(error.retryAfterMs ?? 0, backoffDelayMs(this.failures, backoff));
    this.pause(pauseMs, { state: this.breaker.state === 'closed' ? 'retrying' : 'breaker-open', error });
  }

  private settleEach(entries: Entry<Context>[], verdicts: readonly Verdict[], began: number): void {
    const report = emptyReport(entries, this.clock.now() - began);
    const settled: Entry<Context>[] = [];
    const again: Entry<Context>[] = [];
    let worst: Verdict | undefined;
    for (const [index, entry] of entries.entries()) {
      const verdict = verdicts[index] as Verdict;
      if (isFinal(verdict)) {
        settled.push(entry);
        this.books.settle(verdict.kind);
        report[verdict.kind] += 1;
      } else {
        again.push(entry);
        if (worst?.kind !== 'refused') worst = verdict;
      }
    }
    this.failures = 0;
    this.refusals = 0;
    this.pausedUntil = 0;
    if (settled.length > 0) this.options.spool.settle(settled, this.books.totals());
    if (again.length > 0 && worst && !isFinal(worst)) this.wait(again, worst);
    else if (this.waiting.size === 0) this.setState({ state: 'working' });
    report.retried = again.length;
    for (const [index, entry] of entries.entries()) {
      const verdict = verdicts[index] as Verdict;
      if (isFinal(verdict)) this.options.onEnding(entry, verdict);
    }
    this.options.onBatch?.(report);
  }

  /** Entries with a verdict of their own wait by themselves, so that they do not hold the others up. */
  private wait(entries: Entry<Context>[], verdict: Exclude<Verdict, FinalVerdict>): void {
    this.books.giveBack(entries.length);
    if (this.abort.signal.aborted || this.closing) {
      this.options.spool.giveBack(entries);
      return;
    }
    const { backoff, refusedPauseMs = 60_000 } = this.options;
    const attempts = Math.max(...entries.map((entry) => entry.attempts));
    const options = verdict.kind === 'refused' ? { ...backoff, maxMs: refusedPauseMs } : backoff;
    const pauseMs = Math.max(verdict.error.retryAfterMs ?? 0, backoffDelayMs(attempts, options));
    const timer = this.clock.setTimeout(() => {
      this.waiting.delete(timer);
      this.options.spool.giveBack(entries);
      this.wakeAt(this.clock.now());
    }, pauseMs);
    this.waiting.set(timer, entries);
    const retrying = this.breaker.state === 'closed' ? 'retrying' : 'breaker-open';
    this.setState({ state: verdict.kind === 'refused' ? 'refused' : retrying, error: verdict.error });
  }

  private putBack(entries: Entry<Context>[]): void {
    this.books.giveBack(entries.length);
    this.options.spool.giveBack(entries);
  }

  private pause(pauseMs: number, state: OutboxState): void {
    this.pausedUntil = Math.max(this.pausedUntil, this.clock.now() + pauseMs);
    this.setState(state);
  }

  private setState(state: OutboxState): void {
    const changed = state.state !== this.current.state || state.error?.message !== this.current.error?.message;
    this.current = state;
    if (changed) this.options.onState?.(state);
  }

  private wakeAt(at: number): void {
    if (this.timerAt <= at) return;
    this.clock.clearTimeout(this.timer);
    this.timerAt = at;
    this.timer = this.clock.setTimeout(
      () => {
        this.timerAt = Number.POSITIVE_INFINITY;
        this.pump();
      },
      Math.max(0, at - this.clock.now()),
    );
  }
}

function isFailure(verdict: Verdict): boolean {
  return verdict.kind === 'unknown' || ('fault' in verdict && verdict.fault === 'failure');
}

function emptyReport(entries: readonly { bytes: number }[], tookMs: number): BatchReport {
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  return { items: entries.length, bytes, delivered: 0, duplicate: 0, rejected: 0, retried: 0, tookMs };
}
