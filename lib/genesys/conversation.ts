import { asObject } from '../core/answers';
import { ContactError, toContactError } from '../core/errors';
import type { GenesysClient } from './client';

/** What can be done with a conversation. */
export type ConversationAction = 'details' | 'close' | 'transfer' | 'attributes';

/** All actions; the first one is the default. */
export const CONVERSATION_ACTIONS: readonly ConversationAction[] = ['details', 'close', 'transfer', 'attributes'];

/** A request about a conversation, found to be sound. */
export interface ConversationRequest {
  action: ConversationAction;
  tenantId: string;
  organizationId?: string | undefined;
  conversationId: string;
  /** Whom it concerns. With `transfer` the agent or queue that has the customer, with `attributes` the customer, when left out. */
  participantId?: string | undefined;
  /** With `transfer`: where to. */
  to?: { queueId: string } | { userId: string } | { address: string } | undefined;
  /** With `transfer`. */
  transferType?: 'Attended' | 'Unattended' | undefined;
  /** With `attributes`: texts by name. */
  attributes?: Record<string, string> | undefined;
}

type Json = Record<string, unknown>;

/** Reads a request. Throws `INVALID_INPUT` that names all that is wrong. */
export function readConversationRequest(payload: unknown, defaultAction: ConversationAction): ConversationRequest {
  const given = asObject(payload) ?? {};
  const problems: string[] = [];
  const text = (name: string): string | undefined => {
    const value = given[name];
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value === 'string') return value;
    problems.push(`${name} must be a text`);
    return undefined;
  };
  const action = (text('action') ?? defaultAction) as ConversationAction;
  if (!CONVERSATION_ACTIONS.includes(action)) {
    problems.push(`action must be one of ${CONVERSATION_ACTIONS.join(', ')}`);
  }
  const [tenantId, conversationId] = [text('tenantId'), text('conversationId')];
  if (!tenantId) problems.push('tenantId is required');
  if (!conversationId) problems.push('conversationId is required');
  const transferType = text('transferType');
  if (transferType !== undefined && transferType !== 'Attended' && transferType !== 'Unattended') {
    problems.push('transferType must be Attended or Unattended');
  }
  const request: ConversationRequest = {
    action,
    tenantId: tenantId ?? '',
    organizationId: text('organizationId'),
    conversationId: conversationId ?? '',
    participantId: text('participantId'),
    transferType: transferType as ConversationRequest['transferType'],
    ...(action === 'transfer' ? { to: readTarget(given, problems) } : {}),
    ...(action === 'attributes' ? { attributes: readAttributes(given['attributes'], problems) } : {}),
  };
  if (problems.length === 0) return request;
  throw new ContactError('INVALID_INPUT', { attempted: 'handle the conversation', answer: problems.join('; ') });
}

function readTarget(given: Json, problems: string[]): ConversationRequest['to'] {
  const to = { ...given, ...asObject(given['to']) };
  const targets = (['queueId', 'userId', 'address'] as const).filter((name) => to[name] !== undefined);
  const [name] = targets;
  const value = name && to[name];
  if (targets.length === 1 && name && typeof value === 'string' && value !== '') {
    return { [name]: value } as unknown as ConversationRequest['to'];
  }
  problems.push('exactly one of to.queueId, to.userId and to.address must be given');
  return undefined;
}

function readAttributes(given: unknown, problems: string[]): Record<string, string> {
  const entries = Object.entries(asObject(given) ?? {});
  if (entries.length === 0) problems.push('attributes must be an object with at least one text');
  const texts: Record<string, string> = {};
  for (const [name, value] of entries) {
    if (typeof value === 'object') problems.push(`attributes.${name} must be a text, a number or a switch`);
    else texts[name] = String(value);
  }
  return texts;
}

/** Someone in a conversation. */
interface Participant {
  id: string;
  purpose?: unknown;
  state?: unknown;
}

const CONVERSATION = 'handle a conversation';

/**
 * Does what is asked. All of it may be done twice without harm, or is looked up before it is repeated. Rejects with
 * `NOT_FOUND` when there is no such conversation or participant, and as {@link GenesysClient.request} does.
 */
export async function handleConversation(
  client: Pick<GenesysClient, 'request'>,
  request: ConversationRequest,
  signal: AbortSignal,
): Promise<unknown> {
  const { action, conversationId, attributes } = request;
  const path = `/api/v2/conversations/messages/${encodeURIComponent(conversationId)}`;
  const details = () => client.request('GET', path, { what: `look at the conversation ${conversationId}`, signal });
  if (action === 'details') return details();
  if (action === 'close') {
    const what = `close the conversation ${conversationId}`;
    return client.request('PATCH', path, { what, body: { state: 'disconnected' }, signal });
  }
  const participant = await findParticipant(request, details);
  const who = `${path}/participants/${encodeURIComponent(participant)}`;
  if (action === 'attributes') {
    const what = `set attributes in the conversation ${conversationId}`;
    return client.request('PATCH', `${who}/attributes`, { what, body: { attributes }, signal });
  }
  await transfer(client, request, { path: `${who}/replace`, participant, details, signal });
  return { conversationId, participantId: participant, ...request.to };
}

async function findParticipant(
  { action, conversationId, participantId }: ConversationRequest,
  details: () => Promise<unknown>,
): Promise<string> {
  if (participantId !== undefined) return participantId;
  const connected = participantsOf(await details()).filter(({ state }) => state === 'connected');
  const purposes = action === 'transfer' ? ['agent', 'acd'] : ['customer'];
  for (const purpose of purposes) {
    const found = connected.findLast((participant) => participant.purpose === purpose);
    if (found) return found.id;
  }
  throw new ContactError('NOT_FOUND', {
    attempted: CONVERSATION,
    answer: `in the conversation ${conversationId} there is nobody connected as ${purposes.join(' or ')}`,
    advice: 'Name the participantId, or do it while they are there.',
  });
}

/** A transfer whose answer was lost is looked for before it is made again: it must not hit whoever came after. */
async function transfer(
  client: Pick<GenesysClient, 'request'>,
  { to, transferType, conversationId }: ConversationRequest,
  on: { path: string; participant: string; details: () => Promise<unknown>; signal: AbortSignal },
): Promise<void> {
  const what = `transfer the conversation ${conversationId}`;
  const body = { ...to, ...(transferType ? { transferType } : {}) };
  const replace = () => client.request('POST', on.path, { what, body, signal: on.signal });
  try {
    await replace();
  } catch (thrown) {
    const error = toContactError(thrown, what);
    const isDoubtful =
      error.code === 'OUTCOME_UNKNOWN' || error.code === 'PROTOCOL' || (error.code === 'BUSY' && error.status !== 429);
    if (!isDoubtful) throw error;
    const replaced = participantsOf(await on.details()).find(({ id }) => id === on.participant);
    if (replaced?.state === 'connected') await replace();
  }
}

function participantsOf(conversation: unknown): Participant[] {
  const { participants } = asObject(conversation) ?? {};
  if (!Array.isArray(participants)) return [];
  return participants.filter((each) => typeof (each as Participant | null)?.id === 'string') as Participant[];
}
