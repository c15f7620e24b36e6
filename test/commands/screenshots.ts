// `npm run screenshots`: what the editor shows of the pack, in .work/screenshots: the dialog of every node, as it opens
// and unfolded, and every example on the canvas; in Node-RED 4.1, and in Node-RED 5 in the light and in the dark; the
// dialogs in German as well.
// With words behind it only what has one of them in its name: `npm run screenshots -- es-bulk-out dark`.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { mergeFlows } from '../../lib/command/flows';
import { type Editor, openEditor } from '../services/editor';
import { type FlowEntry, type NodeRedVersion, ROOT, startNodeRed } from '../services/node-red';
import { findChromium } from '../services/requirements';
import { types } from '../unit/design/checkout';
import { readAllExamples } from '../unit/design/examples';

const FOLDER = join(ROOT, '.work/screenshots');
/** Space around a flow, and the bars of the editor. */
const MARGIN = 60;
const LARGEST_DIALOG_PX = 2_400;

/** The part of the editor's own interface that is used inside the page. */
declare const RED: {
  workspaces: { show(id: string): void };
  view: { redraw(updateActive: boolean, syncRedraw: boolean): void };
  menu: { setSelected(id: string, isOn: boolean): void };
};
declare const document: {
  querySelectorAll(
    selector: string,
  ): Iterable<{ click(): void; getBBox(): { x: number; y: number; width: number; height: number } }>;
};
declare const window: { requestAnimationFrame(next: () => void): void };

interface Look {
  version: NodeRedVersion;
  theme: 'light' | 'dark';
  /** English when left out. */
  language?: 'de';
}

const LOOKS: Look[] = [
  { version: '4.1', theme: 'light' },
  { version: '4.1', theme: 'light', language: 'de' },
  { version: '5', theme: 'light' },
  { version: '5', theme: 'dark' },
];
const wanted = process.argv.slice(2);
const flows = mergeFlows(readAllExamples().map(({ entries }) => entries));

async function main(): Promise<void> {
  if (wanted.length === 0) rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  for (const look of LOOKS) await take(look);
}

async function take({ version, theme, language }: Look): Promise<void> {
  const shown = language ? [] : tabs();
  const names = [...types.map((type) => `dialog-${type}`), ...shown.map(({ name }) => name)];
  const look = [version, theme, ...(language ? [language] : [])].join('-');
  const isWanted = (name: string) => wanted.every((word) => `${name}-${look}`.includes(word));
  if (!names.some(isWanted)) return;
  const chromium = findChromium();
  if (!chromium) throw new Error('Chromium is not installed: set CHROMIUM to its path.');
  const nodeRed = await startNodeRed({ version, flows });
  try {
    const first = flows.find(({ type }) => types.includes(type)) as FlowEntry;
    const editor = await openEditor(nodeRed, chromium, first.id, { theme, ...(language ? { language } : {}) });
    const file = (name: string) => join(FOLDER, `${name}-${look}.png`);
    for (const { id, name } of shown) if (isWanted(name)) await takeFlow(editor, id, file(name));
    for (const type of types) {
      const node = flows.find((entry) => entry.type === type) as FlowEntry;
      if (isWanted(`dialog-${type}`)) await takeDialog(editor, node.id, (state) => file(`dialog-${type}${state}`));
    }
    await editor.close();
  } finally {
    await nodeRed.stop();
  }
}

/** The tabs of the examples, by the names of their files. */
function tabs(): { id: string; name: string }[] {
  return readAllExamples().flatMap(({ path, entries }) => {
    const name = `flow-${path.replace(/^examples\/|\.json$/g, '').replace('/', '-')}`;
    return entries.filter(({ type }) => type === 'tab').map(({ id }) => ({ id, name }));
  });
}

async function takeFlow({ page }: Editor, id: string, path: string): Promise<void> {
  const entries = flows.filter(({ z }) => z === id);
  const far = (axis: 'x' | 'y', size: 'w' | 'h') =>
    Math.max(...entries.map((entry) => Number(entry[axis] ?? 0) + Number(entry[size] ?? 0)));
  const size = { width: far('x', 'w') + MARGIN, height: far('y', 'h') + MARGIN };
  await page.setViewportSize({ width: size.width + 600, height: size.height + 200 });
  await page.evaluate(async (tab) => {
    RED.menu.setSelected('menu-item-sidebar', false);
    RED.workspaces.show(tab);
    RED.view.redraw(true, true);
    await new Promise<void>((done) => window.requestAnimationFrame(() => done()));
  }, id);
  const canvas = page.locator('#red-ui-workspace-chart');
  const box = await canvas.boundingBox();
  if (!box) throw new Error('The editor shows no canvas.');
  await page.screenshot({ path, clip: { x: box.x, y: box.y, ...size } });
}

async function takeDialog(editor: Editor, id: string, path: (state: string) => string): Promise<void> {
  const { page } = editor;
  await page.setViewportSize({ width: 1360, height: 800 });
  await editor.openDialog(id);
  const tray = page.locator('.red-ui-tray').last();
  await tray.screenshot({ path: path(''), animations: 'disabled' });
  await page.setViewportSize({ width: 1360, height: LARGEST_DIALOG_PX });
  await page.evaluate(() => {
    for (const button of document.querySelectorAll('.contact-dialog-fold > button')) button.click();
  });
  const form = page.locator('.contact-dialog').last();
  await form.screenshot({ path: path('-unfolded'), animations: 'disabled' });
  await editor.closeDialog('cancel');
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
