import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../services/node-red';

/** A pack of nodes from npm that is compared with ours. */
export interface OtherPack {
  name: string;
  version: string;
  /** The folder of its nodes, within the package. */
  nodes: string;
}

/** Installs a pack into .work and gives the folder of its nodes; `undefined` when it cannot be had. */
export function installPack({ name, version, nodes: within }: OtherPack): string | undefined {
  const folder = join(ROOT, '.work/bench', name);
  const nodes = join(folder, 'node_modules', name, within);
  if (existsSync(nodes)) return nodes;
  try {
    const parameters = ['install', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund'];
    execFileSync('npm', [...parameters, `${name}@${version}`], {
      stdio: ['ignore', 'ignore', 'pipe'],
      shell: process.platform === 'win32',
    });
    return nodes;
  } catch (error) {
    process.stderr.write(`${name} is left out, because it could not be installed: ${(error as Error).message}\n`);
    return undefined;
  }
}
