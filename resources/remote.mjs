// What dialogs ask the runtime for. The addresses are relative: only then the editor adds its login.
import { shared } from './texts.mjs';

/**
 * The button that tries a connection with what the dialog holds, without a deploy. `passed` turns the answer into the
 * values of the text `<type>.test.<text>`; the text is `passed` unless it says otherwise.
 */
export function openTest(form, { asks, passed = (answer) => answer }) {
  const { node } = form;
  const result = form.find('test-result');
  const button = form.find('test');
  button.on('click', () => {
    const more = asks ? { [asks]: form.value(`test-${asks}`) } : {};
    tell(result, 'running', shared('test.running'));
    button.prop('disabled', true);
    $.ajax({
      url: `contact-center/${node.type}/test`,
      method: 'POST',
      contentType: 'application/json',
      data: JSON.stringify({ id: node.id, ...form.values(), ...more }),
    })
      .done((answer) => {
        if (!answer.ok) return tell(result, 'failed', answer.message);
        const { text = 'passed', ...values } = passed(answer);
        tell(result, 'passed', node._(`${node.type}.test.${text}`, values));
      })
      .fail((request) => tell(result, 'failed', shared('test.failed', { message: messageOf(request) })))
      .always(() => button.prop('disabled', false));
  });
}

/**
 * Values to pick from, for a field that takes any other as well. They are `values`, or at `contact-center/<type>/<from>`: `read`
 * turns the answer into pairs of a value and its label. With `asks` they are asked for by a button, together with the
 * values of these other fields, and otherwise when the dialog opens.
 */
export function openPicks(form, name, { values, from, asks, read }) {
  const list = form.find(`${name}-list`);
  const fill = (pairs) => {
    list.empty();
    for (const [value, label] of pairs) $('<option>').val(value).text(label).appendTo(list);
  };
  if (values) {
    fill(values.map((value) => [value, value]));
    return;
  }
  const url = `contact-center/${form.node.type}/${from}`;
  if (!asks) {
    $.getJSON(url).done((answer) => fill(read(answer)));
    return;
  }
  const result = form.find(`${name}-load-result`);
  form.find(`${name}-load`).on('click', () => load(form, { url, asks, result, done: (answer) => fill(read(answer)) }));
}

/** Asks a route for something that takes its time, and says how it went. */
export function load(form, { url, asks, result, done }) {
  tell(result, 'running', shared('loading'));
  $.getJSON(url, Object.fromEntries(asks.map((name) => [name, form.value(name)])))
    .done((answer) => {
      if (!answer.ok) return tell(result, 'failed', answer.message);
      done(answer);
      tell(result, 'passed', shared('loaded'));
    })
    .fail((request) => tell(result, 'failed', messageOf(request)));
}

/** The reason that the runtime gives, or what the browser knows. */
export const messageOf = (request) => request.responseJSON?.message ?? (request.statusText || shared('unreachable'));

function tell(result, state, text) {
  result.attr('data-state', state).text(text);
}
