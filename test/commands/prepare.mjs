// What both commands need before they can begin, from nothing but Node and npm. Only what Node brings is imported
// here: this runs before anything is installed.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** The oldest Node that the tools of this checkout run on; the pack itself is content with any Node 20. */
const OLDEST_NODE = [20, 19];
const BUILD_INPUTS = ['nodes', 'lib', 'icons', 'tsconfig.json', 'package.json'];
const NO_NETWORK = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ENOTCACHED/;

/** A failure that one sentence explains: it is printed without a stack. */
export class Obstacle extends Error {}

/** Prints the sentence of an {@link Obstacle} (or the stack of anything else) and ends with exit code 1. */
export function giveUp(error) {
  console.error(`\n${error instanceof Obstacle ? error.message : (error?.stack ?? error)}`);
  process.exit(1);
}

/** Checks Node, then installs and builds what is missing or out of date. */
export function prepare() {
  checkNode();
  install();
  build();
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_NODE;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return;
  throw new Obstacle(`This needs Node ${OLDEST_NODE.join('.')} or newer, but this is Node ${process.versions.node}.`);
}

function install() {
  if (installedAsLocked()) return;
  step('Installing the packages of package-lock.json', () => {
    // No package needs its install script: the compiled ones come prebuilt.
    const npm = spawnSync('npm', ['ci', '--ignore-scripts'], {
      cwd: root,
      encoding: 'utf8',
      shell: process.platform === 'win32',
    });
    if (npm.status === 0) return;
    const output = `${npm.stdout ?? ''}${npm.stderr ?? ''}${npm.error?.message ?? ''}`;
    throw new Obstacle(
      NO_NETWORK.test(output)
        ? `npm cannot reach its registry, and ${join(root, 'node_modules')} is not complete: connect this machine and run the command again.`
        : `npm could not install the packages:\n${output}`,
    );
  });
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

function build() {
  const dist = statSync(join(root, 'dist'), { throwIfNoEntry: false });
  if (dist && newest(BUILD_INPUTS) <= dist.mtimeMs) return;
  step('Building dist', () => {
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
function step(title, action) {
  const began = Date.now();
  process.stdout.write(`${title} … `);
  try {
    action();
  } catch (error) {
    console.log('failed');
    throw error;
  }
  console.log(`${((Date.now() - began) / 1000).toFixed(1)} s`);
}
