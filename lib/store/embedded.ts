import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { RootDatabase } from 'lmdb';
import { ContactError, describe } from '../core/errors';
import type { StateStore } from './store';

interface SharedDatabase {
  readonly database: RootDatabase<unknown, string>;
  users: number;
}

/** One database for each folder in this process; it closes with its last user. */
const open = new Map<string, SharedDatabase>();

/**
 * Opens the {@link StateStore} in a folder, which is made when it is missing. Everyone who opens the same folder
 * shares one database. What was written survives a kill of the process; what was written in the last moments before a
 * power cut may be missing, but the store is never torn. Throws `BUFFER_FAILED` when the folder cannot be used.
 */
export function openEmbeddedStore(folder: string): StateStore {
  const path = join(resolve(folder), 'state.mdb');
  const shared = open.get(path) ?? { database: openDatabase(folder, path), users: 0 };
  shared.users += 1;
  open.set(path, shared);
  return new EmbeddedStore(path, shared);
}

function openDatabase(folder: string, path: string): RootDatabase<unknown, string> {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    // Loaded only here: who keeps its state elsewhere need not load the native module.
    const lmdb = require('lmdb') as typeof import('lmdb');
    return lmdb.open<unknown, string>({ path, encoding: 'json', noSubdir: true });
  } catch (thrown) {
    throw new ContactError('BUFFER_FAILED', {
      attempted: 'open the state store',
      target: folder,
      answer: describe(thrown),
      advice: 'Check the free space and the rights of this folder.',
      cause: thrown,
    });
  }
}

class EmbeddedStore implements StateStore {
  private closing: Promise<void> | undefined;

  constructor(
    private readonly path: string,
    private readonly shared: SharedDatabase,
  ) {}

  async get(key: string): Promise<unknown> {
    return this.database.get(key);
  }

  async set(key: string, value: unknown): Promise<void> {
    await this.database.put(key, value);
  }

  async delete(key: string): Promise<void> {
    await this.database.remove(key);
  }

  async entries(prefix: string): Promise<[string, unknown][]> {
    const found: [string, unknown][] = [];
    // No text that begins with the prefix comes after the prefix with the highest character behind it.
    for (const { key, value } of this.database.getRange({ start: prefix, end: `${prefix}\u{10ffff}` })) {
      found.push([key, value]);
    }
    return found;
  }

  close(): Promise<void> {
    this.closing ??= this.leave();
    return this.closing;
  }

  private async leave(): Promise<void> {
    await this.shared.database.flushed;
    this.shared.users -= 1;
    if (this.shared.users > 0) return;
    if (open.get(this.path) === this.shared) open.delete(this.path);
    await this.shared.database.close();
  }

  private get database(): RootDatabase<unknown, string> {
    if (this.closing !== undefined)
      throw new ContactError('CLOSED', { attempted: 'use the state store', target: this.path });
    return this.shared.database;
  }
}
