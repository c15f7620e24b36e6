import { abortable, sharedAbort } from './abort';
import { type BackoffOptions, backoffDelayMs } from './backoff';
import { Books, type BooksSnapshot } from './books';
import { Breaker, type BreakerOptions, type BreakerState } from './breaker';
import { type Clock, systemClock, type Timer } from './clock';
import { ContactError, toContactError } from './errors';
import { Entry, type Spool } from './spool';
import { type FinalVerdict, isFinal, type Verdict } from './verdicts';

/** What happens to new messages when the buffer is full. */
export type OverflowPolicy = 'refuse' | 'drop-oldest' | 'drop-newest';

/** How an entry ended. */
export type Ending = FinalVerdict | { kind: 'dropped'; error: ContactError };

type OpenVerdict = Exclude<Verdict, FinalVerdict>;
type Given = Verdict | readonly Verdict[];

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
  /**
   * `refused`: credentials or rights are at fault. `retrying`: the remote system is unwell or away. `failed`: the buffer
   * can no longer store what comes in.
   */
  state: 'working' | 'retrying' | 'refused' | 'breaker-open' | 'failed';
  error?: ContactError;
}

/** What an outbox needs. The functions must not throw. */
export interface OutboxOptions<Context> {
  spool: Spool<Context>;
  /** What an outbox before this one still held: it is taken in first, whatever the limits say. */
  inherited?: readonly Entry<Context>[];
  /** A batch is cut at this many items, bytes, or when its oldest item is this old. */
  batch: { items: number; bytes: number; ageMs: number };
  /** How many batches are on their way at the same time. With more than one, batches may overtake one another. */
  concurrency: number;
  /** What the buffer holds at most, including what is being sent. */
  limits: { items: number; bytes: number };
  /** `drop-oldest` drops what waits longest; when all there is is being sent, the new one. */
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
   * the whole outbox pauses; entries with verdicts of their own wait by themselves. An entry whose outcome is `unknown`
   * is sent again, so what is sent must be idempotent, or the outcome looked up here. To throw, or to leave entries
   * without a verdict, makes their outcome unknown. The breaker counts a batch as failed when all of it failed.
   */
  send(entries: readonly Entry<Context>[], signal: AbortSignal): Promise<Given>;
  /** Called at most once for each entry, before its end: the spool has it. */
  onStored?(entry: Entry<Context>): void;
  /** Called once for each entry, when it needs no further care. */
  onEnding(entry: Entry<Context>, ending: Ending): void;
  onBatch?(report: BatchReport): void;
  onState?(state: OutboxState): void;
  clock?: Clock;
}

/** No remote system is left alone for longer, whatever it asks for: a timer cannot count much further anyway. */
const LONGEST_PAUSE_MS = 3_600_000;
/** How long a sender may take once it is told to come to an end. */
const ABORT_WITHIN_MS = 500;
/** What waits by itself is in memory, so it must not become more and more: from here on nothing else is sent. */
const MOST_WAITING = 10_000;
const WORKING: OutboxState = { state: 'working' };

/**
 * Sends what comes in to a remote system: buffers it, cuts batches, retries, keeps the books. Whatever is taken in
 * ends exactly once in `onEnding`, or stays in the spool for whoever opens it next. What waits is sent in the order in
 * which it came, also when it was put back.
 */
export class Outbox<Context> {
  private readonly books = new Books();
  private readonly breaker: Breaker;
  private readonly clock: Clock;
  /** Tells the sender to come to an end. */
  private readonly abort = sharedAbort();
  /** Ends the wait for a sender that does not. */
  private readonly abandon = sharedAbort();
  /** Batches on their way. */
  private readonly sending = new Set<Promise<void>>();
  /** Whole batches that failed in a row; then, and while the breaker is not closed, a single one is on its way. */
  private failures = 0;
  /** Runs while nothing may be sent. */
  private pause: Timer | undefined;
  private pauseEnds = 0;
  /** What came in until then is sent without waiting for more. */
  private flushedAt = Number.NEGATIVE_INFINITY;
  /** Runs until the oldest entry is old enough for a batch of its own. */
  private batchTimer: Timer | undefined;
  /** Entries that wait for their own time, after a verdict that concerned them alone. */
  private readonly waiting = new Map<Timer, readonly Entry<Context>[]>();
  private waitingCount = 0;
  private current = WORKING;
  /** Set while the buffer does not store what comes in: that is graver than anything else. */
  private storing: ContactError | undefined;
  private isClosing = false;
  private closed: Promise<Entry<Context>[]> | undefined;

  constructor(private readonly options: OutboxOptions<Context>) {
    const { spool, inherited = [] } = options;
    this.clock = options.clock ?? systemClock;
    this.breaker = new Breaker(options.breaker);
    this.books.restore(spool.earlier ?? { delivered: 0, duplicate: 0, rejected: 0, dropped: 0 }, spool.count);
    spool.owner = {
      stored: (entry) => this.stored(entry),
      failed: (entries, error) => this.storingFailed(entries, error),
    };
    for (const entry of inherited) {
      this.books.receive();
      spool.append(entry);
    }
    this.pump();
  }

  /** How it stands. */
  get state(): OutboxState {
    return this.storing ? { state: 'failed', error: this.storing } : this.current;
  }

  /** Whether the remote system is held to be unwell. */
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

  /** When what waits for longest came in, in milliseconds since the epoch; what is on its way does not wait. */
  get waitingSince(): number | undefined {
    return this.options.spool.oldestAt;
  }

  /** Takes something in. It ends in `onEnding`, at once if there is no room for it or the outbox is closed. */
  offer(body: string, context: Context): void {
    const bytes = Buffer.byteLength(body);
    const entry = new Entry(body, bytes, context, this.clock.now());
    this.books.receive();
    if (this.isClosing) {
      this.endUnsent(entry, {
        kind: 'rejected',
        error: new ContactError('CLOSED', { attempted: 'take a document in' }),
      });
    } else if (this.makeRoom(entry)) {
      this.options.spool.append(entry);
    }
  }

  /** Counts something that came in and could not be made into an entry. */
  refuse(): void {
    this.books.receive();
    this.books.settleQueued('rejected');
    this.options.spool.settle([], this.books.totals());
  }

  /** Sends what waits without waiting for more, and at once if a failure has made it pause. */
  flush(): void {
    this.flushedAt = this.clock.now();
    this.retryNow();
  }

  /** Ends the pause after a failure: what was at fault has been put right. */
  retryNow(): void {
    this.endPause();
    this.pump();
  }

  /** Counts something that came in and is here already. */
  absorb(): void {
    this.books.receive();
    this.books.settleQueued('duplicate');
    this.options.spool.settle([], this.books.totals());
  }

  /**
   * Stops the intake, sends what waits for as long as `withinMs` allows and nothing stands in the way, and closes the
   * spool; half a second more if the sender does not heed its signal. Answers what a spool in memory still holds. A
   * second call gets the answer of the first.
   */
  close(withinMs: number): Promise<Entry<Context>[]> {
    this.isClosing = true;
    this.closed ??= this.finish(withinMs);
    return this.closed;
  }

  private async finish(withinMs: number): Promise<Entry<Context>[]> {
    const { clock, waiting, sending, abort } = this;
    for (const [timer, entries] of waiting) {
      clock.clearTimeout(timer);
      this.options.spool.giveBack(entries);
    }
    waiting.clear();
    this.waitingCount = 0;
    this.pump();
    let late = clock.setTimeout(() => {
      abort.abort();
      late = clock.setTimeout(() => this.abandon.abort(), ABORT_WITHIN_MS);
    }, withinMs);
    while (sending.size > 0) await Promise.all(sending);
    // What reaches the disk only now is sent by whoever opens it next.
    abort.abort();
    for (const timer of [late, this.pause, this.batchTimer]) clock.clearTimeout(timer);
    return this.options.spool.close();
  }

  private stored(entry: Entry<Context>): void {
    const { spool, batch, onStored } = this.options;
    onStored?.(entry);
    if (this.storing) this.change(() => (this.storing = undefined));
    // While the timer runs, only a full batch has to be seen to.
    const isCut = spool.readyCount >= batch.items || spool.readyBytes >= batch.bytes;
    if (isCut || this.batchTimer === undefined) this.pump();
  }

  private storingFailed(entries: readonly Entry<Context>[], error: ContactError): void {
    this.change(() => (this.storing = error));
    for (const entry of entries) this.endUnsent(entry, { kind: 'rejected', error });
  }

  /** False when there is no room for the entry, which has ended then. */
  private makeRoom(entry: Entry<Context>): boolean {
    if (!this.isFull(entry.bytes)) return true;
    const { spool, limits, overflow } = this.options;
    const canFit = entry.bytes <= limits.bytes;
    const isDropped = overflow !== 'refuse';
    const error = new ContactError('BUFFER_FULL', {
      attempted: `take in a document of ${entry.bytes} bytes`,
      answer: `the buffer holds ${spool.count} of ${limits.items} documents and ${spool.bytes} of ${limits.bytes} bytes`,
      retryable: canFit && !isDropped,
    });
    if (overflow === 'drop-oldest' && canFit) {
      while (this.isFull(entry.bytes)) {
        const oldest = spool.evict();
        if (!oldest) break;
        this.endUnsent(oldest, { kind: 'dropped', error }, [oldest]);
      }
      if (!this.isFull(entry.bytes)) return true;
    }
    this.endUnsent(entry, { kind: isDropped ? 'dropped' : 'rejected', error });
    return false;
  }

  private isFull(bytes: number): boolean {
    const { spool, limits } = this.options;
    return spool.count >= limits.items || spool.bytes + bytes > limits.bytes;
  }

  /** `kept` is the entry if the spool has it. */
  private endUnsent(
    entry: Entry<Context>,
    ending: Extract<Ending, { kind: 'rejected' | 'dropped' }>,
    kept: Entry<Context>[] = [],
  ): void {
    this.books.settleQueued(ending.kind);
    this.options.spool.settle(kept, this.books.totals());
    this.options.onEnding(entry, ending);
  }

  /** Starts as many batches as may be on their way now. */
  private pump(): void {
    const { spool, batch } = this.options;
    this.heedBreaker();
    while (spool.readyCount > 0 && this.maySend()) {
      const oldestAt = spool.oldestAt ?? 0;
      const isDue = this.isClosing || oldestAt <= this.flushedAt;
      const isCut = isDue || spool.readyCount >= batch.items || spool.readyBytes >= batch.bytes;
      const ageMs = this.clock.now() - oldestAt;
      // An entry from the future says that the machine's clock was set back: how old it is nobody knows.
      if (!isCut && ageMs >= 0 && ageMs < batch.ageMs) {
        this.batchTimer ??= this.clock.setTimeout(() => {
          this.batchTimer = undefined;
          this.pump();
        }, batch.ageMs - ageMs);
        return;
      }
      const entries = spool.take(batch.items, batch.bytes);
      this.books.start(entries.length);
      const sent = this.sendBatch(entries).then(() => {
        this.sending.delete(sent);
        this.pump();
      });
      this.sending.add(sent);
    }
  }

  private heedBreaker(): void {
    const { refusesForMs } = this.breaker;
    if (refusesForMs === 0) return;
    const { error = new ContactError('BREAKER_OPEN', { attempted: 'send a batch' }) } = this.current;
    this.startPause(refusesForMs, { state: 'breaker-open', error });
  }

  private maySend(): boolean {
    if (this.pause !== undefined || this.waitingCount >= MOST_WAITING || this.abort.signal.aborted) return false;
    const isProbe = this.failures > 0 || this.breaker.state !== 'closed';
    return this.sending.size < (isProbe ? 1 : this.options.concurrency);
  }

  private async sendBatch(entries: readonly Entry<Context>[]): Promise<void> {
    const began = this.clock.now();
    const sent = await this.breaker.call(() => this.send(entries));
    if (sent) this.settle(entries, sent.given, this.clock.now() - began);
    else this.putBack(entries);
  }

  private async send(entries: readonly Entry<Context>[]): Promise<{ given: Given; failed: boolean }> {
    for (const entry of entries) entry.attempts += 1;
    const { signal } = this.abort;
    let given: Given;
    try {
      given = await abortable(this.options.send(entries, signal), this.abandon.signal, 'wait for an answer');
    } catch (thrown) {
      given = { kind: 'unknown', error: toContactError(thrown, 'send a batch') };
    }
    return { given, failed: 'kind' in given ? isFailure(given) : given.every(isFailure) };
  }

  private settle(entries: readonly Entry<Context>[], given: Given, tookMs: number): void {
    const { spool, onEnding, onBatch } = this.options;
    const report: BatchReport = { ...NO_REPORT, items: entries.length, retried: entries.length, tookMs };
    const settled: Entry<Context>[] = [];
    const endings: FinalVerdict[] = [];
    const again: Entry<Context>[] = [];
    let open: OpenVerdict | undefined;
    for (const [index, entry] of entries.entries()) {
      const verdict = this.giveUp(entry, 'kind' in given ? given : (given[index] ?? NO_VERDICT));
      report.bytes += entry.bytes;
      if (isFinal(verdict)) {
        settled.push(entry);
        endings.push(verdict);
        this.books.settle(verdict.kind);
        report[verdict.kind] += 1;
        report.retried -= 1;
      } else {
        again.push(entry);
        if (open?.kind !== 'refused') open = verdict;
      }
    }
    if (settled.length > 0) spool.settle(settled, this.books.totals());
    if ('kind' in given && !isFinal(given)) {
      this.failures += 1;
      this.putBack(again);
      this.startPause(this.pauseMs(given, this.failures), this.stateOf(given));
    } else {
      this.failures = 0;
      this.endPause();
      if (open) this.waitAlone(again, open);
      else if (this.waiting.size === 0) this.setState(WORKING);
    }
    for (const [index, entry] of settled.entries()) onEnding(entry, endings[index] as FinalVerdict);
    onBatch?.(report);
  }

  /** What was tried often enough is not tried again. */
  private giveUp(entry: Entry<Context>, verdict: Verdict): Verdict {
    const { attempts = Number.POSITIVE_INFINITY } = this.options;
    const isSpent = entry.attempts >= attempts && !isFinal(verdict) && verdict.kind !== 'refused';
    return isSpent ? { kind: 'rejected', error: verdict.error } : verdict;
  }

  /** Entries with verdicts of their own do not hold the others up. */
  private waitAlone(entries: readonly Entry<Context>[], verdict: OpenVerdict): void {
    const pauseMs = this.pauseMs(verdict, Math.max(...entries.map((entry) => entry.attempts)));
    if (this.isClosing) {
      this.putBack(entries);
      this.startPause(pauseMs, this.stateOf(verdict));
      return;
    }
    this.books.giveBack(entries.length);
    const timer = this.clock.setTimeout(() => {
      this.waiting.delete(timer);
      this.waitingCount -= entries.length;
      this.options.spool.giveBack(entries);
      this.pump();
    }, pauseMs);
    this.waiting.set(timer, entries);
    this.waitingCount += entries.length;
    this.setState(this.stateOf(verdict));
  }

  private pauseMs({ kind, error }: OpenVerdict, attempts: number): number {
    const { backoff, refusedPauseMs: maxMs = 60_000 } = this.options;
    const ownMs = backoffDelayMs(attempts, kind === 'refused' ? { ...backoff, maxMs } : backoff);
    return Math.min(Math.max(error.retryAfterMs ?? 0, ownMs), LONGEST_PAUSE_MS);
  }

  private stateOf({ kind, error }: OpenVerdict): OutboxState {
    if (kind === 'refused') return { state: 'refused', error };
    return { state: this.breaker.state === 'closed' ? 'retrying' : 'breaker-open', error };
  }

  private putBack(entries: readonly Entry<Context>[]): void {
    this.books.giveBack(entries.length);
    this.options.spool.giveBack(entries);
  }

  /** Nothing is sent for so long; a longer pause that runs already stays. */
  private startPause(pauseMs: number, state: OutboxState): void {
    if (this.abort.signal.aborted) return;
    this.setState(state);
    const ends = this.clock.now() + pauseMs;
    if (this.pause !== undefined && ends <= this.pauseEnds) return;
    this.endPause();
    this.pauseEnds = ends;
    this.pause = this.clock.setTimeout(() => {
      this.pause = undefined;
      this.pump();
    }, pauseMs);
  }

  private endPause(): void {
    this.clock.clearTimeout(this.pause);
    this.pause = undefined;
  }

  private setState(state: OutboxState): void {
    this.change(() => (this.current = state));
  }

  /** Tells of a change that can be seen. */
  private change(make: () => void): void {
    const before = this.state;
    make();
    const { state, error } = this.state;
    if (state !== before.state || error?.message !== before.error?.message) this.options.onState?.(this.state);
  }
}

const NO_REPORT = { items: 0, bytes: 0, delivered: 0, duplicate: 0, rejected: 0, retried: 0, tookMs: 0 };
const NO_VERDICT: Verdict = {
  kind: 'unknown',
  error: new ContactError('PROTOCOL', { attempted: 'send a batch', answer: 'fewer verdicts than messages were given' }),
};

function isFailure(verdict: Verdict): boolean {
  return verdict.kind === 'unknown' || ('fault' in verdict && verdict.fault === 'failure');
}
