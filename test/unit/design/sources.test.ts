import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../../services/node-red';
import { filesBelow, read } from './checkout';

// The patterns are written so that they do not find themselves in this file.
const UNFINISHED = /\bTODO\b|\bFIXME\b|\bXXX\b|\bHACK\b/;
// Zoho has an "api-console".
const CONSOLE = /(?<!-)\bconsole\s*\./;
const ESCAPES = /@ts-(ignore|nocheck|expect-error)/;
/** Folders of one machine, and the hosts of package registries. */
const LOCAL = /(^|[^.\w])[/]work[/]|(^|[^.\w])[/]root[/]|[/]home[/](?!node\b)\w+/;
const REGISTRY = /registry[.]\w+[.]|npmjs[.](org|com)|yarnpkg[.]com|pypi[.]org|deb[.]debian[.]org|crates[.]io/;

describe('the sources', () => {
  const product = [...filesBelow('lib', '.ts'), ...filesBelow('nodes', '.ts'), ...filesBelow('nodes', '.html')];

  it('hold nothing unfinished', () => assert.deepEqual(linesWith(product, UNFINISHED), []));

  it('log through the runtime, not to the console', () => assert.deepEqual(linesWith(product, CONSOLE), []));

  it('do not go round the type checker', () => {
    const typed = product.filter((path) => path.endsWith('.ts'));
    assert.deepEqual(linesWith(typed, ESCAPES), []);
    assert.deepEqual(
      typed.filter((path) => saysAny(read(path))),
      [],
    );
  });

  it('know no folder of this machine and no registry', () => {
    const tracked = trackedTexts();
    assert.ok(tracked.includes('package.json'));
    assert.deepEqual([...linesWith(tracked, LOCAL), ...linesWith(tracked, REGISTRY)], []);
  });
});

/** Whether the type `any` is written somewhere in a source. */
function saysAny(source: string): boolean {
  const visit = (node: ts.Node): boolean =>
    node.kind === ts.SyntaxKind.AnyKeyword || ts.forEachChild(node, (child) => visit(child) || undefined) === true;
  return visit(ts.createSourceFile('source.ts', source, ts.ScriptTarget.Latest));
}

function linesWith(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    read(path)
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
  );
}

/** Every tracked file that is text; one that was just removed from the work tree is left out. */
function trackedTexts(): string[] {
  const listed = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' }).split('\0');
  return listed.filter((path) => {
    const file = statSync(join(ROOT, path), { throwIfNoEntry: false });
    return file?.isFile() && !readFileSync(join(ROOT, path)).includes(0);
  });
}
