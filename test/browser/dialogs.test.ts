import assert from 'node:assert/strict';
import { mergeFlows } from '../../lib/command/flows';
import { type Editor, openEditor } from '../services/editor';
import { type NodeRed, type NodeRedVersion, startNodeRed } from '../services/node-red';
import { requireService } from '../services/requirements';
import { read, types } from '../unit/design/checkout';
import { readEditorHtml } from '../unit/design/editor-html';
import { readExamples } from '../unit/design/examples';

const flows = mergeFlows(readExamples().map(({ entries }) => entries));
const own = flows.filter(({ type }) => types.includes(type));

for (const version of ['4.1', '5'] as NodeRedVersion[]) {
  describe(`the editor of Node-RED ${version}`, function () {
    this.timeout(60_000);
    const chromium = requireService('chromium');
    if (version === '5') requireService('node-red 5');
    let nodeRed: NodeRed;
    let editor: Editor;

    before(async () => {
      assert.ok(own[0], 'no example has a node of the pack');
      nodeRed = await startNodeRed({ version, flows });
      editor = await openEditor(nodeRed, chromium.location, own[0].id);
    });

    afterEach(() => editor.closeAll());

    after(async () => {
      await editor?.close();
      await nodeRed?.stop();
    });

    it('shows every node in the palette, with its icon', async () => {
      for (const type of types) {
        if (readEditorHtml(read(`nodes/${type}.html`)).texts['category'] === 'config') continue;
        const entry = editor.page.locator(`.red-ui-palette-node[data-palette-type="${type}"]`);
        await entry.waitFor({ state: 'attached' });
        const icon = await entry.locator('.red-ui-palette-icon').getAttribute('style');
        assert.match(icon ?? '', new RegExp(`${type}\\.svg`));
      }
    });

    it('has no error in its console after it has loaded all examples', () => assert.deepEqual(editor.errors, []));

    for (const { id, type, name } of own) {
      it(`opens the dialog of ${type} ${name ? `“${name}” ` : ''}with every text in words, and Done changes nothing`, async () => {
        const before = await editor.exported(id);
        await editor.openDialog(id);
        const dialog = editor.page.locator('.red-ui-tray form').last();
        assert.doesNotMatch((await dialog.textContent()) ?? '', keysOf(type));
        const shown = await dialog
          .locator('[placeholder], [title]')
          .evaluateAll((elements) =>
            elements.map((element) => `${element.getAttribute('placeholder')} ${element.getAttribute('title')}`),
          );
        assert.doesNotMatch(shown.join('\n'), keysOf(type));
        await editor.closeDialog('ok');
        assert.deepEqual(await editor.exported(id), before);
        assert.deepEqual(editor.errors, []);
      });
    }
  });
}

/** What a text looks like that the editor did not find in a catalogue. */
function keysOf(type: string): RegExp {
  return new RegExp(`(?<![\\w/])${type}\\.[a-z]|node-red:`);
}
