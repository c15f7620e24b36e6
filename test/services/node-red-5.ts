import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { NODE_RED_5_FOLDER } from './node-red';

/** Node-RED 5 needs Node 22.9 and recommends 24, which npm has as a package for each platform. */
const PACKAGES = [`node-${process.platform}-${process.arch}@24`, 'node-red@5'];

/** Whether Node-RED 5 and its Node are in `.work`. */
export function nodeRed5Installed(): boolean {
  return existsSync(join(NODE_RED_5_FOLDER, 'node_modules/node-red/red.js'));
}

/** Installs Node-RED 5 and Node 24 into `.work`, where nothing of the checkout sees them. */
export async function installNodeRed5(): Promise<void> {
  mkdirSync(NODE_RED_5_FOLDER, { recursive: true });
  writeFileSync(join(NODE_RED_5_FOLDER, 'package.json'), JSON.stringify({ name: 'node-red-5', private: true }));
  await promisify(execFile)('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', ...PACKAGES], {
    cwd: NODE_RED_5_FOLDER,
    shell: process.platform === 'win32',
  });
}
