import type { HttpAnswer } from './http';

const LONGEST_EXCERPT = 160;
/**
 * Nobody is believed who asks for a longer wait: it would be a mistake, such as a time where a number of seconds belongs,
 * and timers cannot count much further.
 */
const LONGEST_WAIT_MS = 86_400_000;

/** A value as a JSON object; `undefined` for anything else, arrays included. */
export function asObject(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

/** The JSON object that a text holds, or `undefined` for anything else. */
export function parseJson(text: string): Record<string, unknown> | undefined {
  try {
    return asObject(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** What a person would read in a body of unknown form, such as the HTML of a gateway: one line, cut when it is long. */
export function readable(text: string): string {
  const plain = text
    .replace(/<(script|style)[\s\S]*?<\/\1>/gi, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  return plain.length > LONGEST_EXCERPT ? `${plain.slice(0, LONGEST_EXCERPT)}…` : plain;
}

/** How long the header Retry-After asks to wait (in seconds, or until a date), in milliseconds; at most a day. */
export function retryAfterHeaderMs(answer: Pick<HttpAnswer, 'headers'>, now = Date.now()): number | undefined {
  const header = answer.headers['retry-after'] ?? '';
  if (/^\d+(\.\d+)?$/.test(header)) return Math.min(LONGEST_WAIT_MS, Number(header) * 1_000);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : waitUntilMs(answer, date, now);
}

/**
 * How long it is until a time that an answer names (both in milliseconds), by the clock of whoever has answered: ours may
 * be wrong. 0 for a time that is past, and a day at most.
 */
export function waitUntilMs({ headers }: Pick<HttpAnswer, 'headers'>, time: number, now = Date.now()): number {
  const answeredAt = Date.parse(headers['date'] ?? '');
  return Math.min(LONGEST_WAIT_MS, Math.max(0, time - (Number.isNaN(answeredAt) ? now : answeredAt)));
}
