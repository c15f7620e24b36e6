/**
 * A small key-value store for what must outlive a process: channels, checkpoints, claims. Values are plain JSON
 * (objects, arrays, texts, finite numbers, booleans, null); keys are texts of at most 1,000 bytes, by convention
 * `<what>/<whose>/<which>`.
 */
export interface StateStore {
  /** The value of a key, or `undefined`. What comes back was written by an earlier version perhaps: check its form. */
  get(key: string): Promise<unknown>;
  /** Writes a value; when it resolves, the value survives the end of the process. */
  set(key: string, value: unknown): Promise<void>;
  /** Removes a key; one that is not there is fine. */
  delete(key: string): Promise<void>;
  /** All keys that begin with `prefix`, in the order of their bytes, with their values. */
  entries(prefix: string): Promise<[key: string, value: unknown][]>;
  /** Finishes what is being written and lets go of the store. Calling it twice is harmless; after it, all else rejects. */
  close(): Promise<void>;
}
