import type { MessageSenderOptions } from '../genesys/messaging/sender';
import { boolean, choice, integer, list, number, type Values } from './config';

/** The fields of a node that say how it sends messages. */
export const SENDER_FIELDS = {
  attempts: integer({ default: 5, min: 1, max: 1_000 }),
  retryBaseSeconds: number({ default: 1, min: 0.01, max: 3_600 }),
  retryMaxSeconds: number({ default: 30, min: 0.01, max: 3_600 }),
  breakerMinimum: integer({ default: 10, min: 1, max: 100_000 }),
  breakerSeconds: number({ default: 15, min: 0.1, max: 3_600 }),
  queueMessages: integer({ default: 200, min: 1, max: 1_000_000 }),
  queueBytes: integer({ default: 50_000_000, min: 1_000, max: 10_000_000_000 }),
  overflow: choice(['refuse', 'drop-oldest', 'drop-newest'], { default: 'refuse' }),
  conversation: boolean({ default: true }),
  mediaHosts: list({ default: [] }),
};

type FromFields = 'attempts' | 'backoff' | 'breaker' | 'limits' | 'overflow' | 'wantsConversation' | 'mediaHosts';

/** What the fields mean for a sender. */
export function senderSettings(fields: Values<typeof SENDER_FIELDS>): Pick<MessageSenderOptions, FromFields> {
  return {
    attempts: fields.attempts,
    backoff: { baseMs: fields.retryBaseSeconds * 1_000, maxMs: fields.retryMaxSeconds * 1_000 },
    breaker: { minimumCalls: fields.breakerMinimum, openMs: fields.breakerSeconds * 1_000 },
    limits: { items: fields.queueMessages, bytes: fields.queueBytes },
    overflow: fields.overflow,
    wantsConversation: fields.conversation,
    mediaHosts: fields.mediaHosts,
  };
}
