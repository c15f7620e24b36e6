import type { MessageMode } from './message';

/** Where a message stands. */
export type MessageStatus =
  /** Accepted; its time is fixed. */
  | 'queued'
  /** Genesys has taken it. */
  | 'sent'
  /** A receipt says that it has arrived. */
  | 'delivered'
  /** It will not arrive: Genesys does not take it, or a receipt says so. */
  | 'failed'
  /** It failed and was put aside in the dead-letter queue. */
  | 'dead_lettered';

/** All words for where a message stands. */
export const MESSAGE_STATUSES: readonly MessageStatus[] = ['queued', 'sent', 'delivered', 'failed', 'dead_lettered'];

/** Why a message failed. */
export interface StatusError {
  code: string;
  message: string;
}

/** One change of the status of a message. */
export interface StatusChange {
  status: MessageStatus;
  /** ISO 8601. */
  timestamp: string;
  attempts: number;
  error?: StatusError;
}

/** What is remembered of a message, for as long as it may come again. */
export interface MessageRecord {
  messageId: string;
  tenantId: string;
  /** Missing while it is not known which one it goes to. */
  organizationId?: string;
  mode: MessageMode;
  /** ISO 8601. Fixed when the message is accepted for the first time: Genesys knows a message by its id and time. */
  time: string;
  status: MessageStatus;
  /** How often it was sent. */
  attempts: number;
  genesysMessageId?: string;
  conversationId?: string;
  correlationId?: string;
  /** With modes that must not be repeated: how many parts have been sent, and whether the next may have been. */
  parts?: number;
  inDoubt?: boolean;
  /** Which process works on it, and until when it may be taken for busy with it, in milliseconds since the epoch. */
  holder?: { id: string; until: number };
  /** Oldest first. */
  history: StatusChange[];
}

/** A record as others may see it: without what only the senders need. */
export type PublicRecord = Omit<MessageRecord, 'holder' | 'inDoubt' | 'parts'>;

/** A change of the status of a message, as it is told to others. */
export interface StatusEvent {
  messageId: string;
  tenantId: string;
  organizationId: string | null;
  status: MessageStatus;
  genesysMessageId: string | null;
  conversationId: string | null;
  attempts: number;
  error?: StatusError;
  /** ISO 8601. */
  timestamp: string;
  correlationId: string | null;
}

/**
 * A receipt waits so long for the message that it is about to be sent, in milliseconds: it may be faster than the answer
 * to the message.
 */
export const RECEIPT_WAITS_MS = 4_000;
/** More changes than this are not kept: a message that fails again and again must not grow for ever. */
const MOST_CHANGES = 20;

/** Writes a change of the status into a record and gives it back. */
export function changeStatus(
  record: MessageRecord,
  status: MessageStatus,
  { now, error }: { now: number; error?: StatusError | undefined },
): StatusChange {
  const change: StatusChange = {
    status,
    timestamp: new Date(now).toISOString(),
    attempts: record.attempts,
    ...(error ? { error } : {}),
  };
  record.status = status;
  record.history.push(change);
  if (record.history.length > MOST_CHANGES) record.history.splice(1, record.history.length - MOST_CHANGES);
  return change;
}

/** A record without what only the senders need. */
export function publicRecord({
  holder: _holder,
  inDoubt: _inDoubt,
  parts: _parts,
  ...rest
}: MessageRecord): PublicRecord {
  return rest;
}

/** A change as it is told to others. */
export function statusEvent(record: MessageRecord, { status, attempts, error, timestamp }: StatusChange): StatusEvent {
  const { messageId, tenantId, organizationId, genesysMessageId, conversationId, correlationId } = record;
  return {
    messageId,
    tenantId,
    organizationId: organizationId ?? null,
    status,
    genesysMessageId: genesysMessageId ?? null,
    conversationId: conversationId ?? null,
    attempts,
    ...(error ? { error } : {}),
    timestamp,
    correlationId: correlationId ?? null,
  };
}
