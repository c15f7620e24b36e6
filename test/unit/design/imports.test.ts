import assert from 'node:assert/strict';
import { filesBelow, manifest, read } from './checkout';
import { importProblem, importsOf, packageOf } from './imports';

const files = [...filesBelow('nodes', '.ts'), ...filesBelow('lib', '.ts')];

describe('imports', () => {
  it('point one way: nodes, lib/red, systems, store and monitor, core', () => {
    const problems = files.flatMap((file) => importsOf(read(file)).map((found) => importProblem(file, found)));
    assert.deepEqual(
      problems.filter((problem) => problem !== undefined),
      [],
    );
  });

  it('come at run time only from the production dependencies and from Node', () => {
    const allowed = new Set([
      ...Object.keys(manifest.dependencies ?? {}),
      ...Object.keys(manifest.peerDependencies ?? {}),
    ]);
    const strangers = files.flatMap((file) =>
      importsOf(read(file))
        .filter(({ typeOnly }) => !typeOnly)
        .map(({ specifier }) => packageOf(specifier))
        .filter((name) => name !== undefined && !allowed.has(name))
        .map((name) => `${file} imports ${name}`),
    );
    assert.deepEqual(strangers, []);
  });

  it('use every production dependency', () => {
    const used = new Set(files.flatMap((file) => importsOf(read(file)).map(({ specifier }) => packageOf(specifier))));
    assert.deepEqual(
      Object.keys(manifest.dependencies ?? {}).filter((name) => !used.has(name)),
      [],
    );
  });
});

describe('the rule of direction', () => {
  const allowed: [string, string][] = [
    ['nodes/es-bulk-out.ts', '../lib/red/input'],
    ['nodes/es-bulk-out.ts', '../lib/elastic/bulk'],
    ['nodes/es-bulk-out.ts', './es-connection'],
    ['nodes/es-bulk-out.ts', 'node-red'],
    ['lib/red/status.ts', '../monitor/registry'],
    ['lib/elastic/bulk.ts', '../core/books'],
    ['lib/elastic/deep/bulk.ts', '../client'],
    ['lib/ocelot/publisher.ts', '../rabbitmq/connection'],
    ['lib/store/redis.ts', '../core/errors'],
  ];
  for (const [file, specifier] of allowed) {
    it(`lets ${file} import ${specifier}`, () => {
      assert.equal(importProblem(file, { specifier, typeOnly: false }), undefined);
    });
  }

  const refused: [string, string][] = [
    ['lib/elastic/bulk.ts', '../genesys/token'],
    ['lib/rabbitmq/connection.ts', '../ocelot/publisher'],
    ['lib/elastic/bulk.ts', '../red/status'],
    ['lib/core/books.ts', '../monitor/registry'],
    ['lib/monitor/registry.ts', '../store/memory'],
    ['lib/red/status.ts', '../../nodes/es-bulk-out'],
    ['lib/elastic/bulk.ts', '../../test/simulators/elasticsearch'],
    ['lib/elastic/bulk.ts', 'node-red'],
    ['lib/core/errors.ts', '@node-red/util'],
  ];
  for (const [file, specifier] of refused) {
    it(`keeps ${file} from importing ${specifier}, types included`, () => {
      assert.match(importProblem(file, { specifier, typeOnly: true }) ?? '', /must not know|only nodes and lib\/red/);
    });
  }

  it('sees every way to import', () => {
    const source = `
      import a from './a'; import type { B } from './b'; export * from './c'; export type { D } from './d';
      const e = require('./e'); const f = await import('./f'); import g = require('./g'); let h: import('./h').H;`;
    assert.deepEqual(
      importsOf(source).map(({ specifier, typeOnly }) => `${specifier}${typeOnly ? ' type' : ''}`),
      ['./a', './b type', './c', './d type', './e', './f', './g', './h type'],
    );
  });
});
