import type { StateStore } from '../store/store';
import type { Memory } from './settling';
import type { CodyConversation } from './shapes';

/** A conversation that is looked at again. */
export interface Tracked extends Memory {
  conversation: CodyConversation;
  /** When it is looked at, in milliseconds since the epoch. */
  nextLookAt: number;
  /** The newest message that has arrived where it should, in milliseconds since the epoch. */
  committedUntil?: number;
  /** Times in a row that it could not be looked at or was given back. */
  failures: number;
}

/** How far the first walk through the list has come. */
export interface WalkProgress {
  page: number;
}

/** The end of a conversation that is not looked at any more. */
interface Done {
  committed?: string;
}

/** A conversation that ended so long ago is forgotten: it is too old to be listed as new. */
const DONE_KEPT_MS = 400 * 86_400_000;
/** So many that are done are known without asking the store. */
const KNOWN_AT_MOST = 50_000;

/**
 * What is remembered of conversations: those that are looked at again one by one in memory and in the store, the others
 * in the store alone, so that a long history costs no memory.
 */
export class ConversationBook {
  private readonly open = new Map<string, Tracked>();
  private readonly known = new Set<string>();

  constructor(
    private readonly store: StateStore,
    /** What is polled: the account and the bot. */
    private readonly scope: string,
  ) {}

  /** Reads what an earlier process, or another one, has left. */
  async load(): Promise<void> {
    const prefix = this.key('open', '');
    const stored = await this.store.entries(prefix);
    this.open.clear();
    this.known.clear();
    for (const [, value] of stored) {
      const tracked = readTracked(value);
      if (tracked) this.open.set(tracked.conversation.id, tracked);
    }
  }

  /** How many are looked at again. */
  get size(): number {
    return this.open.size;
  }

  get(id: string): Tracked | undefined {
    return this.open.get(id);
  }

  /** Whether a conversation was seen before. */
  async isKnown(id: string): Promise<boolean> {
    if (this.open.has(id) || this.known.has(id)) return true;
    const isDone = (await this.store.get(this.key('done', id))) !== undefined;
    if (isDone) this.remember(id);
    return isDone;
  }

  /** Begins to look at a conversation. */
  begin(conversation: CodyConversation, now: number): Tracked {
    const tracked: Tracked = { conversation, nextLookAt: now, failures: 0 };
    this.open.set(conversation.id, tracked);
    return tracked;
  }

  /** Those whose time has come, the longest overdue first. */
  due(now: number): Tracked[] {
    const found = [...this.open.values()].filter(({ nextLookAt }) => nextLookAt <= now);
    return found.sort((one, other) => one.nextLookAt - other.nextLookAt);
  }

  /** Writes down what has changed. */
  async keep(tracked: Tracked): Promise<void> {
    const { id } = tracked.conversation;
    // It may have been done meanwhile.
    if (this.open.get(id) !== tracked) return;
    await this.store.set(this.key('open', id), tracked);
  }

  /** It is not looked at any more. */
  async finish({ conversation: { id }, committed }: Tracked): Promise<void> {
    const done: Done = committed === undefined ? {} : { committed };
    await this.store.set(this.key('done', id), done, { expiresInMs: DONE_KEPT_MS });
    await this.store.delete(this.key('open', id));
    this.open.delete(id);
    this.remember(id);
  }

  async walk(): Promise<WalkProgress | undefined> {
    const { page } = ((await this.store.get(this.key('walk', ''))) ?? {}) as Partial<WalkProgress>;
    return typeof page === 'number' ? { page } : undefined;
  }

  /** Remembers how far the first walk has come; nothing when it is over. */
  async keepWalk(progress: WalkProgress | undefined): Promise<void> {
    if (progress) await this.store.set(this.key('walk', ''), progress);
    else await this.store.delete(this.key('walk', ''));
  }

  private remember(id: string): void {
    this.known.add(id);
    const [oldest] = this.known;
    if (this.known.size > KNOWN_AT_MOST && oldest !== undefined) this.known.delete(oldest);
  }

  private key(what: 'open' | 'done' | 'walk', id: string): string {
    return `cody-${what}/${this.scope}/${id.slice(0, 300)}`;
  }
}

/**
 * From when on conversations count in the mode "from now": the first start, ever. It is kept in the shared store and in
 * the local one, so that losing one of them does not make the history begin anew.
 */
export async function startMark(stores: readonly StateStore[], scope: string, now: number): Promise<number> {
  const key = `cody-start/${scope}/`;
  const found = await Promise.all(stores.map((store) => store.get(key)));
  const times = found.filter((time): time is number => typeof time === 'number');
  const mark = Math.min(now, ...times);
  await Promise.all(stores.map((store, index) => (found[index] === mark ? undefined : store.set(key, mark))));
  return mark;
}

function readTracked(value: unknown): Tracked | undefined {
  const { conversation, nextLookAt, failures } = (value ?? {}) as Partial<Tracked>;
  if (typeof conversation?.id !== 'string' || typeof nextLookAt !== 'number') return undefined;
  return { ...(value as Tracked), failures: failures ?? 0 };
}
