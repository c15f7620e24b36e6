import { openEmbeddedStore } from '../store/embedded';
import { MemoryStore } from '../store/memory';
import type { StateStore } from '../store/store';
import type { Red } from './node';
import { stateFolder } from './user-dir';

/**
 * Opens the store in which nodes keep what must outlive a restart: in `contact-center/state` below the user directory.
 * A runtime without a user directory (embedded in a test, say) keeps it in memory. Close it with the node.
 */
export function openState(RED: Red): StateStore {
  const folder = stateFolder(RED);
  return folder === undefined ? new MemoryStore() : openEmbeddedStore(folder);
}
