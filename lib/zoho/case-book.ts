import { type Clock, systemClock } from '../core/clock';
import { Lease } from '../store/lease';
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

/** The right to make the Case of a conversation. */
export interface Claim {
  /** False from the moment on when another process may have got it. */
  readonly held: boolean;
  release(): Promise<void>;
}

/** A claim is renewed three times as often; whoever does not do that has died. */
const CLAIM_MS = 30_000;
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
    private readonly claimMs = CLAIM_MS,
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

  /** Claims a conversation for this process; `undefined` when another process has it. */
  async claim(conversationId: string): Promise<Claim | undefined> {
    const { store, owner, clock, claimMs: durationMs } = this;
    const key = this.key('claim', conversationId);
    const lease = new Lease({ store, key, owner, durationMs, clock, leavesWord: false });
    if (!(await lease.take())) return undefined;
    const { term } = lease;
    return {
      get held() {
        return lease.held && lease.term === term;
      },
      release: () => lease.close(),
    };
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
