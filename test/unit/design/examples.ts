import type { FlowEntry } from '../../services/node-red';
import { filesBelow, readJson } from './checkout';

/** An importable flow of the pack. */
export interface Example {
  path: string;
  entries: FlowEntry[];
}

/** Where the small examples are: one for each node that goes onto the canvas, under its name. */
const SMALL = 'examples/nodes/';

/** The examples that are services. */
export function readExamples(): Example[] {
  return readAllExamples().filter(({ path }) => !path.startsWith(SMALL));
}

/** The examples that show a single node. */
export function readSmallExamples(): Example[] {
  return readAllExamples().filter(({ path }) => path.startsWith(SMALL));
}

/** All of them. */
export function readAllExamples(): Example[] {
  return filesBelow('examples', '.json').map((path) => ({ path, entries: readJson<FlowEntry[]>(path) }));
}

/**
 * The environment variables that a flow reads: `${NAME}` as a property, `$env("NAME")` and `env.get("NAME")` in code,
 * typed inputs of the type `env`, and the properties in which a secret names its variable.
 */
export function environmentNames(entries: readonly FlowEntry[]): string[] {
  const names = new Set<string>();
  const visit = (value: unknown, name = '', siblings: Record<string, unknown> = {}): void => {
    if (typeof value === 'string') {
      for (const pattern of [/\$\{(\w+)(?::-[^}]*)?\}/g, /\$env\(["'](\w+)["']\)/g, /env\.get\(["'](\w+)["']\)/g]) {
        for (const [, found] of value.matchAll(pattern)) names.add(found ?? '');
      }
      const namesVariable = /(Variable|Environment|Env)$/.test(name) || siblings[`${name}Type`] === 'env';
      if (namesVariable && /^[A-Z_][A-Z0-9_]*$/.test(value)) names.add(value);
    } else if (Array.isArray(value)) {
      for (const item of value) visit(item);
    } else if (typeof value === 'object' && value !== null) {
      const object = value as Record<string, unknown>;
      for (const [key, inner] of Object.entries(object)) visit(inner, key, object);
    }
  };
  visit(entries);
  return [...names].sort();
}
