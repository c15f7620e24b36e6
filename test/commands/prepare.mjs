// What both commands need before they can begin, from nothing but Node and npm. Only what Node brings is imported
// here: this runs before anything is installed.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** The oldest Node that the tools of this checkout run on; the pack itself is content with any Node 20. */
const OLDEST_NODE = [20, 19];
/** Time between two counts of what is installed. */
const TELL_EVERY_MS = 4_000;
const BUILD_INPUTS = ['nodes', 'lib', 'icons', 'tsconfig.json', 'package.json'];
const NO_NETWORK = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ENOTCACHED/;

/** A failure that one sentence explains: it is printed without a stack. */
export class Obstacle extends Error {}

/** Prints the sentence of an {@link Obstacle} (or the stack of anything else) and ends with exit code 1. */
export function giveUp(error) {
  console.error(`\n${error instanceof Obstacle ? error.message : (error?.stack ?? error)}`);
  process.exit(1);
}

/** Checks Node, then installs and builds what is missing or out of date, and tells how far it is. */
export async function prepare() {
  checkNode();
  await install();
  await build();
}

/** Refuses a Node that is too old. */
export function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_NODE;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return;
  throw new Obstacle(
    `This needs Node ${OLDEST_NODE.join('.')} or newer, but this is Node ${process.versions.node}. A newer one is at https://nodejs.org/.`,
  );
}

async function install() {
  if (installedAsLocked()) return;
  const wanted = Object.keys(packages('package-lock.json')).filter((path) => path !== '');
  await step(`Installing ${wanted.length} packages, once`, async () => {
    const told = setInterval(() => process.stdout.write(`${countPresent(wanted)} … `), TELL_EVERY_MS);
    try {
      await npmInstall();
    } finally {
      clearInterval(told);
    }
  });
}

async function npmInstall() {
  // No package needs its install script: the compiled ones come prebuilt.
  const npm = spawn('npm', ['ci', '--ignore-scripts'], { cwd: root, shell: process.platform === 'win32' });
  let output = '';
  for (const stream of [npm.stdout, npm.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  const [code] = await once(npm, 'close').catch((error) => {
    throw new Obstacle(`npm, which comes with Node, could not be run: ${error.message}.`);
  });
  if (code === 0) return;
  throw new Obstacle(
    NO_NETWORK.test(output)
      ? `npm cannot reach its registry, and ${join(root, 'node_modules')} is not complete: connect this machine and run the command again.`
      : `npm could not install the packages:\n${output}`,
  );
}

/** How many of the packages are there already; one for another platform never comes. */
function countPresent(paths) {
  return paths.filter((path) => existsSync(join(root, path, 'package.json'))).length;
}

/** Whether node_modules holds what package-lock.json asks for; npm keeps a copy of what it has installed. */
function installedAsLocked() {
  const installed = packages('node_modules/.package-lock.json');
  if (!installed) return false;
  return Object.entries(packages('package-lock.json')).every(
    ([path, { version, optional }]) => path === '' || optional || installed[path]?.version === version,
  );
}

function packages(file) {
  const path = join(root, file);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).packages : undefined;
}

async function build() {
  const dist = statSync(join(root, 'dist'), { throwIfNoEntry: false });
  if (dist && newest(BUILD_INPUTS) <= dist.mtimeMs) return;
  await step('Building dist', async () => {
    const { status } = spawnSync(process.execPath, [join(root, 'test/commands/build.mjs')], { stdio: 'inherit' });
    if (status !== 0) throw new Obstacle('The build failed: see above.');
  });
}

/** The latest change below these paths, in milliseconds. A folder counts too: it changes when a file leaves it. */
function newest(paths) {
  const times = paths.map((path) => {
    const entry = statSync(join(root, path));
    const below = entry.isDirectory() ? readdirSync(join(root, path)).map((name) => join(path, name)) : [];
    return Math.max(entry.mtimeMs, newest(below));
  });
  return Math.max(0, ...times);
}

/** Says what goes on and how long it took. */
async function step(title, action) {
  const began = Date.now();
  process.stdout.write(`${title} … `);
  try {
    await action();
  } catch (error) {
    console.log('failed');
    throw error;
  }
  console.log(`${((Date.now() - began) / 1000).toFixed(1)} s`);
}
