import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Red } from './node';
import { ownFolder } from './user-dir';

const forThisProcess = randomUUID();
const FORM = /^[0-9a-f-]{36}$/;

/**
 * Tells this Node-RED from all others that share a store with it; the same after a restart, so that what it held when
 * it was ended is known to be its own. Without a user directory, or one that can be written, it ends with the process.
 */
export function processIdOf(RED: Red): string {
  const folder = ownFolder(RED);
  if (folder === undefined) return forThisProcess;
  const file = join(folder, 'process-id');
  try {
    const known = readFileSync(file, 'utf8').trim();
    if (FORM.test(known)) return known;
  } catch {
    // The first start with this user directory.
  }
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(file, forThisProcess, { mode: 0o600 });
  } catch {
    // Then it is another one after the next start, and what was held waits until its time is over.
  }
  return forThisProcess;
}
