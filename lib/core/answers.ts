import type { HttpAnswer } from './http';

const LONGEST_EXCERPT = 160;

/** A JSON object, or `undefined` for anything else. */
export function parseJson(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
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

/** How long the header Retry-After asks to wait (in seconds, or until a date), in milliseconds. */
export function retryAfterHeaderMs({ headers }: Pick<HttpAnswer, 'headers'>, now = Date.now()): number | undefined {
  const header = headers['retry-after'] ?? '';
  if (/^\d+(\.\d+)?$/.test(header)) return Number(header) * 1_000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
