/** How a message goes into Genesys Cloud. Direction words are the vendor's: inbound = from the customer. */
export type MessageMode =
  /** From a customer, through the integration. Can be repeated: Genesys knows it by its id and time. */
  | 'inbound'
  /** To a customer, without an agent. Text only. */
  | 'agentless'
  /** To a customer, on the leg of an agent who is in the conversation. */
  | 'agent';

/** All modes; the first one is the default. */
export const MESSAGE_MODES: readonly MessageMode[] = ['inbound', 'agentless', 'agent'];

/** What kind of id a customer has, in the vendor's words. */
export type IdentityType = 'Email' | 'Phone' | 'Opaque';

/** What kind of file it is, in the vendor's words. */
export type MediaType = 'Image' | 'Video' | 'Audio' | 'File' | 'Link';

/** The customer who says something. */
export interface Sender {
  id: string;
  idType: IdentityType;
  nickname?: string;
  firstName?: string;
  lastName?: string;
}

/** A file that goes with a message. */
export interface Attachment {
  mediaType: MediaType;
  /** Where it can be fetched. */
  url: string;
  /** The MIME type. */
  mime: string;
  id?: string;
  filename?: string;
}

/** A message that was found to be sound, in one form whatever form it came in. */
export interface OutgoingMessage {
  /** The publisher's id. Together with `time` it is what Genesys tells messages apart by. */
  messageId: string;
  tenantId: string;
  /** The tenant's default organization when left out. */
  organizationId?: string;
  /** The integration that an older form names; it selects the organization. */
  integrationId?: string;
  mode: MessageMode;
  /** With `inbound`: who says it. */
  from?: Sender;
  /** With `agentless`: the customer's id. */
  to?: string;
  /** With `agent`: the conversation, and the agent's leg when it is known. */
  conversationId?: string;
  communicationId?: string;
  text?: string;
  /** In the order in which they are shown. */
  attachments: Attachment[];
  /** ISO 8601; frozen when the message is accepted for the first time, when it has none. */
  time?: string;
  /** Goes to Genesys with an inbound message. */
  metadata?: Record<string, string>;
  correlationId?: string;
}
