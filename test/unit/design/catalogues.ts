import { readJson } from './checkout';

/** All text of a catalogue, by its key: `es-bulk-out.label.index`. */
export type Catalogue = Map<string, string>;

/** The catalogue of a node in a language. */
export function readCatalogue(type: string, language = 'en-US'): Catalogue {
  return flatten(readJson(`nodes/locales/${language}/${type}.json`));
}

/** The keys that lead to each text. */
export function flatten(tree: unknown, path: string[] = []): Catalogue {
  if (typeof tree !== 'object' || tree === null) return new Map([[path.join('.'), String(tree)]]);
  return new Map(Object.entries(tree).flatMap(([key, inner]) => [...flatten(inner, [...path, key])]));
}

/** The labels of fields that a help does not mention. */
export function unexplained(help: string, labels: { field: string; key: string }[], catalogue: Catalogue): string[] {
  return labels
    .map(({ field, key }) => ({ field: field.replace(/^node-(config-)?input-/, ''), label: catalogue.get(key) }))
    .filter(({ field }) => field !== 'name' && !field.endsWith('Environment'))
    .flatMap(({ label }) => (label !== undefined && !mentions(help, label) ? [label] : []));
}

function mentions(text: string, words: string): boolean {
  const plain = (given: string) => given.toLowerCase().replace(/\s+/g, ' ');
  return plain(text).includes(plain(words).replace(/[:…]$/, '').trim());
}
