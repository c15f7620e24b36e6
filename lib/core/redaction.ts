/** What stands in place of a secret. */
export const MASK = '***';

/** A value shorter than this is not masked by itself: it would tear holes into ordinary words. */
const SHORTEST_SECRET = 6;
/** Renewed tokens pile up over months; the oldest are long invalid by the time this many have come after them. */
const MOST_TOKENS = 2_000;

const secrets = new Set<string>();
const tokens = new Set<string>();
/** All of them, the longest first: of one that begins like another the rest would be left over. */
let longestFirst: readonly string[] | undefined;
const SECRET_NAME = /pass(word|phrase)?$|secret|token$|authorization|api[-_]?key$|credential|^cookie$|connectUri/i;
// The repetitions are bounded and begin at the start of a word: a long text without spaces must not take quadratic time.
const PATTERNS: [RegExp, string][] = [
  [/(\b\w{1,20}:\/\/)[^/\s:@]{0,500}:[^/\s@]{1,500}@/g, `$1${MASK}@`],
  [/\b(Bearer|Basic|ApiKey)\s+[\w.~+/=:-]{6,}/gi, `$1 ${MASK}`],
  [
    /\b((?:access|refresh)_token|client_secret|password|api_key|secret)(["']?\s*[=:]\s*["']?)[^&\s"',}]+/gi,
    `$1$2${MASK}`,
  ],
  // Whoever knows the address of a Genesys channel can read its events: the id in it is the credential.
  [/(wss?:\/\/[^\s"']{0,500}\/channels\/)[\w.~-]+/g, `$1${MASK}`],
];

/**
 * Makes a value known as a secret, so that {@link redact} masks it wherever it turns up, as long as the process lives:
 * what a person has configured. Values under 6 characters and `undefined` are ignored.
 */
export function registerSecret(value: string | undefined): void {
  if (!isSecret(value) || secrets.has(value)) return;
  secrets.add(value);
  longestFirst = undefined;
}

/**
 * The same for a secret that a remote system issues anew again and again, such as an access token or the address of a
 * channel. They pile up over months, so only the newest 2,000 are known.
 */
export function registerToken(value: string | undefined): void {
  if (!isSecret(value)) return;
  const isNew = !tokens.delete(value);
  tokens.add(value);
  if (!isNew) return;
  const [oldest] = tokens;
  if (tokens.size > MOST_TOKENS && oldest !== undefined) tokens.delete(oldest);
  longestFirst = undefined;
}

function isSecret(value: string | undefined): value is string {
  return value !== undefined && value.length >= SHORTEST_SECRET;
}

/** The text with every registered secret, credential in an address, authorization header and token masked. */
export function redact(text: string): string {
  longestFirst ??= [...secrets, ...tokens].sort((one, other) => other.length - one.length);
  let result = text;
  for (const secret of longestFirst) {
    if (result.includes(secret)) result = result.replaceAll(secret, MASK);
  }
  for (const [pattern, replacement] of PATTERNS) result = result.replace(pattern, replacement);
  return result;
}

/**
 * A copy of a plain value that is safe to show: texts go through {@link redact}, and properties whose name speaks
 * of a secret are masked whole. Errors become `{name, message, code}`. Deeper than 8 levels it says `[deep]`.
 */
export function redactValue(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redact(value);
  if (value === null || typeof value !== 'object') return typeof value === 'bigint' ? String(value) : value;
  if (depth >= 8) return '[deep]';
  if (value instanceof Error) {
    const code = (value as { code?: unknown }).code;
    return { name: value.name, message: redact(value.message), ...(code === undefined ? {} : { code }) };
  }
  if (value instanceof Date) return value.toISOString();
  if (Buffer.isBuffer(value)) return `[${value.length} bytes]`;
  if (Array.isArray(value)) return value.map((item) => redactValue(item, depth + 1));
  const copy: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) {
    const hides = SECRET_NAME.test(name) && item !== undefined && item !== null && typeof item !== 'boolean';
    copy[name] = hides ? MASK : redactValue(item, depth + 1);
  }
  return copy;
}
