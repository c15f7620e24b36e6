import assert from 'node:assert/strict';
import { type Catalogue, readCatalogue, unexplained } from './catalogues';
import { filesBelow, read, types } from './checkout';
import { readEditorHtml } from './editor-html';

const TRANSLATIONS = ['de'];

for (const language of TRANSLATIONS) {
  describe(`the translation ${language}`, () => {
    it('has a catalogue and a help for each node, and no others', () => {
      const wanted = types.flatMap((type) => [`${type}.html`, `${type}.json`]);
      const folder = `nodes/locales/${language}`;
      const there = ['.json', '.html'].flatMap((ending) => filesBelow(folder, ending));
      assert.deepEqual(there.map((path) => path.slice(folder.length + 1)).toSorted(), wanted.toSorted());
    });

    for (const type of types) {
      describe(`of ${type}`, () => {
        let original: Catalogue;
        let translated: Catalogue;

        before(() => {
          original = readCatalogue(type);
          translated = readCatalogue(type, language);
        });

        it('has the same texts', () => assert.deepEqual([...translated.keys()], [...original.keys()]));

        it('has no empty text', () => {
          assert.deepEqual(
            [...translated].filter(([, text]) => text.trim() === ''),
            [],
          );
        });

        it('fills in the same values', () => {
          const wrong = [...translated].filter(([key, text]) => valuesIn(text) !== valuesIn(original.get(key) ?? ''));
          assert.deepEqual(wrong, []);
        });

        it('has a help with the same parts, names, codes and links', () => {
          assert.deepEqual(outline(help(type, language)), outline(help(type, 'en-US')));
        });

        it('explains in its help every field by the name it has in this language', () => {
          const { labels } = readEditorHtml(read(`nodes/${type}.html`));
          assert.deepEqual(unexplained(help(type, language), labels, translated), []);
        });
      });
    }
  });
}

function help(type: string, language: string): string {
  return read(`nodes/locales/${language}/${type}.html`);
}

/** The places of a text that the runtime or the editor fills in: `__count__`; and the code in it: `{number}`. */
function valuesIn(text: string): string {
  return [...text.matchAll(/__\w+?__|\{[\w.]+\}/g)]
    .map(([value]) => value)
    .toSorted()
    .join(' ');
}

/** What a translation of Markdown must leave as it is. */
function outline(markdown: string) {
  const all = (pattern: RegExp) => [...markdown.matchAll(pattern)].map(([whole, part]) => part ?? whole);
  return {
    name: all(/data-help-name="([^"]+)"/g),
    headings: all(/^(#+) /gm),
    properties: all(/^: \*?([\w., ]+?)\*? \(/gm),
    points: all(/^(-|\d+\.) /gm).length,
    rows: all(/^\|/gm).length,
    links: all(/\]\(([^)]+)\)/g),
    code: [...new Set(all(/`([^`\n]+)`/g))].toSorted(),
    blocks: all(/```[\s\S]*?```/g),
  };
}
