import type { OperationalEvent } from './operational-event';

/** The severities that an event can be given, the most severe first. */
export const SEVERITIES = ['CRITICAL', 'SEVERE', 'ERROR', 'WARNING', 'WARN', 'NOTICE', 'INFO', 'DEBUG'] as const;

/** One of {@link SEVERITIES}. */
export type Severity = (typeof SEVERITIES)[number];

/** How severities are counted: CRITICAL, SEVERE and ERROR are errors, WARN and WARNING warnings, the rest infos. */
export type SeverityClass = 'error' | 'warning' | 'info';

/** Where the severity of an event comes from; Genesys Cloud's events have none of their own. */
export interface SeverityMap {
  /** By the id of the event definition, in any case of letters; this comes first. */
  codes?: Readonly<Record<string, Severity>>;
  /**
   * By words in the name, the description, the error code or the current value. The most severe severity with a word
   * that occurs wins. A word counts where it begins a word, so `fail` finds `failed` and `active` does not find
   * `inactive`. A severity named here replaces the shipped words of that severity.
   */
  words?: Readonly<Partial<Record<Severity, readonly string[]>>>;
  /** For an event that nothing else decides; INFO when left out. */
  default?: Severity;
}

/** The words that are looked for when the user gives no others. */
export const DEFAULT_SEVERITY_WORDS: Readonly<Partial<Record<Severity, readonly string[]>>> = {
  ERROR: [
    'error',
    'fail',
    'invalid',
    'timeout',
    'timed out',
    'unauthorized',
    'forbidden',
    'denied',
    'refused',
    'rejected',
    'disconnect',
    'unreachable',
    'unavailable',
    'out of service',
    'lost',
    'exception',
    'expired',
    'fatal',
    'critical',
  ],
  WARNING: [
    'warn',
    'degraded',
    'slow',
    'retry',
    'retries',
    'inactive',
    'deactivated',
    'disabled',
    'throttl',
    'delayed',
  ],
  INFO: ['recovered', 'active', 'activated', 'restored', 'success', 'connected', 'resolved', 'enabled'],
};

/** Decides the severity of events. */
export type SeverityRule = (event: OperationalEvent) => Severity | string;

/** Past so many different texts the remembered decisions are thrown away; a service has a few dozen. */
const MOST_REMEMBERED = 2_000;

/**
 * Compiles a map. The rule asks, in this order: the map's codes, what the event itself says (only events of other kinds
 * do, under severity, level or logLevel), the words, the default. The map must have passed {@link severityMapProblem}.
 */
export function severityRule(map: SeverityMap = {}): SeverityRule {
  const codes = new Map(Object.entries(map.codes ?? {}).map(([code, severity]) => [code.toUpperCase(), severity]));
  const words = { ...DEFAULT_SEVERITY_WORDS, ...map.words };
  const patterns = SEVERITIES.flatMap((severity) => {
    const pattern = wordPattern(words[severity] ?? []);
    return pattern ? [{ severity, pattern }] : [];
  });
  const standard = map.default ?? 'INFO';
  // The same few texts come again and again.
  const remembered = new Map<string, Severity>();

  const byWords = (texts: string): Severity => {
    const known = remembered.get(texts);
    if (known !== undefined) return known;
    if (remembered.size >= MOST_REMEMBERED) remembered.clear();
    const found = patterns.find(({ pattern }) => pattern.test(texts))?.severity ?? standard;
    remembered.set(texts, found);
    return found;
  };

  return (event) => {
    const byCode = event.code === null ? undefined : codes.get(event.code.toUpperCase());
    if (byCode !== undefined) return byCode;
    const { body } = event;
    const own = body['severity'] ?? body['level'] ?? body['logLevel'];
    if (typeof own === 'string' && own !== '') return own.toUpperCase();
    return byWords(
      `${event.name ?? ''}\n${event.description ?? ''}\n${event.errorCode ?? ''}\n${event.currentValue ?? ''}`,
    );
  };
}

/** How a severity is counted. */
export function severityClass(severity: string): SeverityClass {
  if (severity === 'ERROR' || severity === 'CRITICAL' || severity === 'SEVERE') return 'error';
  return severity === 'WARNING' || severity === 'WARN' ? 'warning' : 'info';
}

/** What is wrong with a severity map, as the end of a sentence that begins "must be"; `undefined` for a good one. */
export function severityMapProblem(map: unknown): string | undefined {
  if (!isRecord(map)) return 'an object with codes, words and default';
  const stranger = Object.keys(map).find((name) => !['codes', 'words', 'default'].includes(name));
  if (stranger !== undefined) return `an object with codes, words and default only (it has "${stranger}")`;
  const { codes = {}, words = {}, default: standard = 'INFO' } = map;
  if (!isRecord(codes)) return 'a map whose codes are an object from codes to severities';
  for (const [code, severity] of Object.entries(codes)) {
    if (!isSeverity(severity)) return `a map in which codes.${code} is one of ${SEVERITIES.join(', ')}`;
  }
  if (!isRecord(words)) return 'a map whose words are an object from severities to lists of words';
  for (const [severity, list] of Object.entries(words)) {
    if (!isSeverity(severity)) return `a map in which words.${severity} is named after one of ${SEVERITIES.join(', ')}`;
    if (!Array.isArray(list)) return `a map in which words.${severity} is a list of words`;
    const bad = list.findIndex((word) => typeof word !== 'string' || word.trim() === '');
    if (bad >= 0) return `a map in which words.${severity}[${bad}] is a word`;
  }
  if (!isSeverity(standard)) return `a map whose default is one of ${SEVERITIES.join(', ')}`;
  return undefined;
}

function isSeverity(anything: unknown): anything is Severity {
  return SEVERITIES.some((severity) => severity === anything);
}

function isRecord(anything: unknown): anything is Record<string, unknown> {
  return typeof anything === 'object' && anything !== null && !Array.isArray(anything);
}

/**
 * Finds any of the words where it begins a word: after anything but a letter, or as the next part of a camelCase word
 * (`connectionTimeout`). `undefined` for no words.
 */
function wordPattern(words: readonly string[]): RegExp | undefined {
  if (words.length === 0) return undefined;
  const inAnyCase = words.map((word) =>
    spelled(word.trim(), (letter) => `[${letter.toLowerCase()}${letter.toUpperCase()}]`),
  );
  const capitalised = words.map((word) =>
    spelled(word.trim(), (letter, first) => (first ? letter.toUpperCase() : letter.toLowerCase())),
  );
  return new RegExp(`(?<!\\p{L})(?:${inAnyCase.join('|')})|(?<=\\p{Ll})(?:${capitalised.join('|')})`, 'u');
}

function spelled(word: string, letterPattern: (letter: string, first: boolean) => string): string {
  return [...word]
    .map((character, index) =>
      character.toLowerCase() === character.toUpperCase()
        ? character.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&')
        : letterPattern(character, index === 0),
    )
    .join('');
}
