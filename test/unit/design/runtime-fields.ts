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
  const own = `nodes/${type}.ts`;
  const imported = [...read(own).matchAll(/from '(\.[^']+)'/g)]
    .map(([, path]) => `${posix.join('nodes', path ?? '')}.ts`)
    .filter((path) => path.startsWith('lib/') && path !== 'lib/red/config.ts' && existsSync(join(ROOT, path)));
  return [own, ...imported].flatMap((path) => numbersIn(read(path)));
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
