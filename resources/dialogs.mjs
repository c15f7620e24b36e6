// The edit dialogs of the pack. The html of each node loads this script before its own: it finds here what turns a
// short declaration into a dialog. The browser runs it once, however many nodes ask for it.
import { areCaseFields, CASE_FIELDS_HTML, DEFAULT_CASE_FIELDS, openCaseFields } from './case-fields.mjs';
import * as check from './checks.mjs';
import { Form } from './form.mjs';
import { openPicks, openTest } from './remote.mjs';
import { template } from './rows.mjs';
import { openTopicBrowser, TOPIC_BROWSER_HTML } from './topic-browser.mjs';

/**
 * Fills in the dialog of a node from its declaration: `fields` that everybody sees, `folds` (by their titles) that are
 * opened when they are needed, and `test` where a connection can be tried. `open` is for the `oneditprepare` of the
 * node; it answers with the open form.
 */
function declare(type, prefix, declaration) {
  $(`script[data-template-name="${type}"]`).text(template(type, prefix, declaration));
  return {
    open(node) {
      const form = new Form(node, prefix, declaration);
      form.open();
      if (declaration.test) openTest(form, declaration.test);
      for (const { name, picks } of form.all) if (picks) openPicks(form, name, picks);
      return form;
    },
  };
}

if (!document.querySelector('link[data-contact-dialog]')) {
  $('<link rel="stylesheet" data-contact-dialog>')
    .attr('href', new URL('dialogs.css', import.meta.url).href)
    .appendTo('head');
}

window.contactCenter = Object.freeze({
  check,
  /** The dialog of a node on the canvas. */
  nodeDialog: (type, declaration) => declare(type, 'node-input', declaration),
  /** The dialog of a configuration node. */
  configDialog: (type, declaration) => declare(type, 'node-config-input', declaration),
  /** What only one node has. */
  caseFields: { html: CASE_FIELDS_HTML, standard: DEFAULT_CASE_FIELDS, areValid: areCaseFields, open: openCaseFields },
  topicBrowser: { html: TOPIC_BROWSER_HTML, open: openTopicBrowser },
});
