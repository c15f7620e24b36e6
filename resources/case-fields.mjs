import { load } from './remote.mjs';

/** What a custom field of a Case can hold, as lib/zoho/case-settings.ts lists it. */
const SOURCES = [
  'id',
  'name',
  'botId',
  'createdAt',
  'messageCount',
  'userMessages',
  'assistantMessages',
  'totalCharacters',
  'averageMessageLength',
  'durationSeconds',
];

/** The fields that the original service filled in. */
export const DEFAULT_CASE_FIELDS = [
  { source: 'id', field: 'Cody_Conversation_ID' },
  { source: 'messageCount', field: 'CF_Message_Count' },
  { source: 'userMessages', field: 'CF_User_Messages' },
  { source: 'assistantMessages', field: 'CF_Assistant_Messages' },
  { source: 'totalCharacters', field: 'CF_Total_Characters' },
  { source: 'averageMessageLength', field: 'CF_Average_Message_Length' },
];

/** What the dialog of zoho-case-out holds for the custom fields. */
export const CASE_FIELDS_HTML = `
<ol id="node-input-fields-list"></ol>
<datalist id="node-input-fields-known"></datalist>
<div class="contact-dialog-action">
  <button type="button" class="red-ui-button" id="node-input-fields-load">
    <i class="fa fa-cloud-download" aria-hidden="true"></i> <span data-i18n="zoho-case-out.load.button"></span>
  </button>
  <span id="node-input-fields-result" role="status"></span>
</div>`;

/** Whether these are mappings to fields of a Case, one of them for the id of the conversation. */
export function areCaseFields(value) {
  return (
    Array.isArray(value) &&
    value.some(({ source }) => source === 'id') &&
    value.every(({ source, field }) => SOURCES.includes(source) && /^\w+$/.test(field))
  );
}

/** The list of mappings. Answers with what reads it when the dialog is closed. */
export function openCaseFields(form) {
  const { node } = form;
  const list = form.find('fields-list');
  const known = form.find('fields-known');
  list.editableList({
    sortable: true,
    removable: true,
    height: 'auto',
    addItem: (row, _position, { source = 'name', field = '' }) => {
      const label = (name) => node._(`zoho-case-out.mapping.${name}`);
      const choice = $('<select class="source">').attr('aria-label', label('source')).appendTo(row);
      for (const each of SOURCES)
        $('<option>')
          .val(each)
          .text(node._(`zoho-case-out.source.${each}`))
          .appendTo(choice);
      choice.val(source);
      $('<input type="text" class="field" list="node-input-fields-known">')
        .attr('aria-label', label('field'))
        .val(field)
        .appendTo(row);
    },
  });
  for (const mapping of node.fields ?? DEFAULT_CASE_FIELDS) list.editableList('addItem', mapping);

  form.find('fields-load').on('click', () =>
    load(form, {
      url: 'contact-center/zoho-case-out/fields',
      asks: ['account'],
      result: form.find('fields-result'),
      done: ({ fields }) => {
        known.empty();
        for (const { apiName, label, unique, dataType } of fields) {
          const kind = unique ? node._('zoho-case-out.load.unique', { type: dataType }) : dataType;
          $('<option>').val(apiName).text(`${label} (${kind})`).appendTo(known);
        }
      },
    }),
  );

  return () =>
    list
      .editableList('items')
      .get()
      .map((row) => ({ source: row.find('.source').val(), field: row.find('.field').val().trim() }))
      .filter(({ field }) => field !== '');
}
