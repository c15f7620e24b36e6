import { inspect } from 'node:util';
import { ContactError } from '../core/errors';
import { redact, redactValue } from '../core/redaction';

/** The runtime's levels: the higher, the more talkative. */
export const LOG_LEVELS = { off: 1, fatal: 10, error: 20, warn: 30, info: 40, debug: 50, trace: 60 } as const;

const LEVEL_NAMES: Record<number, string> = {
  ...Object.fromEntries(Object.entries(LOG_LEVELS).map(([name, level]) => [level, name])),
  98: 'audit',
  99: 'metric',
};

/** One message is not allowed to fill a log: longer ones are cut. */
const LONGEST_TEXT = 4_096;

/** What the runtime hands to a log handler. */
export interface RuntimeLogRecord {
  level: number;
  /** A text, an error, or an object with a `message`. */
  msg?: unknown;
  /** Milliseconds since the epoch. */
  timestamp?: number;
  id?: string;
  type?: string;
  name?: string;
  /** The tab or subflow of the node. */
  z?: string;
  /** Set when the debug sidebar was there first: the kind of thing that `msg` was before it became a text. */
  format?: string;
  /** Audit and metric records have further properties. */
  [property: string]: unknown;
}

/** A log line in parts, all of them redacted and of bounded size. */
export interface LogEvent {
  /** ISO 8601, UTC. */
  timestamp: string;
  level: string;
  message: string;
  node?: { id: string; type?: string; name?: string };
  flow?: string;
  correlationId?: string;
  /** What else was told: short values only. */
  fields: Record<string, unknown>;
}

/** Brings a record of the runtime into one form, whatever was logged. */
export function toLogEvent(record: RuntimeLogRecord): LogEvent {
  const { level, msg, timestamp = Date.now(), id, type, name, z, format, ...rest } = record;
  const told = msg === undefined ? { ...rest, message: rest['event'] ?? '' } : decoded(msg, format);
  const { message, fields } = tell(told);
  const { correlationId, ...others } = fields;
  return {
    timestamp: new Date(timestamp).toISOString(),
    level: LEVEL_NAMES[level] ?? String(level),
    message,
    ...(id === undefined ? {} : { node: { id, ...(type ? { type } : {}), ...(name ? { name } : {}) } }),
    ...(z === undefined ? {} : { flow: z }),
    ...(correlationId === undefined ? {} : { correlationId: String(correlationId) }),
    fields: others,
  };
}

/** The handler of the debug sidebar turns objects and errors into JSON in place, and later handlers get that. */
function decoded(msg: unknown, format: string | undefined): unknown {
  if (typeof msg !== 'string' || format === undefined || format.startsWith('string')) return msg;
  try {
    const value = JSON.parse(msg) as { __enc__?: true; type?: string; data?: unknown } | null;
    return value?.__enc__ && value.type === 'error' ? value.data : value;
  } catch {
    return msg;
  }
}

function tell(told: unknown): { message: string; fields: Record<string, unknown> } {
  if (told instanceof Error) return { message: asText(told.message), fields: errorFields(told) };
  if (told !== null && typeof told === 'object' && 'message' in told) {
    const { message, ...fields } = told as Record<string, unknown>;
    return { message: asText(message), fields: shortFields(fields) };
  }
  return { message: asText(told), fields: {} };
}

/** The stack says nothing that the text of an expected error does not say; for a defect it is what counts. */
function errorFields(error: Error): Record<string, unknown> {
  const isExpected = error instanceof ContactError && error.code !== 'INTERNAL';
  const stack = isExpected ? undefined : ((error.cause as Error | undefined)?.stack ?? error.stack);
  const { code, correlationId } = error as { code?: unknown; correlationId?: unknown };
  return shortFields({
    ...(code === undefined ? {} : { code }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(stack === undefined ? {} : { stack }),
  });
}

function shortFields(fields: Record<string, unknown>): Record<string, unknown> {
  const flat: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || typeof value === 'function') continue;
    flat[name] = value === null || typeof value === 'number' || typeof value === 'boolean' ? value : asText(value);
  }
  return redactValue(flat) as Record<string, unknown>;
}

/** Other nodes log whole messages with their sockets, so objects are looked into only a little way. */
function asText(value: unknown): string {
  const whole =
    typeof value === 'string'
      ? value
      : inspect(value, { depth: 2, breakLength: Infinity, maxArrayLength: 20, maxStringLength: 500 });
  // What is redacted is longer than what is kept, so that no cut leaves the half of a secret.
  const text = redact(whole.slice(0, 2 * LONGEST_TEXT));
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
}
