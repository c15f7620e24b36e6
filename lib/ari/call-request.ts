import { ContactError } from '../core/errors';

/** What a caller may ask for, before anything of it is believed. */
export interface AskedCall {
  phoneNumber: unknown;
  context?: unknown;
  extension?: unknown;
  priority?: unknown;
  /** In milliseconds. */
  timeout?: unknown;
  callerId?: unknown;
  variables?: unknown;
}

/** What is allowed, and what is taken when nothing is asked for. */
export interface CallRules {
  /** A number must begin with one of these: `+`, `+49`. One without a plus also allows numbers without it. */
  allowedPrefixes: readonly string[];
  /** `context`, `context/extension` or `context/extension/priority`; what is not listed is refused. */
  allowedContexts: readonly string[];
  /** The names of the channel variables that may be set; one that ends in `*` allows all that begin so. */
  allowedVariables: readonly string[];
  context: string;
  extension: string;
  priority: number;
  timeoutMs: number;
  callerId: string | undefined;
}

/** A call that may be made: every part has a form that cannot mean anything else to Asterisk. */
export interface CheckedCall {
  /** `+` and digits. */
  phoneNumber: string;
  context: string;
  extension: string;
  priority: number;
  timeoutMs: number;
  /** `"Name" <number>`, one of both, or `undefined`. */
  callerId: string | undefined;
  variables: Record<string, string>;
}

const SEPARATORS = /[ .\-()[\]]/g;
/** E.164: a plus, and up to 15 digits of which the first is no zero. */
const INTERNATIONAL = /^\+[1-9]\d{6,14}$/;
const NATIONAL = /^\d{2,15}$/;
const DIALPLAN_NAME = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,49}$/;
const EXTENSION = /^[A-Za-z0-9_*#+-]{1,50}$/;
const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,49}$/;
const LONGEST_VALUE = 255;
const MOST_VARIABLES = 50;
const LONGEST_TIMEOUT_MS = 600_000;
const LONGEST_NAME = 40;

/** Checks what a caller asks for. Throws `INVALID_INPUT` with a reason and an HTTP status. */
export function checkCall(asked: AskedCall, rules: CallRules): CheckedCall {
  const phoneNumber = checkNumber(asked.phoneNumber, rules.allowedPrefixes);
  const target = {
    context: name(asked.context ?? rules.context, 'context', DIALPLAN_NAME),
    extension: name(asked.extension ?? rules.extension, 'extension', EXTENSION),
    priority: wholeNumber(asked.priority ?? rules.priority, 'priority', 1, 1_000),
  };
  checkTarget(target, rules.allowedContexts);
  return {
    phoneNumber,
    ...target,
    timeoutMs: wholeNumber(asked.timeout ?? rules.timeoutMs, 'timeout', 1, LONGEST_TIMEOUT_MS),
    callerId: checkCallerId(asked.callerId ?? rules.callerId),
    variables: checkVariables(asked.variables, rules.allowedVariables),
  };
}

/**
 * A number without spaces, dots, dashes and brackets. Everything else but a plus at the beginning and digits is
 * refused, never taken away: it could be an order to Asterisk, and what remained could be another's number.
 */
export function checkNumber(asked: unknown, allowedPrefixes: readonly string[]): string {
  if (typeof asked !== 'string' || asked.length > 40)
    throw invalid('invalid_number', 'the number is not a text like +15550100');
  const number = asked.replace(SEPARATORS, '');
  if (!INTERNATIONAL.test(number) && !NATIONAL.test(number)) {
    throw invalid('invalid_number', `${shown(asked)} is not a number like +15550100`);
  }
  if (!allowedPrefixes.some((prefix) => prefix !== '' && number.startsWith(prefix))) {
    throw forbidden('number_not_allowed', `${shown(number)} does not begin with ${allowedPrefixes.join(' or ')}`);
  }
  return number;
}

/** A caller id of letters, digits and a few signs: what else it holds is left out. */
export function checkCallerId(asked: unknown): string | undefined {
  if (asked === undefined || asked === '') return undefined;
  if (typeof asked !== 'string' || asked.length > 200)
    throw invalid('invalid_caller_id', 'the caller id is not a short text');
  const [, quoted, number] = /^([^<]*)<([^>]*)>\s*$/.exec(asked) ?? [];
  if (number === undefined) {
    const digits = asked.replace(SEPARATORS, '');
    if (/^\+?\d{2,15}$/.test(digits)) return digits;
    const only = safeName(asked);
    if (only === '') throw invalid('invalid_caller_id', 'nothing of the caller id is a letter or a digit');
    return `"${only}" <>`;
  }
  const digits = number.replace(SEPARATORS, '');
  if (!/^\+?\d{2,15}$/.test(digits)) throw invalid('invalid_caller_id', `${shown(number)} is not a number`);
  const named = safeName(quoted ?? '');
  return named === '' ? digits : `"${named}" <${digits}>`;
}

/** Letters with accents lose them; a sign that Asterisk or SIP could read as its own is left out. */
function safeName(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/[^A-Za-z0-9 _.'+-]/g, '')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, LONGEST_NAME)
    .trim();
}

function checkTarget(
  target: { context: string; extension: string; priority: number },
  allowed: readonly string[],
): void {
  const { context, extension, priority } = target;
  const forms = [context, `${context}/${extension}`, `${context}/${extension}/${priority}`];
  if (!forms.some((form) => allowed.includes(form))) {
    throw forbidden('context_not_allowed', `${forms[2]} is not among the allowed contexts`);
  }
}

function checkVariables(asked: unknown, allowed: readonly string[]): Record<string, string> {
  if (asked === undefined || asked === null) return {};
  if (typeof asked !== 'object' || Array.isArray(asked))
    throw invalid('invalid_variables', 'the variables are no object');
  const entries = Object.entries(asked);
  if (entries.length > MOST_VARIABLES) throw invalid('invalid_variables', `more than ${MOST_VARIABLES} variables`);
  for (const [variable, value] of entries) {
    if (!VARIABLE_NAME.test(variable))
      throw invalid('invalid_variables', `${shown(variable)} is no name of a variable`);
    if (!allowed.some((rule) => (rule.endsWith('*') ? variable.startsWith(rule.slice(0, -1)) : variable === rule))) {
      throw forbidden('variable_not_allowed', `the variable ${variable} is not among the allowed ones`);
    }
    if (typeof value !== 'string' || !isPlain(value)) {
      throw invalid(
        'invalid_variables',
        `the value of ${variable} is not a plain text of at most ${LONGEST_VALUE} characters`,
      );
    }
  }
  return Object.fromEntries(entries) as Record<string, string>;
}

/** The dialplan would evaluate what is in `${}` or `$[]`, and control characters end a line of a SIP message. */
function isPlain(value: string): boolean {
  return value.length <= LONGEST_VALUE && !/[$`\\\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(value);
}

function name(asked: unknown, what: string, pattern: RegExp): string {
  const text = typeof asked === 'number' ? String(asked) : asked;
  if (typeof text === 'string' && pattern.test(text)) return text;
  throw invalid(`invalid_${what}`, `${shown(asked)} is no ${what}`);
}

/** ARI ignores numbers that are sent as texts, so they are made numbers here. */
function wholeNumber(asked: unknown, what: string, min: number, max: number): number {
  const value = typeof asked === 'string' && /^\d{1,9}$/.test(asked) ? Number(asked) : asked;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalid(`invalid_${what}`, `${shown(asked)} is no whole number from ${min} to ${max}`);
}

function invalid(reason: string, answer: string): ContactError {
  return new ContactError('INVALID_INPUT', { attempted: 'make the call', answer, reason, status: 422 });
}

function forbidden(reason: string, answer: string): ContactError {
  const advice = 'Whoever runs this service can allow it in its configuration.';
  return new ContactError('INVALID_INPUT', { attempted: 'make the call', answer, reason, status: 403, advice });
}

/** A hostile value as it may stand in an answer: short, and without anything that a terminal or a page would obey. */
function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  const plain = text.replace(/[^\x20-\x7e]|[<>&"'`\\]/g, '?');
  return `"${plain.length > 40 ? `${plain.slice(0, 40)}...` : plain}"`;
}
