import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { RootDatabase } from 'lmdb';
import { ContactError, describe } from '../core/errors';

interface Open {
  readonly database: RootDatabase;
  users: number;
}

/** One database for each file in this process; it closes with its last user. */
const open = new Map<string, Open>();

/** A database on disk that everyone in this process who opens the same file shares. */
export interface SharedDatabase {
  /** Throws `CLOSED` after {@link SharedDatabase.close}. */
  readonly database: RootDatabase;
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
  const shared = open.get(path) ?? { database: openDatabase(folder, path, purpose), users: 0 };
  shared.users += 1;
  open.set(path, shared);
  let closing: Promise<void> | undefined;
  const leave = async () => {
    await shared.database.flushed;
    shared.users -= 1;
    if (shared.users > 0) return;
    if (open.get(path) === shared) open.delete(path);
    await shared.database.close();
  };
  return {
    get database() {
      if (closing !== undefined) throw new ContactError('CLOSED', { attempted: `use the ${purpose}`, target: path });
      return shared.database;
    },
    close() {
      closing ??= leave();
      return closing;
    },
  };
}

function openDatabase(folder: string, path: string, purpose: string): RootDatabase {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    // Loaded only here: who keeps its state elsewhere need not load the native module.
    const lmdb = require('lmdb') as typeof import('lmdb');
    return lmdb.open({ path, encoding: 'json', noSubdir: true });
  } catch (thrown) {
    throw new ContactError('BUFFER_FAILED', {
      attempted: `open the ${purpose}`,
      target: folder,
      answer: describe(thrown),
      advice: 'Check the free space and the rights of this folder.',
      cause: thrown,
    });
  }
}
