import { Worker } from 'node:worker_threads';
import { ContactError, describe } from '../core/errors';

/** 2^12 rounds: a quarter of a second for whoever guesses. */
const COST = 12;
/** bcrypt does not look at more bytes than this, so that a longer password would be weaker than it looks. */
const MOST_BYTES = 72;
const FEWEST_CHARACTERS = 10;
/** Checks that wait behind each other; more are turned away, so that guessing cannot fill the memory. */
const MOST_WAITING = 100;
const HASH = /^\$2[aby]\$(\d{2})\$[./A-Za-z0-9]{53}$/;

/** What the thread is asked to do; it answers `{id, result}` or `{id, error}`. */
type Task = { kind: 'hash'; password: string; cost: number } | { kind: 'compare'; password: string; hash: string };

type Bcrypt = typeof import('bcryptjs');
type Result = ReturnType<Bcrypt['hashSync' | 'compareSync']>;

/** Runs in a thread of its own, because bcrypt would hold up the calls of everyone else. */
const THREAD = `
  const { parentPort, workerData } = require('node:worker_threads');
  const bcrypt = require(workerData);
  parentPort.on('message', async ({ id, task }) => {
    try {
      const { kind, password, hash, cost } = task;
      const result = await (kind === 'hash' ? bcrypt.hash(password, cost) : bcrypt.compare(password, hash));
      parentPort.postMessage({ id, result });
    } catch (error) {
      parentPort.postMessage({ id, error: String(error) });
    }
  });
`;

/** Hashes and checks passwords with bcrypt, one after the other, without holding up anything else. */
export class Passwords {
  private thread: Worker | undefined;
  private isClosed = false;
  private lastId = 0;
  private readonly waiting = new Map<number, { resolve(result: Result): void; reject(error: Error): void }>();
  private readonly decoys = new Map<number, Promise<string>>();

  /** The hash of a new password. Rejects with `INVALID_INPUT` when it is too short or too long. */
  async hash(password: string): Promise<string> {
    const attempted = 'take the password';
    if (password.length < FEWEST_CHARACTERS) {
      const answer = `it has fewer than ${FEWEST_CHARACTERS} characters`;
      throw new ContactError('INVALID_INPUT', { attempted, answer, advice: 'Choose a longer one.' });
    }
    if (Buffer.byteLength(password) > MOST_BYTES) {
      const answer = `it has more than ${MOST_BYTES} bytes`;
      throw new ContactError('INVALID_INPUT', { attempted, answer, advice: 'Choose a shorter one.' });
    }
    return (await this.run({ kind: 'hash', password, cost: COST })) as string;
  }

  /**
   * Whether a password belongs to a hash. Without a hash the answer is false, after the same time that it takes with
   * one of this cost, so that nobody can find out which users there are.
   */
  async check(password: string, hash: string | undefined, cost = COST): Promise<boolean> {
    const fits = Buffer.byteLength(password) <= MOST_BYTES;
    const against = hash ?? (await this.decoy(cost));
    const same = (await this.run({ kind: 'compare', password, hash: against })) as boolean;
    return same && fits && hash !== undefined;
  }

  /** Ends the thread. Whoever waits for a check, or asks for one later, is rejected with `CLOSED`. */
  async close(): Promise<void> {
    this.isClosed = true;
    const { thread } = this;
    this.thread = undefined;
    await thread?.terminate();
    this.fail(closed());
  }

  private decoy(cost: number): Promise<string> {
    const known = this.decoys.get(cost) ?? (this.run({ kind: 'hash', password: 'decoy', cost }) as Promise<string>);
    this.decoys.set(cost, known);
    known.catch(() => this.decoys.delete(cost));
    return known;
  }

  private run(task: Task): Promise<Result> {
    // A thread that is started now would be ended by nobody.
    if (this.isClosed) return Promise.reject(closed());
    if (this.waiting.size >= MOST_WAITING) {
      const facts = { attempted: 'check a password', answer: 'too many others wait', reason: 'too_many_requests' };
      return Promise.reject(new ContactError('BUSY', { ...facts, retryAfterMs: 5_000 }));
    }
    this.lastId += 1;
    const id = this.lastId;
    const thread = this.start();
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      thread.ref();
      thread.postMessage({ id, task });
    });
  }

  private start(): Worker {
    if (this.thread) return this.thread;
    const thread = new Worker(THREAD, { eval: true, workerData: require.resolve('bcryptjs') });
    thread.unref();
    thread.on('message', ({ id, result, error }: { id: number; result: Result; error?: string }) => {
      const task = this.waiting.get(id);
      this.waiting.delete(id);
      // An idle thread must not keep the process alive.
      if (this.waiting.size === 0) thread.unref();
      if (error === undefined) task?.resolve(result);
      else task?.reject(new ContactError('INTERNAL', { attempted: 'check a password', answer: error }));
    });
    thread.on('error', (thrown) => {
      this.thread = undefined;
      this.fail(new ContactError('INTERNAL', { attempted: 'check a password', answer: describe(thrown) }));
    });
    this.thread = thread;
    return thread;
  }

  private fail(error: Error): void {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}

function closed(): ContactError {
  return new ContactError('CLOSED', { attempted: 'check a password' });
}

/** The cost of a bcrypt hash; `undefined` for anything else. */
export function costOf(hash: string): number | undefined {
  const cost = HASH.exec(hash)?.[1];
  return cost === undefined ? undefined : Number(cost);
}
