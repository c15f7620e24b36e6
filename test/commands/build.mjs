// Compiles nodes/ and lib/ into dist/ and lays the editor's files beside the compiled nodes:
// Node-RED looks for a node's html, locales and icons next to its js file and nowhere else.
import { spawnSync } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');

rmSync(join(root, 'dist'), { recursive: true, force: true });
const compiled = spawnSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.json')], { stdio: 'inherit' });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

cpSync(join(root, 'nodes'), join(root, 'dist/nodes'), {
  recursive: true,
  filter: (path) => !path.endsWith('.ts'),
});
cpSync(join(root, 'icons'), join(root, 'dist/nodes/icons'), { recursive: true });
