import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The path of a program: what an environment variable says, or the first one in the path. */
export function findProgram(name: string, variable: string): string | undefined {
  const told = process.env[variable];
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const paths = told ? [told] : folders.map((folder) => join(folder, name));
  return paths.find((path) => existsSync(path));
}
