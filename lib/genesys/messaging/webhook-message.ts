import type { Received } from './receiver';

/** What a flow gets of a post to the webhook. */
export interface WebhookMessage {
  /** `message`, `receipt` or `event`. */
  topic: string;
  payload: Record<string, unknown>;
  /** The body as Genesys has posted it. */
  genesys: Record<string, unknown>;
}

/** A post to the webhook as a message for a flow: the same names whatever it is about. */
export function webhookMessage({ incoming, organization, receipt, record }: Received): WebhookMessage {
  const { kind, id, type, integrationId, customerId, time, body } = incoming;
  const tenantId = organization?.tenantId || record?.tenantId || null;
  const whose = {
    tenantId,
    organizationId: organization?.organizationId ?? record?.organizationId ?? null,
    integrationId: integrationId ?? null,
  };
  if (receipt) {
    const payload = {
      ...whose,
      messageId: record?.messageId ?? null,
      genesysMessageId: id ?? null,
      conversationId: record?.conversationId ?? null,
      status: receipt.status ?? null,
      vendorStatus: receipt.vendorStatus,
      isFinal: receipt.isFinal,
      reasons: receipt.reasons,
      time: time ?? null,
    };
    return { topic: kind, payload, genesys: body };
  }
  const { text, content, events, metadata, originatingEntity } = body;
  const payload = {
    ...whose,
    genesysMessageId: id ?? null,
    type: type ?? null,
    to: customerId ?? null,
    ...defined({ text, content, events, metadata, originatingEntity }),
    time: time ?? null,
  };
  return { topic: kind, payload, genesys: body };
}

function defined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
