import { createContext, runInContext } from 'node:vm';
import { areCaseFields, CASE_FIELDS_HTML, DEFAULT_CASE_FIELDS } from '../../../resources/case-fields.mjs';
import * as check from '../../../resources/checks.mjs';
import * as common from '../../../resources/common-fields.mjs';
import { type Field, template } from '../../../resources/rows.mjs';
import { TOPIC_BROWSER_HTML } from '../../../resources/topic-browser.mjs';

// The checks find their sentences in the editor.
Object.assign(globalThis, { RED: { _: (key: string) => key } });

/** A property of a node as its html declares it for the editor. */
export interface DeclaredProperty {
  value: unknown;
  type?: string;
  required?: boolean;
  validate?: (this: unknown, value: unknown, options: object) => unknown;
}

/** A dialog that a node has declared. */
export interface Declared {
  type: string;
  declaration: { fields: Field[]; test?: object; folds?: Record<string, Field[]> };
  /** What the editor takes as the dialog. */
  html: string;
  /** The properties of the node, by name. */
  defaults: Record<string, DeclaredProperty>;
  /** Whether a check of a property answers with a sentence of the node's own. */
  usesOwnSentences: boolean;
}

/** Runs the script of a node as the editor does, and tells the dialog it declares; none where it has its html written out. */
export function declaredDialogs(html: string): Declared[] {
  const found: Declared[] = [];
  const definitions = new Map<string, { defaults?: Record<string, DeclaredProperty> }>();
  const declare = (prefix: string) => (type: string, declaration: Declared['declaration']) => {
    found.push({ type, declaration, html: template(type, prefix, declaration), defaults: {}, usesOwnSentences: false });
    return { open: () => {}, oneditprepare: () => {} };
  };
  const contactCenter = {
    check,
    common,
    labelStyle: () => '',
    nodeDialog: declare('node-input'),
    configDialog: declare('node-config-input'),
    caseFields: { html: CASE_FIELDS_HTML, standard: DEFAULT_CASE_FIELDS, areValid: areCaseFields },
    topicBrowser: { html: TOPIC_BROWSER_HTML },
  };
  const RED = {
    nodes: { registerType: (type: string, definition: object) => definitions.set(type, definition) },
    validators: { regex: () => () => true, number: () => () => true },
  };
  const context = createContext({ window: { contactCenter }, RED, URL });
  for (const [, script = ''] of html.matchAll(/<script\s+type="text\/javascript"\s*>([\s\S]*?)<\/script>/g)) {
    runInContext(script, context);
  }
  for (const dialog of found) {
    dialog.defaults = definitions.get(dialog.type)?.defaults ?? {};
    dialog.usesOwnSentences = /check\.(?:(?:pattern|list|value)\(|json\(\w)/.test(html);
  }
  return found;
}
