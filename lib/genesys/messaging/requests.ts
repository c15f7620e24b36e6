import type { Attachment, OutgoingMessage } from './message';

/** The body of a message from a customer. The vendor's newer call takes no type, direction or kind of content. */
export function inboundBody(message: OutgoingMessage, time: string): Record<string, unknown> {
  const { messageId, from, text, attachments, metadata } = message;
  return {
    channel: { from, time, messageId },
    ...(text === undefined ? {} : { text }),
    ...(attachments.length > 0 ? { content: attachments.map(contentOf) } : {}),
    ...(metadata ? { metadata } : {}),
  };
}

/** The body of a text to a customer that no agent writes. */
export function agentlessBody({ to, text }: OutgoingMessage, integrationId: string): Record<string, unknown> {
  return {
    fromAddress: integrationId,
    toAddress: to,
    toAddressMessengerType: 'open',
    textBody: text,
    useExistingActiveConversation: true,
  };
}

function contentOf({ mediaType, url, mime, id, filename }: Attachment): Record<string, unknown> {
  return {
    attachment: { mediaType, url, mime, ...(id ? { id } : {}), ...(filename ? { filename } : {}) },
  };
}
