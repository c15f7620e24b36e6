import assert from 'node:assert/strict';
import { environmentOf, type RunningSystem, startSystems } from '../commands/demo/systems';
import { until } from '../nodes/helper';
import { type Editor, openEditor } from '../services/editor';
import { type NodeRed, type NodeRedVersion, PACK_NAME, startNodeRed } from '../services/node-red';
import { requireService } from '../services/requirements';
import { types } from '../unit/design/checkout';
import { readExamples, readSmallExamples } from '../unit/design/examples';

/** The part of the editor's own interface that is used inside the page. */
declare const $: { fx: { off: boolean } };
declare const RED: {
  nodes: {
    eachNode(
      look: (node: { id: string; type: string; name: string; status?: { fill?: string; text?: string } }) => void,
    ): void;
  };
};

const EMPTY = [
  { id: 'empty', type: 'tab', label: 'Empty' },
  { id: 'note', type: 'comment', z: 'empty', name: 'Nothing here yet', x: 140, y: 60, wires: [] },
];
const nameOf = (path: string) => path.replace(/^examples\/|\.json$/g, '');
const services = readExamples().map(({ path, entries }) => ({ name: nameOf(path), entries }));

for (const version of ['4.1', '5'] as NodeRedVersion[]) {
  describe(`the examples in the import menu of Node-RED ${version}`, function () {
    this.timeout(120_000);
    const chromium = requireService('chromium');
    if (version === '5') requireService('node-red 5');
    let systems: RunningSystem[];
    let nodeRed: NodeRed;
    let editor: Editor;

    before(async () => {
      systems = await startSystems({});
      const environment = await environmentOf(systems, { own: {}, apiPassword: 'a password', monitorToken: '' });
      const env = { ...environment, DATABASE_URL: undefined, REDIS_URL: undefined };
      nodeRed = await startNodeRed({ version, flows: EMPTY, env });
      editor = await openEditor(nodeRed, chromium.location, 'note');
      // Dialogs need not slide in for a test.
      await editor.page.evaluate(() => {
        $.fx.off = true;
      });
    });

    after(async () => {
      await editor?.close();
      await nodeRed?.stop();
      for (const system of systems ?? []) await system.close?.();
    });

    /** Opens the menu as a person does, and unfolds the examples of the pack. */
    async function openExamples() {
      const { page } = editor;
      await page.locator('#red-ui-header-button-sidemenu').click();
      await page.locator('#menu-item-import').click();
      const dialog = page.locator('#red-ui-clipboard-dialog');
      await dialog.locator('.red-ui-tab', { hasText: 'Examples' }).click();
      await dialog.locator('.red-ui-treeList-label', { hasText: PACK_NAME }).click();
      const entry = (name: string) => dialog.locator('.red-ui-treeList-label', { hasText: new RegExp(`^${name}$`) });
      await entry('nodes').waitFor();
      return entry;
    }

    it('are the five services and, below “nodes”, one for each node', async () => {
      const entry = await openExamples();
      for (const { name } of services) await entry(name).waitFor();
      await entry('nodes').click();
      for (const { path } of readSmallExamples()) await entry(nameOf(path).replace('nodes/', '')).waitFor();
      await editor.page.locator('#red-ui-clipboard-dialog-cancel').click();
    });

    for (const { name, entries } of services) {
      it(`${name} comes in with a tab of its own`, async () => {
        const entry = await openExamples();
        await entry(name).click();
        await editor.page.locator('#red-ui-clipboard-dialog-ok').click();
        const label = String(entries.find(({ type }) => type === 'tab')?.['label']);
        await editor.page.locator('.red-ui-tab-label', { hasText: label }).first().waitFor({ state: 'attached' });
      });
    }

    it('turn green when they are deployed and find their systems', async () => {
      await editor.page.locator('#red-ui-header-button-deploy').click();
      const wanted = services
        .flatMap(({ entries }) => entries)
        .filter(({ type, wires }) => types.includes(type) && wires);
      let shown: string[] = [];
      await until(
        async () => {
          shown = await editor.page.evaluate((own) => {
            const found: string[] = [];
            RED.nodes.eachNode(({ type, name, status = {} }) => {
              if (own.includes(type)) found.push(`${status.fill ?? 'nothing'}: ${type} ${name} ${status.text ?? ''}`);
            });
            return found;
          }, types);
          return shown.length === wanted.length && shown.every((text) => /^(green|blue): /.test(text));
        },
        'every node to be green',
        30_000,
      ).catch((error: Error) => assert.fail(`${error.message}\n${shown.join('\n')}`));
    });

    it('let a dialog pick from the queues that the broker has', async () => {
      const id = await editor.page.evaluate(() => {
        let found = '';
        RED.nodes.eachNode((node) => {
          if (node.type === 'ocelot-in') found = node.id;
        });
        return found;
      });
      await editor.openDialog(id);
      const dialog = editor.page.locator('.contact-dialog').last();
      await dialog.locator('[id$="-input-queue-load"]').click();
      await dialog.locator('[id$="-input-queue-load-result"][data-state="passed"]').waitFor();
      const offered = dialog.locator('[id$="-input-queue-list"] option');
      assert.ok(
        (await offered.evaluateAll((options) => options.map((each) => each.getAttribute('value')))).includes(
          'audit_log',
        ),
      );
      await editor.closeDialog('cancel');
    });

    it('leave no error in the console', () => assert.deepEqual(editor.errors, []));
  });
}
