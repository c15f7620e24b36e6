import assert from 'node:assert/strict';
import { until } from '../nodes/helper';
import { type Editor, openEditor } from '../services/editor';
import { type NodeRed, type NodeRedVersion, startNodeRed } from '../services/node-red';
import { requireService } from '../services/requirements';
import { type ElasticsearchSimulator, startElasticsearchSimulator } from '../simulators/elasticsearch';
import { defaultClient, type GenesysSimulator, startGenesysSimulator } from '../simulators/genesys';
import { readExamples } from '../unit/design/examples';
import { assertReadable } from './colours';

/** The part of the editor's own interface that is used inside the page. */
declare const RED: { sidebar: { show(id: string): void; containsTab(id: string): boolean } };

const flows = readExamples().find(({ path }) => path.includes('audiohook'))!.entries;

for (const version of ['4.1', '5'] as NodeRedVersion[]) {
  describe(`the sidebar of Node-RED ${version}`, function () {
    this.timeout(60_000);
    const chromium = requireService('chromium');
    if (version === '5') requireService('node-red 5');
    let genesys: GenesysSimulator;
    let elastic: ElasticsearchSimulator;
    let nodeRed: NodeRed;
    let editor: Editor;

    before(async () => {
      genesys = await startGenesysSimulator();
      elastic = await startElasticsearchSimulator();
      nodeRed = await startNodeRed({
        version,
        flows,
        env: {
          GENESYS_LOGIN_URL: genesys.url,
          GENESYS_API_URL: genesys.url,
          GENESYS_CLIENT_ID: defaultClient.id,
          GENESYS_CLIENT_SECRET: defaultClient.secret,
          ELASTIC_URL: elastic.url,
          BULK_MAX_SECONDS: '600',
        },
      });
      editor = await openEditor(nodeRed, chromium.location, flows.find(({ type }) => type === 'es-bulk-out')!.id);
      // The tab comes when its script has been loaded.
      await editor.page.waitForFunction(() => RED.sidebar.containsTab('contact-center'));
      await editor.page.evaluate(() => RED.sidebar.show('contact-center'));
    });

    after(async () => {
      await editor?.close();
      await nodeRed?.stop();
      await genesys?.close();
      await elastic?.close();
    });

    const card = (name: string) => editor.page.locator('.contact-live-node', { hasText: name });

    it('names each service, and for each of its nodes how it is', async () => {
      await editor.page.locator('.contact-live h2', { hasText: 'audiohook' }).waitFor();
      for (const { type, name } of flows) {
        if (type === 'es-bulk-out' || type === 'genesys-notifications-in') await card(name as string).waitFor();
      }
      assert.doesNotMatch((await editor.page.locator('.contact-live').textContent()) ?? '', /contact-monitor\.|__/);
    });

    it('charts what comes in, counts it in the books, and sends it when it is told to', async () => {
      const store = card('Store');
      const chart = () => store.locator('path.contact-live-received').getAttribute('d');
      const before = await until(async () => (await chart()) ?? undefined, 'a chart');
      await genesys.generate({ count: 40, ratePerSecond: 200 }).done;
      await until(async () => /[1-9]\d* waiting/.test((await store.textContent()) ?? ''), 'documents that wait');
      assert.notEqual(await chart(), before);
      assert.equal(elastic.count('genesys-audiohook'), 0);
      await store.locator('summary').click();
      await store.locator('button[data-action=flush]').click();
      await until(() => elastic.count('genesys-audiohook') >= 40, 'all documents');
      await until(
        async () => Number(await store.locator('[data-account=delivered]').textContent()) >= 40,
        'the books of the sidebar',
      );
    });

    it('says why when a button was pressed in vain', async () => {
      const refused = '**/contact-center/nodes/**';
      const { page } = editor;
      await page.route(refused, (route) => route.fulfill({ status: 403, json: { message: 'You may not do this.' } }));
      await card('Store').locator('button[data-action=flush]').click();
      await card('Store').locator('.contact-live-answer', { hasText: 'You may not do this.' }).waitFor();
      await page.unroute(refused);
    });

    it('says what is wrong and what to do when a node is in trouble, and that it is well again', async () => {
      const store = card('Store');
      await elastic.down();
      genesys.generate({ count: 1 });
      await until(async () => /[1-9]\d* waiting/.test((await store.textContent()) ?? ''), 'a document that waits');
      await store.locator('button[data-action=flush]').click();
      await store.locator('.contact-live-reason', { hasText: 'Check the address' }).waitFor();
      assert.equal(await store.getAttribute('data-status'), 'degraded');
      for (const theme of version === '5' ? ['light', 'dark'] : ['light']) {
        await editor.page.evaluate((name) => {
          document.documentElement.classList.toggle('nr-theme-dark', name === 'dark');
        }, theme);
        for (const part of ['name', 'state', 'reason']) await assertReadable(store.locator(`.contact-live-${part}`));
        await assertReadable(store.locator('figcaption'));
      }
      await elastic.up();
      await until(async () => (await store.getAttribute('data-status')) === 'healthy', 'the store to be well', 20_000);
    });

    it('fits into 300 pixels', async () => {
      const [needs, has] = await editor.page.locator('.contact-live').evaluate((element) => {
        (element as HTMLElement).style.width = '300px';
        return [element.scrollWidth, element.clientWidth];
      });
      assert.ok((needs as number) <= (has as number), `${needs} pixels`);
    });

    it('asks for nothing while it is not shown', async () => {
      const asked: string[] = [];
      editor.page.on('request', (request) => {
        if (request.url().includes('contact-center/live')) asked.push(request.url());
      });
      const other = version === '5' ? 'explorer' : 'info';
      await editor.page.evaluate((id) => {
        RED.sidebar.show(id);
        const element = document.querySelector('.contact-live') as HTMLElement;
        element.parentElement!.style.display = 'none';
      }, other);
      const watched = asked.length;
      // It asks every five seconds while it is shown.
      const end = Date.now() + 6_000;
      await until(() => Date.now() > end, 'six seconds', 10_000);
      assert.equal(asked.length, watched);
    });

    it('leaves no error in the console', () => {
      assert.deepEqual(
        // The browser itself tells of the answer that was refused.
        editor.errors.filter((error) => !/ERR_|status of 403/.test(error)),
        [],
      );
    });
  });
}
