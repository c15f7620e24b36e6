import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { main } from '../../../lib/command/main';
import { readMessage } from '../../../lib/genesys/messaging/read-message';
import { ROOT } from '../../services/node-red';
import { filesBelow, manifest, read, readJson, types } from './checkout';
import { colouredIcons } from './coloured-icons';
import { readVariables } from './environment';
import { readExamples } from './examples';
import { runtimeDefaults } from './runtime-fields';

const PAGES = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/migration.md'];
const LARGEST_PICTURE_BYTES = 300_000;
const readme = read('README.md');

/** What stands between three back-ticks, with the name of its language. */
function blocks(text: string): { language: string; code: string }[] {
  return [...text.matchAll(/^```(\w*)\n(.*?)^```/gms)].map(([, language = '', code = '']) => ({ language, code }));
}

/** The lines of all blocks of a page that are commands, without what stands behind `#`. */
function commands(text: string): string[] {
  return blocks(text)
    .filter(({ language }) => language === '')
    .flatMap(({ code }) => code.replaceAll('\\\n', ' ').split('\n'))
    .map((line) => line.replace(/\s+#.*$/, '').trim());
}

/** What stands between single back-ticks. */
function spans(text: string): string[] {
  return [...text.replace(/^```.*?^```/gms, '').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
}

/** The part of the README below a heading. */
function section(title: string): string {
  const [, text] = new RegExp(`^## ${title}\\n(.*?)(?=^## |$(?![^]))`, 'ms').exec(readme) ?? [];
  assert.ok(text, `The README has no section ${title}`);
  return text;
}

/** The cells of the rows of the first table. */
function rows(text: string): string[][] {
  const table = /(?:^\|.*\n)+/m.exec(text)?.[0] ?? '';
  const lines = table.trim().split('\n').slice(2);
  return lines.map((line) =>
    line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  );
}

/** The name that a heading has as the target of a link. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

for (const page of PAGES) {
  describe(page, () => {
    const text = read(page);

    it('links only to what is there', () => {
      const prose = text.replace(/^```.*?^```/gms, '');
      const targets = [
        ...[...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target),
        ...[...prose.matchAll(/src="([^"]+)"/g)].map(([, target = '']) => target),
      ];
      const anchors = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => `#${anchor(heading)}`);
      const broken = targets.filter((target) => {
        if (/^https:/.test(target)) return false;
        return target.startsWith('#') ? !anchors.includes(target) : !existsSync(join(ROOT, page, '..', target));
      });
      assert.deepEqual(broken, []);
    });

    it('names only files and folders of the checkout that are there', () => {
      const FOLDERS = 'deploy|lib|nodes|test|examples|docs|icons|resources';
      const paths = [...spans(text), ...commands(text).flatMap((line) => line.split(/\s+/))]
        .map((code) => code.replaceAll('\\', '/'))
        .filter((code) => new RegExp(`^(${FOLDERS})/[\\w./-]+$`).test(code));
      assert.deepEqual(
        paths.filter((path) => !existsSync(join(ROOT, path))),
        [],
      );
    });

    it('names only commands that there are', async () => {
      const known = readJson<{ scripts: Record<string, string> }>('package.json').scripts;
      const suites = [...read('test/commands/test.mjs').matchAll(/^ {2}(\w+): \(print\)/gm)].map(([, name]) => name);
      const benches = filesBelow('test/bench', '.ts').map((path) => path.slice('test/bench/'.length, -'.ts'.length));
      assert.ok(suites.includes('unit') && benches.includes('startup'));
      for (const line of [...commands(text), ...spans(text)]) {
        const [program, ...words] = line.split(' ');
        const rest = words.filter((word) => !word.startsWith('-') && !/^\d+$/.test(word));
        if (program === 'npm' && words[0] === 'run') assert.ok(known[words[1] ?? ''], line);
        if (program === 'npm' && words[0] === 'run' && words[1] === 'bench') {
          for (const name of rest.slice(2)) assert.ok(benches.includes(name), line);
        }
        if (program === 'npm' && words[0] === 'test')
          for (const name of rest.slice(1)) assert.ok(suites.includes(name), line);
        if (program === 'npx' && words[0] === 'contact-center' && words[1]) await assertUsage(line, words.slice(1));
        if (program === 'npx' && words[0] === 'mocha') assert.ok(existsSync(join(ROOT, words[1] ?? '')), line);
      }
    });

    it('has JavaScript and JSON that can be read', () => {
      for (const { language, code } of blocks(text)) {
        if (language === 'js') new Script(`({ ${code} })`);
        if (/^\{.*\}\n$/.test(code)) JSON.parse(code);
      }
    });

    it('has diagrams of nodes and arrows, and nothing that the renderer would not know', () => {
      for (const { code } of blocks(text).filter(({ language }) => language === 'mermaid')) {
        const [kind = '', ...lines] = code.trimEnd().split('\n');
        const line = kind.startsWith('flowchart') ? FLOWCHART_LINE : SEQUENCE_LINE;
        assert.match(kind, /^(flowchart LR|sequenceDiagram)$/);
        assert.deepEqual(
          lines.filter((each) => !line.test(each)),
          [],
        );
      }
    });
  });
}

const FLOWCHART_NODE = String.raw`\w+(\(\[[^\]]+\]\)|\[\([^)]+\)\]|\[[^\]]+\])?`;
const FLOWCHART_ARROW = String.raw`( -- [\w ]+ --> | --> | <--> | <-- [\w ]+ --> )`;
const FLOWCHART_LINE = new RegExp(`^ {2}${FLOWCHART_NODE}(${FLOWCHART_ARROW}${FLOWCHART_NODE})+$`);
const SEQUENCE_LINE = /^ {2}(participant \w+ as [\w ]+|\w+->>\w+: .+)$/;

/** The command knows it, down to the second word. */
async function assertUsage(line: string, words: string[]): Promise<void> {
  const [, texts] = await capture([]);
  const [name = '', second = ''] = words;
  const usages = texts.split('\n').filter((each) => each.startsWith(`contact-center ${name}`));
  assert.ok(usages.length > 0, line);
  if (name !== 'user') return;
  for (const verb of second.split('|'))
    assert.ok(
      usages.some((usage) => usage.includes(`user ${verb}`)),
      line,
    );
}

async function capture(parameters: string[]): Promise<[number, string]> {
  let said = '';
  const write = (text: string) => {
    said += text;
    return true;
  };
  const terminal = { output: { write }, errors: { write }, environment: {} } as unknown as Parameters<typeof main>[1];
  return [await main(parameters, terminal), said];
}

describe('the README', () => {
  it('has one picture, which is small', () => {
    const pictures = [...readme.matchAll(/!\[[^\]]+\]\(([^)]+)\)/g)].map(([, path = '']) => path);
    assert.equal(pictures.length, 1);
    assert.ok(statSync(join(ROOT, pictures[0] ?? '')).size < LARGEST_PICTURE_BYTES);
  });

  it('has a row for each node, with the icon of the palette', () => {
    const table = rows(section('Nodes'));
    assert.deepEqual(table.map(([, type = '']) => type.replaceAll('`', '')).toSorted(), types.toSorted());
    const icons = colouredIcons();
    for (const [icon = '', type = ''] of table) {
      const path = `docs/icons/${type.replaceAll('`', '')}.svg`;
      assert.equal(icon, path in icons ? `<img src="${path}" alt="" width="20">` : '', type);
    }
    assert.deepEqual(filesBelow('docs/icons', '.svg'), Object.keys(icons).toSorted());
    for (const [path, svg] of Object.entries(icons)) assert.equal(read(path), svg, path);
  });

  it('has a chapter for each of the five services, and a diagram with all of them', () => {
    const diagram = blocks(readme).find(({ language }) => language === 'mermaid')?.code ?? '';
    const names = rows(section('Five services')).map(([link = '']) => /\[([\w-]+)\]/.exec(link)?.[1] ?? '');
    assert.equal(names.length, 5);
    for (const name of names) {
      assert.ok(diagram.includes(`[${name}]`), name);
      assert.ok(existsSync(join(ROOT, `examples/${name}.json`)), name);
      section(name);
    }
  });

  it('says of every variable the default that the nodes have', () => {
    const variables = new Map(readVariables(readme).map((variable) => [variable.name, variable]));
    const differing: string[] = [];
    let compared = 0;
    for (const { entries } of readExamples()) {
      for (const entry of entries.filter(({ type }) => types.includes(type))) {
        const defaults = runtimeDefaults(entry.type);
        for (const [property, value] of Object.entries(entry)) {
          const [, name = '', own] = /^\$\{(\w+)(?::-([^}]*))?\}$/.exec(String(value)) ?? [];
          const inCode = own ?? defaults.get(property);
          const said = variables.get(name)?.defaultValue;
          if (inCode === undefined || said === undefined) continue;
          compared += 1;
          if (inCode !== said) differing.push(`${name}: ${said} in the README, ${inCode} in ${entry.type}`);
        }
      }
    }
    assert.ok(compared > 15, `${compared} compared`);
    assert.deepEqual([...new Set(differing)], []);
  });

  it('quotes only messages that the nodes and commands really show', () => {
    const sources = [
      ...filesBelow('lib', '.ts'),
      ...filesBelow('nodes', '.ts'),
      ...filesBelow('nodes/locales/en-US', '.json'),
      'test/commands/prepare.mjs',
      'test/commands/start.mjs',
    ].map(read);
    const quotes = rows(section('When something is not well'))
      .flatMap(([cell = '']) => spans(cell))
      .filter((quote) => !quote.startsWith('npm ') && !quote.startsWith('/'));
    assert.ok(quotes.length >= 20);
    const isShown = (quote: string) => {
      // What is made up at run time stands as … or as a number in the quotation.
      const parts = quote
        .split(/ ?… ?|\b\d+(?:\.\d+)?\b/)
        .map((part) => part.trim())
        .filter((part) => part.length > 1);
      return sources.some((source) => parts.every((part) => source.includes(part)));
    };
    assert.deepEqual(
      quotes.filter((quote) => !isShown(quote)),
      [],
    );
  });

  it('shows a message for the queue that is accepted', () => {
    const [sample = ''] = blocks(section('genesys-messages')).flatMap(({ code }) =>
      code.startsWith('{') ? [code] : [],
    );
    assert.equal(readMessage(JSON.parse(sample)).messageId, 'm-1');
  });

  it('names the oldest releases that package.json asks for', () => {
    const compatible = rows(section('Upgrade and compatibility')).map(([name = '', works = '']) => `${name}: ${works}`);
    assert.equal(manifest.engines?.node, '>=20');
    assert.ok(compatible.includes('Node.js: 20 or later'));
    assert.equal(manifest['node-red'].version, '>=4.1.0');
    assert.ok(compatible.includes('Node-RED: 4.1, 5'));
  });
});

describe('the changelog', () => {
  it('begins with the version of the package', () => {
    const [, newest] = /^## \[([^\]]+)\]/m.exec(read('CHANGELOG.md')) ?? [];
    assert.equal(newest, manifest.version);
  });
});

describe('the checkout', () => {
  it('has nothing at its top but what CONTRIBUTING.md and the tools know', () => {
    const folders = readdirSync(ROOT, { withFileTypes: true })
      .filter(
        (entry) => entry.isDirectory() && !entry.name.startsWith('.') && !/^(node_modules|dist.*)$/.test(entry.name),
      )
      .map(({ name }) => name);
    const explained = spans(read('CONTRIBUTING.md')).map((code) => code.split('/')[0]);
    assert.deepEqual(
      folders.filter((name) => !explained.includes(name)),
      [],
    );
  });
});
