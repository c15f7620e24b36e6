import type { IntegrationOptions, Organization } from '../organization';
import type { SimulatorServer } from '../server';
import { type Conversation, Conversations, type Participant } from './conversations';
import { Inbound, type InboundMessage, type PostedReceipt, type RepeatPolicy } from './inbound';
import { Integrations } from './integrations';
import { Outbound, type OutboundMessage } from './outbound';
import { outboundText, type PostOptions, type PostResult, receipt, typingEvent, Webhooks } from './webhook';

/** Settings of Open Messaging. */
export interface MessagingOptions {
  /** What becomes of a message whose pair of id and time came before: the first answer again (default) or 409. */
  repeats: RepeatPolicy;
  /** Status of a send without an agent or on an agent's leg; default 200 with a body, 202 has none. */
  answerOutbound: 200 | 202;
  /** How often an uploaded file is still `uploading` when it is looked at; default 1. */
  mediaPendingLooks: number;
  /** Pause before a webhook post is repeated; default the vendor's 5 s. */
  webhookRetryMs: number;
}

/** Open Messaging of all organizations: what arrived, and what a person in Genesys Cloud can do. */
export class Messaging {
  private readonly integrations: Integrations;
  private readonly conversationsOf: Conversations;
  private readonly inbound: Inbound;
  private readonly outbound: Outbound;
  private readonly webhooks: Webhooks;

  constructor(
    server: SimulatorServer,
    organizations: readonly (Organization & { integrations?: readonly IntegrationOptions[] })[],
    options: MessagingOptions,
  ) {
    this.integrations = new Integrations(organizations);
    this.conversationsOf = new Conversations(server);
    this.outbound = new Outbound(server, this.integrations, this.conversationsOf, options);
    this.inbound = new Inbound(server, this.integrations, this.conversationsOf, options.repeats);
    this.webhooks = new Webhooks(server.timers, options.webhookRetryMs);
  }

  /** Every message from a customer, by its pair of id and time, in the order of arrival. */
  get messages(): InboundMessage[] {
    return this.inbound.messages;
  }

  /** How many different messages from customers arrived. */
  get count(): number {
    return this.inbound.count;
  }

  /** Every message to a customer, in the order of arrival. */
  get sent(): readonly OutboundMessage[] {
    return this.outbound.messages;
  }

  /** Receipts that the middleware has posted. */
  get receipts(): readonly PostedReceipt[] {
    return this.inbound.receipts;
  }

  /** All conversations, oldest first. */
  get conversations(): readonly Conversation[] {
    return this.conversationsOf.all;
  }

  /** Lets an agent answer a conversation. */
  connectAgent(conversationId: string, userId?: string): Participant {
    return this.conversationsOf.connectAgent(conversationId, userId);
  }

  /** Changes where an integration posts to, and how it signs. */
  setWebhook(integrationId: string, change: Omit<IntegrationOptions, 'id'>): void {
    this.integrations.set(integrationId, change);
  }

  /** Posts the text of an agent to the webhook. */
  reply(integrationId: string, customerId: string, text: string, id?: string): Promise<PostResult> {
    const integration = this.integrations.get(integrationId);
    return this.webhooks.post(integration, outboundText(integration, customerId, text, id));
  }

  /** Posts a typing indicator to the webhook. */
  typing(integrationId: string, customerId: string): Promise<PostResult> {
    const integration = this.integrations.get(integrationId);
    return this.webhooks.post(integration, typingEvent(integration, customerId));
  }

  /** Posts what became of a message from a customer to the webhook. */
  confirm(
    message: Pick<InboundMessage, 'id' | 'from' | 'messageId' | 'integrationId'>,
    status: 'Sent' | 'Delivered' | 'Failed' | 'Published',
    reasons: readonly { code: string; message: string }[] = [],
  ): Promise<PostResult> {
    const integration = this.integrations.get(message.integrationId);
    return this.webhooks.post(integration, receipt(integration, message, status, reasons));
  }

  /** Posts any body to the webhook of an integration. */
  post(integrationId: string, body: unknown, options?: PostOptions): Promise<PostResult> {
    return this.webhooks.post(this.integrations.get(integrationId), body, options);
  }
}
