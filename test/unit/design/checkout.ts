import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { ROOT } from '../../services/node-red';

/** The text of a file of the checkout; paths are relative to it and written with slashes. */
export function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** A JSON file of the checkout. */
export function readJson<Content = Record<string, unknown>>(path: string): Content {
  return JSON.parse(read(path)) as Content;
}

/** All files below a folder whose names end like this; none when there is no such folder. */
export function filesBelow(folder: string, ending: string): string[] {
  try {
    return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => posix.join(folder, name.replaceAll('\\', '/')))
      .filter((path) => path.endsWith(ending))
      .sort();
  } catch {
    return [];
  }
}

/** The part of package.json that the tests look at. */
export interface Manifest {
  name: string;
  version: string;
  license?: string;
  repository?: unknown;
  bugs?: unknown;
  keywords?: string[];
  engines?: { node?: string };
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  'node-red': { version?: string; nodes: Record<string, string>; plugins?: Record<string, string> };
}

/** The package's own manifest. */
export const manifest = readJson<Manifest>('package.json');

/** The node types that package.json lists. */
export const types = Object.keys(manifest['node-red'].nodes);
