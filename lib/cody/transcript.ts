import { createHash } from 'node:crypto';
import { localTime } from '../core/local-time';
import type { CodyConversation, CodyMessage } from './shapes';

/** The numbers of a conversation. */
export interface ConversationMetrics {
  messageCount: number;
  userMessages: number;
  assistantMessages: number;
  /** Of all messages, without the space around each. */
  totalCharacters: number;
  /** Whole characters a message. */
  averageMessageLength: number;
  /** From the first message to the last. */
  durationSeconds: number;
}

/** A conversation as it leaves the node, as `msg.payload`. */
export interface EmittedConversation {
  id: string;
  name: string;
  botId: string;
  /** ISO 8601. */
  createdAt: string;
  messages: {
    id: string;
    speaker: Speaker;
    machine: boolean;
    content: string;
    /** ISO 8601. */
    createdAt: string;
    failed: boolean;
    flagged: boolean;
  }[];
  metrics: ConversationMetrics;
  transcript: string;
}

/** Who speaks. Cody has no roles: what the model has made is marked, everything else is the user's. */
export type Speaker = 'User' | 'Assistant';

/** `messages` in the order of the conversation. */
export function emittedConversation(
  conversation: CodyConversation,
  messages: readonly CodyMessage[],
  timeZone: string | undefined,
): EmittedConversation {
  const { id, name, botId, createdAt } = conversation;
  return {
    id,
    name,
    botId,
    createdAt: new Date(createdAt).toISOString(),
    messages: messages.map((message) => ({
      id: message.id,
      speaker: speakerOf(message),
      machine: message.machine,
      content: message.content,
      createdAt: new Date(message.createdAt).toISOString(),
      failed: message.failed,
      flagged: message.flagged,
    })),
    metrics: measure(messages),
    transcript: transcriptOf(messages, timeZone),
  };
}

/**
 * One paragraph a message: `User [2026-01-15 10:00:00]: …`, with an empty line between them. An answer that could not
 * be made is that of `Assistant (failed)`. Times are those of the zone, or of the machine without one.
 */
export function transcriptOf(messages: readonly CodyMessage[], timeZone?: string): string {
  return messages
    .map((message) => {
      const { date, time } = localTime(message.createdAt, timeZone);
      return `${speakerOf(message)}${message.failed ? ' (failed)' : ''} [${date} ${time}]: ${message.content}`;
    })
    .join('\n\n');
}

/** The numbers of these messages. */
export function measure(messages: readonly CodyMessage[]): ConversationMetrics {
  const assistantMessages = messages.filter(({ machine }) => machine).length;
  const totalCharacters = messages.reduce((sum, { content }) => sum + characters(content.trim()), 0);
  const times = messages.map(({ createdAt }) => createdAt);
  const durationMs = messages.length > 0 ? Math.max(...times) - Math.min(...times) : 0;
  return {
    messageCount: messages.length,
    userMessages: messages.length - assistantMessages,
    assistantMessages,
    totalCharacters,
    averageMessageLength: messages.length > 0 ? Math.floor(totalCharacters / messages.length) : 0,
    durationSeconds: Math.round(durationMs / 1_000),
  };
}

/** The same for the same messages, whatever order they came in: that of messages in the same second is a guess. */
export function contentHash(messages: readonly CodyMessage[]): string {
  const told = messages
    .toSorted((one, other) => (one.id < other.id ? -1 : 1))
    .map(({ id, content, machine, failed, createdAt }) => [id, content, machine, failed, createdAt]);
  return createHash('sha256').update(JSON.stringify(told)).digest('base64url').slice(0, 22);
}

function speakerOf({ machine }: CodyMessage): Speaker {
  return machine ? 'Assistant' : 'User';
}

/** Characters as a person counts them, not halves of them. */
function characters(text: string): number {
  let count = 0;
  for (const _character of text) count += 1;
  return count;
}
