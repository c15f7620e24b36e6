import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Locator } from 'playwright-core';
import { mergeFlows } from '../../lib/command/flows';
import { until } from '../nodes/helper';
import { type Editor, openEditor } from '../services/editor';
import { type NodeRed, type NodeRedVersion, startNodeRed } from '../services/node-red';
import { requireService } from '../services/requirements';
import { startElasticsearchSimulator } from '../simulators/elasticsearch';
import { types } from '../unit/design/checkout';
import { readExamples } from '../unit/design/examples';

/** What inspect-dialog.js finds in a dialog; everything is as it should be when there is nothing. */
interface Findings {
  cutOff: string[];
  nameless: string[];
  dangling: string[];
  tooWide: string[];
  pale: string[];
  untranslated: string[];
}

declare const window: { inspectDialog(dialog: unknown): Findings };

const flows = mergeFlows(readExamples().map(({ entries }) => entries));
/** One node of each type. */
const nodes = types.map((type) => ({ type, id: flows.find((entry) => entry.type === type)?.id ?? '' }));
const idOf = (type: string) => nodes.find((node) => node.type === type)?.id ?? '';

for (const version of ['4.1', '5'] as NodeRedVersion[]) {
  describe(`the dialogs in Node-RED ${version}`, function () {
    this.timeout(120_000);
    const chromium = requireService('chromium');
    if (version === '5') requireService('node-red 5');
    let nodeRed: NodeRed;
    let editor: Editor;
    let dialog: Locator;

    before(async () => {
      nodeRed = await startNodeRed({ version, flows });
      editor = await openEditor(nodeRed, chromium.location, idOf('es-bulk-out'));
      dialog = editor.page.locator('.contact-dialog').last();
    });

    afterEach(() => editor.closeAll());

    after(async () => {
      await editor?.close();
      await nodeRed?.stop();
    });

    const field = (name: string) => dialog.locator(`[id$="-input-${name}"]`);
    const fold = (name: string) => dialog.locator(`[aria-controls$="-fold-${name}"]`);
    const problem = (name: string) => dialog.locator(`[id$="-input-${name}-problem"]`);

    it('say what is wrong with a value, where it is and to those who listen', async () => {
      await editor.openDialog(idOf('es-bulk-out'));
      await fold('batches').click();
      await field('batchBytes').fill('0');
      assert.equal(
        await problem('batchBytes').textContent(),
        'Batch limit must be a whole number from 1 to 100000000.',
      );
      assert.equal(await field('batchBytes').getAttribute('aria-invalid'), 'true');
      assert.ok((await field('batchBytes').getAttribute('aria-describedby'))?.includes('batchBytes-problem'));
      await field('batchBytes').fill('1000');
      assert.equal(await problem('batchBytes').textContent(), '');
      assert.equal(await field('batchBytes').getAttribute('aria-invalid'), 'false');
    });

    it('open a fold by themselves when something in it is wrong', async () => {
      await editor.openDialog(idOf('es-bulk-out'));
      await fold('batches').click();
      await field('concurrency').fill('99');
      await editor.closeDialog('ok');
      await editor.openDialog(idOf('es-bulk-out'));
      await problem('concurrency').waitFor({ state: 'visible' });
      assert.equal(await fold('batches').getAttribute('aria-expanded'), 'true');
      assert.equal(await fold('buffer').getAttribute('aria-expanded'), 'false');
      await field('concurrency').fill('${BULK_CONCURRENCY}');
      await editor.closeDialog('ok');
    });

    it('open and close their folds from the keyboard', async () => {
      await editor.openDialog(idOf('es-bulk-out'));
      await field('buffer').waitFor({ state: 'hidden' });
      await fold('buffer').focus();
      await editor.page.keyboard.press('Enter');
      await field('buffer').waitFor({ state: 'visible' });
      // The editor moves the focus once more when the dialog has come in.
      await until(async () => {
        await fold('buffer').focus();
        await editor.page.keyboard.press('Tab');
        return /-input-buffer$/.test((await editor.page.locator(':focus').getAttribute('id')) ?? '');
      }, 'the first field of the fold to come next');
      await fold('buffer').focus();
      await editor.page.keyboard.press('Space');
      await field('buffer').waitFor({ state: 'hidden' });
    });

    it('save what was changed: a choice, a switch, a number and an environment variable', async () => {
      const id = idOf('es-bulk-out');
      const before = await editor.exported(id);
      await editor.openDialog(id);
      for (const name of ['batches', 'buffer']) await fold(name).click();
      await field('buffer').selectOption('disk');
      await field('settle-choice').selectOption('variable');
      await field('settle-variable').fill('${SETTLE}');
      await field('dataStream-choice').selectOption('true');
      await field('batchDocuments').fill('25');
      await editor.closeDialog('ok');
      assert.deepEqual(await editor.exported(id), {
        ...(before as object),
        buffer: 'disk',
        settle: '${SETTLE}',
        dataStream: 'true',
        batchDocuments: '25',
      });
    });

    it('say which environment variable a value comes from, and what else', async () => {
      await editor.openDialog(idOf('es-bulk-out'));
      const note = dialog.locator('[id$="-input-index-note"]');
      assert.equal(await note.textContent(), 'Environment variable; otherwise genesys-audiohook');
      await field('index').fill('own-index');
      assert.equal(await note.textContent(), '');
    });

    it('show only the fields that the others make sense of', async () => {
      await editor.openDialog(idOf('contact-settle'));
      await field('action').selectOption('acknowledge');
      await field('delaySeconds').waitFor({ state: 'hidden' });
      await field('reason').waitFor({ state: 'hidden' });
      await field('action').selectOption('retry');
      await field('delaySeconds').waitFor({ state: 'visible' });
    });

    it('test a connection with what they hold, and tell what came of it', async () => {
      const elastic = await startElasticsearchSimulator();
      await editor.openDialog(idOf('es-connection'));
      const result = dialog.locator('[id$="-input-test-result"]');
      const outcome = async (address: string, state: string) => {
        await field('nodes').fill(address);
        await field('test').click();
        await dialog.locator(`[id$="-input-test-result"][data-state="${state}"]`).waitFor();
        return result.textContent();
      };
      assert.match((await outcome(elastic.url, 'passed')) ?? '', /^Connected to \S+ \(version [\d.]+\) in \d+ ms\.$/);
      assert.match((await outcome('${NO_SUCH_VARIABLE}', 'failed')) ?? '', /ELASTIC_URL/);
      await elastic.close();
      assert.match((await outcome(elastic.url, 'failed')) ?? '', /^Could not ask the cluster who it is .*ECONNREFUSED/);
    });

    it('have a test of the connection that answers in every configuration node that has one', async () => {
      for (const { type, id } of nodes) {
        await editor.openDialog(id);
        const button = dialog.locator('[id$="-input-test"]');
        if (await button.count()) {
          await button.click();
          const result = dialog.locator('[id$="-input-test-result"]:is([data-state="passed"], [data-state="failed"])');
          await result.waitFor();
          assert.match((await result.textContent()) ?? '', /\S\.?$/, type);
        }
        await editor.closeDialog('cancel');
      }
      assert.deepEqual(editor.errors, []);
    });
  });

  describe(`the dialogs in German, on a dark and narrow Node-RED ${version}`, function () {
    this.timeout(120_000);
    const chromium = requireService('chromium');
    if (version === '5') requireService('node-red 5');
    let nodeRed: NodeRed;
    let editor: Editor;

    before(async () => {
      nodeRed = await startNodeRed({ version, flows });
      editor = await openEditor(nodeRed, chromium.location, idOf('es-bulk-out'), { language: 'de', theme: 'dark' });
      await editor.page.addScriptTag({ path: join(__dirname, 'inspect-dialog.js') });
    });

    afterEach(() => editor.closeAll());

    after(async () => {
      await editor?.close();
      await nodeRed?.stop();
    });

    for (const { type, id } of nodes) {
      it(`that of ${type} has a name for every field, fits, and is to be read`, async () => {
        await editor.openDialog(id);
        const found = await editor.page
          .locator('.contact-dialog')
          .last()
          .evaluate((element) => window.inspectDialog(element));
        await editor.closeDialog('cancel');
        assert.deepEqual(found, { cutOff: [], nameless: [], dangling: [], tooWide: [], pale: [], untranslated: [] });
        assert.deepEqual(editor.errors, []);
      });
    }
  });
}
