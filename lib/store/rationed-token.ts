import { createHash, randomUUID } from 'node:crypto';
import { type Clock, delay, systemClock } from '../core/clock';
import { ContactError, toContactError } from '../core/errors';
import { registerToken } from '../core/redaction';
import { seal, unseal } from '../core/sealing';
import type { FetchedToken } from '../core/token-cache';
import type { StateStore } from './store';

/** A token with plain facts that came with it. */
export interface TokenWithFacts extends FetchedToken {
  /** Where the API is, for one; without secrets. */
  facts?: Record<string, string>;
}

/** Settings of a {@link RationedToken}. */
export interface RationedTokenOptions {
  store: StateStore;
  /** Whose token it is: the same text in every process, without a secret in it. */
  name: string;
  /** What the token is encrypted with in the store: whoever has this could get a token anyway. */
  secret: string;
  /** Asks the remote system. */
  request(signal: AbortSignal): Promise<TokenWithFacts>;
  /** How often that may be done, by all processes together and over restarts; failed requests count as well. */
  allowance?: { requests: number; windowMs: number };
  /** After this part of its lifetime a token is renewed; default 0.8. */
  renewAt?: number;
  clock?: Clock;
}

/** A token as it is stored. */
interface StoredToken {
  sealed: string;
  obtainedAt: number;
  expiresAt: number;
  facts: Record<string, string>;
}

/** The requests of all processes. */
interface Ledger {
  /** Times of requests, in milliseconds since the epoch. */
  at: number[];
  /** Nobody asks before this time: the remote system has locked us out. */
  lockedUntil: number;
  /** Lock-outs in a row. */
  lockOuts: number;
}

/** One request takes no longer than this; then another process may try. */
const LOCK_MS = 45_000;
const LOOK_AGAIN_MS = 200;
const LONGEST_LOCK_OUT_MS = 900_000;

/**
 * One access token for all processes that share a store, kept over restarts. Whoever needs one takes it from the
 * store; when it is time for a new one, one process asks for it and the others wait for what it gets.
 */
export class RationedToken {
  private readonly options: Required<Omit<RationedTokenOptions, 'allowance'>> & Pick<RationedTokenOptions, 'allowance'>;
  /** A token that was not accepted: what the store has may be that one. */
  private rejected: string | undefined;

  constructor(options: RationedTokenOptions) {
    this.options = { renewAt: 0.8, clock: systemClock, ...options };
  }

  /** The remote system has not accepted this token: it is not given out again. */
  reject(value: string): void {
    this.rejected = value;
  }

  /** The token of the store, or a new one when that is due. `isShared` says that another process has got it. */
  async fetch(signal: AbortSignal): Promise<TokenWithFacts & { isShared: boolean }> {
    const { store, clock } = this.options;
    const owner = randomUUID();
    for (;;) {
      if (signal.aborted) throw new ContactError('CLOSED', { attempted: 'get an access token' });
      const stored = await this.stored();
      if (stored && !this.isDue(stored)) return { ...stored, isShared: true };
      if (await store.add(this.place('lock'), owner, { expiresInMs: LOCK_MS })) {
        try {
          return await this.renewed(signal);
        } finally {
          await store.remove(this.place('lock'), owner);
        }
      }
      await delay(LOOK_AGAIN_MS, { clock, signal });
    }
  }

  /** Another process may have been faster than the lock. */
  private async renewed(signal: AbortSignal): Promise<TokenWithFacts & { isShared: boolean }> {
    const { clock } = this.options;
    const stored = await this.stored();
    if (stored && !this.isDue(stored)) return { ...stored, isShared: true };
    const ledger = await this.enter(stored);
    if (!ledger) return { ...(stored as TokenWithFacts), isShared: true };
    const asked = clock.now();
    try {
      const token = await this.options.request(signal);
      registerToken(token.value);
      await this.write(token, asked);
      if (ledger.lockOuts > 0) await this.keep({ ...ledger, lockOuts: 0, lockedUntil: 0 });
      return { ...token, obtainedAt: asked, isShared: false };
    } catch (thrown) {
      throw await this.lockOut(toContactError(thrown, 'get an access token'), ledger);
    }
  }

  /** Notes a request, or says why there may be none now; nothing when the present token does until there may be. */
  private async enter(stored: TokenWithFacts | undefined): Promise<Ledger | undefined> {
    const { clock, allowance } = this.options;
    const now = clock.now();
    const ledger = await this.ledger();
    const at = ledger.at.filter((time) => now - time < (allowance?.windowMs ?? 0));
    const isSpent = allowance !== undefined && at.length >= allowance.requests;
    const until = Math.max(ledger.lockedUntil, isSpent ? (at[0] as number) + allowance.windowMs : 0);
    if (now >= until) {
      const entered = { ...ledger, at: [...at, now] };
      await this.keep(entered);
      return entered;
    }
    if (stored) return undefined;
    throw new ContactError('BUSY', {
      attempted: 'get an access token',
      answer: isSpent
        ? `${at.length} were asked for within ${(allowance?.windowMs ?? 0) / 60_000} minutes`
        : 'locked out',
      advice: 'The next one is asked for as soon as that is allowed; asking sooner would make it longer.',
      reason: 'token_limit',
      retryAfterMs: until - now,
    });
  }

  /** A remote system that is asked too often locks out; each time in a row it is left alone for twice as long. */
  private async lockOut(error: ContactError, ledger: Ledger): Promise<ContactError> {
    if (error.code !== 'BUSY' || error.retryAfterMs === undefined) return error;
    const lockOuts = ledger.lockOuts + 1;
    const waitMs = Math.min(LONGEST_LOCK_OUT_MS, error.retryAfterMs * 2 ** ledger.lockOuts);
    await this.keep({ ...ledger, lockOuts, lockedUntil: this.options.clock.now() + waitMs });
    return new ContactError('BUSY', {
      attempted: 'get an access token',
      answer: error.summary,
      advice: 'It is left alone until then; asking sooner would make it longer.',
      reason: 'token_limit',
      retryAfterMs: waitMs,
    });
  }

  private isDue({ obtainedAt = 0, lifetimeMs }: FetchedToken): boolean {
    const { clock, renewAt } = this.options;
    return clock.now() >= obtainedAt + lifetimeMs * renewAt;
  }

  private async stored(): Promise<(TokenWithFacts & { obtainedAt: number }) | undefined> {
    const found = asStored(await this.options.store.get(this.place('token')));
    const value = found && unseal(found.sealed, this.options.secret);
    if (!found || value === undefined || value === this.rejected) return undefined;
    if (this.options.clock.now() >= found.expiresAt) return undefined;
    registerToken(value);
    const { obtainedAt, expiresAt, facts } = found;
    return { value, obtainedAt, lifetimeMs: expiresAt - obtainedAt, facts };
  }

  private async write({ value, lifetimeMs, facts = {} }: TokenWithFacts, obtainedAt: number): Promise<void> {
    const stored: StoredToken = {
      sealed: seal(value, this.options.secret),
      obtainedAt,
      expiresAt: obtainedAt + lifetimeMs,
      facts,
    };
    await this.options.store.set(this.place('token'), stored, { expiresInMs: lifetimeMs });
  }

  private async ledger(): Promise<Ledger> {
    const { at, lockedUntil, lockOuts } = ((await this.options.store.get(this.place('requests'))) ??
      {}) as Partial<Ledger>;
    return {
      at: Array.isArray(at) ? at.filter((time) => typeof time === 'number') : [],
      lockedUntil: Number(lockedUntil ?? 0),
      lockOuts: Number(lockOuts ?? 0),
    };
  }

  private async keep(ledger: Ledger): Promise<void> {
    const expiresInMs = (this.options.allowance?.windowMs ?? 0) + 2 * LONGEST_LOCK_OUT_MS;
    await this.options.store.set(this.place('requests'), ledger, { expiresInMs });
  }

  private place(what: 'token' | 'lock' | 'requests'): string {
    const whose = createHash('sha256').update(this.options.name).digest('base64url').slice(0, 24);
    return `access-${what}/${whose}`;
  }
}

function asStored(value: unknown): StoredToken | undefined {
  const { sealed, obtainedAt, expiresAt, facts } = (value ?? {}) as Record<string, unknown>;
  if (typeof sealed !== 'string' || typeof obtainedAt !== 'number' || typeof expiresAt !== 'number') return undefined;
  return { sealed, obtainedAt, expiresAt, facts: (facts ?? {}) as Record<string, string> };
}
