import { Books, type BooksSnapshot, sumOfBooks } from '../../core/books';
import { type Clock, systemClock } from '../../core/clock';
import { ContactError, toContactError } from '../../core/errors';
import { type Logger, silentLogger } from '../../core/log';
import type { OutboxState } from '../../core/outbox';
import type { Organization, Organizations } from '../tenants/organizations';
import { failed, type Job, Lane, type LaneOptions } from './lane';
import type { OutgoingMessage } from './message';
import { identityOf, readMessage } from './read-message';
import type { MessageRecord } from './record';
import type { MessageRecords } from './records';
import type { SendOutcome, Submission } from './submission';
import type { StatusTracker } from './tracker';

/** Settings of a {@link MessageSender}. */
export interface MessageSenderOptions extends Omit<LaneOptions, 'hold' | 'onState' | 'onSent'> {
  organizations: Organizations;
  records: MessageRecords;
  tracker: StatusTracker;
  /** How other processes with the same store are told apart from this one; nothing when the store is not shared. */
  sharing?: { processId: string; isAlone(): boolean } | undefined;
  /** The state of a lane has changed. */
  onState?(lane: Lane, previous: OutboxState['state']): void;
  /** A message has been sent; how long that took since it came in, in milliseconds. */
  onSent?(tookMs: number): void;
  logger?: Logger;
}

/** For how long a process may be busy with a message before another takes it for dead, in milliseconds. */
const HOLD_MS = 30_000;
/** This part of what a source gives out is shared by those who are slow; the rest is for everybody else. */
const SHARED_PART = 0.8;
/** How long a message stays away while the directory of tenants, or the store, cannot be asked. */
const UNAVAILABLE_RETURN_MS = 5_000;

/**
 * Sends messages into the organizations of tenants: each exactly once as far as Genesys can tell, in a lane of its
 * organization, with its status in the store and told to others.
 */
export class MessageSender {
  private readonly options: Required<Omit<MessageSenderOptions, 'sharing'>> & Pick<MessageSenderOptions, 'sharing'>;
  private readonly clock: Clock;
  private readonly lanes = new Map<Organization, Lane>();
  /** What is not in a lane: on its way to one, or turned away before. */
  private readonly books = new Books();
  /** Messages that are being sent, by tenant and id: the same message again waits for the first. */
  private readonly active = new Map<string, Submission[]>();
  private readonly leave: () => void;
  private closing = false;

  constructor(options: MessageSenderOptions) {
    this.options = { logger: silentLogger, clock: systemClock, onState: () => {}, onSent: () => {}, ...options };
    this.clock = this.options.clock;
    this.leave = options.organizations.onChange((organization) => {
      this.options.logger.info(`The organization ${organization.name} has other credentials now`);
      this.lanes.get(organization)?.retryNow();
    });
  }

  /** The books of all lanes together. */
  snapshot(): BooksSnapshot {
    return sumOfBooks([this.books.snapshot(), ...[...this.lanes.values()].map((lane) => lane.snapshot())]);
  }

  /** All lanes that have been used so far. */
  all(): Lane[] {
    return [...this.lanes.values()];
  }

  /** Takes a message in. */
  submit(submission: Submission): void {
    this.books.receive();
    if (this.closing) {
      const error = new ContactError('CLOSED', { attempted: 'send the message' });
      this.turnAway(submission, this.notNow(submission, error, 0));
      return;
    }
    let message: OutgoingMessage;
    try {
      message = readMessage(submission.payload);
    } catch (thrown) {
      void this.refuse(submission, toContactError(thrown, 'send the message'));
      return;
    }
    const correlationId = message.correlationId ?? submission.correlationId;
    if (correlationId !== undefined) message.correlationId = correlationId;
    const key = JSON.stringify([message.tenantId, message.messageId]);
    const running = this.active.get(key);
    if (running) {
      // The same message again: it ends as the first one does.
      running.push(submission);
      return;
    }
    const submissions = [submission];
    this.active.set(key, submissions);
    this.accept(message, submissions, key).catch((thrown: unknown) => {
      if (this.active.get(key) !== submissions) return;
      const error = toContactError(thrown, 'send the message');
      this.finish(key, submissions, this.notNow(submission, error, UNAVAILABLE_RETURN_MS));
    });
  }

  /** Stops the intake, sends for so long what waits, and gives back the rest: nothing is told about it. */
  async close(withinMs: number): Promise<Submission[]> {
    this.closing = true;
    this.leave();
    const left = await Promise.all(this.all().map((lane) => lane.close(withinMs)));
    const jobs = left.flat().filter(({ isEnded }) => !isEnded);
    return jobs.flatMap(({ submissions }) => submissions);
  }

  /** Makes a job of a message that is sound, or ends it. */
  private async accept(message: OutgoingMessage, submissions: Submission[], key: string): Promise<void> {
    const { organizations, records, tracker } = this.options;
    const { tenantId } = message;
    const [submission] = submissions as [Submission];
    const organization = await organizations.find(tenantId, message).catch((thrown: unknown) => {
      return toContactError(thrown, `find the tenant ${tenantId}`);
    });
    const isAlone = this.options.sharing?.isAlone() === true;
    if (isAlone && submission.comesAgain && message.time === undefined) {
      this.finish(key, submissions, this.notNow(submission, storeIsAway(), UNAVAILABLE_RETURN_MS));
      return;
    }
    const { isNew, ...remembered } = await records.accept(this.newRecord(message, organization));
    const queued = isNew ? tracker.tell(remembered, remembered.record.history) : Promise.resolve();
    const job = this.job({ message, remembered, submissions, key, queued });
    if (organization instanceof ContactError) {
      await this.withoutOrganization(job, organization);
      return;
    }
    if (!isNew && (await this.settleKnown(job, organization))) return;
    if (this.closing) {
      const error = new ContactError('CLOSED', { attempted: 'send the message' });
      job.end(this.notNow(submission, error, 0));
      return;
    }
    const lane = this.laneOf(organization);
    if (this.takesTheRoomOfOthers(lane, submission)) {
      job.end(await lane.postpone(job));
      return;
    }
    this.books.handOver();
    job.isInLane = true;
    lane.offer(job);
  }

  /**
   * A source has only so many messages out. Were most of them for organizations that are slow, it would have none for
   * the others: when it is nearly used up, a slow one holds no more than its share.
   */
  private takesTheRoomOfOthers(lane: Lane, { comesAgain, source }: Submission): boolean {
    if (!comesAgain || !source) return false;
    const shared = source.capacity * SHARED_PART;
    if (source.open < shared || !lane.isSlow) return false;
    const busy = this.all().filter(({ count }) => count > 0).length;
    return lane.count >= Math.max(1, Math.floor(shared / Math.max(1, busy)));
  }

  /** What is known of a message may say that there is nothing to be done, or not now. True when it does. */
  private async settleKnown(job: Job, organization: Organization): Promise<boolean> {
    const { remembered, message } = job;
    const { record } = remembered;
    if (record.status === 'sent' || record.status === 'delivered') {
      await this.options.tracker.tellAgain(remembered);
      job.end({ kind: 'sent', record, isDuplicate: true });
      return true;
    }
    const { holder } = record;
    const now = this.clock.now();
    const { sharing } = this.options;
    const [submission] = job.submissions;
    if (sharing && holder && holder.id !== sharing.processId && holder.until > now && submission?.comesAgain) {
      const error = new ContactError('BUSY', { attempted: 'send the message', answer: 'another process is at it' });
      const delayMs = holder.until - now;
      job.end({ kind: 'returned', error, attempts: record.attempts, delayMs, isCounted: false });
      return true;
    }
    record.organizationId = organization.settings.organizationId;
    record.mode = message.mode;
    this.take(record);
    // One that had failed is tried once more; of any other it was not told yet, perhaps, that it is queued.
    if (record.status === 'queued') await this.options.tracker.tellAgain(remembered);
    else await this.options.tracker.change(remembered, ['queued']);
    if (sharing) await this.options.tracker.save(remembered);
    return false;
  }

  /** A message for a tenant or organization that is not known has failed; when nobody can say, it waits. */
  private async withoutOrganization(job: Job, error: ContactError): Promise<void> {
    const [submission] = job.submissions as [Submission];
    if (error.retryable && submission.comesAgain) job.end(this.notNow(submission, error, UNAVAILABLE_RETURN_MS));
    else job.end(await failed(job, error, this.options.tracker));
  }

  private newRecord(message: OutgoingMessage, organization: Organization | ContactError): MessageRecord {
    const { messageId, tenantId, mode, correlationId } = message;
    const timestamp = new Date(this.clock.now()).toISOString();
    const record: MessageRecord = {
      messageId,
      tenantId,
      ...(organization instanceof ContactError ? {} : { organizationId: organization.settings.organizationId }),
      mode,
      time: message.time ?? timestamp,
      status: 'queued',
      attempts: 0,
      ...(correlationId === undefined ? {} : { correlationId }),
      history: [{ status: 'queued', timestamp, attempts: 0 }],
    };
    this.take(record);
    return record;
  }

  /** Writes into a record that this process works on the message. */
  private take(record: MessageRecord): void {
    const { sharing } = this.options;
    if (sharing) record.holder = { id: sharing.processId, until: this.clock.now() + HOLD_MS };
  }

  /** A message that has waited for long may have been taken over by another process meanwhile. */
  private async hold({ remembered }: Job): Promise<boolean> {
    const { record } = remembered;
    const { sharing, records } = this.options;
    const now = this.clock.now();
    if (!sharing || (record.holder?.until ?? 0) > now) return true;
    const stored = (await records.find(record.messageId, record.tenantId))?.record;
    this.take(record);
    if (!stored) {
      await records.save(remembered);
      return true;
    }
    const { holder, status } = stored;
    const isTaken = holder !== undefined && holder.id !== sharing.processId && holder.until > now;
    if (isTaken || status === 'sent' || status === 'delivered') return false;
    return records.replace(remembered, stored);
  }

  private job(parts: Pick<Job, 'message' | 'remembered' | 'submissions' | 'queued'> & { key: string }): Running {
    const { key, ...rest } = parts;
    // Whoever ends the job waits for it; a sender that is closed does not.
    parts.queued.catch(() => {});
    const job: Running = {
      ...rest,
      receivedAt: this.clock.now(),
      outcome: undefined,
      isEnded: false,
      isInLane: false,
      end: (outcome) => {
        if (job.isEnded) return;
        job.isEnded = true;
        this.finish(key, job.submissions, outcome, job.isInLane);
      },
    };
    return job;
  }

  /** Tells everyone who has submitted the message how it has ended. */
  private finish(key: string, submissions: readonly Submission[], outcome: SendOutcome, isInLane = false): void {
    this.active.delete(key);
    for (const [index, submission] of submissions.entries()) {
      const own = index === 0 ? outcome : this.forLater(submission, outcome);
      // The lane has the first one in its books.
      if (!isInLane || index > 0) this.books.settleQueued(accountOf(own));
      submission.done(own);
    }
  }

  /** The same message came again while it was being sent. */
  private forLater(submission: Submission, outcome: SendOutcome): SendOutcome {
    if (outcome.kind === 'sent') return { ...outcome, isDuplicate: true };
    return outcome.kind === 'returned' ? this.notNow(submission, outcome.error, outcome.delayMs ?? 0) : outcome;
  }

  private turnAway(submission: Submission, outcome: SendOutcome): void {
    this.books.settleQueued(accountOf(outcome));
    submission.done(outcome);
  }

  private laneOf(organization: Organization): Lane {
    const known = this.lanes.get(organization);
    if (known) return known;
    let previous: OutboxState['state'] = 'working';
    const lane = new Lane(organization, {
      ...this.options,
      hold: (job) => this.hold(job),
      onSent: (_job, tookMs) => this.options.onSent(tookMs),
      onState: (changed, { state, error }) => {
        const { name } = changed.organization;
        const before = previous;
        previous = state;
        // The text differs with each message that fails: that is not worth a line each.
        if (before === state) return;
        if (error) this.options.logger.warn(`Organization ${name}: ${error.message}`, { code: error.code });
        else this.options.logger.info(`Organization ${name}: sending again`);
        this.options.onState(changed, before);
      },
    });
    this.lanes.set(organization, lane);
    return lane;
  }

  /** A message that cannot be understood has failed; with its ids its status can be told all the same. */
  private async refuse(submission: Submission, error: ContactError): Promise<void> {
    const identity = identityOf(submission.payload);
    try {
      if (identity) {
        const { correlationId } = submission;
        const message = { ...identity, mode: 'inbound' as const, attachments: [] };
        const record = this.newRecord({ ...message, ...(correlationId ? { correlationId } : {}) }, error);
        const remembered = await this.options.records.accept(record);
        delete remembered.record.holder;
        const isDone = remembered.record.status === 'sent' || remembered.record.status === 'delivered';
        const statuses = submission.comesAgain ? (['failed', 'dead_lettered'] as const) : (['failed'] as const);
        if (!isDone) await this.options.tracker.change(remembered, statuses, error);
      }
    } catch (thrown) {
      this.options.logger.warn(toContactError(thrown, 'write down a message that was refused').message);
    }
    this.turnAway(submission, { kind: 'failed', error, attempts: 0 });
  }

  /** A message that comes again is returned, any other has failed. */
  private notNow({ comesAgain }: Submission, error: ContactError, delayMs: number): SendOutcome {
    const wait = error.retryAfterMs ?? delayMs;
    if (!comesAgain) return { kind: 'failed', error, attempts: 0 };
    return { kind: 'returned', error, attempts: 0, isCounted: false, ...(wait > 0 ? { delayMs: wait } : {}) };
  }
}

/** A job with what only the sender needs to know. */
interface Running extends Job {
  isEnded: boolean;
  /** Whether the lane has it in its books. */
  isInLane: boolean;
}

function accountOf(outcome: SendOutcome): 'delivered' | 'duplicate' | 'rejected' {
  if (outcome.kind !== 'sent') return 'rejected';
  return outcome.isDuplicate ? 'duplicate' : 'delivered';
}

function storeIsAway(): ContactError {
  return new ContactError('UNREACHABLE', {
    attempted: 'fix the time of a message',
    answer: 'the shared store is away, and the message brings no time of its own',
    advice: 'It waits until Redis is back. Messages that name their time do not have to.',
  });
}
