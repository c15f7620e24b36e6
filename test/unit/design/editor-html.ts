import ts from 'typescript';
import { type Declared, declaredDialogs } from './declared-dialogs';

/** What the html of a node says, as the checker of the Flow Library would find it: by reading, not by running. */
export interface EditorHtml {
  /** The types that are registered with a literal name and a literal object. */
  registered: string[];
  /** The names of the properties of the literal object. */
  members: Set<string>;
  /** The members whose values are literal texts, such as `category` and `icon`. */
  texts: Record<string, string>;
  defaults: string[];
  credentials: string[];
  /** The environment variables that the properties `<secret>Environment` name from the start. */
  variables: string[];
  /** The `data-template-name` of each dialog. */
  dialogs: string[];
  /** The ids of the elements of the dialog, and of those that the script makes. */
  ids: string[];
  /** The `for` of each label with the catalogue key of its text. */
  labels: { field: string; key: string }[];
  /** Every catalogue key that the dialog or the script mentions as a whole. */
  keys: string[];
  /** What the script puts in front of a key that it makes up as it runs: `es-connection.test.`. */
  keyPrefixes: string[];
  /** The dialogs that it declares for the shared script. */
  declared: Declared[];
}

/** Reads the html of a node, with the dialog that the shared script makes of its declaration. */
export function readEditorHtml(source: string): EditorHtml {
  const declared = declaredDialogs(source);
  const html = [source, ...declared.map(({ html: made }) => made)].join('\n');
  const scripts = [...html.matchAll(/<script\s+type="text\/javascript"\s*>([\s\S]*?)<\/script>/g)].map(
    ([, code]) => code ?? '',
  );
  const dialogs = [...html.matchAll(/<script\s+type="text\/(?:html|x-red)"\s+data-template-name="([^"]+)"/g)];
  const found: EditorHtml = {
    registered: [],
    members: new Set(),
    texts: {},
    defaults: [],
    credentials: [],
    variables: [],
    dialogs: dialogs.map(([, name]) => name ?? ''),
    ids: matches(html, /\bid(?:=["']|: '|', ')(node-(?:config-)?input-[\w-]+)/g),
    labels: [...html.matchAll(/<label\b[^>]*\bfor="([^"]+)"[\s\S]*?<\/label>/g)].flatMap(([label, field]) =>
      keysInAttributes(label).map((key) => ({ field: field ?? '', key })),
    ),
    keys: keysInAttributes(html),
    keyPrefixes: declared.flatMap(prefixesOf),
    declared,
  };
  for (const script of scripts) readScript(script, found);
  return found;
}

/** What the shared script puts in front of the keys that it makes up: the results of a test, the sentences of a check. */
function prefixesOf({ type, declaration, usesOwnSentences }: Declared): string[] {
  return [...(declaration.test ? [`${type}.test.`] : []), ...(usesOwnSentences ? [`${type}.problem.`] : [])];
}

/** `data-i18n="key"` or `data-i18n="[placeholder]key;[title]key"`. */
function keysInAttributes(html: string): string[] {
  return matches(html, /\bdata-i18n="([^"]+)"/g).flatMap((value) =>
    value.split(';').map((part) => part.replace(/^\[[^\]]*\]/, '').trim()),
  );
}

/** The names under which a script translates. */
const TRANSLATE = /^(RED|this|node|self|_this|that)\._$/;

function readScript(script: string, found: EditorHtml): void {
  const source = ts.createSourceFile('editor.js', script, ts.ScriptTarget.Latest, true, ts.ScriptKind.JS);
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const called = node.expression.getText();
      const [first, second] = node.arguments;
      if (called === 'RED.nodes.registerType' && first && ts.isStringLiteral(first)) {
        found.registered.push(first.text);
        if (second && ts.isObjectLiteralExpression(second)) readDefinition(second, found);
      }
      if (TRANSLATE.test(called)) readKey(first, found);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
}

/** The key that is translated: a text, a choice of texts, or a text with something made up at its end. */
function readKey(key: ts.Expression | undefined, found: EditorHtml): void {
  if (!key) return;
  if (ts.isStringLiteral(key) || ts.isNoSubstitutionTemplateLiteral(key)) found.keys.push(key.text);
  else if (ts.isConditionalExpression(key)) {
    readKey(key.whenTrue, found);
    readKey(key.whenFalse, found);
  } else if (ts.isTemplateExpression(key)) found.keyPrefixes.push(key.head.text);
  else if (ts.isBinaryExpression(key) && ts.isStringLiteral(key.left)) found.keyPrefixes.push(key.left.text);
}

function readDefinition(definition: ts.ObjectLiteralExpression, found: EditorHtml): void {
  for (const property of definition.properties) {
    const name = property.name?.getText().replace(/^['"]|['"]$/g, '');
    if (!name) continue;
    found.members.add(name);
    if (!ts.isPropertyAssignment(property)) continue;
    const { initializer } = property;
    if (ts.isStringLiteral(initializer)) found.texts[name] = initializer.text;
    if (ts.isObjectLiteralExpression(initializer) && (name === 'defaults' || name === 'credentials')) {
      found[name].push(...initializer.properties.map((each) => each.name?.getText() ?? ''));
      for (const [, variable] of initializer.getText().matchAll(/\w+Environment: \{ value: '(\w+)'/g)) {
        found.variables.push(variable ?? '');
      }
    }
  }
}

function matches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, first]) => first ?? '');
}
