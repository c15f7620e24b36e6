import { ContactError } from '../core/errors';

/** The numbers of a conversation that a Case can show. */
export interface ConversationMetrics {
  messageCount: number;
  userMessages: number;
  assistantMessages: number;
  /** Of all messages, without the space around each. */
  totalCharacters: number;
  /** Whole characters a message. */
  averageMessageLength: number;
  durationSeconds: number;
}

/** What a Case is made of. */
export interface CaseConversation {
  id: string;
  name: string;
  botId: string;
  /** ISO 8601; the time of the first message or of the conversation. */
  createdAt: string;
  transcript: string;
  metrics: ConversationMetrics;
}

const METRICS = [
  'messageCount',
  'userMessages',
  'assistantMessages',
  'totalCharacters',
  'averageMessageLength',
  'durationSeconds',
] as const satisfies readonly (keyof ConversationMetrics)[];

/** Takes a message's payload for a conversation. Throws `INVALID_INPUT` with what is missing. */
export function readConversation(payload: unknown): CaseConversation {
  const given = (payload ?? {}) as Record<string, unknown>;
  const metrics = (given['metrics'] ?? {}) as Record<string, unknown>;
  const id = given['id'];
  const transcript = given['transcript'];
  const wrong =
    typeof payload !== 'object'
      ? 'msg.payload is no conversation'
      : typeof id !== 'string' || id === ''
        ? 'msg.payload.id is missing'
        : typeof transcript !== 'string' || transcript === ''
          ? 'msg.payload.transcript is empty'
          : undefined;
  if (wrong) throw new ContactError('INVALID_INPUT', { attempted: 'make a Case of a message', answer: wrong });
  const createdAt = Date.parse(String(given['createdAt']));
  const numbers = METRICS.map((name) => [name, Number(metrics[name] ?? 0) || 0]);
  return {
    id: id as string,
    name: String(given['name'] ?? ''),
    botId: String(given['botId'] ?? ''),
    createdAt: new Date(Number.isNaN(createdAt) ? Date.now() : createdAt).toISOString(),
    transcript: transcript as string,
    metrics: Object.fromEntries(numbers) as unknown as ConversationMetrics,
  };
}
