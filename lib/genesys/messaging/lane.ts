import { abortable } from '../../core/abort';
import type { BackoffOptions } from '../../core/backoff';
import type { BooksSnapshot } from '../../core/books';
import type { BreakerOptions } from '../../core/breaker';
import { type Clock, systemClock } from '../../core/clock';
import { ContactError } from '../../core/errors';
import type { HttpClient } from '../../core/http';
import { type Ending, Outbox, type OutboxState, type OverflowPolicy } from '../../core/outbox';
import { Queue } from '../../core/queue';
import { type Entry, MemorySpool } from '../../core/spool';
import { tracing } from '../../core/trace';
import { isFinal, type Verdict } from '../../core/verdicts';
import { LONGEST_WAIT_MS } from '../client';
import type { Organization } from '../tenants/organizations';
import type { OutgoingMessage } from './message';
import { RECEIPT_WAITS_MS } from './record';
import type { Remembered } from './records';
import type { SendOutcome, Submission } from './submission';
import type { StatusTracker } from './tracker';
import { type Transmission, transmit } from './transmit';

/** What all lanes of a sender have in common. */
export interface LaneOptions {
  tracker: StatusTracker;
  /** For files that go with an agent's message. */
  http: HttpClient;
  mediaHosts: readonly string[];
  /** Whether Genesys is asked to say which conversation a customer's message belongs to. */
  wantsConversation: boolean;
  /** What waits in one lane at most. */
  limits: { items: number; bytes: number };
  overflow: OverflowPolicy;
  /** So often a message is sent at most before it is given back, or has failed. */
  attempts: number;
  backoff: BackoffOptions;
  breaker: BreakerOptions;
  /** Takes hold of a message for longer; false when another process has it now. */
  hold(job: Job): Promise<boolean>;
  /** A message has been sent; how long that took since it came in, in milliseconds. */
  onSent(job: Job, tookMs: number): void;
  onState(lane: Lane, state: OutboxState): void;
  clock?: Clock;
}

/** A message that is being sent, and all who wait for that. */
export interface Job {
  readonly message: OutgoingMessage;
  readonly remembered: Remembered;
  /** The first submission of this message, and later ones of the same. */
  readonly submissions: Submission[];
  /** When it came in, in milliseconds since the epoch. */
  readonly receivedAt: number;
  /** Settles when it is told that the message is queued: before that nothing else may be told. */
  readonly queued: Promise<void>;
  /** How it has ended, as soon as that is certain. */
  outcome: SendOutcome | undefined;
  readonly isEnded: boolean;
  /** Ends the job. Only the first call counts. */
  end(outcome: SendOutcome): void;
}

/** For how long a message stays away from a lane that is full, at most. */
const LONGEST_RETURN_MS = 60_000;
const SHORTEST_RETURN_MS = 1_000;
/** How long a message stays away while the credentials are refused, or the breaker is open. */
const REFUSED_RETURN_MS = 30_000;
const BREAKER_RETURN_MS = 15_000;
/** How long a message stays away that another process is busy with. */
const HELD_RETURN_MS = 30_000;

/** A lane in which something waits for longer does not keep up. */
const SLOW_AFTER_MS = 2_000;
/** So much of the difference a call that is slower than expected adds to what is expected of the next. */
const SLOWER_PART = 0.01;

/**
 * What goes to one organization: its own queue, its own turns, so many calls at once, and its own breaker. Whatever
 * happens to one lane does not touch another.
 */
export class Lane {
  private readonly outbox: Outbox<Job>;
  private readonly clock: Clock;
  /** When those that did not fit come again, in milliseconds since the epoch; the next one first. */
  private readonly returns = new Queue<number>();
  /** How long a call is expected to take with its turn, in milliseconds. */
  private callMs = 0;

  constructor(
    readonly organization: Organization,
    private readonly options: LaneOptions,
  ) {
    const { limits, overflow, backoff, breaker, attempts } = options;
    this.clock = options.clock ?? systemClock;
    this.outbox = new Outbox<Job>({
      spool: new MemorySpool(),
      batch: { items: 1, bytes: limits.bytes, ageMs: 0 },
      // The tenants may change it at any time.
      get concurrency() {
        return organization.concurrency;
      },
      limits,
      overflow,
      backoff,
      breaker,
      attempts,
      send: ([entry], signal) => this.sendInTrace(entry as Entry<Job>, signal),
      onEnding: (entry, ending) => this.ended(entry, ending),
      onState: (state) => options.onState(this, state),
      clock: this.clock,
    });
  }

  get state(): OutboxState {
    return this.outbox.state;
  }

  snapshot(): BooksSnapshot {
    return this.outbox.snapshot();
  }

  /** For `/stats`. */
  report(): Record<string, unknown> {
    const { state, error } = this.outbox.state;
    return {
      ...this.organization.report(),
      state,
      breaker: this.outbox.breakerState,
      books: this.snapshot(),
      ...(error ? { error: error.summary } : {}),
    };
  }

  get isBreakerOpen(): boolean {
    return this.outbox.breakerState !== 'closed';
  }

  /** How many messages it holds, those on their way included. */
  get count(): number {
    return this.outbox.buffered.items;
  }

  /** Whether what comes in is not sent at once, for whatever reason. */
  get isSlow(): boolean {
    const { state, waitingSince } = this.outbox;
    const isBehind = waitingSince !== undefined && this.clock.now() - waitingSince > SLOW_AFTER_MS;
    return state.state !== 'working' || isBehind;
  }

  offer(job: Job): void {
    this.outbox.offer(JSON.stringify(job.message), job);
  }

  /** Lets a message that comes again do so when there is likely to be room. */
  postpone(job: Job): Promise<SendOutcome> {
    const answer = `${this.count} messages wait for ${this.organization.name} already`;
    const error = new ContactError('BUFFER_FULL', { attempted: 'take a message in', answer, retryable: true });
    return this.giveBack(job, { error, delayMs: this.returnInMs(), isCounted: false });
  }

  /** What was at fault has been put right. */
  retryNow(): void {
    this.outbox.retryNow();
  }

  /** Stops the intake, sends for so long what waits, and gives back the rest. */
  async close(withinMs: number): Promise<Job[]> {
    const left = await this.outbox.close(withinMs);
    return left.flatMap(({ context }) => context ?? []);
  }

  /** Whoever has let the queue move on has nothing to do with the message that is next in it. */
  private sendInTrace(entry: Entry<Job>, signal: AbortSignal): Promise<Verdict | Verdict[]> {
    const trace = entry.context?.submissions[0]?.trace;
    return trace ? tracing.run(trace, () => this.send(entry, signal)) : this.send(entry, signal);
  }

  private async send({ context }: Entry<Job>, signal: AbortSignal): Promise<Verdict | Verdict[]> {
    const job = context as Job;
    const { record } = job.remembered;
    if (!(await this.options.hold(job))) {
      const error = new ContactError('BUSY', { attempted: 'send a message', answer: 'another process is at it' });
      const { attempts } = record;
      job.outcome = comesAgain(job)
        ? { kind: 'returned', error, attempts, delayMs: HELD_RETURN_MS, isCounted: false }
        : { kind: 'failed', error, attempts };
      return [{ kind: 'rejected', error }];
    }
    record.attempts += 1;
    const began = this.clock.now();
    const transmission = await this.transmit(job, signal);
    const { verdict } = transmission;
    // What has happened is written down before it is called done; whoever closes the lane need not wait for that.
    if (verdict.kind === 'delivered' || verdict.kind === 'duplicate') {
      // Genesys may have had it for so long that a receipt was faster.
      const isLate = record.attempts > 1 || this.clock.now() - began >= RECEIPT_WAITS_MS;
      const sending = this.sent(job, transmission, isLate);
      job.outcome = await abortable(sending, signal, 'write down that a message was sent');
      this.options.onSent(job, this.clock.now() - job.receivedAt);
      return { kind: 'delivered' };
    }
    if (verdict.kind === 'rejected') {
      const failing = failed(job, verdict.error, this.options.tracker);
      job.outcome = await abortable(failing, signal, 'write down that a message has failed');
      return [verdict];
    }
    if (verdict.kind === 'busy' && verdict.fault === 'limit') return this.limited(job, verdict);
    // The credentials concern all messages, a failure this one: the others need not wait for it.
    return verdict.kind === 'refused' ? verdict : [verdict];
  }

  private async transmit({ message, remembered }: Job, signal: AbortSignal): Promise<Transmission> {
    const { record } = remembered;
    const { tracker, http, mediaHosts, wantsConversation } = this.options;
    if (record.inDoubt) {
      // Whoever lets it come again has been told to look first.
      delete record.inDoubt;
      return { verdict: inDoubt() };
    }
    const save = () => tracker.save(remembered);
    const began = this.clock.now();
    const transmission = await transmit(message, record.time, {
      organization: this.organization,
      http,
      mediaHosts,
      wantsConversation,
      partsSent: record.parts ?? 0,
      onDoubt: () => {
        record.inDoubt = true;
        return save();
      },
      onPart: (parts) => {
        record.parts = parts;
        delete record.inDoubt;
        return save();
      },
      signal,
    });
    this.expect(this.clock.now() - began);
    if (record.inDoubt) {
      // It has arrived, or has certainly not.
      delete record.inDoubt;
      if (!isFinal(transmission.verdict)) await save();
    }
    return transmission;
  }

  /**
   * Follows a faster call at once and slower ones slowly: while many messages find no room, the process itself makes
   * calls slow, and were that taken for the pace of the organization, they would stay away for far too long.
   */
  private expect(tookMs: number): void {
    this.callMs = Math.min(tookMs, this.callMs + (tookMs - this.callMs) * SLOWER_PART);
  }

  private async sent(
    { remembered, queued }: Job,
    { genesysMessageId, conversationId }: Transmission,
    isLate: boolean,
  ): Promise<SendOutcome> {
    const { tracker } = this.options;
    const { record } = remembered;
    if (genesysMessageId !== undefined) record.genesysMessageId = genesysMessageId;
    if (conversationId !== undefined) record.conversationId = conversationId;
    delete record.holder;
    const isOvertaken = isLate && (await tracker.takeReceipt(remembered));
    const written = isOvertaken ? tracker.save(remembered) : tracker.change(remembered, ['sent']);
    await Promise.all([queued, written, tracker.link(record)]);
    return { kind: 'sent', record: remembered.record, isDuplicate: false };
  }

  /** Too fast: all messages wait with this one, unless the wait is too long for anybody. */
  private async limited(job: Job, verdict: Extract<Verdict, { kind: 'busy' }>): Promise<Verdict | Verdict[]> {
    const { error } = verdict;
    const delayMs = error.retryAfterMs ?? 0;
    if (delayMs <= LONGEST_WAIT_MS) return verdict;
    job.outcome = await this.giveBack(job, { error, delayMs, isCounted: false });
    return [{ kind: 'rejected', error }];
  }

  /** Not now: the message comes again, to whichever process; one that does not has failed. */
  private async giveBack(
    job: Job,
    how: { error: ContactError; delayMs?: number; isCounted: boolean },
  ): Promise<SendOutcome> {
    const { remembered } = job;
    const { tracker } = this.options;
    if (!comesAgain(job)) return failed(job, how.error, tracker);
    const { attempts } = remembered.record;
    delete remembered.record.holder;
    await Promise.all([job.queued, tracker.save(remembered)]);
    return { kind: 'returned', attempts, ...how };
  }

  private ended({ context: job }: Entry<Job>, ending: Ending): void {
    if (job?.outcome) job.end(job.outcome);
    else if (job && 'error' in ending) this.notSent(job, ending.error, ending.kind);
  }

  /** A message that found no room, or was tried often enough. */
  private notSent(job: Job, error: ContactError, kind: Ending['kind']): void {
    const { tracker } = this.options;
    // While the breaker is open it is the organization that is unwell, not the message.
    const isCounted = error.code !== 'BUFFER_FULL' && !this.isBreakerOpen;
    const delay = isCounted ? {} : { delayMs: this.returnInMs() };
    const isPassing = kind === 'rejected' && error.retryable;
    const ending = isPassing ? this.giveBack(job, { error, isCounted, ...delay }) : failed(job, error, tracker);
    const { attempts } = job.remembered.record;
    ending.then(
      (outcome) => job.end(outcome),
      // The sender was closed before its status could be told.
      () => {
        if (isPassing && comesAgain(job)) job.end({ kind: 'returned', error, attempts, isCounted, ...delay });
        else job.end({ kind: 'failed', error, attempts });
      },
    );
  }

  /**
   * When a message that does not fit is likely to find room: each of them is given a later time, as fast as the
   * organization takes them, so that they do not all come back at once.
   */
  private returnInMs(): number {
    const { limit, concurrency } = this.organization;
    const now = this.clock.now();
    const msForEach = Math.max(60_000 / limit.turns, this.callMs / concurrency);
    const { state } = this.state;
    const pausedMs = state === 'breaker-open' ? BREAKER_RETURN_MS : state === 'refused' ? REFUSED_RETURN_MS : 0;
    while ((this.returns.first ?? Number.POSITIVE_INFINITY) <= now) this.returns.shift();
    const before = this.outbox.buffered.items + this.returns.length;
    const waitMs = Math.max(limit.pausedForMs, pausedMs) + before * msForEach;
    const delayMs = Math.round(Math.min(LONGEST_RETURN_MS, Math.max(SHORTEST_RETURN_MS, waitMs)));
    this.returns.push(now + delayMs);
    return delayMs;
  }
}

/** Whether the message comes again when it is not sent now. */
function comesAgain({ submissions }: Job): boolean {
  return submissions[0]?.comesAgain === true;
}

/** A job has failed for good: its status says so before anyone else is told. */
export async function failed(job: Job, error: ContactError, tracker: StatusTracker): Promise<SendOutcome> {
  const { record } = job.remembered;
  delete record.holder;
  const statuses = comesAgain(job) ? (['failed', 'dead_lettered'] as const) : (['failed'] as const);
  await Promise.all([job.queued, tracker.change(job.remembered, statuses, error)]);
  return { kind: 'failed', error, attempts: record.attempts, record };
}

/** An earlier process was ended while it was sending this. */
function inDoubt(): Verdict {
  const error = new ContactError('OUTCOME_UNKNOWN', {
    attempted: 'send a message that must not be sent twice',
    answer: 'the process was ended while it was being sent',
    advice: 'Look in Genesys whether it has arrived before you send it again.',
    retryable: false,
  });
  return { kind: 'rejected', error };
}
