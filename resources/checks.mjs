// The rules of lib/red/config.ts for the fields of a dialog: what is refused here is what the runtime would refuse.
import { labelOf, shared } from './texts.mjs';

const VARIABLE = /^\$(?:\{(\w+)(?::-(\S*))?\}|\((\w+)\))$/;

/** The environment variable that a value stands for, as `${NAME}`, `$(NAME)` or `${NAME:-what else}`. */
export function variableOf(value) {
  const match = typeof value === 'string' ? VARIABLE.exec(value.trim()) : null;
  return match ? { name: match[1] ?? match[3], otherwise: match[2] } : undefined;
}

/**
 * A validator as the editor wants it: `true`, or a sentence that begins with the label of the field. The editor shows
 * a sentence only of validators with two parameters. `find` is given a text that is set and is no variable; it answers
 * with the name of a shared sentence and its values, with `own` for the sentence of the node, or with nothing.
 */
function rule(find, { required = false } = {}) {
  function validate(value, _options) {
    const text = String(value ?? '').trim();
    if (variableOf(text)) return true;
    if (text === '') return required ? sentence(this, validate, 'missing') : true;
    const problem = find(text);
    return problem ? sentence(this, validate, ...problem) : true;
  }
  return validate;
}

/** What is wrong with the property of this node that this validator belongs to. */
function sentence(node, validate, problem, values = {}) {
  const properties = Object.entries(node?._def?.defaults ?? {});
  const name = properties.find(([, property]) => property.validate === validate)?.[0] ?? '';
  const field = name && labelOf(node, name);
  if (problem === 'own') return node._(`${node.type}.problem.${name}`, { field });
  return shared(`problem.${problem}`, { field, ...values });
}

function numeric(isValid, kind, min, max, options) {
  return rule((text) => {
    const value = Number(text);
    return isValid(value) && value >= min && value <= max ? undefined : [kind, { min, max }];
  }, options);
}

/** A whole number, both bounds included. */
export const integer = (min, max, options) => numeric(Number.isSafeInteger, 'integer', min, max, options);

/** A number, both bounds included. */
export const number = (min, max, options) => numeric(Number.isFinite, 'number', min, max, options);

/** Something, whatever it is. */
export const required = () => rule(() => undefined, { required: true });

/** A text of this form; the node says in `<type>.problem.<property>` what it must be. */
export const pattern = (form, options) => rule((text) => (form.test(text) ? undefined : ['own']), options);

/** Texts of this form with commas or line breaks between them. */
export const list = (form, options) =>
  rule((text) => {
    const items = text.split(/[,\n]/).map((each) => each.trim());
    return items.every((each) => each === '' || variableOf(each) || form.test(each)) ? undefined : ['own'];
  }, options);

/** An address with one of these schemes; `http` and `https` when none is named. */
export function url(...schemes) {
  const known = schemes.length > 0 ? schemes : ['http', 'https'];
  const isKnown = (text) => URL.canParse(text) && known.includes(new URL(text).protocol.slice(0, -1));
  return rule((text) =>
    isKnown(text) ? undefined : ['url', { schemes: known.map((each) => `${each}://`).join(', ') }],
  );
}

/** A regular expression. */
export const regex = () => rule((text) => (parses(() => new RegExp(text, 'i')) ? undefined : ['regex']));

/** A time zone such as `Europe/Berlin`. */
export const timeZone = () =>
  rule((text) => (parses(() => new Intl.DateTimeFormat('en', { timeZone: text })) ? undefined : ['timeZone']));

/** JSON that `isValid` accepts; an object when it is left out. The node may say in its own sentence what it must be. */
export function json(isValid) {
  const accepts = isValid ?? ((value) => typeof value === 'object' && value !== null && !Array.isArray(value));
  return rule((text) => {
    let value;
    if (!parses(() => (value = JSON.parse(text)))) return ['json'];
    if (accepts(value)) return undefined;
    return isValid ? ['own'] : ['object'];
  });
}

/** A value that the dialog keeps in a form of its own, such as a list of objects. */
export function value(isValid) {
  function validate(given, _options) {
    return isValid(given) || sentence(this, validate, 'own');
  }
  return validate;
}

function parses(parse) {
  try {
    parse();
    return true;
  } catch {
    return false;
  }
}
