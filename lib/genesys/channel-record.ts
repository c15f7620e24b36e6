import { registerToken } from '../core/redaction';
import type { StateStore } from '../store/store';

/** What is known about a notification channel. Whoever knows its id can read its events. */
export interface ChannelRecord {
  id: string;
  connectUri: string;
  /** When it ends unless it is extended, in milliseconds since the epoch. */
  expiresAt: number;
  /** When the token ends that the channel belongs to; the channel ends with it. Milliseconds since the epoch. */
  ownedUntil: number;
  /** The organization and client it was made for. */
  account: string;
}

/** Reads the answer to the creation of a channel; `undefined` when it is none. */
export function readChannel(answer: unknown, account: string, ownedUntil: number): ChannelRecord | undefined {
  const { id, connectUri, expires } = (answer ?? {}) as Record<string, unknown>;
  if (typeof id !== 'string' || typeof connectUri !== 'string') return undefined;
  const expiresAt = typeof expires === 'string' ? Date.parse(expires) : Number.NaN;
  const record = { id, connectUri, expiresAt, ownedUntil, account };
  return Number.isNaN(expiresAt) ? undefined : known(record);
}

/** Reads a channel that an earlier process has stored; `undefined` when there is none for this account. */
export async function loadChannel(store: StateStore, key: string, account: string): Promise<ChannelRecord | undefined> {
  const stored = ((await store.get(key)) ?? {}) as Partial<Record<keyof ChannelRecord, unknown>>;
  const { id, connectUri, expiresAt, ownedUntil } = stored;
  if (stored.account !== account || typeof id !== 'string' || typeof connectUri !== 'string') return undefined;
  if (typeof expiresAt !== 'number' || typeof ownedUntil !== 'number') return undefined;
  return known({ id, connectUri, expiresAt, ownedUntil, account });
}

/** A channel's id as it may be shown and stored: enough to tell channels apart, too little to use one. */
export function maskedChannel(id: string): string {
  return `***${id.slice(-6)}`;
}

function known(record: ChannelRecord): ChannelRecord {
  registerToken(record.id);
  registerToken(record.connectUri);
  return record;
}
