import { messageOf } from './remote.mjs';

/** What the dialog of genesys-notifications-in holds below its topics. */
export const TOPIC_BROWSER_HTML = `
<button type="button" class="red-ui-button" id="node-input-topics-browse" aria-expanded="false" aria-controls="node-input-topics-browser">
  <i class="fa fa-folder-open-o" aria-hidden="true"></i> <span data-i18n="genesys-notifications-in.browser.open"></span>
</button>
<div id="node-input-topics-browser" hidden>
  <div id="node-input-topics-message" role="status"></div>
  <input type="text" id="node-input-topics-filter" data-i18n="[placeholder]genesys-notifications-in.browser.search;[aria-label]genesys-notifications-in.browser.search">
  <div class="contact-dialog-list" id="node-input-topics-offered"></div>
</div>`;

/** Lets the user tick topics of the organization: a tick adds the topic to the field, which takes any other as well. */
export function openTopicBrowser(form) {
  const { node } = form;
  const topics = form.find('topics');
  const button = form.find('topics-browse');
  const panel = form.find('topics-browser');
  const message = form.find('topics-message');
  const filter = form.find('topics-filter');
  const rows = form.find('topics-offered');
  const say = (name, values) => node._(`genesys-notifications-in.browser.${name}`, values);
  let offered = [];
  let rejected = new Map();

  const listed = () => {
    const lines = topics.val().split(/[,\n]/);
    return lines.map((each) => each.trim()).filter(Boolean);
  };
  const remark = (topic) => {
    const refusal = rejected.get(topic.id);
    const missing = refusal?.missingPermissions.join(', ');
    const parts = [topic.transports.join(', '), topic.permissions.join(', '), topic.visibility];
    if (refusal) parts.push(say('rejected', { reason: refusal.reason, missing }));
    if (topic.obstacle) parts.push(node._(`genesys-notifications-in.obstacle.${topic.obstacle}`));
    return parts.filter(Boolean).join(' · ');
  };
  const take = (id, isTicked) => {
    const rest = listed().filter((each) => each !== id);
    topics.val((isTicked ? [...rest, id] : rest).join('\n')).trigger('change');
  };
  const show = () => {
    const wanted = filter.val().trim().toLowerCase();
    const chosen = new Set(listed());
    rows.empty();
    for (const topic of offered) {
      if (!`${topic.id} ${topic.title}`.toLowerCase().includes(wanted)) continue;
      const row = $('<label>').appendTo(rows);
      $('<input type="checkbox">')
        .prop({ checked: chosen.has(topic.id), disabled: topic.obstacle !== '' && topic.obstacle !== 'needs-id' })
        .on('change', (event) => take(topic.id, event.target.checked))
        .appendTo(row);
      $('<code>').text(topic.id).appendTo(row);
      $('<span>').text(` ${topic.title}`).appendTo(row);
      $('<div class="contact-dialog-tip">').text(remark(topic)).appendTo(row);
    }
  };
  const ask = () => {
    rows.empty();
    message.text(say('loading'));
    $.getJSON('contact-center/genesys-notifications-in/topics', { account: form.value('account'), node: node.id })
      .done((answer) => {
        message.text(answer.ok ? answer.problems.join(' ') : answer.message);
        offered = answer.ok ? answer.topics : [];
        rejected = new Map((answer.ok ? answer.rejected : []).map((each) => [each.id, each]));
        show();
      })
      .fail((request) => message.text(messageOf(request)));
  };

  button.on('click', () => {
    const isOpen = panel.prop('hidden');
    panel.prop('hidden', !isOpen);
    button.attr('aria-expanded', String(isOpen));
    if (isOpen) ask();
  });
  filter.on('input', show);
  topics.on('input', show);
}
