import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import ts from 'typescript';

/** One import of a file: `import`, `export from`, `import()`, `require()` or a type that is imported in place. */
export interface Import {
  /** What stands between the quotation marks. */
  specifier: string;
  /** Whether nothing of it is left after the compilation. */
  typeOnly: boolean;
}

/** Everything a TypeScript source imports, in the order of the text. */
export function importsOf(source: string): Import[] {
  const found: Import[] = [];
  const add = (name: ts.Node | undefined, typeOnly: boolean) => {
    if (name && ts.isStringLiteral(name)) found.push({ specifier: name.text, typeOnly });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, node.importClause?.isTypeOnly === true);
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true);
    else if (ts.isExternalModuleReference(node)) add(node.expression, false);
    else if (ts.isCallExpression(node)) {
      const { expression, arguments: parameters } = node;
      const imports = expression.kind === ts.SyntaxKind.ImportKeyword;
      if (imports || (ts.isIdentifier(expression) && expression.text === 'require')) add(parameters[0], false);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('source.ts', source, ts.ScriptTarget.Latest));
  return found;
}

/**
 * The layers, from the top to the bottom: each may import what is below it, and itself. What shares a layer does not
 * know the other: every remote system stands alone, and so do the store and the monitor.
 */
const LAYERS = [['nodes', 'lib/command'], ['lib/red'], ['system'], ['lib/store', 'lib/monitor'], ['lib/core']];

/** Ocelot is a protocol on top of RabbitMQ: the one system that may know another. */
const EXCEPTIONS = [{ from: 'lib/ocelot', to: 'lib/rabbitmq' }];

/** Where Node-RED may be known. */
const KNOWS_NODE_RED = ['nodes', 'lib/red'];
const NODE_RED = /^(node-red|@node-red\/|node-red-)/;

/** Why a file must not have this import, or `undefined` when it may. */
export function importProblem(file: string, { specifier }: Import): string | undefined {
  const from = areaOf(file);
  if (!specifier.startsWith('.')) {
    const mentionsNodeRed = NODE_RED.test(specifier) && !KNOWS_NODE_RED.includes(from);
    return mentionsNodeRed ? `${file} imports ${specifier}: only nodes and lib/red know Node-RED` : undefined;
  }
  const target = posix.join(posix.dirname(file), specifier);
  const to = areaOf(target);
  if (to === from || EXCEPTIONS.some((exception) => exception.from === from && exception.to === to)) return undefined;
  return layerOf(to) > layerOf(from) ? undefined : `${file} imports ${target}: ${from} must not know ${to}`;
}

/** The folder that the rule of direction speaks of: `nodes` or `lib/<name>`; anything else is the file itself. */
function areaOf(path: string): string {
  const [top, name] = path.split('/');
  if (top === 'nodes') return 'nodes';
  return top === 'lib' && name ? `lib/${name}` : path;
}

/** How deep an area lies; -1 for what no product code may import, such as a test. */
function layerOf(area: string): number {
  const named = LAYERS.findIndex((layer) => layer.includes(area));
  if (named >= 0) return named;
  return area.startsWith('lib/') ? LAYERS.findIndex((layer) => layer.includes('system')) : -1;
}

/** The package that a specifier belongs to; `undefined` for a file and for what Node brings. */
export function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('node:') || builtinModules.includes(specifier))
    return undefined;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
