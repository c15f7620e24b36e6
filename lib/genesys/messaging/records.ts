import { createHash } from 'node:crypto';
import type { StateStore } from '../../store/store';
import { MESSAGE_STATUSES, type MessageRecord } from './record';

/** A message that is remembered, and its place in the store. */
export interface Remembered {
  readonly key: string;
  record: MessageRecord;
}

/**
 * The memory of messages: which have been accepted and with which time, which have been sent, and what became of them.
 * Two tenants may use the same id for different messages.
 */
export class MessageRecords {
  constructor(
    private readonly store: StateStore,
    /** How long a message is remembered after its last change, in milliseconds. */
    private readonly keepMs: number,
  ) {}

  /** Writes a message down unless it is known. Of all who try at the same time, one is told that it is new. */
  async accept(record: MessageRecord): Promise<Remembered & { isNew: boolean }> {
    const { messageId, tenantId } = record;
    // The first tenant that uses an id gets the place that is found without knowing the tenant.
    const places = [firstKey(messageId), ownKey(messageId, tenantId)];
    for (const key of places) {
      if (await this.store.add(key, record, { expiresInMs: this.keepMs })) return { key, record, isNew: true };
      const known = asRecord(await this.store.get(key));
      if (known?.tenantId === tenantId) return { key, record: known, isNew: false };
      if (known) {
        // Were this place free before the other one is, the message would be taken for a new one there.
        await this.store.replace(key, known, known, { expiresInMs: this.keepMs });
        continue;
      }
      // What is there is nothing of ours, or has ended at this very moment.
      await this.save({ key, record });
      return { key, record, isNew: true };
    }
    throw new Error('A place of its own can belong only to its tenant');
  }

  /** Writes what has changed. */
  async save({ key, record }: Remembered): Promise<void> {
    await this.store.set(key, record, { expiresInMs: this.keepMs });
  }

  /** Writes what has changed, unless someone else has changed the message since it was read as `before`. */
  replace({ key, record }: Remembered, before: MessageRecord): Promise<boolean> {
    return this.store.replace(key, before, record, { expiresInMs: this.keepMs });
  }

  /** A message by the publisher's id; without a tenant the first one that used the id. */
  async find(messageId: string, tenantId?: string): Promise<Remembered | undefined> {
    for (const key of [firstKey(messageId), ...(tenantId === undefined ? [] : [ownKey(messageId, tenantId)])]) {
      const record = asRecord(await this.store.get(key));
      if (record && (tenantId === undefined || record.tenantId === tenantId)) return { key, record };
    }
    return undefined;
  }

  /** Remembers under which id Genesys knows a message, for receipts. */
  async link({ genesysMessageId, messageId, tenantId }: MessageRecord): Promise<void> {
    if (genesysMessageId === undefined) return;
    await this.store.set(linkKey(genesysMessageId), { messageId, tenantId }, { expiresInMs: this.keepMs });
  }

  /** The message that Genesys knows under this id. */
  async findByGenesysId(genesysMessageId: string): Promise<Remembered | undefined> {
    const found = (await this.store.get(linkKey(genesysMessageId))) ?? {};
    const { messageId, tenantId } = found as { messageId?: unknown; tenantId?: unknown };
    if (typeof messageId !== 'string' || typeof tenantId !== 'string') return undefined;
    return this.find(messageId, tenantId);
  }
}

function firstKey(messageId: string): string {
  return `messages/${messageId}`;
}

function ownKey(messageId: string, tenantId: string): string {
  return `messages-of/${createHash('sha256').update(tenantId).digest('base64url')}/${messageId}`;
}

function linkKey(genesysMessageId: string): string {
  return `genesys-messages/${genesysMessageId.slice(0, 256)}`;
}

function asRecord(value: unknown): MessageRecord | undefined {
  const { messageId, tenantId, time, status, history } = (value ?? {}) as Partial<MessageRecord>;
  const isWhole =
    typeof messageId === 'string' &&
    typeof tenantId === 'string' &&
    typeof time === 'string' &&
    MESSAGE_STATUSES.includes(status as MessageRecord['status']) &&
    Array.isArray(history);
  return isWhole ? (value as MessageRecord) : undefined;
}
