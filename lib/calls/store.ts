import type { Call, CallStatus, Transition } from './call';

/** Makes a request repeatable: the same key with the same request gives the same call. */
export interface IdempotencyClaim {
  /** The key, with whose it is. At most 300 characters. */
  key: string;
  /** A digest of the request, by which another request under the same key is noticed. */
  fingerprint: string;
  /** From when on a claim no longer counts, in milliseconds since the epoch: older ones are taken over. */
  notBefore: number;
}

/** How the registration of a call went. */
export type Registration =
  | { kind: 'registered' }
  /** The key has been used for this call already. */
  | { kind: 'replay'; call: Call }
  /** The key has been used for another request. */
  | { kind: 'conflict' };

/** Which calls are listed, newest first. */
export interface CallQuery {
  status?: CallStatus;
  /** So many are left out. */
  offset: number;
  limit: number;
}

/** A part of all calls. */
export interface CallPage {
  calls: Call[];
  /** How many there are in all. */
  total: number;
}

/** Somebody who may use the API. */
export interface ApiUser {
  name: string;
  /** bcrypt. */
  passwordHash: string;
  disabled: boolean;
  createdAt: number;
  changedAt: number;
}

/**
 * Where calls and API users are kept. What it rejects with is a ContactError: retryable when the store is away, with
 * the reason `database_unavailable`. What was written, when the promise resolves, is visible to every reader.
 */
export interface CallStore {
  /** `memory` ends with its process. */
  readonly kind: 'memory' | 'embedded' | 'postgresql';
  /** Resolves when the store answers; brings its schema up to date at the first time. */
  check(): Promise<void>;
  /** Keeps a new call, with its first transition to `pending` at the time of its creation. */
  register(call: Call, claim?: IdempotencyClaim): Promise<Registration>;
  get(callId: string): Promise<Call | undefined>;
  /** In their order. */
  transitions(callId: string): Promise<Transition[]>;
  /**
   * Replaces a call by its next version and keeps the steps that led there. False, and nothing is changed, unless the
   * call that is kept is the version before.
   */
  replace(call: Call, steps: readonly Omit<Transition, 'number'>[]): Promise<boolean>;
  list(query: CallQuery): Promise<CallPage>;
  /** All calls that are not over. */
  unfinished(): Promise<Call[]>;
  /** Removes what is over since before a time, and claims from before it. Answers how many calls were removed. */
  forget(before: number): Promise<number>;
  user(name: string): Promise<ApiUser | undefined>;
  /** All users, by name. */
  users(): Promise<ApiUser[]>;
  /** Adds a user, or replaces the one of this name. */
  saveUser(user: ApiUser): Promise<void>;
  /** Finishes what is being written and lets go of the store. Calling it twice is harmless; after it, all else rejects. */
  close(): Promise<void>;
}
