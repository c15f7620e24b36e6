import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { RootDatabase } from 'lmdb';
import { ContactError, describe } from '../core/errors';

interface Open {
  readonly database: RootDatabase;
  readonly writer: Writer;
  users: number;
}

/** One database for each file in this process; it closes with its last user. */
const open = new Map<string, Open>();

/** A database on disk that everyone in this process who opens the same file shares. */
export interface SharedDatabase {
  /** For reading, and for writing inside of {@link SharedDatabase.change}. Throws `CLOSED` after {@link SharedDatabase.close}. */
  readonly database: RootDatabase;
  /**
   * Calls `make` inside a transaction and resolves with what it gives back, when it is written. What it reads nobody
   * else changes meanwhile, also no other process. It may be synchronous only, and what it has written before it throws
   * stays. Rejects with what it throws, and with `BUFFER_FAILED` when it could not be written: then nothing was.
   */
  change<Result>(make: () => Result): Promise<Result>;
  /** Finishes what is being written and lets go of the database. Calling it again gives the same promise. */
  close(): Promise<void>;
}

/**
 * Opens the file `name` in a folder, which is made when it is missing. `purpose` names the thing in errors. Values are
 * kept as JSON. What was written survives a kill of the process; what was written in the last moments before a power
 * cut may be missing, but the database is never torn. Throws `BUFFER_FAILED` when the folder cannot be used.
 */
export function openSharedDatabase(folder: string, name: string, purpose: string): SharedDatabase {
  const path = join(resolve(folder), name);
  const shared = open.get(path) ?? openFile(folder, path, purpose);
  shared.users += 1;
  open.set(path, shared);
  let closing: Promise<void> | undefined;
  const leave = async () => {
    await shared.writer.idle;
    await shared.database.flushed;
    shared.users -= 1;
    if (shared.users > 0) return;
    if (open.get(path) === shared) open.delete(path);
    await shared.database.close();
  };
  const check = () => {
    if (closing !== undefined) throw new ContactError('CLOSED', { attempted: `use the ${purpose}`, target: path });
  };
  return {
    get database() {
      // A change that was asked for before the end is still made.
      if (!shared.writer.isMaking) check();
      return shared.database;
    },
    async change(make) {
      check();
      return shared.writer.change(make);
    },
    close() {
      closing ??= leave();
      return closing;
    },
  };
}

/** Changes that are written in one transaction at most, so that nothing else waits for long. */
const CHANGES_AT_ONCE = 1_000;

/** A change that waits for its transaction. */
interface Change {
  make(): unknown;
  resolve(result: never): void;
  reject(reason: unknown): void;
}

/**
 * Writes in one transaction at a time: all that comes while one is under way is in the next. The library tells of a
 * full disk in promises that several writes share, so that with several under way some are rejected that nobody has.
 */
class Writer {
  /** Whether changes are being made right now: everything that runs meanwhile is part of one. */
  isMaking = false;
  private waiting: Change[] = [];
  private writing: Promise<void> | undefined;

  constructor(
    private readonly database: RootDatabase,
    private readonly failure: (attempted: string, thrown: unknown) => ContactError,
  ) {}

  /** Resolves when nothing is being written. */
  get idle(): Promise<void> {
    return this.writing ?? Promise.resolve();
  }

  change<Result>(make: () => Result): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.waiting.push({ make, resolve, reject });
      this.writing ??= this.write();
    });
  }

  private async write(): Promise<void> {
    // What comes in the same turn of the event loop goes along.
    await setImmediate();
    while (this.waiting.length > 0) {
      const changes = this.waiting.splice(0, CHANGES_AT_ONCE);
      try {
        const ends = await this.database.transaction(() => this.make(changes));
        for (const end of ends) end();
      } catch (thrown) {
        // The reason comes as a promise that rejects; left alone it would end the process.
        const { commitError = Promise.reject(thrown) } = thrown as { commitError?: Promise<never> };
        const error = this.failure('write to', await commitError.catch((reason: unknown) => reason));
        for (const { reject } of changes) reject(error);
      }
    }
    this.writing = undefined;
  }

  private make(changes: Change[]): (() => void)[] {
    this.isMaking = true;
    try {
      return changes.map(run);
    } finally {
      this.isMaking = false;
    }
  }
}

/** Makes a change. What comes out of it may be told only when it is written: the function that is given back does that. */
function run({ make, resolve, reject }: Change): () => void {
  try {
    const result = make() as never;
    return () => resolve(result);
  } catch (thrown) {
    return () => reject(thrown);
  }
}

function openFile(folder: string, path: string, purpose: string): Open {
  const failure = (attempted: string, thrown: unknown) =>
    new ContactError('BUFFER_FAILED', {
      attempted: `${attempted} the ${purpose}`,
      target: folder,
      answer: describe(thrown),
      advice: 'Check the free space and the rights of this folder.',
      cause: thrown,
    });
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    // Loaded only here: who keeps its state elsewhere need not load the native module.
    const lmdb = require('lmdb') as typeof import('lmdb');
    // With the batching on, a full disk leaves a rejection behind that nobody can handle, and that ends the process.
    const database = lmdb.open({ path, encoding: 'json', noSubdir: true, eventTurnBatching: false });
    return { database, writer: new Writer(database, failure), users: 0 };
  } catch (thrown) {
    throw failure('open', thrown);
  }
}
