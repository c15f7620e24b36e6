/** Where the texts are that all dialogs share: one catalogue has them for the whole pack, as it has those of the status. */
const SHARED = '@contactflow/node-red-contact-center/contact-monitor:contact-monitor.dialog.';

/** The key of a shared text, as `data-i18n` takes it. */
export const sharedKey = (name) => SHARED + name;

/** A shared text in the language of the editor. */
export const shared = (name, values) => RED._(sharedKey(name), values);

/** What the dialog of a node calls one of its properties; without the word for it, the name of the property. */
export function labelOf(node, name) {
  const key = `${node.type}.label.${name}`;
  const label = node._?.(key);
  return label && label !== key ? label : name;
}
