import { createHmac, randomUUID } from 'node:crypto';
import type { Timers } from '../timers';
import type { Integration } from './integrations';

/** How a body is posted. */
export interface PostOptions {
  /** Signs with this instead of the integration's secret; `null` sends no signature. */
  secret?: string | null;
  /** A whole signature header instead. */
  signature?: string;
}

/** What became of one post. */
export interface PostResult {
  /** The status of each attempt; 0 where there was no answer. */
  statuses: number[];
  /** How long the slowest answer took, in milliseconds. */
  slowestMs: number;
}

/** The vendor posts again so often after a time-out, 429 or 5xx. */
const retries = 5;
const answerWithinMs = 10_000;

/** Posts what goes to a customer to the webhook of an integration, signed, and again when it was not taken. */
export class Webhooks {
  constructor(
    private readonly timers: Timers,
    private readonly retryAfterMs: number,
  ) {}

  /** Posts a body as it is. */
  async post(integration: Integration, body: unknown, options: PostOptions = {}): Promise<PostResult> {
    if (!integration.webhookUrl) throw new Error(`The integration ${integration.id} has no webhook`);
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const headers = { 'Content-Type': 'application/json', ...signed(integration, text, options) };
    const result: PostResult = { statuses: [], slowestMs: 0 };
    for (let attempt = 0; attempt <= retries; attempt += 1) {
      if (attempt > 0) await this.timers.pause(this.retryAfterMs);
      const began = performance.now();
      const status = await fetch(integration.webhookUrl, {
        method: 'POST',
        headers,
        body: text,
        signal: AbortSignal.timeout(answerWithinMs),
      }).then(
        (answer) => answer.arrayBuffer().then(() => answer.status),
        () => 0,
      );
      result.slowestMs = Math.max(result.slowestMs, performance.now() - began);
      result.statuses.push(status);
      if (status !== 0 && status !== 429 && status < 500) break;
    }
    return result;
  }
}

/** The body of a text to a customer. */
export function outboundText(integration: Integration, customerId: string, text: string, id: string = randomUUID()) {
  return { ...envelope(integration, customerId, id), type: 'Text', text, originatingEntity: 'Human', metadata: {} };
}

/** The body of a typing indicator. */
export function typingEvent(integration: Integration, customerId: string) {
  const events = [{ eventType: 'Typing', typing: { type: 'On', duration: 5_000 } }];
  return { ...envelope(integration, customerId, randomUUID()), type: 'Event', events };
}

/** The body of a receipt for an inbound message, by the id that Genesys gave it. */
export function receipt(
  integration: Integration,
  { id, from, messageId }: { id: string; from: string; messageId: string | undefined },
  status: string,
  reasons: readonly { code: string; message: string }[] = [],
) {
  const { channel, direction } = envelope(integration, from, id);
  return {
    id,
    channel: { ...channel, ...(messageId ? { messageId } : {}) },
    type: 'Receipt',
    status,
    isFinalReceipt: status !== 'Sent',
    ...(reasons.length > 0 ? { reasons } : {}),
    direction,
  };
}

function envelope({ id: integrationId }: Integration, customerId: string, id: string) {
  return {
    id,
    channel: {
      id: integrationId,
      platform: 'Open',
      type: 'Private',
      to: { id: customerId },
      from: { nickname: 'Support', id: integrationId, idType: 'Opaque' },
      time: new Date().toISOString(),
      messageId: randomUUID(),
    },
    direction: 'Outbound',
  };
}

function signed(integration: Integration, text: string, { secret, signature }: PostOptions): Record<string, string> {
  const key = secret === undefined ? integration.webhookSecret : secret;
  if (signature !== undefined) return { 'X-Hub-Signature-256': signature };
  if (key === null || key === undefined) return {};
  return { 'X-Hub-Signature-256': `sha256=${createHmac('sha256', key).update(text).digest('base64')}` };
}
