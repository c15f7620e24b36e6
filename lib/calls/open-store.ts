import { systemClock } from '../core/clock';
import { ContactError } from '../core/errors';
import type { CallBook } from './call-book';
import { openEmbeddedCallStore } from './embedded-store';
import { MemoryCallStore } from './memory-store';
import { openPostgresqlCallStore } from './postgresql-store';
import type { CallStore } from './store';

/** A store that is in use. */
export interface OpenCalls {
  store: CallStore;
  book: CallBook;
  /** Without a database there are no users, so that nobody can get a token here. */
  hasUsers: boolean;
}

/** Where calls are to be kept. */
export interface CallStoreChoice {
  /** `auto` is PostgreSQL where there is an address, and the disk elsewhere. */
  kind: 'auto' | 'memory' | 'embedded' | 'postgresql';
  /** In memory, whatever else is said. */
  disabled: boolean;
  databaseUrl: string | undefined;
  /** The folder on disk, absolute; a runtime without one (embedded in a test, say) keeps calls in memory. */
  folder: string | undefined;
}

/** Opens the store that was chosen. Throws `CONFIGURATION` when there is no usable address of a database. */
export function openCallStore({ kind, disabled, databaseUrl, folder }: CallStoreChoice): CallStore {
  const chosen = disabled ? 'memory' : kind === 'auto' ? (databaseUrl ? 'postgresql' : 'embedded') : kind;
  if (chosen === 'postgresql') {
    if (databaseUrl && URL.canParse(databaseUrl) && /^postgres(ql)?:$/.test(new URL(databaseUrl).protocol)) {
      return openPostgresqlCallStore({ url: databaseUrl });
    }
    throw new ContactError('CONFIGURATION', {
      attempted: 'use the database',
      answer: databaseUrl
        ? 'its address does not begin with postgresql://'
        : 'the credential databaseUrl is not set, nor is the environment variable DATABASE_URL',
    });
  }
  return chosen === 'embedded' && folder !== undefined ? openEmbeddedCallStore(folder) : new MemoryCallStore();
}

/** Opens the store that was chosen, counts its users and closes it; rejects with what is in the way. */
export async function tryCallStore(choice: CallStoreChoice): Promise<{ kind: string; users: number; ms: number }> {
  const store = openCallStore(choice);
  const began = systemClock.now();
  try {
    await store.check();
    const users = await store.users();
    return { kind: store.kind, users: users.length, ms: systemClock.now() - began };
  } finally {
    await store.close();
  }
}
