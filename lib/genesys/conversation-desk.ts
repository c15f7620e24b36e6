import { asObject } from '../core/answers';
import { ContactError } from '../core/errors';
import { CONVERSATION_ACTIONS, handleConversation, readConversationRequest } from './conversation';
import { type PublicRecord, publicRecord } from './messaging/record';
import type { MessageRecords } from './messaging/records';
import type { Organizations } from './tenants/organizations';

/** What can be asked for: what can be done with a conversation, and what became of a message that was sent. */
export const DESK_ACTIONS = [...CONVERSATION_ACTIONS, 'message'] as const;

/** What it takes to answer a request. */
export interface DeskOptions {
  /** What is done when the request does not say. */
  action: (typeof DESK_ACTIONS)[number];
  organizations: Pick<Organizations, 'find'>;
  /** Where the senders remember what became of messages. */
  records: Pick<MessageRecords, 'find'> | undefined;
  signal: AbortSignal;
}

/**
 * Does what a request asks for and gives back its answer. Rejects with `INVALID_INPUT` for one that cannot be
 * understood, `NOT_FOUND` for a tenant, conversation or message that nobody knows, and as the calls do.
 */
export async function actOnConversation(payload: unknown, options: DeskOptions): Promise<unknown> {
  const { action, organizations, records, signal } = options;
  const given = asObject(payload) ?? {};
  const wanted = given['action'] ?? action;
  if (wanted === 'message') return findMessage(given, records);
  const request = readConversationRequest({ ...given, action: wanted }, 'details');
  const organization = await organizations.find(request.tenantId, request);
  return handleConversation(organization.client, request, signal);
}

async function findMessage(
  { messageId, tenantId }: Record<string, unknown>,
  records: DeskOptions['records'],
): Promise<PublicRecord> {
  const attempted = 'tell what became of a message';
  if (!records) {
    const advice = 'Choose the store that genesys-message-out uses.';
    throw new ContactError('CONFIGURATION', { attempted, answer: 'no store is chosen', advice });
  }
  if (typeof messageId !== 'string' || messageId === '') {
    throw new ContactError('INVALID_INPUT', { attempted, answer: 'messageId is required' });
  }
  const found = await records.find(messageId, typeof tenantId === 'string' && tenantId !== '' ? tenantId : undefined);
  if (!found) throw new ContactError('NOT_FOUND', { attempted, answer: `there is no message ${messageId}` });
  return publicRecord(found.record);
}
