import type { Clock } from '../core/clock';
import { ContactError } from '../core/errors';
import type { CaseBook, CaseRecord, Claim, ClaimStore } from './case-book';
import { buildContent, type CaseContent } from './case-content';
import { type CaseSettings, idFieldOf } from './case-settings';
import type { ZohoClient } from './client';
import type { ContactFinder } from './contacts';
import type { CaseConversation } from './conversation';
import type { AddedExtras, ExtrasWriter } from './extras';
import type { Finder } from './finder';
import type { Lessons } from './lessons';
import type { CaseSchema } from './schema';
import { later, Stop, stopFor } from './stop';
import { duplicateOf, judgeRecord, type RecordResult } from './verdicts';

/** The Case of a conversation. */
export interface CaseResult {
  caseId: string;
  conversationId: string;
  action: 'created' | 'updated' | 'unchanged';
  subject: string;
  /** Notes and attachments that were added. */
  notes: number;
  attachments: number;
}

/** What the work on all Cases has in common. */
export interface CaseTools {
  client: ZohoClient;
  book: CaseBook;
  finder: Finder;
  contacts: ContactFinder;
  extras: ExtrasWriter;
  lessons: Lessons;
  settings: CaseSettings;
  state: ClaimStore;
  clock: Clock;
  /** Until when the Notes of a conversation are left to other processes, in milliseconds since the epoch. */
  patience: Map<string, number>;
}

/** How often a content is sent again because Zoho has told of a limit, or because its contact is gone. */
const MOST_TRIES = 8;
/** Processes that are alone do not know of each other: each waits for a different while before it adds Notes. */
const PATIENCE_MS = { least: 5_000, most: 30_000 };

/** Makes or changes the Case of one conversation, while this process has the claim to it. */
export class CaseWork {
  private content: CaseContent;

  constructor(
    private readonly tools: CaseTools,
    private readonly conversation: CaseConversation,
    private readonly schema: CaseSchema,
    private record: CaseRecord,
    private readonly claim: Claim,
    private readonly signal: AbortSignal,
  ) {
    this.content = this.build();
  }

  /** Throws {@link Stop} where it cannot go on. */
  async run(): Promise<CaseResult> {
    const { caseId, action } = await this.write();
    const isFresh = action === 'created';
    const { notes, attachments } = await this.addExtras(caseId, isFresh);
    await this.save({ caseId, content: this.content.hash, extras: this.content.hash });
    const isUnchanged = action === 'unchanged' && notes + attachments > 0;
    return {
      ...resultOf(this.conversation, this.content, caseId, isUnchanged ? 'updated' : action),
      notes,
      attachments,
    };
  }

  private async write(): Promise<{ caseId: string; action: CaseResult['action'] }> {
    const known = this.record.caseId ?? (await this.find());
    if (known !== undefined) {
      if (this.record.caseId === known && this.record.content === this.content.hash) {
        return { caseId: known, action: 'unchanged' };
      }
      if (await this.update(known)) return this.saved(known, 'updated');
      // Someone has deleted the Case: perhaps there is another one, otherwise a new one is made.
      this.record = {};
      const other = await this.find();
      if (other !== undefined && (await this.update(other))) return this.saved(other, 'updated');
    }
    const { caseId, isNew } = await this.create();
    if (isNew) return this.saved(caseId, 'created');
    await this.update(caseId);
    return this.saved(caseId, 'updated');
  }

  private async saved(
    caseId: string,
    action: CaseResult['action'],
  ): Promise<{ caseId: string; action: typeof action }> {
    const { extras, extrasAttemptedAt } = this.record;
    await this.save({
      caseId,
      content: this.content.hash,
      ...(extras === undefined ? {} : { extras }),
      ...(extrasAttemptedAt === undefined ? {} : { extrasAttemptedAt }),
    });
    return { caseId, action };
  }

  /** The Case that is there already. */
  private async find(): Promise<string | undefined> {
    const { settings, finder } = this.tools;
    const { attemptedAt } = this.record;
    if (!settings.duplicateCheck && attemptedAt === undefined) return undefined;
    const idField = idFieldOf(settings);
    const options = { thorough: !this.isUnique, signal: this.signal };
    const found = await finder.find('Cases', idField, this.conversation.id, options);
    if ('refusal' in found) {
      const { refusal } = found;
      throw refusal.kind === 'rejected'
        ? new Stop({ kind: 'refused', error: withoutIdField(idField, refusal.error) }, 'all')
        : stopFor(refusal);
    }
    if (found.id !== undefined || attemptedAt === undefined || this.isUnique) return found.id;
    // The request may still be on its way to where it is carried out.
    this.waitUntil(attemptedAt + this.settledAfterMs, 'a request for it was not answered');
    return undefined;
  }

  private async create(): Promise<{ caseId: string; isNew: boolean }> {
    const { state, contacts, settings, clock } = this.tools;
    if (state.shared && state.alone && !this.isUnique) throw new Stop(alone(idFieldOf(settings)), 'all');
    for (let tries = 1; ; tries++) {
      const contactId = await contacts.get(this.signal);
      this.checkClaim();
      await this.save({ ...this.record, attemptedAt: clock.now() });
      const contact = contactId === undefined ? {} : { Contact_Name: { id: contactId } };
      const record = await this.send('POST', '/Cases', { ...this.content.create, ...contact }, 'create a Case');
      const id = record.details['id'];
      if (record.code === 'SUCCESS' && typeof id === 'string') return { caseId: id, isNew: true };
      const other = duplicateOf(record, idFieldOf(settings));
      if (other !== undefined) return { caseId: other, isNew: false };
      // Where even Zoho does not know, the Case may be there.
      if (judgeRecord('create a Case', record).kind !== 'unknown') await this.forgetAttempt();
      if (record.details['api_name'] === 'Contact_Name' && tries === 1) await contacts.forget();
      else this.learnOrStop(record, 'create a Case', tries);
    }
  }

  /** False when there is no such Case any more. */
  private async update(caseId: string): Promise<boolean> {
    for (let tries = 1; ; tries++) {
      const record = await this.send('PUT', `/Cases/${caseId}`, this.content.update, 'update a Case');
      if (record.code === 'SUCCESS') return true;
      const about = record.details['api_name'] ?? 'id';
      if (record.code === 'INVALID_DATA' && about === 'id') return false;
      this.learnOrStop(record, 'update a Case', tries);
    }
  }

  private async addExtras(caseId: string, isNew: boolean): Promise<AddedExtras> {
    const { notes, attachment, hash } = this.content;
    const nothing = { notes: 0, attachments: 0 };
    if ((notes.length === 0 && !attachment) || this.record.extras === hash) return nothing;
    const isFresh = isNew && this.record.extrasAttemptedAt === undefined;
    if (!isFresh) this.bePatient();
    for (let tries = 1; tries < MOST_TRIES; tries++) {
      const added = await this.tryExtras(caseId, isFresh);
      if (added !== 'too-long') return added;
      this.content = this.build();
    }
    return nothing;
  }

  private async tryExtras(caseId: string, isFresh: boolean): Promise<AddedExtras | 'too-long'> {
    const { extras, clock } = this.tools;
    const { extrasAttemptedAt } = this.record;
    if (extrasAttemptedAt !== undefined && !(await extras.areThere(caseId, this.content, this.signal))) {
      this.waitUntil(extrasAttemptedAt + this.settledAfterMs, 'a request for its Notes was not answered');
    }
    this.checkClaim();
    await this.save({ ...this.record, extrasAttemptedAt: clock.now() });
    const added = await extras.add(caseId, this.content, isFresh, this.signal).catch(async (thrown: unknown) => {
      if (thrown instanceof Stop && thrown.verdict.kind !== 'unknown') await this.forgetExtrasAttempt();
      throw thrown;
    });
    if (added === 'too-long') await this.forgetExtrasAttempt();
    return added;
  }

  /** The result of the one record that was sent. */
  private async send(
    method: 'POST' | 'PUT',
    path: string,
    fields: Record<string, unknown>,
    what: string,
  ): Promise<RecordResult> {
    const reading = await this.tools.client.call(method, path, { body: { data: [fields] }, signal: this.signal, what });
    if (reading.kind === 'refusal') {
      // Only where the outcome is not known may the Case be there.
      if (method === 'POST' && reading.refusal.kind !== 'unknown') await this.forgetAttempt();
      throw stopFor(reading.refusal);
    }
    const record = reading.kind === 'records' ? reading.records[0] : undefined;
    if (record) return record;
    const error = new ContactError('PROTOCOL', { attempted: what, answer: 'the answer names no record' });
    throw new Stop({ kind: 'unknown', error }, 'all');
  }

  /** Goes on when Zoho has told something new about its fields. */
  private learnOrStop(record: RecordResult, what: string, tries: number): void {
    if (tries >= MOST_TRIES || !this.tools.lessons.learn(record)) throw new Stop(judgeRecord(what, record), 'one');
    this.content = this.build();
  }

  private build(): CaseContent {
    const { settings, lessons } = this.tools;
    return buildContent(this.conversation, settings, this.schema, lessons);
  }

  private get isUnique(): boolean {
    const { settings } = this.tools;
    if (settings.uniqueField !== 'auto') return settings.uniqueField === 'yes';
    return this.schema?.get(idFieldOf(settings))?.unique === true;
  }

  /** After so long a request that was not answered is not carried out any more. */
  private get settledAfterMs(): number {
    return 2 * this.tools.client.timeoutMs;
  }

  private waitUntil(time: number, answer: string): void {
    const waitMs = time - this.tools.clock.now();
    if (waitMs > 0) throw later('make a Case', answer, 'It is looked for again after a while.', waitMs);
  }

  /** After a long pause of this process another one may have begun with the same. */
  private checkClaim(): void {
    if (!this.claim.held) throw later('make a Case', 'the claim was lost', 'It is tried again by itself.', 1_000);
  }

  /** Without a shared store other processes may be about to add the same Notes: the first of them does. */
  private bePatient(): void {
    const { state, patience, clock } = this.tools;
    const key = `${this.conversation.id} ${this.content.hash}`;
    if (!state.shared || !state.alone) {
      patience.delete(key);
      return;
    }
    const span = PATIENCE_MS.most - PATIENCE_MS.least;
    const until = patience.get(key) ?? clock.now() + PATIENCE_MS.least + Math.random() * span;
    patience.set(key, until);
    this.waitUntil(until, 'the state store is away');
    patience.delete(key);
  }

  private async forgetAttempt(): Promise<void> {
    const { attemptedAt: _over, ...rest } = this.record;
    await this.save(rest);
  }

  private async forgetExtrasAttempt(): Promise<void> {
    const { extrasAttemptedAt: _over, ...rest } = this.record;
    await this.save(rest);
  }

  private async save(record: CaseRecord): Promise<void> {
    this.record = record;
    await this.tools.book.write(this.conversation.id, record);
  }
}

/** What output 1 tells of a Case. */
export function resultOf(
  conversation: CaseConversation,
  { subject }: CaseContent,
  caseId: string,
  action: CaseResult['action'],
): CaseResult {
  return { caseId, conversationId: conversation.id, action, subject, notes: 0, attachments: 0 };
}

function withoutIdField(field: string, cause: ContactError): ContactError {
  return new ContactError('REFUSED', {
    attempted: 'look for a Case',
    target: 'Zoho CRM',
    answer: cause.summary,
    advice: `Create the field ${field} in Cases (single line, without duplicates), or map the id to another field.`,
    cause,
  });
}

function alone(field: string): { kind: 'busy'; fault: 'limit'; error: ContactError } {
  const error = new ContactError('UNREACHABLE', {
    attempted: 'make a Case',
    answer: `the shared state store is away, and the field ${field} is not unique in Zoho`,
    advice:
      'Nothing is made until the store is back, because another process might make the same Case. Make the field unique, or bring Redis back.',
    retryAfterMs: 5_000,
  });
  return { kind: 'busy', fault: 'limit', error };
}
