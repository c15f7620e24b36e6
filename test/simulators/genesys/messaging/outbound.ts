import { randomUUID } from 'node:crypto';
import { type Answer, badRequest, notFound } from '../answers';
import type { ApiRequest, SimulatorServer } from '../server';
import { bodyOf, exactlyOne, flag, listOf, longestText, object, oneOf, text } from './bodies';
import type { Conversations, Participant } from './conversations';
import type { Integrations } from './integrations';
import { MediaUploads } from './media';

/** A message of the organization to a customer. */
export interface OutboundMessage {
  /** The id that Genesys gave it. */
  readonly id: string;
  readonly organizationId: string;
  readonly kind: 'agentless' | 'agent';
  readonly to: string;
  readonly text: string | undefined;
  readonly mediaIds: readonly string[];
  readonly conversationId: string;
  /** Arrival as ISO 8601. */
  readonly timestamp: string;
}

const permission = 'conversation:message:create';
const legPath = '/api/v2/conversations/messages/{conversationId}/communications/{communicationId}/messages';
const template = object({ responseId: text(), parameters: listOf(object({ id: text(), value: text() })) });

/** What the API sends to customers: without an agent, or on an agent's leg. */
export class Outbound {
  /** In the order of arrival. */
  readonly messages: OutboundMessage[] = [];

  constructor(
    server: SimulatorServer,
    private readonly integrations: Integrations,
    private readonly conversations: Conversations,
    private readonly options: { answerOutbound: 200 | 202; mediaPendingLooks: number },
  ) {
    const media = new MediaUploads(server, (request) => this.leg(request), options.mediaPendingLooks);
    server.route(
      {
        method: 'POST',
        path: '/api/v2/conversations/messages/agentless',
        permission,
        handle: (request) => this.agentless(request),
      },
      { method: 'POST', path: legPath, permission, handle: (request) => this.onLeg(request, media) },
      {
        method: 'POST',
        path: '/api/v2/conversations/messages/{conversationId}/messages/bulk',
        permission: 'conversation:message:view',
        handle: (request) => this.bulk(request),
      },
      {
        method: 'GET',
        path: '/api/v2/conversations/messages/{messageId}/details',
        permission: 'conversation:message:view',
        handle: ({ parameters, token }) => {
          const found = this.messages.find(({ id }) => id === parameters['messageId']);
          if (found?.organizationId !== token.client.organization.id) throw notFound('Message not found.');
          return { status: 200, body: dataOf(found) };
        },
      },
    );
  }

  private agentless(request: ApiRequest): Answer {
    const body = bodyOf(
      request,
      {
        fromAddress: text(),
        toAddress: text(),
        externalContactId: text(),
        toAddressMessengerType: oneOf('sms', 'whatsapp', 'open'),
        textBody: text(longestText),
        messagingTemplate: template,
        useExistingActiveConversation: flag,
      },
      ['fromAddress'],
    );
    exactlyOne(body, ['toAddress', 'externalContactId']);
    exactlyOne(body, ['textBody', 'messagingTemplate']);
    if (body['toAddress'] !== undefined && body['toAddressMessengerType'] === undefined) {
      throw badRequest('toAddressMessengerType is required with toAddress.');
    }
    const integration = this.integrations.of(request, body['fromAddress']);
    const to = String(body['toAddress'] ?? body['externalContactId']);
    const conversation = this.conversations.withCustomer(integration, to);
    const message = this.add({
      organizationId: integration.organization.id,
      kind: 'agentless',
      to,
      text: body['textBody'] as string | undefined,
      mediaIds: [],
      conversationId: conversation.id,
    });
    if (this.options.answerOutbound === 202) return { status: 202 };
    const { id, conversationId, timestamp } = message;
    return {
      status: 200,
      body: { id, conversationId, fromAddress: integration.id, toAddress: to, messengerType: 'open', timestamp },
    };
  }

  private onLeg(request: ApiRequest, media: MediaUploads): Answer {
    const leg = this.leg(request);
    const body = bodyOf(request, {
      textBody: text(longestText),
      mediaIds: listOf(text()),
      messagingTemplate: template,
    });
    exactlyOne(body, ['textBody', 'mediaIds', 'messagingTemplate']);
    const mediaIds = (body['mediaIds'] ?? []) as string[];
    const unusable = mediaIds.find((id) => !media.isValid(id, leg));
    if (unusable) throw badRequest(`The media ${unusable} is not valid.`);
    const { id: conversationId, customerId, integration } = this.conversations.of(request);
    const message = this.add({
      organizationId: integration.organization.id,
      kind: 'agent',
      to: customerId,
      text: body['textBody'] as string | undefined,
      mediaIds,
      conversationId,
    });
    leg.messages.push({ messageId: message.id, messageTime: message.timestamp, messageStatus: 'queued' });
    return this.options.answerOutbound === 202 ? { status: 202 } : { status: 200, body: dataOf(message) };
  }

  private bulk(request: ApiRequest): Answer {
    const { id } = this.conversations.of(request);
    const wanted: unknown = JSON.parse(request.body.toString('utf8'));
    if (!Array.isArray(wanted) || wanted.length === 0 || wanted.length > 1_000) {
      throw badRequest('The body must be an array of 1 to 1000 message ids.');
    }
    const found = this.messages.filter((message) => message.conversationId === id && wanted.includes(message.id));
    return { status: 200, body: { entities: found.map(dataOf) } };
  }

  private add(fields: Omit<OutboundMessage, 'id' | 'timestamp'>): OutboundMessage {
    const message = { id: randomUUID(), timestamp: new Date().toISOString(), ...fields };
    this.messages.push(message);
    return message;
  }

  /** The connected leg of an agent that a request names. */
  private leg(request: ApiRequest): Participant {
    const { participants } = this.conversations.of(request);
    const { communicationId } = request.parameters;
    const leg = participants.find((participant) => participant.communicationId === communicationId);
    if (leg?.purpose !== 'agent') throw notFound('Communication not found.');
    if (leg.state !== 'connected') throw badRequest('The communication is not connected.');
    return leg;
  }
}

function dataOf({ id, conversationId, text: textBody, timestamp, to }: OutboundMessage) {
  return {
    id,
    conversationId,
    textBody,
    timestamp,
    toAddress: to,
    direction: 'outbound',
    messengerType: 'open',
    status: 'queued',
  };
}
