import assert from 'node:assert/strict';
import { parseEnv } from 'node:util';
import { filesBelow, read } from '../design/checkout';
import { environmentFiles, readVariables } from '../design/environment';
import { environmentNames, readExamples } from '../design/examples';

const FILES = filesBelow('deploy/env', '.env.example');

describe('the examples of an environment', () => {
  it('are what test/commands/documents.ts makes of the README and the flows', () => {
    const expected = environmentFiles();
    assert.deepEqual(FILES, Object.keys(expected).sort());
    for (const path of FILES) assert.equal(read(path), expected[path], path);
  });

  it('name each variable of a flow, and no other, in its file or in the one for all', () => {
    const namesIn = (path: string) => [...read(path).matchAll(/^#?([A-Z][A-Z0-9_]*)=/gm)].map(([, name]) => name ?? '');
    const common = namesIn('deploy/env/node-red.env.example');
    for (const { path, entries } of readExamples()) {
      const own = namesIn(path.replace('examples/', 'deploy/env/').replace(/json$/, 'env.example'));
      const wanted = environmentNames(entries);
      assert.deepEqual(
        wanted.filter((name) => ![...own, ...common].includes(name)),
        [],
        path,
      );
      assert.deepEqual(
        own.filter((name) => !wanted.includes(name)),
        [],
        path,
      );
    }
  });

  it('hold every variable that the settings read', () => {
    const [, names = ''] = /const \{([^}]*)\} = process\.env/.exec(read('deploy/settings.js')) ?? [];
    const wanted = [...names.matchAll(/\b[A-Z][A-Z_]+\b/g)].map(([name]) => name);
    assert.ok(wanted.length > 4);
    const explained = readVariables(read('README.md')).map(({ name }) => name);
    assert.deepEqual(
      wanted.filter((name) => !explained.includes(name)),
      [],
    );
  });

  it('can be read by Node, and hold no secret', () => {
    for (const path of FILES) {
      for (const [name, value] of Object.entries(parseEnv(read(path)))) {
        if (/SECRET|PASSWORD|TOKEN|KEY/.test(name)) assert.equal(value, '', `${path}: ${name}`);
      }
    }
  });
});
