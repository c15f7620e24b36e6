import { ContactError } from '../../core/errors';
import type { HttpClient } from '../../core/http';
import type { Verdict } from '../../core/verdicts';
import type { GenesysExchange } from '../client';
import type { Organization } from '../tenants/organizations';
import { uploadMedia } from './media';
import type { OutgoingMessage } from './message';
import { agentlessBody, inboundBody } from './requests';

/** What a transmission has come to. */
export interface Transmission {
  verdict: Verdict;
  genesysMessageId?: string;
  conversationId?: string;
}

/** What a transmission needs besides the message. */
export interface TransmitOptions {
  organization: Organization;
  /** For files that go with an agent's message. */
  http: HttpClient;
  /** Hosts that files may come from; any when empty. */
  mediaHosts: readonly string[];
  /** Whether Genesys is asked to say which conversation a customer's message belongs to. */
  wantsConversation: boolean;
  /** The parts of an agent's message that have been sent already. */
  partsSent: number;
  /** Called right before something is sent that must not be sent twice: from here on it may have arrived. */
  onDoubt(): Promise<void>;
  /** Called when a part of several has been sent. */
  onPart(parts: number): Promise<void>;
  signal: AbortSignal;
}

/**
 * Sends a message once. A message from a customer may be sent again after any verdict that is not final: Genesys knows
 * it by its id and time. With the other modes what may have arrived is never sent again: its verdict is `rejected`,
 * with the code `OUTCOME_UNKNOWN`.
 */
export function transmit(message: OutgoingMessage, time: string, options: TransmitOptions): Promise<Transmission> {
  if (message.mode === 'inbound') return transmitInbound(message, time, options);
  return message.mode === 'agentless' ? transmitAgentless(message, options) : transmitAgent(message, options);
}

async function transmitInbound(
  message: OutgoingMessage,
  time: string,
  { organization, wantsConversation, signal }: TransmitOptions,
): Promise<Transmission> {
  const { client, settings } = organization;
  const path = `/api/v2/conversations/messages/${encodeURIComponent(settings.integrationId)}/inbound/open/message`;
  const exchange = await client.exchange('POST', path, {
    what: 'send a message of a customer',
    ...(wantsConversation ? { query: { prefetchConversationId: true } } : {}),
    body: inboundBody(message, time),
    signal,
  });
  const { verdict } = exchange;
  // The pair of id and time has been there before: it is this very message.
  if (verdict.kind === 'rejected' && verdict.error.status === 409) return { verdict: { kind: 'duplicate' } };
  return { ...identitiesOf(exchange), verdict };
}

async function transmitAgentless(message: OutgoingMessage, options: TransmitOptions): Promise<Transmission> {
  const { organization, signal, onDoubt } = options;
  const exchange = await organization.client.exchange('POST', '/api/v2/conversations/messages/agentless', {
    what: 'send a text without an agent',
    body: agentlessBody(message, organization.settings.integrationId),
    beforeSend: onDoubt,
    signal,
  });
  return { ...identitiesOf(exchange), verdict: onceOnly(exchange) };
}

async function transmitAgent(message: OutgoingMessage, options: TransmitOptions): Promise<Transmission> {
  const { organization, signal, partsSent, onDoubt, onPart, http, mediaHosts: hosts } = options;
  const { conversationId = '', text, attachments } = message;
  const leg = message.communicationId ?? (await findLeg(conversationId, options));
  if (typeof leg !== 'string') return { verdict: leg };
  const conversation = `/api/v2/conversations/messages/${encodeURIComponent(conversationId)}`;
  const path = `${conversation}/communications/${encodeURIComponent(leg)}/messages`;
  // One body in each call, says the vendor: a text with files is two messages.
  const parts: (() => Promise<Record<string, unknown> | Verdict>)[] = [];
  if (text !== undefined) parts.push(async () => ({ textBody: text }));
  if (attachments.length > 0) {
    parts.push(async () => {
      const mediaIds: string[] = [];
      for (const attachment of attachments) {
        const result = await uploadMedia(attachment, { client: organization.client, http, path, hosts, signal });
        if ('verdict' in result) return result.verdict;
        mediaIds.push(result.mediaId);
      }
      return { mediaIds };
    });
  }
  let last: Transmission = { verdict: { kind: 'delivered' }, conversationId };
  for (let part = partsSent; part < parts.length; part += 1) {
    const body = await parts[part]?.();
    if (!body || 'kind' in body) return { verdict: body as Verdict, conversationId };
    const exchange = await organization.client.exchange('POST', path, {
      what: 'send a message of an agent',
      body,
      beforeSend: onDoubt,
      signal,
    });
    last = { conversationId, ...identitiesOf(exchange), verdict: onceOnly(exchange) };
    if (exchange.verdict.kind !== 'delivered') return last;
    await onPart(part + 1);
  }
  return last;
}

/** The leg of the agent who is connected, or why there is none. */
async function findLeg(conversationId: string, { organization, signal }: TransmitOptions): Promise<string | Verdict> {
  const path = `/api/v2/conversations/${encodeURIComponent(conversationId)}`;
  const { verdict, body } = await organization.client.exchange('GET', path, {
    what: 'find the agent of a conversation',
    signal,
  });
  if (verdict.kind === 'unknown') return { kind: 'busy', fault: 'failure', error: verdict.error };
  if (verdict.kind !== 'delivered') return verdict;
  const leg = connectedLegOf(body);
  if (leg !== undefined) return leg;
  const error = new ContactError('NOT_FOUND', {
    attempted: 'send a message of an agent',
    answer: `no agent is connected in the conversation ${conversationId}`,
    advice: 'Send it while an agent is in the conversation, or with the mode agentless.',
  });
  return { kind: 'rejected', error };
}

interface Conversation {
  participants?: { purpose?: unknown; messages?: { id?: unknown; state?: unknown }[] }[];
}

/** The connected leg of the last agent who came. */
function connectedLegOf(body: unknown): string | undefined {
  const { participants } = (body ?? {}) as Conversation;
  if (!Array.isArray(participants)) return undefined;
  for (const { purpose, messages } of participants.toReversed()) {
    if (purpose !== 'agent' || !Array.isArray(messages)) continue;
    const leg = messages.find(({ state }) => state === 'connected');
    if (typeof leg?.id === 'string') return leg.id;
  }
  return undefined;
}

/**
 * What must not be sent twice is sent again only when it certainly did not arrive: nothing went out, or Genesys says that
 * it took nothing.
 */
function onceOnly({ verdict, hasArrived }: GenesysExchange): Verdict {
  const isFailure = verdict.kind === 'unknown' || (verdict.kind === 'busy' && verdict.fault === 'failure');
  const isDoubtful = hasArrived && isFailure && verdict.error.status !== 503;
  if (!isDoubtful) return verdict;
  const { error } = verdict;
  return {
    kind: 'rejected',
    fault: 'failure',
    error: new ContactError('OUTCOME_UNKNOWN', {
      attempted: 'send a message that must not be sent twice',
      answer: error.summary,
      advice: 'Look in Genesys whether it has arrived before you send it again.',
      retryable: false,
      ...(error.status === undefined ? {} : { status: error.status }),
      cause: error,
    }),
  };
}

function identitiesOf({ body }: GenesysExchange): { genesysMessageId?: string; conversationId?: string } {
  const { id, conversationId } = (body ?? {}) as { id?: unknown; conversationId?: unknown };
  return {
    ...(typeof id === 'string' ? { genesysMessageId: id } : {}),
    ...(typeof conversationId === 'string' ? { conversationId } : {}),
  };
}
