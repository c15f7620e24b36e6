import { type Clock, systemClock } from '../core/clock';
import { ContactError } from '../core/errors';
import { type Logger, silentLogger } from '../core/log';
import { quietLogger } from '../core/quiet-logger';
import type { Verdict } from '../core/verdicts';
import { CaseBook, type ClaimStore } from './case-book';
import { buildContent, type CaseContent } from './case-content';
import { type CaseSettings, idFieldOf } from './case-settings';
import { type CaseResult, type CaseTools, CaseWork, resultOf } from './case-work';
import type { ZohoClient } from './client';
import { ContactFinder } from './contacts';
import type { CaseConversation } from './conversation';
import { ExtrasWriter } from './extras';
import { Finder } from './finder';
import { Lessons } from './lessons';
import { type CaseSchema, SchemaReader } from './schema';
import { later, Stop, stopFor } from './stop';

/** Settings of a {@link CaseWriter}. */
export interface CaseWriterOptions {
  client: ZohoClient;
  /** The Zoho account, see `ZohoAccount.key`. */
  account: string;
  /** This process: the same after a restart, different in every other one. */
  owner: string;
  state: ClaimStore;
  settings: CaseSettings;
  /** After so long the work of a process that has died is taken over by another one, in milliseconds; default 30,000. */
  claimMs?: number;
  clock?: Clock;
  logger?: Logger;
}

/** What became of a conversation. */
export interface CaseOutcome {
  verdict: Verdict;
  /** Whether the verdict concerns everything that would be sent now, or this conversation alone. */
  scope: 'all' | 'one';
  /** When the verdict is `delivered` or `duplicate`. */
  result?: CaseResult;
}

const CLAIMED_ELSEWHERE_MS = 3_000;

/**
 * Writes conversations to Zoho: one Case for each, however often and from however many processes it is asked to. Three
 * locks see to that: a claim in the store, a look-up before a Case is made, and a unique field in Zoho if there is one.
 */
export class CaseWriter {
  private readonly tools: CaseTools;
  private readonly schemas: SchemaReader;
  private readonly book: CaseBook;
  private readonly logger: Logger;
  /** Conversations that are being written, with the end of the latest. */
  private readonly running = new Map<string, Promise<unknown>>();

  constructor(options: CaseWriterOptions) {
    const { client, account, owner, state, settings, claimMs, clock = systemClock, logger = silentLogger } = options;
    const lessons = new Lessons();
    const finder = new Finder(client, clock);
    this.logger = quietLogger(logger, clock);
    this.book = new CaseBook(state.store, account, owner, clock, claimMs);
    this.schemas = new SchemaReader(client, clock);
    this.tools = {
      client,
      book: this.book,
      finder,
      contacts: new ContactFinder(settings.contactName, client, finder, this.book),
      extras: new ExtrasWriter(client, (record) => lessons.learn(record)),
      lessons,
      settings,
      state,
      clock,
      patience: new Map(),
    };
  }

  /** The fields of Cases, for whoever maps them. Throws what Zoho says. */
  async schema(): Promise<CaseSchema> {
    const read = await this.schemas.read();
    if ('refusal' in read) throw stopFor(read.refusal);
    return read.schema;
  }

  /** Writes one conversation; two calls for the same one are done after each other. */
  async write(conversation: CaseConversation, signal: AbortSignal): Promise<CaseOutcome> {
    const before = this.running.get(conversation.id) ?? Promise.resolve();
    const work = before.then(() => this.writeOne(conversation, signal));
    const end = work.catch(() => {});
    this.running.set(conversation.id, end);
    try {
      return await work;
    } finally {
      if (this.running.get(conversation.id) === end) this.running.delete(conversation.id);
    }
  }

  private async writeOne(conversation: CaseConversation, signal: AbortSignal): Promise<CaseOutcome> {
    try {
      const result = await this.underClaim(conversation, await this.schema(), signal);
      return { verdict: { kind: result.action === 'unchanged' ? 'duplicate' : 'delivered' }, scope: 'one', result };
    } catch (thrown) {
      if (thrown instanceof Stop) return { verdict: thrown.verdict, scope: thrown.scope };
      // The node is being closed, or the store is out of order.
      if (thrown instanceof ContactError)
        return { verdict: { kind: 'busy', fault: 'limit', error: thrown }, scope: 'all' };
      throw thrown;
    }
  }

  private async underClaim(
    conversation: CaseConversation,
    schema: CaseSchema,
    signal: AbortSignal,
  ): Promise<CaseResult> {
    const { settings, lessons } = this.tools;
    const content = buildContent(conversation, settings, schema, lessons);
    this.warnOfMissing(content, schema);
    const done = await this.doneBefore(conversation, content);
    if (done) return done;
    const claim = await this.book.claim(conversation.id);
    if (!claim) {
      const advice = 'Another process works on the same conversation; it is tried again by itself.';
      throw later('make a Case', 'the conversation is claimed', advice, CLAIMED_ELSEWHERE_MS);
    }
    try {
      // Whoever had the claim until now may have done it all.
      const since = await this.doneBefore(conversation, content);
      if (since) return since;
      const record = await this.book.read(conversation.id);
      return await new CaseWork(this.tools, conversation, schema, record, claim, signal).run();
    } finally {
      await claim.release();
    }
  }

  private async doneBefore(conversation: CaseConversation, content: CaseContent): Promise<CaseResult | undefined> {
    const { caseId, content: written, extras } = await this.book.read(conversation.id);
    if (caseId === undefined || written !== content.hash || extras !== content.hash) return undefined;
    return resultOf(conversation, content, caseId, 'unchanged');
  }

  private warnOfMissing({ missing }: CaseContent, schema: CaseSchema): void {
    if (missing.length > 0) {
      this.logger.warn(`Cases have no field ${missing.join(', ')}: create it in Zoho, or take it out of the mapping.`);
    }
    const idField = idFieldOf(this.tools.settings);
    if (schema?.get(idField)?.unique === false && this.tools.settings.uniqueField === 'auto') {
      this.logger.warn(
        `The field ${idField} of Cases is not unique. Make it unique in Zoho (Do not allow duplicate values): then Cases can be made even while the state store is away.`,
      );
    }
  }
}
