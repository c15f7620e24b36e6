// Compiles nodes/ and lib/ into dist/ and lays the editor's files beside the compiled nodes:
// Node-RED looks for a node's html, locales and icons next to its js file and nowhere else.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, renameSync, rmSync, utimesSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const began = new Date();
const dist = join(root, 'dist');
/** Built aside and put in place as a whole, so that a Node-RED that runs from dist never meets half of it. */
const next = `${dist}-${process.pid}`;
const previous = `${next}-previous`;
process.on('exit', () => {
  for (const folder of [next, previous]) rmSync(folder, { recursive: true, force: true });
});

const compile = [compiler, '-p', join(root, 'tsconfig.json'), '--outDir', next];
const compiled = spawnSync(process.execPath, compile, { stdio: 'inherit' });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

cpSync(join(root, 'nodes'), join(next, 'nodes'), { recursive: true, filter: (path) => !path.endsWith('.ts') });
cpSync(join(root, 'icons'), join(next, 'nodes/icons'), { recursive: true });

if (existsSync(dist)) renameSync(dist, previous);
renameSync(next, dist);
// The age of dist is compared with that of the sources: what was edited during the build makes it stale.
utimesSync(dist, began, began);
