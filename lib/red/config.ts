import { ContactError, describe } from '../core/errors';
import { isTimeZone } from '../core/local-time';
import { redact, registerSecret } from '../core/redaction';
import { percentDecoded } from '../core/text';
import { type Definition, findConfigNode, type Red, type RuntimeNode, useConfigNode } from './node';

/** Where a field finds what the user has set. */
export interface FieldSource {
  /** The property as it was saved. */
  property(name: string): unknown;
  credential(name: string): unknown;
  /** A variable of the group, the flow, the global environment or the process. */
  environment(name: string): unknown;
  configNode(id: unknown, type: string): RuntimeNode | undefined;
}

/** Reads one property. It throws {@link Problem} when what it finds cannot be used. */
export interface Field<Value> {
  read(source: FieldSource, name: string): Value;
}

/** The fields of a node, by the name of the property. */
export type Fields = Record<string, Field<unknown>>;

/** What fields yield: the property names with the types of their values. */
export type Values<Of extends Fields> = { [Name in keyof Of]: Of[Name] extends Field<infer Value> ? Value : never };

/** A complete configuration, or one error that names everything that is wrong with it. */
export type ConfigResult<Value> = { ok: true; value: Value } | { ok: false; error: ContactError };

/** What all fields have in common. Without `default` and `required` the value is `undefined` when nothing is set. */
export interface FieldOptions<Value> {
  /** The value when nothing is set. */
  default?: Value;
  /** Whether the node cannot work without it. */
  required?: boolean;
  /** The environment variables to use when the property is empty; the first that is set wins. */
  environment?: string | readonly string[];
}

/** The type of a field's value, given its options. */
export type ValueOf<Value, Options> = Options extends { required: true } | { default: Value }
  ? Value
  : Value | undefined;

/** One sentence about a value that cannot be used. */
class Problem extends Error {}

const UNRESOLVED = /^(?:\$\{(\S+)\}|\$\((\S+)\))$/;
/** A variable with what stands in for it when it is not set, as in a shell: `${OUTBOUND_QUEUE:-genesys.outbound}`. */
const WITH_DEFAULT = /^\$\{(\w+):-(\S*)\}$/;
const ENVIRONMENT_NAME = /^[A-Z_][A-Z0-9_]*$/;

/** Reads the configuration of a node. All that is wrong is told at once. */
export function readConfig<const Of extends Fields>(
  RED: Red,
  node: RuntimeNode,
  definition: Definition,
  fields: Of,
): ConfigResult<Values<Of>> {
  const credentials = node.credentials ?? {};
  const environment = (name: string): unknown => RED.util.getSetting(node, name);
  return readFields(fields, {
    property: (name) => orDefault(definition[name], environment),
    credential: (name) => credentials[name],
    environment,
    configNode: (id, type) => useConfigNode(RED, node, id, type),
  });
}

/**
 * Reads the values that an edit dialog has posted, as {@link readConfig} would read them after a deploy. `form.id` is
 * the id of the node; a secret that the dialog only shows as a placeholder is taken from the stored credentials.
 */
export function readForm<const Of extends Fields>(
  RED: Red,
  form: Record<string, unknown>,
  fields: Of,
): ConfigResult<Values<Of>> {
  const node = (typeof form['id'] === 'string' ? RED.nodes.getNode(form['id']) : null) as RuntimeNode;
  // Without a running node the runtime looks in the environment of the process.
  const environment = (name: string): unknown => RED.util.getSetting(node, name);
  // The runtime fills in `${NAME}` at a deploy; a posted form has not been there yet.
  const filledIn = (value: unknown): unknown => {
    const variable = unresolvedName(value);
    return variable === undefined ? value : (environment(variable) ?? value);
  };
  return readFields(fields, {
    property: (name) => filledIn(orDefault(form[name], environment)),
    credential: (name) => filledIn(formCredential(RED, form, name)),
    environment,
    configNode: (configId, type) => findConfigNode(RED, configId, type),
  });
}

/** What the editor shows in place of a stored secret. */
const PLACEHOLDER = '__PWRD__';

/** A posted credential, or the stored one of the node `form.id` when the dialog has only its placeholder. */
function formCredential(RED: Red, form: Record<string, unknown>, name: string): unknown {
  const posted = form[name];
  if (posted !== PLACEHOLDER || typeof form['id'] !== 'string') return posted;
  const stored = RED.nodes.getCredentials(form['id']) as Record<string, unknown> | null | undefined;
  return stored?.[name];
}

function readFields<Of extends Fields>(fields: Of, source: FieldSource): ConfigResult<Values<Of>> {
  const value: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [name, field] of Object.entries(fields)) {
    try {
      value[name] = field.read(source, name);
    } catch (thrown) {
      if (!(thrown instanceof Problem)) throw thrown;
      problems.push(thrown.message);
    }
  }
  if (problems.length === 0) return { ok: true, value: value as Values<Of> };
  return {
    ok: false,
    error: new ContactError('CONFIGURATION', { attempted: 'use the configuration', answer: problems.join('; ') }),
  };
}

/** A field whose value is made by `parse`; the text of an error it throws goes on after "the property x must". */
function field<Value, const Options extends FieldOptions<Value>>(
  options: Options | undefined,
  parse: (raw: unknown) => Value,
): Field<ValueOf<Value, Options>> {
  return {
    read(source, name) {
      const found = lookUp(source, name, options?.environment);
      if (found.value === undefined) {
        if (options?.default === undefined && options?.required) throw new Problem(found.missing);
        return options?.default as ValueOf<Value, Options>;
      }
      try {
        return parse(found.value) as ValueOf<Value, Options>;
      } catch (thrown) {
        throw new Problem(`${found.origin} must ${describe(thrown)}, not ${shown(found.value)}`);
      }
    },
  };
}

interface LookedUp {
  /** What is set, or `undefined`. */
  value: unknown;
  /** The property or variable that has set it. */
  origin: string;
  /** The sentence for the case that nothing is set. */
  missing: string;
}

function lookUp(source: FieldSource, name: string, environment: string | readonly string[] = []): LookedUp {
  const property = source.property(name);
  const variables = [environment].flat();
  const referred = unresolvedName(property);
  const missing = referred
    ? `the environment variable ${referred}, which the property ${name} refers to, is not set`
    : `the property ${name} is not set${variables.length > 0 ? `, nor is ${variableNames(variables)}` : ''}`;
  if (isSet(property)) return { value: property, origin: `the property ${name}`, missing };
  for (const variable of variables) {
    const value = source.environment(variable);
    if (isSet(value)) return { value, origin: `the environment variable ${variable}`, missing };
  }
  return { value: undefined, origin: '', missing };
}

function variableNames(variables: readonly string[]): string {
  return `the environment variable ${variables.join(' or ')}`;
}

/** The runtime leaves `${NAME}` as it is when there is no such variable: that counts as not set. */
function isSet(value: unknown): boolean {
  if (value === undefined || value === null) return false;
  return typeof value !== 'string' || (value.trim() !== '' && unresolvedName(value) === undefined);
}

/** The runtime knows variables without a default only, and leaves those with one to us. */
function orDefault(value: unknown, environment: (name: string) => unknown): unknown {
  const match = typeof value === 'string' ? WITH_DEFAULT.exec(value.trim()) : null;
  if (!match) return value;
  const [, variable = '', standIn] = match;
  const found = environment(variable);
  return isSet(found) ? found : standIn;
}

function unresolvedName(value: unknown): string | undefined {
  const match = typeof value === 'string' ? UNRESOLVED.exec(value.trim()) : null;
  return match ? (match[1] ?? match[2]) : undefined;
}

/** A value as it is told in an error: short, and without credentials in an address. */
function shown(value: unknown): string {
  const told = redact(typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value)));
  return `"${told.length > 60 ? `${told.slice(0, 60)}…` : told}"`;
}

/** Options of {@link text}. */
export interface TextOptions extends FieldOptions<string> {
  /** What a text must look like. */
  pattern?: RegExp;
  /** The same in words, to end the sentence "must be …". */
  expected?: string;
}

/** A text, without the space around it. */
export function text<const Options extends TextOptions>(options?: Options): Field<ValueOf<string, Options>> {
  return field<string, Options>(options, (raw) => {
    const found = asText(raw);
    if (options?.pattern?.test(found) === false) throw new Error(`be ${options.expected ?? `like ${options.pattern}`}`);
    return found;
  });
}

/**
 * A text that stands for something else. The text of an error that `parse` throws goes on after "the property x must".
 */
export function parsed<Value, const Options extends FieldOptions<NoInfer<Value>>>(
  parse: (found: string) => Value,
  options?: Options,
): Field<ValueOf<Value, Options>> {
  return field<Value, Options>(options, (raw) => parse(asText(raw)));
}

/** A time zone such as `Europe/Berlin`. */
export function timeZone<const Options extends FieldOptions<string>>(
  options?: Options,
): Field<ValueOf<string, Options>> {
  return field<string, Options>(options, (raw) => {
    const found = asText(raw);
    if (!isTimeZone(found)) throw new Error('be a time zone such as Europe/Berlin');
    return found;
  });
}

/** Bounds of a number, both included. */
export interface NumberOptions extends FieldOptions<number> {
  min?: number;
  max?: number;
}

/** A number. */
export function number<const Options extends NumberOptions>(options?: Options): Field<ValueOf<number, Options>> {
  return field<number, Options>(options, (raw) => asNumber(raw, 'a number', options, Number.isFinite));
}

/** A whole number. */
export function integer<const Options extends NumberOptions>(options?: Options): Field<ValueOf<number, Options>> {
  return field<number, Options>(options, (raw) => asNumber(raw, 'a whole number', options, Number.isSafeInteger));
}

/** A switch: `true`, `1`, `yes`, `on`, or their opposites, in any case. */
export function boolean<const Options extends FieldOptions<boolean>>(
  options?: Options,
): Field<ValueOf<boolean, Options>> {
  return field<boolean, Options>(options, (raw) => {
    if (typeof raw === 'boolean') return raw;
    const word = String(raw).trim().toLowerCase();
    if (['true', '1', 'yes', 'on'].includes(word)) return true;
    if (['false', '0', 'no', 'off'].includes(word)) return false;
    throw new Error('be true or false');
  });
}

/** One of several words. */
export function choice<const Word extends string, const Options extends FieldOptions<NoInfer<Word>>>(
  words: readonly Word[],
  options?: Options,
): Field<ValueOf<Word, Options>> {
  return field<Word, Options>(options, (raw) => {
    const found = words.find((word) => word === asText(raw));
    if (found === undefined) throw new Error(`be one of ${words.join(', ')}`);
    return found;
  });
}

/** Options of {@link list}. */
export interface ListOptions extends FieldOptions<readonly string[]> {
  /** What each of them may be; anything when left out. */
  words?: readonly string[];
}

/** Texts: an array, or one text with commas or line breaks between them. Empty ones are left out. */
export function list<const Options extends ListOptions>(options?: Options): Field<ValueOf<readonly string[], Options>> {
  return field<readonly string[], Options>(options, (raw) => {
    const items = Array.isArray(raw) ? raw : asText(raw).split(/[,\n]/);
    const found = items.map(asText).filter((item) => item !== '');
    const { words } = options ?? {};
    if (words && !found.every((item) => words.includes(item))) throw new Error(`hold only ${words.join(', ')}`);
    return found;
  });
}

/** Options of {@link json}. */
export interface JsonOptions<Value> extends FieldOptions<Value> {
  /** Whether a parsed value is of the right form. */
  check: (value: unknown) => value is Value;
  /** What the value must be, to end the sentence "must be …". */
  expected: string;
}

/** JSON as text, or a value that is parsed already. */
export function json<Value>(options: JsonOptions<Value> & ({ required: true } | { default: Value })): Field<Value>;
export function json<Value>(options: JsonOptions<Value>): Field<Value | undefined>;
export function json<Value>(options: JsonOptions<Value>): Field<Value | undefined> {
  return field<Value, JsonOptions<Value>>(options, (raw) => {
    const expected = `be ${options.expected}`;
    let value = raw;
    if (typeof raw === 'string') {
      try {
        value = JSON.parse(raw);
      } catch {
        throw new Error(`${expected} as JSON`);
      }
    }
    if (!options.check(value)) throw new Error(expected);
    return value;
  });
}

/** Options of {@link regex}. */
export interface RegexOptions extends FieldOptions<RegExp> {
  /** The flags of the expression; `i` when left out. */
  flags?: string;
}

/** A regular expression, given as text without slashes. */
export function regex<const Options extends RegexOptions>(options?: Options): Field<ValueOf<RegExp, Options>> {
  return field<RegExp, Options>(options, (raw) => {
    try {
      return new RegExp(asText(raw), options?.flags ?? 'i');
    } catch {
      throw new Error('be a regular expression');
    }
  });
}

/** Options of {@link url}. */
export interface UrlOptions extends FieldOptions<string> {
  /** The schemes that are accepted; `http:` and `https:` when left out. */
  protocols?: readonly string[];
}

/** An address with its scheme; of http and ws without the slash at its end. A password in it becomes a known secret. */
export function url<const Options extends UrlOptions>(options?: Options): Field<ValueOf<string, Options>> {
  const protocols = options?.protocols ?? ['http:', 'https:'];
  return field<string, Options>(options, (raw) => {
    const given = asText(raw);
    const parsed = URL.canParse(given) ? new URL(given) : undefined;
    if (!parsed || !protocols.includes(parsed.protocol)) {
      throw new Error(`be an address that begins with ${protocols.map((name) => `${name}//`).join(' or ')}`);
    }
    registerSecret(percentDecoded(parsed.password));
    // In an AMQP address the slash at the end names a virtual host.
    return /^(http|ws)/.test(parsed.protocol) ? given.replace(/\/+$/, '') : given;
  });
}

/** Options of {@link secret}. */
export interface SecretOptions {
  /** The credential that holds it. */
  credential: string;
  /** The property in which the user names an environment variable to use when the credential is empty. */
  environmentProperty?: string;
  /** The environment variable to use when the user has named none. */
  environment?: string;
  /** Whether the node cannot work without it. */
  required?: boolean;
}

/**
 * A secret: the credential, or else the environment variable that the user has named, or else the default one. It
 * becomes known to the redaction and is never told in an error.
 */
export function secret<const Options extends SecretOptions>(options: Options): Field<ValueOf<string, Options>> {
  return {
    read(source) {
      const { credential, environmentProperty, environment, required } = options;
      const stored = source.credential(credential);
      const named = environmentProperty === undefined ? undefined : source.property(environmentProperty);
      const variable = isSet(named) ? asText(named) : environment;
      const value = isSet(stored) ? stored : variable === undefined ? undefined : source.environment(variable);
      if (isSet(value)) {
        const found = asText(value);
        registerSecret(found);
        return found;
      }
      if (required) {
        // Someone may have put the secret itself where its variable should be named.
        const isName = variable === environment || (variable !== undefined && ENVIRONMENT_NAME.test(variable));
        const fallback = isName ? variable : `named in ${environmentProperty}`;
        const nor = variable === undefined ? '' : `, nor is the environment variable ${fallback}`;
        throw new Problem(`the credential ${credential} is not set${nor}`);
      }
      return undefined as ValueOf<string, Options>;
    },
  };
}

/** A configuration node of the given type. The node that reads it becomes one of its users. */
export function configNode<Config extends RuntimeNode>(type: string): Field<Config> {
  return {
    read(source, name) {
      const id = source.property(name);
      const found = source.configNode(id, type);
      if (!found) throw new Problem(`the property ${name} must name ${isSet(id) ? 'an enabled' : 'a'} ${type} node`);
      return found as Config;
    },
  };
}

/** The same where the node works without one: `undefined` when none is chosen. */
export function optionalConfigNode<Config extends RuntimeNode>(type: string): Field<Config | undefined> {
  const required = configNode<Config>(type);
  return { read: (source, name) => (isSet(source.property(name)) ? required.read(source, name) : undefined) };
}

function asText(raw: unknown): string {
  return typeof raw === 'string' ? raw.trim() : typeof raw === 'object' ? JSON.stringify(raw) : String(raw);
}

function asNumber(
  raw: unknown,
  kind: string,
  { min, max }: { min?: number; max?: number } = {},
  valid: (value: number) => boolean,
): number {
  const value = typeof raw === 'number' ? raw : Number(asText(raw));
  if (valid(value) && value >= (min ?? value) && value <= (max ?? value)) return value;
  if (min !== undefined && max !== undefined) throw new Error(`be ${kind} from ${min} to ${max}`);
  if (min !== undefined) throw new Error(`be ${kind} of at least ${min}`);
  if (max !== undefined) throw new Error(`be ${kind} of at most ${max}`);
  throw new Error(`be ${kind}`);
}
