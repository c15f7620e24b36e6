import { openSharedDatabase, type SharedDatabase } from '../store/shared-database';
import type { Call, Transition } from './call';
import { isFinal } from './state-machine';
import type { ApiUser, CallPage, CallQuery, CallStore, IdempotencyClaim, Registration } from './store';

interface Kept {
  call: Call;
  transitions: Transition[];
}

type Claim = Pick<IdempotencyClaim, 'fingerprint'> & { callId: string; at: number };
type Key = (string | number)[];

/** Comes after every text and number in a key. */
const AFTER_ALL = '\u{10ffff}';

/**
 * Opens a {@link CallStore} on disk, in a folder that is made when it is missing. Several processes may open the same
 * folder, such as the command line while Node-RED runs. Throws `BUFFER_FAILED` when the folder cannot be used.
 */
export function openEmbeddedCallStore(folder: string): CallStore {
  return new EmbeddedCallStore(openSharedDatabase(folder, 'calls.mdb', 'call store'));
}

/**
 * Keys: `call, id`; `created, status or *, time, id` for lists; `open, id`; `ended, time, id`; `claim, key`;
 * `claimed, time, key`; `user, name`.
 */
class EmbeddedCallStore implements CallStore {
  readonly kind = 'embedded';

  constructor(private readonly shared: SharedDatabase) {}

  async check(): Promise<void> {
    this.database.get(['user', '']);
  }

  register(call: Call, claim?: IdempotencyClaim): Promise<Registration> {
    const { database } = this;
    return this.shared.change((): Registration => {
      if (claim) {
        const earlier = database.get(['claim', claim.key]) as Claim | undefined;
        const kept = earlier && earlier.at >= claim.notBefore ? this.read(earlier.callId) : undefined;
        if (earlier && kept) {
          return earlier.fingerprint === claim.fingerprint ? { kind: 'replay', call: kept.call } : { kind: 'conflict' };
        }
        const { fingerprint } = claim;
        if (earlier) this.write(['claimed', earlier.at, claim.key], undefined);
        this.write(['claim', claim.key], { fingerprint, callId: call.callId, at: call.createdAt });
        this.write(['claimed', call.createdAt, claim.key], true);
      }
      const first = { number: 1, from: null, to: call.status, at: call.createdAt, reason: null };
      this.keep({ call, transitions: [first] });
      return { kind: 'registered' };
    });
  }

  async get(callId: string): Promise<Call | undefined> {
    return this.read(callId)?.call;
  }

  async transitions(callId: string): Promise<Transition[]> {
    return this.read(callId)?.transitions ?? [];
  }

  replace(call: Call, steps: readonly Omit<Transition, 'number'>[]): Promise<boolean> {
    return this.shared.change(() => {
      const kept = this.read(call.callId);
      if (kept?.call.version !== call.version - 1) return false;
      const transitions = [...kept.transitions];
      for (const step of steps) transitions.push({ number: transitions.length + 1, ...step });
      this.keep({ call, transitions }, kept.call);
      return true;
    });
  }

  async list({ status, offset, limit }: CallQuery): Promise<CallPage> {
    const { database } = this;
    const start: Key = ['created', status ?? '*'];
    const range = { start: [...start, AFTER_ALL], end: start, reverse: true };
    const calls: Call[] = [];
    for (const key of database.getKeys({ ...range, offset, limit })) {
      const kept = this.read(String((key as Key)[3]));
      if (kept) calls.push(kept.call);
    }
    return { calls, total: database.getKeysCount({ start, end: [...start, AFTER_ALL] }) };
  }

  async unfinished(): Promise<Call[]> {
    const ids = [...this.database.getKeys({ start: ['open'], end: ['open', AFTER_ALL] })];
    return ids.flatMap((key) => this.read(String((key as Key)[1]))?.call ?? []);
  }

  forget(before: number): Promise<number> {
    const { database } = this;
    return this.shared.change(() => {
      for (const key of [...database.getKeys({ start: ['claimed'], end: ['claimed', before] })] as Key[]) {
        this.write(key, undefined);
        this.write(['claim', String(key[2])], undefined);
      }
      const ended = [...database.getKeys({ start: ['ended'], end: ['ended', before] })] as Key[];
      for (const key of ended) {
        const kept = this.read(String(key[2]));
        if (!kept) continue;
        this.index(kept.call, undefined);
        this.write(['call', kept.call.callId], undefined);
      }
      return ended.length;
    });
  }

  async user(name: string): Promise<ApiUser | undefined> {
    return this.database.get(['user', name]) as ApiUser | undefined;
  }

  async users(): Promise<ApiUser[]> {
    const found = [...this.database.getRange({ start: ['user'], end: ['user', AFTER_ALL] })];
    return found.map(({ value }) => value as ApiUser);
  }

  async saveUser(user: ApiUser): Promise<void> {
    await this.shared.change(() => this.write(['user', user.name], user));
  }

  close(): Promise<void> {
    return this.shared.close();
  }

  private keep(kept: Kept, before?: Call): void {
    this.write(['call', kept.call.callId], kept);
    if (before) this.index(before, undefined);
    this.index(kept.call, true);
  }

  /** Sets or removes the keys by which a call is found. */
  private index({ callId, status, createdAt, endedAt }: Call, present: true | undefined): void {
    this.write(['created', '*', createdAt, callId], present);
    this.write(['created', status, createdAt, callId], present);
    if (isFinal(status)) this.write(['ended', endedAt ?? createdAt, callId], present);
    else this.write(['open', callId], present);
  }

  private read(callId: string): Kept | undefined {
    return this.database.get(['call', callId]) as Kept | undefined;
  }

  /** Inside a change, whose promise tells how all of its writing went. */
  private write(key: Key, value: unknown): void {
    if (value === undefined) void this.database.remove(key);
    else void this.database.put(key, value);
  }

  private get database() {
    return this.shared.database;
  }
}
