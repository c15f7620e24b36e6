import { openSharedDatabase, type SharedDatabase } from './shared-database';
import type { StateStore } from './store';

/**
 * Opens the {@link StateStore} in a folder, which is made when it is missing. Everyone who opens the same folder
 * shares one database. What was written survives a kill of the process; what was written in the last moments before a
 * power cut may be missing, but the store is never torn. Throws `BUFFER_FAILED` when the folder cannot be used.
 */
export function openEmbeddedStore(folder: string): StateStore {
  return new EmbeddedStore(openSharedDatabase(folder, 'state.mdb', 'state store'));
}

class EmbeddedStore implements StateStore {
  constructor(private readonly shared: SharedDatabase) {}

  async get(key: string): Promise<unknown> {
    return this.shared.database.get(key);
  }

  async set(key: string, value: unknown): Promise<void> {
    await this.shared.database.put(key, value);
  }

  async delete(key: string): Promise<void> {
    await this.shared.database.remove(key);
  }

  async entries(prefix: string): Promise<[string, unknown][]> {
    const found: [string, unknown][] = [];
    // No text that begins with the prefix comes after the prefix with the highest character behind it.
    for (const { key, value } of this.shared.database.getRange({ start: prefix, end: `${prefix}\u{10ffff}` })) {
      found.push([key as string, value]);
    }
    return found;
  }

  close(): Promise<void> {
    return this.shared.close();
  }
}
