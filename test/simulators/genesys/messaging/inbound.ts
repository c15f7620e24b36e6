import { randomUUID } from 'node:crypto';
import { type Answer, badRequest, notFound, PlatformError } from '../answers';
import { type ApiRequest, booleanParameter, type SimulatorServer } from '../server';
import { address, bodyOf, flag, listOf, longestText, moment, object, oneOf, text, textMap } from './bodies';
import type { Conversations } from './conversations';
import type { Integration, Integrations } from './integrations';

/** What becomes of a message whose pair of id and time came before; the vendor does not say, so a test can choose. */
export type RepeatPolicy = 'same' | 'refuse';

/** A message that a customer has sent. */
export interface InboundMessage {
  /** The id that Genesys gave it. */
  readonly id: string;
  readonly organizationId: string;
  readonly integrationId: string;
  readonly messageId: string | undefined;
  readonly time: string;
  readonly from: string;
  readonly text: string | undefined;
  readonly attachments: readonly { url: string; mediaType: string }[];
  readonly metadata: Record<string, string>;
  readonly conversationId: string;
  /** Arrival, epoch ms. */
  readonly at: number;
  /** How often it came again. */
  repeats: number;
}

/** A receipt that the middleware has sent. */
export interface PostedReceipt {
  readonly integrationId: string;
  readonly id: string;
  readonly status: string;
}

const permission = 'conversation:message:receive';
const base = '/api/v2/conversations/messages/{integrationId}/inbound/open';

const party = object(
  {
    id: text(),
    idType: oneOf('Email', 'Phone', 'Opaque'),
    nickname: text(),
    firstName: text(),
    lastName: text(),
    image: text(),
    email: text(),
  },
  ['id', 'idType'],
);

const attachment = object(
  {
    attachment: object(
      {
        mediaType: oneOf('Image', 'Video', 'Audio', 'File', 'Link'),
        url: address,
        mime: text(),
        id: text(),
        text: text(),
        sha256: text(),
        filename: text(),
      },
      ['mediaType', 'url', 'mime'],
    ),
  },
  ['attachment'],
);

/** What the middleware posts on behalf of customers: messages, events and receipts. */
export class Inbound {
  /** Receipts that were posted. */
  readonly receipts: PostedReceipt[] = [];
  /** Typing events that were posted. */
  events = 0;
  private readonly byPair = new Map<string, InboundMessage>();

  constructor(
    server: SimulatorServer,
    private readonly integrations: Integrations,
    private readonly conversations: Conversations,
    private readonly repeats: RepeatPolicy,
  ) {
    server.route(
      { method: 'POST', path: `${base}/message`, permission, handle: (request) => this.message(request) },
      { method: 'POST', path: `${base}/event`, permission, handle: (request) => this.event(request) },
      { method: 'POST', path: `${base}/receipt`, permission, handle: (request) => this.receipt(request) },
    );
  }

  /** Every message, by its pair of id and time, in the order of arrival. */
  get messages(): InboundMessage[] {
    return [...this.byPair.values()];
  }

  /** How many different messages arrived. */
  get count(): number {
    return this.byPair.size;
  }

  private message(request: ApiRequest): Answer {
    const integration = this.integration(request);
    const prefetch = booleanParameter(request.query, 'prefetchConversationId', false);
    const channelParts = { from: party, time: moment, messageId: text(), metadata: textMap };
    const body = bodyOf(
      request,
      {
        channel: object(channelParts, ['from', 'time']),
        text: text(longestText),
        content: listOf(attachment),
        metadata: textMap,
      },
      ['channel'],
    );
    if (!body['text'] && !body['content']) throw badRequest('The message has neither text nor content.');
    const channel = body['channel'] as { from: { id: string }; time: string; messageId?: string };
    const found = this.store(integration, channel, body);
    const answer = {
      id: found.id,
      channel: { id: integration.id, platform: 'Open', type: 'Private', to: { id: integration.id }, ...channel },
      type: 'Text',
      text: body['text'],
      content: body['content'],
      metadata: body['metadata'],
      ...(prefetch ? { conversationId: found.conversationId } : {}),
    };
    return { status: 200, body: answer };
  }

  private store(
    integration: Integration,
    { from, time, messageId }: { from: { id: string }; time: string; messageId?: string },
    body: Record<string, unknown>,
  ): InboundMessage {
    const key = `${integration.id}\n${messageId ?? randomUUID()}\n${time}`;
    const before = this.byPair.get(key);
    if (before) {
      before.repeats += 1;
      if (this.repeats === 'refuse') {
        throw new PlatformError(409, 'conflict', 'A message with this id and time has been received already.');
      }
      return before;
    }
    const conversation = this.conversations.withCustomer(integration, from.id);
    const contents = (body['content'] ?? []) as { attachment: { url: string; mediaType: string } }[];
    const message: InboundMessage = {
      id: randomUUID(),
      organizationId: integration.organization.id,
      integrationId: integration.id,
      messageId,
      time,
      from: from.id,
      text: body['text'] as string | undefined,
      attachments: contents.map(({ attachment: { url, mediaType } }) => ({ url, mediaType })),
      metadata: (body['metadata'] ?? {}) as Record<string, string>,
      conversationId: conversation.id,
      at: Date.now(),
      repeats: 0,
    };
    conversation.participants[0]?.messages.push({
      messageId: message.id,
      messageTime: time,
      messageStatus: 'received',
    });
    this.byPair.set(key, message);
    return message;
  }

  private event(request: ApiRequest): Answer {
    this.integration(request);
    const typing = object({ eventType: oneOf('Typing'), typing: object({ type: oneOf('On') }) }, ['eventType']);
    const channel = object({ from: party, time: moment, messageId: text() }, ['from', 'time']);
    const body = bodyOf(request, { channel, events: listOf(typing) }, ['channel', 'events']);
    this.events += 1;
    return { status: 200, body: { id: randomUUID(), type: 'Event', ...body } };
  }

  private receipt(request: ApiRequest): Answer {
    const integration = this.integration(request);
    const reason = object({ code: text(), message: text() }, ['message']);
    const channel = object({ to: party, from: party, time: moment, messageId: text() }, ['to', 'time']);
    const body = bodyOf(
      request,
      {
        id: text(),
        channel,
        status: oneOf('Delivered', 'Failed'),
        reasons: listOf(reason),
        isFinalReceipt: flag,
      },
      ['id', 'channel', 'status'],
    );
    this.receipts.push({ integrationId: integration.id, id: String(body['id']), status: String(body['status']) });
    return { status: 200, body: { ...body, type: 'Receipt' } };
  }

  private integration(request: ApiRequest): Integration {
    const { integrationId } = request.parameters;
    if (!integrationId) throw notFound('Integration not found.');
    return this.integrations.of(request, integrationId);
  }
}
