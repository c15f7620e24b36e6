// The edit dialogs of the pack. The html of each node loads this script before its own: it finds here what turns a
// short declaration into a dialog. The browser runs it once, however many nodes ask for it.
import { areCaseFields, CASE_FIELDS_HTML, DEFAULT_CASE_FIELDS, openCaseFields } from './case-fields.mjs';
import * as check from './checks.mjs';
import * as common from './common-fields.mjs';
import { Form } from './form.mjs';
import { openPicks, openTest } from './remote.mjs';
import { template } from './rows.mjs';
import { openTopicBrowser, TOPIC_BROWSER_HTML } from './topic-browser.mjs';

/**
 * Fills in the dialog of a node from its declaration: `fields` that everybody sees, `folds` (by their titles) that are
 * opened when they are needed, and `test` where a connection can be tried. The answer has the `oneditprepare` of the
 * node; one that has more to do calls `open` in its own, which answers with the open form.
 */
function declare(type, prefix, declaration) {
  $(`script[data-template-name="${type}"]`).text(template(type, prefix, declaration));
  const open = (node) => {
    const form = new Form(node, prefix, declaration);
    form.open();
    if (declaration.test) openTest(form, declaration.test);
    for (const { name, picks } of form.all) if (picks) openPicks(form, name, picks);
    return form;
  };
  return {
    open,
    oneditprepare() {
      open(this);
    },
  };
}

if (!document.querySelector('link[data-contact-dialog]')) {
  $('<link rel="stylesheet" data-contact-dialog>')
    .attr('href', new URL('dialogs.css', import.meta.url).href)
    .appendTo('head');
}

/** A node with a name of its own has it in italics, as nodes of Node-RED itself have. */
function labelStyle() {
  return this.name ? 'node_label_italic' : '';
}

window.contactCenter = Object.freeze({
  common,
  labelStyle,
  check,
  /** The dialog of a node on the canvas. */
  nodeDialog: (type, declaration) => declare(type, 'node-input', declaration),
  /** The dialog of a configuration node. */
  configDialog: (type, declaration) => declare(type, 'node-config-input', declaration),
  /** What only one node has. */
  caseFields: { html: CASE_FIELDS_HTML, standard: DEFAULT_CASE_FIELDS, areValid: areCaseFields, open: openCaseFields },
  topicBrowser: { html: TOPIC_BROWSER_HTML, open: openTopicBrowser },
});
