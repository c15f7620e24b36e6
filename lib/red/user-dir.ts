import { join, resolve } from 'node:path';
import type { Red, RuntimeNode } from './node';

/**
 * Where the pack keeps what is its own, below the user directory of the runtime; `undefined` for a runtime without one,
 * such as one that is embedded in a test.
 */
export function ownFolder({ settings: { userDir } }: Red, ...parts: string[]): string | undefined {
  return userDir ? join(userDir, 'contact-center', ...parts) : undefined;
}

/** Where a node keeps what it must not lose before it is sent, or a part of that; see {@link ownFolder}. */
export function spoolFolder(RED: Red, { id }: RuntimeNode, part = ''): string | undefined {
  return ownFolder(RED, 'spool', id, part);
}

/** The folder of the store on disk; see {@link ownFolder}. */
export function stateFolder(RED: Red): string | undefined {
  return ownFolder(RED, 'state');
}

/** A path as a user has given it: a relative one begins at the user directory. */
export function userPath({ settings: { userDir } }: Red, path: string): string {
  return resolve(userDir ?? '.', path);
}
