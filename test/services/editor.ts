import { type Browser, chromium, type Page } from 'playwright-core';
import type { NodeRed } from './node-red';

/** The editor of a Node-RED in a browser without a window. */
export interface Editor {
  page: Page;
  /** What went wrong in the page so far: uncaught errors, and lines of the console at the level `error`. */
  errors: string[];
  /** Opens the dialog of a node, or of a configuration node, and waits until it can be used. */
  openDialog(id: string): Promise<void>;
  /** Closes the uppermost dialog with its button Done, or with Cancel. */
  closeDialog(button: 'ok' | 'cancel'): Promise<void>;
  /** Closes what a test that failed has left open. */
  closeAll(): Promise<void>;
  /** A node as the editor would deploy it. */
  exported(id: string): Promise<unknown>;
  close(): Promise<void>;
}

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The part of the editor's own interface that is used inside the page. */
declare const RED: {
  nodes: {
    node(id: string): { id: string; type: string; _def: { category: string } } | null;
    convertNode(node: unknown, withCredentials: boolean): unknown;
  };
  editor: { edit(node: unknown): void; editConfig(name: string, type: string, id: string): void };
};

/** How somebody has set up the editor. */
export interface EditorOptions {
  /** `de`, for instance; that of the browser when left out, which is English. */
  language?: string;
  /** Node-RED 4.1 has only the light one. */
  theme?: 'light' | 'dark';
}

/** A browser without a window, which asks for nothing but what it is told to. */
export function launchBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: ARGUMENTS });
}

/** Opens the editor and waits until it has loaded this node. */
export async function openEditor(
  nodeRed: Pick<NodeRed, 'url'>,
  executablePath: string,
  waitForNode: string,
  { language = '', theme = 'light' }: EditorOptions = {},
): Promise<Editor> {
  const browser = await launchBrowser(executablePath);
  const page = await browser.newPage({ viewport: { width: 1360, height: 800 } });
  await page.addInitScript(
    (chosen) => {
      for (const [name, value] of Object.entries(chosen)) localStorage.setItem(name, value);
    },
    { 'editor-language': language, 'view-dark-theme': theme },
  );
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.stack ?? error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(`${message.text()} ${message.location().url}`);
  });
  await page.goto(nodeRed.url, { waitUntil: 'domcontentloaded' });
  await page.waitForFunction((id) => typeof RED === 'object' && RED.nodes?.node(id), waitForNode);
  await page.waitForSelector('#red-ui-loading-progress', { state: 'hidden' });

  const editor: Editor = {
    page,
    errors,
    async openDialog(id) {
      const config = await page.evaluate((nodeId) => {
        const node = RED.nodes.node(nodeId);
        if (!node) throw new Error(`The editor has no node ${nodeId}`);
        const isConfig = node._def.category === 'config';
        if (isConfig) RED.editor.editConfig('', node.type, node.id);
        else RED.editor.edit(node);
        return isConfig;
      }, id);
      await page.waitForSelector(config ? '#node-config-dialog-ok' : '#node-dialog-ok');
      await page.waitForSelector('.red-ui-tray form', { state: 'visible' });
      // A dialog slides in, and a click on what is still moving would miss.
      await page.waitForFunction(() => {
        const trays = document.querySelectorAll<HTMLElement>('.red-ui-tray');
        const uppermost = trays[trays.length - 1];
        return uppermost?.style.right === '0px' && uppermost.getAnimations().length === 0;
      });
    },
    async closeDialog(button) {
      await page
        .locator(`.red-ui-tray #node-config-dialog-${button}, .red-ui-tray #node-dialog-${button}`)
        .last()
        .click();
      await page.waitForSelector('.red-ui-tray', { state: 'detached' });
    },
    async closeAll() {
      while (await page.locator('.red-ui-tray').count()) await editor.closeDialog('cancel');
    },
    exported: (id) => page.evaluate((nodeId) => RED.nodes.convertNode(RED.nodes.node(nodeId), false), id),
    close: () => browser.close(),
  };
  return editor;
}
