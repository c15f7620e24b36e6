/** How long a value is kept. */
export interface Keeping {
  /** After so many milliseconds it is gone, as if it had been deleted; for ever when left out. */
  expiresInMs?: number;
}

/**
 * A small key-value store for what must outlive a process: channels, checkpoints, claims. Values are plain JSON
 * (objects, arrays, texts, finite numbers, booleans, null); keys are texts of at most 1,000 bytes, by convention
 * `<what>/<whose>/<which>`.
 *
 * What compares ({@link StateStore.replace}, {@link StateStore.remove}) compares the values as JSON texts, so give it
 * the value as it was written or read. All that changes a key is atomic, also between processes where they share the
 * store. A store that cannot be reached rejects with `UNREACHABLE`; the change may or may not have been made then. One
 * on a disk that is full rejects with `BUFFER_FAILED`; then nothing was changed.
 */
export interface StateStore {
  /** The value of a key, or `undefined`. What comes back was written by an earlier version perhaps: check its form. */
  get(key: string): Promise<unknown>;
  /** Writes a value; when it resolves, the value survives the end of the process. */
  set(key: string, value: unknown, keeping?: Keeping): Promise<void>;
  /** Writes a value where there is none. Of all who try at the same time, one is told `true`. */
  add(key: string, value: unknown, keeping?: Keeping): Promise<boolean>;
  /** Writes a value in place of `expected`, and only then. To renew a value, replace it by itself. */
  replace(key: string, expected: unknown, value: unknown, keeping?: Keeping): Promise<boolean>;
  /** Removes a key; one that is not there is fine. */
  delete(key: string): Promise<void>;
  /** Removes a key that holds `expected`, and only then. */
  remove(key: string, expected: unknown): Promise<boolean>;
  /** All keys that begin with `prefix`, in the order of their bytes, with their values. */
  entries(prefix: string): Promise<[key: string, value: unknown][]>;
  /** Finishes what is being written and lets go of the store. Calling it twice is harmless; after it, all else rejects. */
  close(): Promise<void>;
}
