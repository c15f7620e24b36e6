import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../services/node-red';
import { type Catalogue, flatten, readCatalogue, unexplained } from './catalogues';
import { filesBelow, manifest, read, readJson, types } from './checkout';
import type { DeclaredProperty } from './declared-dialogs';
import { type EditorHtml, readEditorHtml } from './editor-html';
import { readAllExamples, readSmallExamples } from './examples';
import { type NumberBounds, runtimeDefaults, runtimeNumbers } from './runtime-fields';

const FLOW_NODE_MEMBERS = ['category', 'color', 'defaults', 'icon', 'inputs', 'outputs'];
const CONFIG_NODE_MEMBERS = ['category', 'defaults'];
/** Names that the runtime keeps for itself. */
const RESERVED = /^(id|type|wires|inputs|outputs|.)$/;

const runtimeSources = [...filesBelow('nodes', '.ts'), ...filesBelow('lib', '.ts')].map(read).join('\n');
const nodeRedTexts = flatten(readJson('node_modules/@node-red/nodes/locales/en-US/messages.json'));
/** The script that all dialogs share. */
const dialogScript = filesBelow('resources', '.mjs').map(read).join('\n');
/** The texts that several nodes share are in the catalogue of this one. */
const SHARED_NAMESPACE = '@contactflow/node-red-contact-center/contact-monitor';
const DIALOG_PREFIX = 'contact-monitor.dialog.';
/** Texts of the live view, which its script names without this prefix. */
const LIVE_PREFIX = 'contact-monitor.live.';
const liveScript = ['resources/live.mjs', 'nodes/contact-center-sidebar.html', 'lib/monitor/health-page.ts']
  .map(read)
  .join('\n');

function isInLiveView(key: string): boolean {
  if (!key.startsWith(LIVE_PREFIX)) return false;
  const name = key.slice(LIVE_PREFIX.length);
  const group = name.slice(0, name.lastIndexOf('.'));
  return [`'${name}'`, `live.${name}`, `\`${group}.\${`].some((use) => liveScript.includes(use));
}

const sharedTexts = readCatalogue('contact-monitor');
const smallExamples = new Map(
  readSmallExamples().map(({ path, entries }) => [path, new Set(entries.map(({ type }) => type))]),
);

describe('the nodes of the pack', () => {
  it('are all in package.json, and nothing else is', () => {
    const files = filesBelow('nodes', '.ts').map((path) => path.slice('nodes/'.length, -'.ts'.length));
    assert.deepEqual(types.toSorted(), files.toSorted());
  });

  it('leave no file behind that belongs to no node and to no plugin of the editor', () => {
    const plugins = Object.values(manifest['node-red'].plugins ?? {});
    const orphans = ['.html', '.json']
      .flatMap((ending) => filesBelow('nodes', ending))
      .filter((path) => {
        const name = path.split('/').pop() ?? '';
        return !types.includes(name.replace(/\.(html|json)$/, '')) && !plugins.includes(`dist/${path}`);
      });
    assert.deepEqual(orphans, []);
  });

  it('have icons that are all used', () => {
    const used = types.map((type) => readEditorHtml(read(`nodes/${type}.html`)).texts['icon']);
    assert.deepEqual(
      filesBelow('icons', '.svg').filter((path) => !used.includes(path.slice('icons/'.length))),
      [],
    );
  });
});

/** Texts of the status line behind which nothing is wrong: nobody has to do or wait for anything. */
const CALM = [
  ...['idle', 'connected', 'working', 'watching', 'sent', 'sending', 'received', 'answered', 'done', 'settled'],
  ...['topics', 'polling', 'back-filling', 'history', 'dry-run', 'token-valid', 'tenants', 'listening', 'consuming'],
  ...['in-memory', 'store-memory', 'store-embedded', 'store-redis', 'calls-memory', 'calls-embedded'],
  ...['calls-postgresql', 'calls-made', 'issuing-tokens', 'asking-for-tokens'],
];
/** Longer ones run into the next node of a flow. */
const LONGEST_STATUS = 36;

/** The texts of the status line are in one catalogue for all nodes: one for each state, and finer ones. */
describe('the status line', () => {
  const PREFIX = 'contact-monitor.status.';
  const texts = [...sharedTexts.keys()].filter((key) => key.startsWith(PREFIX)).map((key) => key.slice(PREFIX.length));

  it('has a text for each state', () => {
    const states = [...read('lib/monitor/states.ts').matchAll(/^ {2}\| '([\w-]+)'/gm)].map(([, state]) => state ?? '');
    assert.ok(states.includes('idle'));
    assert.deepEqual(
      states.filter((state) => !texts.includes(state)),
      [],
    );
  });

  for (const language of ['en-US', 'de']) {
    it(`says in a few words what to do when not all is well, in ${language}`, () => {
      const catalogue = readCatalogue('contact-monitor', language);
      const shown = texts.map((name) => ({
        name,
        text: (catalogue.get(PREFIX + name) ?? '').replace(/__\w+__/g, '12'),
      }));
      assert.deepEqual(
        shown.filter(({ name, text }) => CALM.includes(name) === /^\S.*: \S/.test(text)),
        [],
      );
      assert.deepEqual(
        shown.filter(({ text }) => text.length > LONGEST_STATUS),
        [],
      );
    });
  }

  it('has every text that a node asks for', () => {
    const asked = [...runtimeSources.matchAll(/\btext: '([\w-]+)'/g)].map(([, name]) => name ?? '');
    assert.deepEqual(
      asked.filter((name) => !texts.includes(name)),
      [],
    );
  });

  it('has no text that no node asks for', () => {
    assert.deepEqual(
      texts.filter((name) => !runtimeSources.includes(`'${name}'`) && !runtimeSources.includes(`${name}:`)),
      [],
    );
  });
});

describe('the texts that all dialogs share', () => {
  it('are all used', () => {
    const asked = new Set(types.flatMap((type) => readEditorHtml(read(`nodes/${type}.html`)).keys));
    const isMentioned = (name: string) =>
      dialogScript.includes(`'${name}'`) || dialogScript.includes(`'${name.split('.')[1]}'`);
    const unused = [...sharedTexts.keys()]
      .filter((key) => key.startsWith(DIALOG_PREFIX) && !asked.has(`${SHARED_NAMESPACE}:${key}`))
      .filter((key) => !isMentioned(key.slice(DIALOG_PREFIX.length)));
    assert.deepEqual(unused, []);
  });
});

for (const type of types) {
  describe(`the node ${type}`, () => {
    let html: EditorHtml;
    let catalogue: Catalogue;
    let help: string;
    let isConfig: boolean;
    const files = [
      `nodes/${type}.ts`,
      `nodes/${type}.html`,
      `nodes/locales/en-US/${type}.json`,
      `nodes/locales/en-US/${type}.html`,
      `test/nodes/${type}.test.ts`,
    ];

    before(() => {
      html = readEditorHtml(read(`nodes/${type}.html`));
      catalogue = readCatalogue(type);
      help = read(`nodes/locales/en-US/${type}.html`);
      isConfig = html.texts['category'] === 'config';
    });

    for (const file of files) {
      it(`has ${file}`, () => assert.ok(existsSync(join(ROOT, file))));
    }

    it('is loaded from the compiled file of its name', () => {
      assert.equal(manifest['node-red'].nodes[type], `dist/nodes/${type}.js`);
    });

    it('is registered in the editor under its name, with a literal definition', () => {
      assert.deepEqual(html.registered, [type]);
      const wanted = isConfig ? CONFIG_NODE_MEMBERS : FLOW_NODE_MEMBERS;
      assert.deepEqual(
        wanted.filter((name) => !html.members.has(name)),
        [],
      );
    });

    it('has one dialog, which it declares for the shared script', () => {
      assert.deepEqual(html.dialogs, [type]);
      assert.deepEqual(
        html.declared.map((dialog) => dialog.type),
        [type],
      );
    });

    it('shows an icon of the pack', () => {
      if (isConfig) return;
      const icon = html.texts['icon'] ?? '';
      assert.match(icon, /\.svg$/);
      assert.match(read(`icons/${icon}`), /<svg/);
    });

    it('has properties with names that the runtime does not use itself', () => {
      assert.deepEqual(
        html.defaults.filter((name) => RESERVED.test(name)),
        [],
      );
    });

    it('shows at once only what nearly everybody fills in', () => {
      const fields = html.declared.flatMap(({ declaration }) => declaration.fields);
      assert.ok(fields.filter(({ when }) => !when).length <= 5);
    });

    it('refuses in its dialog the numbers that the runtime refuses, and no others', () => {
      const [dialog] = html.declared;
      const wrong = runtimeNumbers(type).filter(
        (bounds) => dialog?.defaults[bounds.name] && !agree(dialog.defaults[bounds.name]?.validate, bounds),
      );
      assert.deepEqual(wrong, []);
    });

    it('shows in its dialog what the runtime takes when a field is empty', () => {
      const inCode = runtimeDefaults(type);
      const shown = fieldsOf(html).map(({ name, default: standard }) => ({ name, shown: plain(standard) }));
      assert.deepEqual(
        shown.filter(({ name, shown }) => shown !== undefined && inCode.has(name) && shown !== plain(inCode.get(name))),
        [],
      );
    });

    for (const language of ['en-US', 'de']) {
      it(`says in its help what each number is when its field is empty, in ${language}`, () => {
        const text = read(`nodes/locales/${language}/${type}.html`).replaceAll(/(?<=\d),(?=\d)/g, '.');
        const numbers = fieldsOf(html).filter(({ default: standard }) => typeof standard === 'number');
        assert.deepEqual(
          numbers.filter(({ default: standard }) => !new RegExp(`(?<![\\d.])${standard}(?!\\d|\\.\\d)`).test(text)),
          [],
        );
      });
    }

    it('shows every property and credential in the dialog', () => {
      const prefix = isConfig ? 'node-config-input-' : 'node-input-';
      const shown = (name: string) =>
        html.ids.some((id) => id === `${prefix}${name}` || id.startsWith(`${prefix}${name}-`));
      assert.deepEqual(
        [...html.defaults, ...html.credentials].filter((name) => !shown(name)),
        [],
      );
    });

    it('keeps its texts under its own name', () => {
      assert.deepEqual(
        [...catalogue.keys()].filter((key) => !key.startsWith(`${type}.`)),
        [],
      );
    });

    it('uses only texts that are there', () => {
      const missing = html.keys.filter((key) => {
        const [namespace, name] = key.includes(':') ? key.split(':') : [undefined, key];
        if (namespace === SHARED_NAMESPACE) return !sharedTexts.has(name ?? '');
        if (namespace === 'node-red') return !nodeRedTexts.has(name ?? '');
        return namespace !== undefined || !catalogue.has(key);
      });
      assert.deepEqual(missing, []);
      const blind = html.keyPrefixes.filter((prefix) => ![...catalogue.keys()].some((key) => key.startsWith(prefix)));
      assert.deepEqual(blind, []);
    });

    it('has no text that nothing uses', () => {
      const unused = [...catalogue.keys()].filter(
        (key) =>
          !html.keys.includes(key) &&
          !html.keyPrefixes.some((prefix) => key.startsWith(prefix)) &&
          !key.startsWith('contact-monitor.status.') &&
          !key.startsWith(DIALOG_PREFIX) &&
          !isInLiveView(key) &&
          !dialogScript.includes(key) &&
          !dialogScript.includes(`${key.slice(0, key.lastIndexOf('.'))}.\${`) &&
          !runtimeSources.includes(key),
      );
      assert.deepEqual(unused, []);
    });

    it('has a help that begins with a sentence for the palette', () => {
      const [, name, text = ''] =
        help.match(/<script type="text\/markdown" data-help-name="([^"]+)">([\s\S]*?)<\/script>/) ?? [];
      assert.equal(name, type);
      assert.match(text.trim(), /^[A-Z]/);
      assert.doesNotMatch(text, /^[ \t]+\S/m, 'the help is Markdown: an indented line becomes code');
    });

    it('explains in its help every field that the dialog shows, by the name it has there', () => {
      assert.deepEqual(unexplained(help, html.labels, catalogue), []);
    });

    it('names in its help the environment variables that stand in for its secrets', () => {
      assert.deepEqual(
        html.variables.filter((name) => !help.includes(name)),
        [],
      );
    });

    it('names in its help an example to import that has it', () => {
      const [, section = ''] = help.match(/### Example\n\n([^\n]+)/) ?? [];
      const named = readAllExamples().filter(({ path }) =>
        section.includes(`\`${path.slice('examples/'.length, -'.json'.length)}\``),
      );
      assert.ok(named.some(({ path }) => smallExamples.has(path)));
      assert.ok(named.every(({ entries }) => entries.some((entry) => entry.type === type)));
    });

    it('has a small example, of its own when it goes onto the canvas', () => {
      if (isConfig) assert.ok([...smallExamples.values()].some((shown) => shown.has(type)));
      else assert.ok(smallExamples.get(`examples/nodes/${type}.json`)?.has(type));
    });
  });
}

/** All fields that a dialog has, folded away or not. */
function fieldsOf(html: EditorHtml) {
  return html.declared.flatMap(({ declaration }) => [
    ...declaration.fields,
    ...Object.values(declaration.folds ?? {}).flat(),
  ]);
}

/** A default as a text, with a list written without spaces. */
function plain(standard: string | number | boolean | undefined): string | undefined {
  return standard === undefined ? undefined : String(standard).replaceAll(', ', ',');
}

/** Whether a check of a dialog draws the line where the runtime does. */
function agree(validate: DeclaredProperty['validate'], { min, max, isWhole }: NumberBounds): boolean {
  if (!validate) return false;
  const accepts = (value: number) => validate.call({ _: (key: string) => key }, String(value), {}) === true;
  const step = isWhole ? 1 : min / 2 || 0.01;
  return accepts(min) && accepts(max) && !accepts(min - step) && !accepts(max + step) && accepts(min + 0.5) !== isWhole;
}
