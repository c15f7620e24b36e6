import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { packageRoot } from '../core/version';
import { type Terminal, UsageError } from './terminal';

/** How the command is called. */
export const usage = `contact-center flows NAME...   prints these example flows as one flow file, ready for Node-RED
contact-center flows           lists their names`;

/** One entry of a flow file, as far as it matters here. */
export interface FlowFileEntry {
  id: string;
  type: string;
}

/** Runs the command; the answer is the exit code. */
export async function run(names: string[], { output }: Terminal): Promise<number> {
  const folder = join(packageRoot, 'examples');
  const known = readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => basename(file, '.json'));
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new UsageError(`There is no example ${unknown.join(', ')}: choose from ${known.join(', ')}.`);
  }
  if (names.length === 0) {
    output.write(`${known.join('\n')}\n`);
    return 0;
  }
  const flows = names.map((name) => JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as FlowFileEntry[]);
  output.write(`${JSON.stringify(mergeFlows(flows), undefined, 2)}\n`);
  return 0;
}

/**
 * Several flow files as one. A configuration node that is the same in two files stays once; two different things
 * with one id are an error that names it.
 */
export function mergeFlows<Entry extends FlowFileEntry>(flows: readonly (readonly Entry[])[]): Entry[] {
  const merged = new Map<string, Entry>();
  for (const entry of flows.flat()) {
    const before = merged.get(entry.id);
    if (before && !isDeepStrictEqual(before, entry)) {
      throw new Error(`Two different things have the id ${entry.id}: a ${before.type} and a ${entry.type}.`);
    }
    merged.set(entry.id, entry);
  }
  return [...merged.values()];
}
