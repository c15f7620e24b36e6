/**
 * What the sidebar of the editor costs: all five example flows in a Node-RED, a trickle of events through one of them,
 * and an editor in a browser whose sidebar is closed, open, or not there at all. The figures are CPU time a second: of the process of
 * Node-RED, and of the main thread of the page, whose charts are full, which is five minutes of figures.
 *
 *     npm run bench -- sidebar
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { openEditor } from '../services/editor';
import type { FlowEntry } from '../services/node-red';
import { findChromium } from '../services/requirements';
import { defaultClient } from '../simulators/genesys';
import { readExamples } from '../unit/design/examples';
import type { Benchmark, BenchmarkOptions, Contender, Measurement } from './harness/benchmark';
import { askSource, startMeasuredNodeRed, startSimulator } from './harness/processes';

const EVENTS_PER_SECOND = 5;
/** As many as a chart holds. */
const FRAMES = 300;
const SETTLED_MS = 1_000;

export const benchmark: Benchmark = {
  title: `The sidebar with all five flows, ${EVENTS_PER_SECOND} events a second`,
  item: 'second',
  items: 15,
  rounds: 4,
  targets: [
    // The whole editor and the whole runtime are in these two: what the sidebar takes of them is less.
    { contender: 'page, closed', figure: 'cpu', atMost: 20_000 },
    { contender: 'Node-RED, closed', figure: 'cpu', atMost: 20_000 },
    { contender: 'page, closed', against: 'page without it', figure: 'cpu', atMost: 2 },
    { contender: 'page, open', figure: 'cpu', atMost: 100_000 },
    { contender: 'Node-RED, open', against: 'Node-RED, closed', figure: 'cpu', atMost: 2 },
  ],
  prepare,
};

/** The part of the editor's own interface that is used inside the page. */
declare const RED: {
  nodes?: { node(id: string): unknown };
  sidebar: { show(id: string): void; containsTab(id: string): boolean };
};

async function prepare(options: BenchmarkOptions): Promise<Contender[]> {
  const chromium = findChromium();
  if (!chromium) throw new Error('Chromium is not installed: run test/services/up as root on Debian.');
  const [genesys, elastic] = await Promise.all([startSimulator('genesys'), startSimulator('elasticsearch')]);
  const flows = readExamples().flatMap(({ entries }) => entries) as FlowEntry[];
  const env = {
    GENESYS_LOGIN_URL: genesys.url,
    GENESYS_API_URL: genesys.url,
    GENESYS_CLIENT_ID: defaultClient.id,
    GENESYS_CLIENT_SECRET: defaultClient.secret,
    GENESYS_INTEGRATION_ID: 'integration',
    ELASTIC_URL: elastic.url,
    RABBITMQ_URL: 'memory:',
  };
  const nodeRed = await startMeasuredNodeRed('Node-RED', flows, options, { env });
  const node = flows.find(({ type }) => type === 'es-bulk-out')!.id;
  const open = () => openEditor(nodeRed, chromium, node);
  const [editor, without] = [await open(), await open()];
  await editor.page.waitForFunction(() => RED.sidebar.containsTab('contact-center'));
  await fillCharts(editor.page);
  // The script of the sidebar never arrives there.
  await without.page.route('**/live.mjs', (route) => route.abort());
  await without.page.reload();
  await without.page.waitForFunction((id) => typeof RED === 'object' && RED.nodes?.node(id), node);

  const during = async (items: number, isOpen: boolean, measure: () => Promise<() => Promise<Figures>>) => {
    await editor.page.evaluate((id) => RED.sidebar.show(id), isOpen ? 'contact-center' : 'info');
    await delay(SETTLED_MS);
    await genesys.control('generate', { count: items * EVENTS_PER_SECOND, ratePerSecond: EVENTS_PER_SECOND });
    const stop = await measure();
    await delay(items * 1_000);
    return { items, ...(await stop()) };
  };
  const ofNodeRed = async () => {
    await askSource(nodeRed, 'meter/start');
    return () => askSource(nodeRed, 'meter/stop');
  };
  const contender = (name: string, isOpen: boolean, measure: () => Promise<() => Promise<Figures>>): Contender => ({
    name,
    run: (items) => during(items, isOpen, measure),
    close: async () => {},
  });
  const [ofPage, ofOther] = [await pageMeter(editor.page), await pageMeter(without.page)];
  const last = contender('page without it', false, ofOther);
  last.close = async () => {
    await Promise.allSettled([editor.close(), without.close()]);
    await Promise.allSettled([nodeRed.stop(), genesys.close(), elastic.close()]);
  };
  return [
    contender('Node-RED, closed', false, ofNodeRed),
    contender('Node-RED, open', true, ofNodeRed),
    contender('page, closed', false, ofPage),
    contender('page, open', true, ofPage),
    last,
  ];
}

type Figures = Omit<Measurement, 'items'>;

/** Each time that the page becomes visible, the sidebar asks for a frame. */
async function fillCharts(page: Page): Promise<void> {
  await page.evaluate(() => RED.sidebar.show('contact-center'));
  await page.locator('.contact-live h2').first().waitFor();
  for (let frame = 0; frame < FRAMES; frame += 1) {
    const answered = page.waitForResponse((response) => response.url().endsWith('/contact-center/live'));
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await answered;
  }
}

/** Measures the main thread of a page. Its heap stands for all its memory. */
async function pageMeter(page: Page): Promise<() => Promise<() => Promise<Figures>>> {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const read = async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    return new Map(metrics.map(({ name, value }) => [name, value]));
  };
  return async () => {
    const before = await read();
    return async () => {
      const after = await read();
      const spent = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
      const heapBytes = after.get('JSHeapUsedSize') ?? 0;
      const cpuMicroseconds = spent('TaskDuration') * 1e6;
      return { seconds: spent('Timestamp'), cpuMicroseconds, rssBytes: heapBytes, heapBytes };
    };
  };
}
