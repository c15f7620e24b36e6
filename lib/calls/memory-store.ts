import { ContactError } from '../core/errors';
import type { Call, Transition } from './call';
import { isFinal } from './state-machine';
import type { ApiUser, CallPage, CallQuery, CallStore, IdempotencyClaim, Registration } from './store';

interface Kept {
  call: Call;
  transitions: Transition[];
  /** The key of the claim under which it was registered. */
  claimKey: string | undefined;
}

/** More calls than this are not kept: the oldest one that is over goes. */
const MOST_CALLS = 20_000;

/** A {@link CallStore} that lives and ends with its process. */
export class MemoryCallStore implements CallStore {
  readonly kind = 'memory';
  /** In the order of their registration. */
  private readonly kept = new Map<string, Kept>();
  private readonly claims = new Map<string, IdempotencyClaim & { callId: string; at: number }>();
  private readonly apiUsers = new Map<string, ApiUser>();
  private closed = false;

  async check(): Promise<void> {
    this.mustBeOpen();
  }

  async register(call: Call, claim?: IdempotencyClaim): Promise<Registration> {
    this.mustBeOpen();
    if (claim) {
      const earlier = this.claims.get(claim.key);
      const kept = earlier && earlier.at >= claim.notBefore ? this.kept.get(earlier.callId) : undefined;
      if (earlier && kept) {
        return earlier.fingerprint === claim.fingerprint
          ? { kind: 'replay', call: structuredClone(kept.call) }
          : { kind: 'conflict' };
      }
      this.claims.set(claim.key, { ...claim, callId: call.callId, at: call.createdAt });
    }
    this.kept.set(call.callId, {
      claimKey: claim?.key,
      call: structuredClone(call),
      transitions: [{ number: 1, from: null, to: call.status, at: call.createdAt, reason: null }],
    });
    this.makeRoom();
    return { kind: 'registered' };
  }

  async get(callId: string): Promise<Call | undefined> {
    this.mustBeOpen();
    const kept = this.kept.get(callId);
    return kept && structuredClone(kept.call);
  }

  async transitions(callId: string): Promise<Transition[]> {
    this.mustBeOpen();
    return structuredClone(this.kept.get(callId)?.transitions ?? []);
  }

  async replace(call: Call, steps: readonly Omit<Transition, 'number'>[]): Promise<boolean> {
    this.mustBeOpen();
    const kept = this.kept.get(call.callId);
    if (kept?.call.version !== call.version - 1) return false;
    kept.call = structuredClone(call);
    for (const step of steps) kept.transitions.push({ number: kept.transitions.length + 1, ...step });
    return true;
  }

  async list({ status, offset, limit }: CallQuery): Promise<CallPage> {
    this.mustBeOpen();
    const all = [...this.kept.values()]
      .map(({ call }) => call)
      .filter((call) => status === undefined || call.status === status)
      .sort(newestFirst);
    return { calls: structuredClone(all.slice(offset, offset + limit)), total: all.length };
  }

  async unfinished(): Promise<Call[]> {
    this.mustBeOpen();
    const open = [...this.kept.values()].map(({ call }) => call).filter(({ status }) => !isFinal(status));
    return structuredClone(open);
  }

  async forget(before: number): Promise<number> {
    this.mustBeOpen();
    for (const [key, { at }] of this.claims) if (at < before) this.claims.delete(key);
    const old = [...this.kept.values()].filter(({ call }) => call.endedAt !== null && call.endedAt < before);
    for (const { call } of old) this.drop(call.callId);
    return old.length;
  }

  async user(name: string): Promise<ApiUser | undefined> {
    this.mustBeOpen();
    const user = this.apiUsers.get(name);
    return user && { ...user };
  }

  async users(): Promise<ApiUser[]> {
    this.mustBeOpen();
    return [...this.apiUsers.values()].map((user) => ({ ...user })).sort(byName);
  }

  async saveUser(user: ApiUser): Promise<void> {
    this.mustBeOpen();
    this.apiUsers.set(user.name, { ...user });
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  private makeRoom(): void {
    if (this.kept.size <= MOST_CALLS) return;
    for (const [callId, { call }] of this.kept) {
      if (!isFinal(call.status)) continue;
      this.drop(callId);
      return;
    }
  }

  /** A claim counts only as long as its call is kept. */
  private drop(callId: string): void {
    const key = this.kept.get(callId)?.claimKey;
    this.kept.delete(callId);
    if (key !== undefined && this.claims.get(key)?.callId === callId) this.claims.delete(key);
  }

  private mustBeOpen(): void {
    if (this.closed) throw new ContactError('CLOSED', { attempted: 'use the call store', target: 'memory' });
  }
}

/** The order of lists; calls of one instant are in the order of their ids, so that pages do not overlap. */
export function newestFirst(one: Call, other: Call): number {
  if (one.createdAt !== other.createdAt) return other.createdAt - one.createdAt;
  return one.callId < other.callId ? 1 : -1;
}

/** In the order of the code units of their names. */
export function byName(one: ApiUser, other: ApiUser): number {
  return one.name < other.name ? -1 : 1;
}
