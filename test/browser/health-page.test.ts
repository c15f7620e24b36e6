import assert from 'node:assert/strict';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { until } from '../nodes/helper';
import { launchBrowser } from '../services/editor';
import { type NodeRed, startNodeRed } from '../services/node-red';
import { requireService } from '../services/requirements';
import { type ElasticsearchSimulator, startElasticsearchSimulator } from '../simulators/elasticsearch';
import { defaultClient, type GenesysSimulator, startGenesysSimulator } from '../simulators/genesys';
import { readExamples } from '../unit/design/examples';
import { assertReadable, brightness } from './colours';

/** The first of these is given all that it needs, the other nothing. */
const flows = readExamples()
  .filter(({ path }) => /audiohook|cody-to-zoho/.test(path))
  .flatMap(({ entries }) => entries);

describe('the page at /health', function () {
  this.timeout(60_000);
  const chromium = requireService('chromium');
  let genesys: GenesysSimulator;
  let elastic: ElasticsearchSimulator;
  let nodeRed: NodeRed;
  let browser: Browser;

  before(async () => {
    genesys = await startGenesysSimulator();
    elastic = await startElasticsearchSimulator();
    const env = {
      GENESYS_LOGIN_URL: genesys.url,
      GENESYS_API_URL: genesys.url,
      GENESYS_CLIENT_ID: defaultClient.id,
      GENESYS_CLIENT_SECRET: defaultClient.secret,
      ELASTIC_URL: elastic.url,
      BULK_MAX_SECONDS: '0.2',
    };
    nodeRed = await startNodeRed({ flows, env });
    browser = await launchBrowser(chromium.location);
    await until(async () => (await nodeRed.request('/audiohook/health')).ok, 'the collector to be well', 20_000);
  });

  after(async () => {
    await browser?.close();
    await nodeRed?.stop();
    await genesys?.close();
    await elastic?.close();
  });

  const open = async (path: string, options: BrowserContextOptions = {}): Promise<Page> => {
    const page = await browser.newPage({ locale: 'en-US', ...options });
    await page.goto(`${nodeRed.url}${path}`);
    await page.locator('.contact-live-node').first().waitFor();
    return page;
  };

  it('is there for a browser, while a machine gets JSON, with the same status for both', async () => {
    for (const [path, status] of [
      ['/audiohook/health', 200],
      ['/cody2zoho/health', 503],
      ['/health', 503],
    ] as const) {
      const page = await nodeRed.request(path, { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } });
      assert.equal(page.status, status);
      assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
      for (const accept of ['application/json', '*/*']) {
        const answer = await nodeRed.request(path, { headers: { accept } });
        assert.equal(answer.status, status);
        assert.match(answer.headers.get('content-type') ?? '', /^application\/json/);
        assert.match(answer.headers.get('vary') ?? '', /accept/i);
        assert.ok(((await answer.json()) as { checks: unknown[] }).checks.length > 0);
      }
    }
  });

  it('shows the services that are well and those that are not, why, and nothing to press', async () => {
    const page = await open('/health');
    const section = (name: string) => page.locator('section', { hasText: name });
    assert.equal(await section('audiohook').getAttribute('data-status'), 'healthy');
    assert.equal(await section('cody2zoho').getAttribute('data-status'), 'unhealthy');
    await section('cody2zoho').locator('.contact-live-reason', { hasText: 'CODY_API_KEY' }).first().waitFor();
    assert.equal(await page.locator('button').count(), 0);
    await page.close();
  });

  it('shows of one service only that', async () => {
    const page = await open('/audiohook/health');
    assert.deepEqual(await page.locator('h2 span:not(.contact-live-dot)').allTextContents(), ['audiohook']);
    await page.close();
  });

  it('charts what goes through, how long it takes, the breaker and the tokens', async () => {
    const page = await open('/audiohook/health');
    const store = page.locator('.contact-live-node', { hasText: 'Store' });
    const figure = (name: string) => page.locator(`[data-figure=${name}]`);
    await genesys.generate({ count: 40, ratePerSecond: 100 }).done;
    await store.locator('figcaption', { hasText: /p50 [\d.,]+ ms.*p95 [\d.,]+ ms/ }).waitFor();
    for (const style of ['received', 'done', 'waiting', 'p50', 'p95', 'breaker-closed']) {
      const line = store.locator(`path.contact-live-${style}`);
      await until(async () => /^M.*L/.test((await line.getAttribute('d')) ?? ''), `a line for ${style}`, 10_000);
    }
    await figure('tokens').locator('figcaption', { hasText: 'requests left' }).waitFor();
    await figure('breaker').locator('figcaption', { hasText: 'breaker closed' }).waitFor();
    await page.close();
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`can be read in ${colorScheme} colours, in German too, on a narrow screen too`, async () => {
      const page = await open('/health', { colorScheme, locale: 'de-DE', viewport: { width: 300, height: 800 } });
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(brightness(background) > 0.5, colorScheme === 'light');
      for (const part of ['h1', '.contact-live-name', '.contact-live-state', '.contact-live-reason', 'figcaption']) {
        await assertReadable(page.locator(`${part}:not(:empty)`));
      }
      const shown = (await page.locator('main').textContent()) ?? '';
      assert.ok(shown.includes('nicht konfiguriert') && !shown.includes('__'));
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
      await page.close();
    });
  }

  it('says so when Node-RED does not answer any more', async () => {
    const page = await open('/health');
    await nodeRed.kill();
    await page.locator('.contact-live-note', { hasText: 'does not answer' }).waitFor();
    await page.close();
  });
});
