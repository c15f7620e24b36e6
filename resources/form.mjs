// What the rows of an open dialog do.
import { variableOf } from './checks.mjs';
import { labelOf, shared } from './texts.mjs';

/** The open dialog of a node: its fields are looked up here, since a dialog below it may have the same ids. */
export class Form {
  constructor(node, prefix, declaration) {
    this.node = node;
    this.prefix = prefix;
    this.declaration = declaration;
    this.root = $(`.contact-dialog[data-dialog="${node.type}"]`).last();
    this.all = [...declaration.fields, ...Object.values(declaration.folds ?? {}).flat()];
  }

  /** The element with the id `<prefix>-<name>`. */
  find(name) {
    return this.root.find(`[id="${this.prefix}-${name}"]`);
  }

  row(name) {
    return this.root.find(`[data-field="${name}"]`);
  }

  value(name) {
    return this.find(name).val();
  }

  /** What the dialog holds now, for a route of the runtime. */
  values() {
    const names = this.all.flatMap(({ name, variable }) => (variable ? [name, variable] : [name]));
    return Object.fromEntries(names.map((name) => [name, this.value(name)]));
  }

  /** Makes the rows work. */
  open() {
    for (const field of this.all) this.openField(field);
    for (const button of this.root.find('.contact-dialog-fold > button').toArray()) openFold($(button));
    this.root.find('input[type="password"]').attr('autocomplete', 'new-password');
    this.describeFields();
    const refresh = () => this.refresh();
    this.root.on('change input', 'input, select, textarea', refresh);
    refresh();
    // The editor fills in what it has prepared only after this; it triggers no event for that.
    setTimeout(() => {
      refresh();
      this.unfoldProblems();
    });
  }

  openField(field) {
    if (field.choices) keepUnknownChoice(this.find(field.name), this.node[field.name]);
    if (field.kind === 'switch') this.openSwitch(field);
    if (field.kind === 'json') this.openJson(field);
    if (field.variable) this.openVariable(field);
  }

  /** A hidden field holds what is saved: `true`, `false` or an environment variable. */
  openSwitch({ name, default: standard }) {
    const saved = this.find(name);
    const choice = this.find(`${name}-choice`);
    const variable = this.find(`${name}-variable`);
    const text = String(saved.val() ?? '').trim();
    if (variableOf(text)) {
      choice.val('variable');
      variable.val(text);
    } else {
      const isOn = text === '' ? standard : /^(true|1|yes|on)$/i.test(text);
      choice.val(String(Boolean(isOn)));
    }
    const show = () => variable.toggle(choice.val() === 'variable');
    const take = () => {
      show();
      const isVariable = choice.val() === 'variable';
      saved.val(isVariable ? variable.val().trim() : choice.val()).trigger('change');
    };
    choice.on('change', take);
    variable.on('input', take);
    show();
  }

  openJson({ name }) {
    const field = this.find(name);
    const formatted = (text, space) => {
      try {
        return JSON.stringify(JSON.parse(text), null, space);
      } catch {
        return text;
      }
    };
    this.find(`${name}-expand`).on('click', () =>
      RED.editor.editJSON({
        value: formatted(field.val(), 2),
        complete: (edited) => field.val(formatted(edited)).trigger('change'),
      }),
    );
  }

  /** The row for the name of the environment variable that stands in for a field. */
  openVariable({ name, variable }) {
    const label = labelOf(this.node, name);
    this.root.find(`[data-variable-of="${name}"]`).text(shared('variable.label', { field: label }));
    this.find(variable).attr('placeholder', this.node._def.defaults[variable]?.value);
  }

  /** Ties the texts around a field to it, for those who have the dialog read to them. */
  describeFields() {
    for (const row of this.root.find('.contact-dialog-row').toArray()) {
      const texts = $(row).find('[id$="-unit"], [id$="-tip"], [id$="-note"], [id$="-problem"]').toArray();
      $(row)
        .find('input, select, textarea')
        .attr('aria-describedby', texts.map(({ id }) => id).join(' '));
    }
  }

  refresh() {
    for (const { name, variable, when } of this.all) {
      if (!when) continue;
      this.row(name).toggle(this.isWanted(when));
      if (variable) this.row(variable).toggle(this.isWanted(when));
    }
    for (const fold of this.root.find('.contact-dialog-fold').toArray()) {
      const rows = $(fold).find('.contact-dialog-row').toArray();
      $(fold).toggle(rows.some(({ style }) => style.display !== 'none'));
    }
    for (const field of this.all) this.note(field);
    for (const name of Object.keys(this.node._def.defaults)) this.showProblem(name);
  }

  /** Whether the other fields hold what this one is for; a value that the runtime fills in may be any. */
  isWanted(when) {
    return Object.entries(when).every(([name, values]) => {
      const value = this.value(name);
      return variableOf(value) !== undefined || values.includes(value);
    });
  }

  /** Says below a field when its value comes from an environment variable, and what counts when that is not set. */
  note({ name, variable: named, default: standard }) {
    const value = this.value(name);
    const standIn = named && value === '' ? this.value(named) || this.node._def.defaults[named]?.value : '';
    const variable = variableOf(value);
    const otherwise = variable?.otherwise ?? standard;
    const word = typeof otherwise === 'boolean' ? shared(`switch.${otherwise}`) : otherwise;
    let text = '';
    if (standIn) text = shared('variable.instead', { name: standIn });
    else if (variable) text = word ? shared('variable.or', { otherwise: word }) : shared('variable.only');
    setText(this.find(`${name}-note`), text);
  }

  showProblem(name) {
    const field = this.find(name);
    if (field.length === 0) return;
    const problem = this.problemOf(name, field.val()) ?? '';
    const row = this.row(name);
    row.toggleClass('contact-dialog-wrong', problem !== '');
    row.find('input, select, textarea').attr('aria-invalid', String(problem !== ''));
    setText(this.find(`${name}-problem`), problem);
  }

  problemOf(name, value) {
    const property = this.node._def.defaults[name];
    if (property.type) return this.configProblem(name, property, value);
    const found = property.validate ? property.validate.call(this.node, value, {}) : true;
    return typeof found === 'string' ? found : undefined;
  }

  configProblem(name, { type, required }, value) {
    const field = labelOf(this.node, name);
    const isChosen = value && value !== '_ADD_';
    if (!isChosen) return required ? shared('problem.choose', { field, type }) : undefined;
    return RED.nodes.node(value)?.valid === false ? shared('problem.incomplete', { field }) : undefined;
  }

  /** Opens a fold by its name. */
  unfold(title) {
    setFold(this.root.find(`[aria-controls="${this.prefix}-fold-${title}"]`), true);
  }

  /** Nobody looks for a problem where nothing is to be seen. */
  unfoldProblems() {
    for (const fold of this.root.find('.contact-dialog-fold').toArray()) {
      if ($(fold).find('.contact-dialog-wrong').length > 0) setFold($(fold).children('button'), true);
    }
  }
}

/** A list must not lose what is saved: a variable, or a value of another release. */
function keepUnknownChoice(list, saved) {
  const value = String(saved ?? '');
  if (
    value === '' ||
    list
      .find('option')
      .toArray()
      .some((option) => option.value === value)
  )
    return;
  $('<option>').val(value).text(value).appendTo(list);
  list.val(value);
}

function openFold(button) {
  button.on('click', () => setFold(button, button.attr('aria-expanded') !== 'true'));
}

function setFold(button, isOpen) {
  button.attr('aria-expanded', String(isOpen));
  button.next().prop('hidden', !isOpen);
}

/** Leaves a text alone that is the same, so that it is not read out again. */
function setText(element, text) {
  if (element.text() !== text) element.text(text);
}
