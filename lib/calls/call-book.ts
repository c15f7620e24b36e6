import { isDeepStrictEqual } from 'node:util';
import { type BackoffOptions, backoffDelayMs } from '../core/backoff';
import { type Clock, delay, systemClock } from '../core/clock';
import { type ContactError, toContactError } from '../core/errors';
import { type Logger, silentLogger } from '../core/log';
import { quietLogger } from '../core/quiet-logger';
import { type Call, type NewCall, newCall, type Transition } from './call';
import { type Advance, advance, type CallChange, isFinal } from './state-machine';
import type { CallPage, CallQuery, CallStore, IdempotencyClaim, Registration } from './store';

/** A call has taken one or more steps, and the store has them. */
export interface CallUpdate {
  call: Call;
  /** With `to` of the last one as the call's status. */
  transitions: Omit<Transition, 'number'>[];
}

/** Settings of a {@link CallBook}. */
export interface CallBookOptions {
  store: CallStore;
  /** The wait between attempts while the store is away; default 0.25 s to 5 s. */
  backoff?: BackoffOptions;
  clock?: Clock;
  logger?: Logger;
}

/** How the book stands, for a status. */
export interface CallBookState {
  state: 'working' | 'away';
  error?: ContactError;
  /** Changes that the store does not have yet. */
  waiting: number;
}

/** A call that this process writes to at the moment. */
interface Entry {
  /** As the store has it, as far as this process knows. */
  known: Call | undefined;
  /** What was written without an answer: it may be in the store or not. */
  unsure?: Advance;
  queue: CallChange[];
  writing: boolean;
}

const CALL_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * Writes calls down: registers them, and takes the changes of each in their order through the state machine into the
 * store. While the store is away changes wait, none is lost, and registering rejects. Several books, also of other
 * processes, may write to the same calls: each change is made on top of what the others have written.
 */
export class CallBook {
  private readonly options: Required<CallBookOptions>;
  private readonly logger: Logger;
  private readonly entries = new Map<string, Entry>();
  private readonly listeners = new Set<(update: CallUpdate) => void>();
  private readonly stateListeners = new Set<(state: CallBookState) => void>();
  private readonly stopping = new AbortController();
  private readonly idle = new Set<() => void>();
  /** What listeners have still to be told of, oldest first. */
  private readonly untold: CallUpdate[] = [];
  private away: { error: ContactError; over: Promise<void> } | undefined;

  constructor(options: CallBookOptions) {
    this.options = {
      backoff: { baseMs: 250, maxMs: 5_000 },
      clock: systemClock,
      logger: silentLogger,
      ...options,
    };
    this.logger = quietLogger(this.options.logger, this.options.clock);
  }

  /** How the book stands. */
  get state(): CallBookState {
    const waiting = [...this.entries.values()].reduce((sum, { queue }) => sum + queue.length, 0);
    return this.away ? { state: 'away', error: this.away.error, waiting } : { state: 'working', waiting };
  }

  /** Calls `listener` with each update, in the order of each call. Gives back the function that ends this. */
  onUpdate(listener: (update: CallUpdate) => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  /** Calls `listener` when the store goes away or comes back. Gives back the function that ends this. */
  onState(listener: (state: CallBookState) => void): () => void {
    this.stateListeners.add(listener);
    return () => {
      this.stateListeners.delete(listener);
    };
  }

  /** Keeps a new call; only then may it be made. Rejects while the store is away. */
  async register(call: NewCall, claim?: IdempotencyClaim): Promise<Registration & { call: Call | undefined }> {
    const registered = newCall(call);
    const answer = await this.ask(() => this.options.store.register(registered, claim));
    if (answer.kind !== 'registered') return { call: undefined, ...answer };
    this.entries.set(call.callId, { known: registered, queue: [], writing: false });
    this.tell({
      call: registered,
      transitions: [{ from: null, to: 'pending', at: registered.createdAt, reason: null }],
    });
    return { ...answer, call: registered };
  }

  /** Takes a change of a call. It is written as soon as possible, after those taken before. */
  record(callId: string, change: CallChange): void {
    const entry = this.entries.get(callId) ?? { known: undefined, queue: [], writing: false };
    this.entries.set(callId, entry);
    entry.queue.push(change);
    if (entry.writing) return;
    entry.writing = true;
    // Who records a change has perhaps somebody to answer, which Node-RED does in the next turn: they wait, the store need not.
    setImmediate(() => setImmediate(() => void this.writeAll(callId, entry)));
  }

  /** A call as it stands, with what this process knows already and the store will know in a moment. */
  async get(callId: string): Promise<Call | undefined> {
    if (!CALL_ID.test(callId)) return undefined;
    const kept = await this.ask(() => this.options.store.get(callId));
    const queue = this.entries.get(callId)?.queue ?? [];
    return kept && queue.reduce((call, change) => advance(call, change)?.call ?? call, kept);
  }

  /** The steps of a call, with those that the store will know in a moment. */
  async transitions(callId: string): Promise<Transition[]> {
    if (!CALL_ID.test(callId)) return [];
    const steps = [...(await this.ask(() => this.options.store.transitions(callId)))];
    const { known, queue = [] } = this.entries.get(callId) ?? {};
    // Steps of another writer that this process does not know yet: then it cannot tell what comes on top of them.
    if (!known || steps.at(-1)?.to !== known.status) return steps;
    let call = known;
    for (const change of queue) {
      const next = advance(call, change);
      if (!next) continue;
      call = next.call;
      for (const step of next.steps) steps.push({ number: steps.length + 1, ...step });
    }
    return steps;
  }

  /** A part of all calls, newest first. */
  list(query: CallQuery): Promise<CallPage> {
    return this.ask(() => this.options.store.list(query));
  }

  /** All calls that are not over, of this process and of others. */
  async unfinished(): Promise<Call[]> {
    const calls = await this.ask(() => this.options.store.unfinished());
    return calls.filter(({ callId }) => {
      const entry = this.entries.get(callId);
      return !entry?.queue.some(({ to }) => to !== undefined && isFinal(to));
    });
  }

  /** Writes what waits for as long as `withinMs` allows, then stops. The store stays open. */
  async close(withinMs: number): Promise<void> {
    const { clock } = this.options;
    if (!this.written() && !this.away) {
      const written = new Promise<void>((resolve) => this.idle.add(resolve));
      await Promise.race([written, delay(withinMs, { clock, signal: this.stopping.signal })]);
    }
    this.stopping.abort();
    this.tellAll();
    this.listeners.clear();
    this.stateListeners.clear();
  }

  private written(): boolean {
    return [...this.entries.values()].every(({ queue, writing }) => queue.length === 0 && !writing);
  }

  private async writeAll(callId: string, entry: Entry): Promise<void> {
    await this.write(callId, entry);
    entry.writing = false;
    const over = entry.known === undefined || isFinal(entry.known.status);
    if (over && entry.queue.length === 0) this.entries.delete(callId);
    if (this.written()) for (const wake of this.idle) wake();
  }

  private async write(callId: string, entry: Entry): Promise<void> {
    for (let [change] = entry.queue; change && !this.stopping.signal.aborted; [change] = entry.queue) {
      try {
        if (!(await this.writeOne(callId, entry, change))) continue;
      } catch (thrown) {
        const error = toContactError(thrown, 'write a call');
        if (error.retryable) {
          await this.untilBack(error);
          continue;
        }
        this.logger.error(`A change of a call is not written: ${error.message}`, { callId });
      }
      entry.queue.shift();
    }
  }

  /** False when another writer was faster: the change has to be made on top of theirs. */
  private async writeOne(callId: string, entry: Entry, change: CallChange): Promise<boolean> {
    const { store } = this.options;
    entry.known ??= await store.get(callId);
    const { unsure } = entry;
    delete entry.unsure;
    if (unsure && isDeepStrictEqual(unsure.call, entry.known)) {
      this.tellSteps(unsure);
      return true;
    }
    if (!entry.known) {
      this.logger.warn('There was a change of a call that is not in the store', { callId });
      return true;
    }
    const next = advance(entry.known, change);
    if (!next) return true;
    let replaced = false;
    try {
      replaced = await store.replace(next.call, next.steps);
    } catch (thrown) {
      // Perhaps it was written and only the answer was lost: the next attempt begins by looking.
      entry.known = undefined;
      entry.unsure = next;
      throw thrown;
    }
    if (!replaced) {
      entry.known = undefined;
      return false;
    }
    entry.known = next.call;
    this.tellSteps(next);
    return true;
  }

  private tellSteps({ call, steps }: Advance): void {
    if (steps.length > 0) this.tell({ call, transitions: steps });
  }

  /** Not at once: a call that is registered has to be made, and listeners may take their time. */
  private tell(update: CallUpdate): void {
    this.untold.push(update);
    if (this.untold.length === 1) setImmediate(() => this.tellAll());
  }

  private tellAll(): void {
    for (const update of this.untold.splice(0)) {
      for (const listener of [...this.listeners]) {
        try {
          listener(update);
        } catch (thrown) {
          this.logger.error(toContactError(thrown, 'tell of a call').message);
        }
      }
    }
  }

  private async ask<Answer>(question: () => Promise<Answer>): Promise<Answer> {
    if (this.away) throw this.away.error;
    try {
      return await question();
    } catch (thrown) {
      const error = toContactError(thrown, 'use the call store');
      if (error.reason === 'database_unavailable') void this.untilBack(error);
      throw error;
    }
  }

  /** Resolves when the store answers again. All who wait share one prober. */
  private untilBack(error: ContactError): Promise<void> {
    if (!this.away) {
      this.logger.warn(error.message, { code: error.code });
      this.away = { error, over: Promise.resolve() };
      this.away.over = this.probe().finally(() => {
        this.away = undefined;
        this.tellState();
      });
      this.tellState();
    }
    return this.away.over;
  }

  private async probe(): Promise<void> {
    const { store, clock, backoff } = this.options;
    const { signal } = this.stopping;
    for (let failures = 1; !signal.aborted; failures++) {
      await delay(backoffDelayMs(failures, backoff), { clock, signal });
      if (signal.aborted) return;
      try {
        await store.check();
        this.logger.info('The call store answers again');
        return;
      } catch (thrown) {
        const error = toContactError(thrown, 'use the call store');
        if (error.code === 'CLOSED') return;
        if (this.away) this.away.error = error;
      }
    }
  }

  private tellState(): void {
    const { state } = this;
    for (const listener of [...this.stateListeners]) listener(state);
  }
}
