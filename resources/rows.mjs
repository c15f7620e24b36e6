import { sharedKey } from './texts.mjs';

/**
 * @typedef {object} Field One row of a dialog, for the property (or credential) `name`. Its label is the text
 * `<type>.label.<name>` of the node's catalogue.
 * @property {string} name
 * @property {string} icon The name of a Font Awesome icon, without `fa-`.
 * @property {string | number | boolean} [default] What the runtime takes when the field is empty: the placeholder, and
 *   part of the note below a field that holds an environment variable.
 * @property {string} [example] A placeholder that is no default.
 * @property {true} [hint] The placeholder is the text `<type>.placeholder.<name>`.
 * @property {true} [tip] Below the field stands the text `<type>.tip.<name>`.
 * @property {string} [unit] What a number counts: a shared text `unit.<unit>`.
 * @property {'switch' | 'secret' | 'lines' | 'json' | 'output' | 'own'} [kind] A line of text when left out. A field that
 *   chooses a configuration node needs no kind: the editor makes the list. `own` has
 *   nothing but `html`.
 * @property {string[]} [choices] The values to choose from; each has a text `<type>.<name>.<value>`.
 * @property {string} [variable] The property that names an environment variable to use when this field is empty. It
 *   gets a row of its own in the last fold.
 * @property {Record<string, string[]>} [when] Shown only while other fields hold one of these values.
 * @property {object} [picks] Values to pick from; see remote.mjs.
 * @property {string} [html] What stands below the row: the node fills it in itself.
 */

/**
 * @typedef {object} Declaration A dialog.
 * @property {Field[]} fields What everybody sees.
 * @property {object} [test] A connection can be tried; see remote.mjs.
 * @property {Record<string, Field[]>} [folds] What is folded away, by the names of the texts `fold.<name>`.
 */

/**
 * The html of a dialog as the editor takes it from a `data-template-name`: first the name, then the common fields, then
 * the test button, then what is folded away.
 *
 * @param {string} type
 * @param {string} prefix Of the ids: `node-input` or `node-config-input`.
 * @param {Declaration} declaration
 */
export function template(type, prefix, { fields, test, folds = {} }) {
  const row = (field) => fieldRow(type, prefix, field);
  const variables = [...fields, ...Object.values(folds).flat()].filter(({ variable }) => variable);
  const sections = Object.entries(folds);
  if (variables.length > 0 && sections.length === 0) sections.push(['more', []]);
  const last = sections.length - 1;
  return [
    `<div class="contact-dialog" data-dialog="${type}">`,
    nameRow(prefix),
    ...fields.map(row),
    ...(test ? [testRow(type, prefix, test)] : []),
    ...sections.map(([title, folded], position) => {
      const rows = folded.map(row);
      if (position === last) rows.push(...variables.map((field) => variableRow(prefix, field)));
      return fold(prefix, title, rows);
    }),
    '</div>',
  ].join('\n');
}

function nameRow(prefix) {
  const attributes = `data-i18n="[placeholder]${sharedKey('name')}"`;
  return line({
    id: `${prefix}-name`,
    icon: 'tag',
    label: sharedKey('name'),
    control: `<input type="text" id="${prefix}-name" ${attributes}>`,
  });
}

function fieldRow(type, prefix, field) {
  const id = `${prefix}-${field.name}`;
  const { name, icon, unit, tip, html = '' } = field;
  const label = `${type}.label.${name}`;
  const measured = unit
    ? ` <span class="contact-dialog-unit" id="${id}-unit" data-i18n="${sharedKey(`unit.${unit}`)}"></span>`
    : '';
  const control = controlOf(type, id, field) + measured;
  const below =
    (tip ? `<div class="contact-dialog-tip" id="${id}-tip" data-i18n="${type}.tip.${name}"></div>` : '') + html;
  const target = { switch: `${id}-choice`, own: '' }[field.kind] ?? id;
  return line({ id, name, icon, label, target, control, below, isMeasured: unit !== undefined });
}

function controlOf(type, id, field) {
  const { kind, name, choices, picks } = field;
  const hint = placeholder(type, field);
  if (choices) {
    const options = choices.map((each) => `<option value="${each}" data-i18n="${type}.${name}.${each}"></option>`);
    return `<select id="${id}">${options.join('')}</select>`;
  }
  if (kind === 'switch') return switchControl(id);
  if (kind === 'secret') return `<input type="password" id="${id}">`;
  if (kind === 'own') return '';
  if (kind === 'output') return `<output id="${id}"></output>`;
  if (kind === 'lines') return `<textarea id="${id}" rows="3" spellcheck="false" ${hint}></textarea>`;
  if (kind === 'json') return jsonControl(id, hint);
  // The width is for the list of configuration nodes that the editor may put in its place.
  const input = `<input type="text" id="${id}" style="width: 100%" ${hint}${picks ? ` list="${id}-list"` : ''}>`;
  return picks ? input + pickControl(id, picks) : input;
}

/** A switch may also be an environment variable; what is saved is in the hidden field. */
function switchControl(id) {
  const option = (value) => `<option value="${value}" data-i18n="${sharedKey(`switch.${value}`)}"></option>`;
  return (
    `<select id="${id}-choice">${['true', 'false', 'variable'].map(option).join('')}</select>` +
    `<input type="text" id="${id}-variable" placeholder="\${NAME}" data-i18n="[aria-label]${sharedKey('switch.name')}">` +
    `<input type="hidden" id="${id}">`
  );
}

function jsonControl(id, hint) {
  return (
    `<textarea id="${id}" class="contact-dialog-code" rows="3" spellcheck="false" ${hint}></textarea>` +
    `<button type="button" class="red-ui-button red-ui-button-small" id="${id}-expand" data-i18n="[title]${sharedKey('expand')};[aria-label]${sharedKey('expand')}">${icon('expand')}</button>`
  );
}

function pickControl(id, { asks }) {
  const values = `<datalist id="${id}-list"></datalist>`;
  if (!asks) return values;
  const button = `<button type="button" class="red-ui-button" id="${id}-load">${icon('list')} <span data-i18n="${sharedKey('load')}"></span></button>`;
  return `${values}<div class="contact-dialog-action">${button} <span id="${id}-load-result" role="status"></span></div>`;
}

function testRow(type, prefix, { asks }) {
  const button = `<button type="button" class="red-ui-button" id="${prefix}-test">${icon('plug')} <span data-i18n="${sharedKey('test.button')}"></span></button>`;
  const question = asks
    ? ` <input type="text" id="${prefix}-test-${asks}" data-i18n="[placeholder]${type}.test.asks;[aria-label]${type}.test.asks">`
    : '';
  return `<div class="form-row contact-dialog-test"><div class="contact-dialog-action">${button}${question}</div><div id="${prefix}-test-result" role="status"></div></div>`;
}

function variableRow(prefix, { variable, name }) {
  const id = `${prefix}-${variable}`;
  const control = `<input type="text" id="${id}">`;
  return line({ id, name: variable, icon: 'terminal', labelFor: name, control });
}

/** A header that opens and closes what is below it. */
function fold(prefix, title, rows) {
  const id = `${prefix}-fold-${title}`;
  return [
    '<div class="contact-dialog-fold">',
    `<button type="button" aria-expanded="false" aria-controls="${id}">${icon('angle-right')} <span data-i18n="${sharedKey(`fold.${title}`)}"></span></button>`,
    `<div id="${id}" hidden>`,
    ...rows,
    '</div></div>',
  ].join('\n');
}

function line({
  id,
  name = 'name',
  icon: sign,
  label,
  labelFor,
  target = id,
  control,
  below = '',
  isMeasured = false,
}) {
  const words = labelFor ? `data-variable-of="${labelFor}"` : `data-i18n="${label}"`;
  return [
    `<div class="form-row contact-dialog-row" data-field="${name}"${target ? '' : ` role="group" aria-labelledby="${id}-label"`}>`,
    `<label ${target ? `for="${target}"` : `id="${id}-label"`}>${icon(sign)} <span ${words}></span></label>`,
    '<div class="contact-dialog-value">',
    `<div class="contact-dialog-control${isMeasured ? ' contact-dialog-measured' : ''}">${control}</div>`,
    `<div class="contact-dialog-problem" id="${id}-problem" aria-live="polite"></div>`,
    `<div class="contact-dialog-note" id="${id}-note"></div>`,
    below,
    '</div></div>',
  ].join('');
}

function placeholder(type, { name, hint, example, default: standard }) {
  if (hint) return `data-i18n="[placeholder]${type}.placeholder.${name}"`;
  const shown = example ?? standard;
  return shown === undefined ? '' : `placeholder="${escaped(String(shown))}"`;
}

const icon = (name) => `<i class="fa fa-${name}" aria-hidden="true"></i>`;

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
