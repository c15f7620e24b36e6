import { createHash } from 'node:crypto';
import { asObject } from '../../core/answers';

/** What Genesys posts to a webhook, by what it is for. */
export type IncomingKind =
  /** What an agent, a bot or a flow says to the customer. */
  | 'message'
  /** What became of a message that was sent to Genesys. */
  | 'receipt'
  /** Typing, presence, and whatever is not known yet. */
  | 'event';

/** A body of the webhook, as far as it is understood; the body itself goes with it. */
export interface Incoming {
  kind: IncomingKind;
  /** The id that Genesys gave it; of a receipt the id of the message it is about. */
  id: string | undefined;
  /** The vendor's word for what it is: `Text`, `Structured`, `Receipt`, `Event`. */
  type: string | undefined;
  integrationId: string | undefined;
  /** The customer. */
  customerId: string | undefined;
  /** The publisher's id of the message that a receipt is about, when the vendor names it. */
  messageId: string | undefined;
  /** ISO 8601. */
  time: string | undefined;
  body: Record<string, unknown>;
}

type Json = Record<string, unknown>;

/** Types that carry something to say. */
const SAYS_SOMETHING = new Set(['Text', 'Structured', 'Message']);

/** Reads a body. Nothing is refused: the vendor adds types, and an answer of 4xx would end the chat. */
export function readIncoming(body: Json): Incoming {
  const channel = asObject(body['channel']) ?? {};
  const type = asText(body['type']);
  const kind: IncomingKind = type === 'Receipt' ? 'receipt' : SAYS_SOMETHING.has(type ?? '') ? 'message' : 'event';
  return {
    kind,
    id: asText(body['id']),
    type,
    integrationId: asText(asObject(channel['from'])?.['id']) ?? asText(channel['id']),
    customerId: asText(asObject(channel['to'])?.['id']),
    messageId: asText(channel['messageId']),
    time: asText(channel['time']),
    body,
  };
}

/**
 * The same for each time that Genesys posts the same thing. The id of a receipt is that of the message it is about, so
 * its status belongs to it; typing events have no lasting id at all times, so that their content stands in for it.
 */
export function incomingKey({ id, kind, body }: Incoming): string {
  const which =
    id === undefined || kind === 'event' ? [kind, id, body] : [kind, id, kind === 'receipt' ? body['status'] : ''];
  return createHash('sha256').update(JSON.stringify(which)).digest('base64url').slice(0, 32);
}

/** What a receipt says. */
export interface Receipt {
  /** What it means for the message; nothing when it says nothing about its end. */
  status: 'delivered' | 'failed' | undefined;
  /** The vendor's word. */
  vendorStatus: string;
  isFinal: boolean;
  reasons: { code: string; message: string }[];
}

const MEANINGS: Readonly<Record<string, Receipt['status']>> = {
  Delivered: 'delivered',
  Read: 'delivered',
  // A message of a customer has arrived when it is in the conversation.
  Published: 'delivered',
  Failed: 'failed',
};

/** Reads a receipt. */
export function readReceipt({ body }: Incoming): Receipt {
  const vendorStatus = asText(body['status']) ?? 'Unknown';
  const reasons = Array.isArray(body['reasons']) ? body['reasons'] : [];
  return {
    status: MEANINGS[vendorStatus],
    vendorStatus,
    isFinal: body['isFinalReceipt'] !== false,
    reasons: reasons.map((reason) => {
      const { code, message } = asObject(reason) ?? {};
      return { code: asText(code) ?? 'GeneralError', message: asText(message) ?? '' };
    }),
  };
}

function asText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
