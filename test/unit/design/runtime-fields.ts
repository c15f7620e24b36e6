import { existsSync } from 'node:fs';
import { join, posix } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../../services/node-red';
import { read } from './checkout';

/** A number that a node reads from its configuration. */
export interface NumberBounds {
  name: string;
  min: number;
  max: number;
  isWhole: boolean;
}

/** The numbers with two bounds that the runtime reads for a node, as its source and the files it imports name them. */
export function runtimeNumbers(type: string): NumberBounds[] {
  return sourcesOf(type).flatMap(numbersIn);
}

/** The source of a node and of the files of `lib` that it imports. */
function sourcesOf(type: string): string[] {
  const own = `nodes/${type}.ts`;
  const imported = [...read(own).matchAll(/from '(\.[^']+)'/g)]
    .map(([, path]) => `${posix.join('nodes', path ?? '')}.ts`)
    .filter((path) => path.startsWith('lib/') && path !== 'lib/red/config.ts' && existsSync(join(ROOT, path)));
  return [own, ...imported].map(read);
}

function numbersIn(source: string): NumberBounds[] {
  const found: NumberBounds[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && ts.isCallExpression(node.initializer)) {
      const kind = node.initializer.expression.getText();
      const [options] = node.initializer.arguments;
      if ((kind === 'integer' || kind === 'number') && options && ts.isObjectLiteralExpression(options)) {
        const [min, max] = [bound(options, 'min'), bound(options, 'max')];
        if (min !== undefined && max !== undefined) {
          found.push({ name: node.name.getText(), min, max, isWhole: kind === 'integer' });
        }
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('node.ts', source, ts.ScriptTarget.Latest, true));
  return found;
}

function bound(options: ts.ObjectLiteralExpression, name: string): number | undefined {
  for (const property of options.properties) {
    if (ts.isPropertyAssignment(property) && property.name.getText() === name) {
      return Number(property.initializer.getText().replaceAll('_', ''));
    }
  }
  return undefined;
}

/**
 * The default of each property of a node that has one which is written out, as a text. Fields that stand in a file of
 * `lib` are among them.
 */
export function runtimeDefaults(type: string): ReadonlyMap<string, string> {
  const known = DEFAULTS.get(type);
  if (known) return known;
  const found = new Map<string, string>();
  DEFAULTS.set(type, found);
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && ts.isCallExpression(node.initializer)) {
      const options = node.initializer.arguments.find(ts.isObjectLiteralExpression);
      const value = options?.properties.find((each) => each.name?.getText() === 'default');
      if (value && ts.isPropertyAssignment(value)) {
        const text = literalText(value.initializer);
        if (text !== undefined) found.set(node.name.getText(), text);
      }
    }
    ts.forEachChild(node, visit);
  };
  for (const source of sourcesOf(type)) visit(ts.createSourceFile('node.ts', source, ts.ScriptTarget.Latest, true));
  return found;
}

const DEFAULTS = new Map<string, Map<string, string>>();

function literalText(value: ts.Expression): string | undefined {
  if (ts.isStringLiteralLike(value)) return value.text;
  if (ts.isNumericLiteral(value)) return value.text.replaceAll('_', '');
  if (value.kind === ts.SyntaxKind.TrueKeyword) return 'true';
  if (value.kind === ts.SyntaxKind.FalseKeyword) return 'false';
  if (ts.isArrayLiteralExpression(value) && value.elements.length > 0) {
    const texts = value.elements.map(literalText);
    return texts.includes(undefined) ? undefined : texts.join(',');
  }
  return undefined;
}
