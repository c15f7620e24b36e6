import { randomUUID } from 'node:crypto';
import type { IncomingKind } from './incoming';
import type { Received } from './receiver';

/** What leaves by which output of a node, from the first on. */
export const WEBHOOK_OUTPUTS: readonly IncomingKind[] = ['message', 'receipt', 'event'];

/** What a flow gets of a post to the webhook. */
export interface WebhookMessage {
  /** `message`, `receipt` or `event`. */
  topic: string;
  payload: Record<string, unknown>;
  /** The body as Genesys has posted it. */
  genesys: Record<string, unknown>;
  /** That of the message that a receipt is about, or a new one. */
  correlationId: string;
}

/** A post to the webhook as a message for a flow: the same names whatever it is about. */
export function webhookMessage({ incoming, organization, receipt, record }: Received): WebhookMessage {
  const { kind, id, type, integrationId, customerId, time, body } = incoming;
  const correlationId = record?.correlationId ?? randomUUID();
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
    return { topic: kind, payload, genesys: body, correlationId };
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
  return { topic: kind, payload, genesys: body, correlationId };
}

function defined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
