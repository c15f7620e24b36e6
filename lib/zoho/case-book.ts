import { type Clock, systemClock } from '../core/clock';
import type { StateStore } from '../store/store';

/** The store of the claims, and whether it can be relied upon. */
export interface ClaimStore {
  readonly store: StateStore;
  /** Whether several processes may work with the same conversations. */
  readonly shared: boolean;
  /** Whether the shared store is away, so that claims do not keep other processes away. */
  readonly alone: boolean;
}

/** What is known about the Case of a conversation. */
export interface CaseRecord {
  /** The Case, once it is known to be there. */
  caseId?: string;
  /** The content that the Case has. */
  content?: string;
  /** The content whose Notes and attachment are there. */
  extras?: string;
  /** A Case is being made since then, in milliseconds since the epoch: it may be there although we have no id. */
  attemptedAt?: number;
  /** The same for Notes and attachment. */
  extrasAttemptedAt?: number;
}

/** Making a Case takes a few calls; whoever takes longer has died. */
const CLAIM_MS = 180_000;
/** Records of Cases that nothing happened to for so long are let go. A look-up finds the Case again. */
const KEPT_MS = 400 * 86_400_000;

/** Remembers which conversation has which Case, and lets one process at a time work on each. */
export class CaseBook {
  constructor(
    private readonly store: StateStore,
    /** The Zoho account. */
    private readonly account: string,
    /** This process. */
    private readonly owner: string,
    private readonly clock: Clock = systemClock,
  ) {}

  async read(conversationId: string): Promise<CaseRecord> {
    const found = ((await this.store.get(this.key('case', conversationId))) ?? {}) as Record<keyof CaseRecord, unknown>;
    const { caseId, content, extras, attemptedAt, extrasAttemptedAt } = found;
    return {
      ...(typeof caseId === 'string' ? { caseId } : {}),
      ...(typeof content === 'string' ? { content } : {}),
      ...(typeof extras === 'string' ? { extras } : {}),
      ...(typeof attemptedAt === 'number' ? { attemptedAt } : {}),
      ...(typeof extrasAttemptedAt === 'number' ? { extrasAttemptedAt } : {}),
    };
  }

  async write(conversationId: string, record: CaseRecord): Promise<void> {
    await this.store.set(this.key('case', conversationId), record, { expiresInMs: KEPT_MS });
  }

  /**
   * Claims a conversation for this process. Gives back what the claim was, to be given to {@link CaseBook.release};
   * `undefined` when another process has it.
   */
  async claim(conversationId: string): Promise<object | undefined> {
    const key = this.key('claim', conversationId);
    const claim = { owner: this.owner, at: this.clock.now() };
    const keeping = { expiresInMs: CLAIM_MS };
    if (await this.store.add(key, claim, keeping)) return claim;
    const other = await this.store.get(key);
    // Our own from before we were killed, or one whose answer got lost on the way.
    const isOurs = (other as { owner?: unknown } | undefined)?.owner === this.owner;
    return isOurs && (await this.store.replace(key, other, claim, keeping)) ? claim : undefined;
  }

  async release(conversationId: string, claim: object): Promise<void> {
    await this.store.remove(this.key('claim', conversationId), claim);
  }

  /** The contact with this name, as far as it is known. */
  async contact(name: string): Promise<string | undefined> {
    const id = await this.store.get(this.key('contact', name));
    return typeof id === 'string' ? id : undefined;
  }

  /** Remembers a contact, or forgets it. */
  async setContact(name: string, id: string | undefined): Promise<void> {
    if (id === undefined) await this.store.delete(this.key('contact', name));
    else await this.store.set(this.key('contact', name), id, { expiresInMs: KEPT_MS });
  }

  private key(what: string, whose: string): string {
    // Keys are limited in length, ids and names are not.
    return `zoho-${what}/${this.account}/${whose.slice(0, 300)}`;
  }
}
