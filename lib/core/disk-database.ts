import { closeSync, mkdirSync, openSync, readSync, realpathSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import type { RootDatabase } from 'lmdb';
import { ContactError, describe } from './errors';

/** The folders that are open in this process. */
const inUse = new Set<string>();

/** A database in a folder, for one user in one process at a time. */
export class DiskDatabase {
  /** For reading, and for what is written inside of {@link DiskDatabase.write}. */
  readonly root: RootDatabase;
  private readonly folder: string;

  /** Opens the database; it is made when it is missing. Throws `BUFFER_FAILED` with the reason. */
  constructor(folder: string) {
    this.folder = folder;
    let root: RootDatabase | undefined;
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      this.folder = realpathSync(folder);
      if (inUse.has(this.folder)) throw new Error('another node of this process is using it');
      checkFile(join(this.folder, 'data.mdb'));
      // Loaded only here: who keeps everything in memory need not load the native module.
      const { open } = require('lmdb') as typeof import('lmdb');
      root = open({
        path: this.folder,
        maxDbs: 8,
        // One write is under way at a time, so there is nothing to overlap; without it a write that is done is on the disk.
        overlappingSync: false,
        // With it on, a full disk leaves a rejection behind that nobody can handle, and that ends the process.
        eventTurnBatching: false,
      });
      const [other] = otherReaders(root);
      if (other !== undefined) throw new Error(`the process ${other} is using it`);
      this.root = root;
    } catch (thrown) {
      root?.close().catch(() => {});
      throw this.failure('open the disk buffer', thrown);
    }
    inUse.add(this.folder);
  }

  /**
   * Makes all changes or none, and resolves when they are on the disk: they survive a kill of the process and a power
   * cut. Only one write may be under way at a time. Throws `BUFFER_FAILED`.
   */
  async write(attempted: string, change: () => void): Promise<void> {
    try {
      await this.root.batch(change);
    } catch (thrown) {
      // The reason comes as a promise that rejects; left alone it would end the process.
      const { commitError = Promise.reject(thrown) } = thrown as { commitError?: Promise<never> };
      throw this.failure(attempted, await commitError.catch((reason: unknown) => reason));
    }
  }

  /** Lets go of the folder. Not to be called while a write is under way. */
  async close(): Promise<void> {
    await this.root.close();
    inUse.delete(this.folder);
  }

  /** What went wrong with this database, as an error. */
  failure(attempted: string, thrown: unknown): ContactError {
    return new ContactError('BUFFER_FAILED', {
      attempted,
      target: this.folder,
      answer: describe(thrown),
      advice: 'Check the free space and the rights of this folder, and that nothing else uses it.',
      cause: thrown,
    });
  }
}

/** The other processes that have the database open. Those that were killed were taken out of the list when it was opened. */
function otherReaders(root: RootDatabase): number[] {
  // Whoever has read once is in the list until the end.
  root.get('');
  const listed = [...root.readerList().matchAll(/^\s*(\d+)\s/gm)].map(([, id]) => Number(id));
  return listed.filter((id) => id !== process.pid);
}

/** Where the fields of a file of LMDB are, seen from the beginning of each of its two first pages (`MDB_meta`). */
const META = { magic: 24, pageSize: 48, lastPage: 144, end: 160 };
const MAGIC = 0xbeefc0de;
const LARGEST_PAGE = 65_536;

/**
 * Finds out before the library does that a file is damaged: it reads the file as memory, and what is not there ends
 * the process. A file may lack pages at its end that are not in use; filled with zeros they do no harm, and one that is
 * in use after all is reported when it is read.
 */
function checkFile(path: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0 || !['x64', 'arm64'].includes(process.arch)) return;
  const file = openSync(path, 'r');
  const head = Buffer.alloc(LARGEST_PAGE + META.end);
  try {
    readSync(file, head, 0, head.length, 0);
  } finally {
    closeSync(file);
  }
  const pageSize = head.readUInt32LE(META.pageSize);
  const isDamaged = pageSize > LARGEST_PAGE || [0, pageSize].some((at) => head.readUInt32LE(at + META.magic) !== MAGIC);
  if (isDamaged || size < 2 * pageSize) throw new Error('its file data.mdb is damaged, or not one of this library');
  const pages = [0, pageSize].map((at) => Number(head.readBigUInt64LE(at + META.lastPage)) + 1);
  const expected = Math.max(...pages) * pageSize;
  if (size < expected) truncateSync(path, expected);
}
