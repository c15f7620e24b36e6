// Takes the picture of the README from a running `npm start`, with Chromium (or CHROMIUM):
//   node --import tsx test/commands/picture.ts
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { openEditor } from '../services/editor';
import { ROOT } from '../services/node-red';
import { readFlow, type ServiceName, tabOf } from './demo/flows';

/** The flow that is shown, and how large the picture is. */
const SHOWN: ServiceName = 'audiohook';
const SIZE = { width: 1600, height: 760 };
/** So long the flows run before, so that there is something to see in the charts. */
const RUN_FIRST_MS = 75_000;

/** The parts of the editor's own interface that are used inside the page. */
declare const RED: { actions: { invoke(name: string): void } };

void take().catch((thrown: unknown) => {
  console.error(thrown);
  process.exitCode = 1;
});

async function take(): Promise<void> {
  const demo = spawn(process.execPath, [join(ROOT, 'test/commands/start.mjs')], {
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const [, url = ''] = await printed(demo, /Editor +(http\S+)\/.*Ctrl-C/s);
    const node = readFlow(SHOWN).find(({ type }) => type === 'inject')?.id ?? '';
    const place = { url: `${url}/#flow/${tabOf(SHOWN).id}` };
    const editor = await openEditor(place, process.env['CHROMIUM'] ?? '/usr/bin/chromium', node);
    try {
      const { page } = editor;
      await page.setViewportSize(SIZE);
      await page.evaluate(() => {
        RED.actions.invoke('core:toggle-palette');
        RED.actions.invoke('contact-center:show-sidebar');
      });
      await page.waitForTimeout(RUN_FIRST_MS);
      await page.screenshot({ path: join(ROOT, 'docs/flows.png') });
    } finally {
      await editor.close();
    }
  } finally {
    const ended = once(demo, 'exit');
    if (demo.kill('SIGINT')) await ended;
  }
}

/** Waits until a process has printed this. */
function printed({ stdout }: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    let output = '';
    stdout?.on('data', (chunk) => {
      output += chunk;
      const found = pattern.exec(output);
      if (found) resolve(found);
    });
    stdout?.once('end', () => reject(new Error(`It has not printed ${pattern}:\n${output}`)));
  });
}
