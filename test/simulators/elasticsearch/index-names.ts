import { type ElasticError, invalidIndexName } from './errors';

/** Why no index or data stream may have this name, or `undefined` (`MetadataCreateIndexService.validateIndexName`). */
export function nameError(name: string): ElasticError | undefined {
  const rule = brokenRule(name);
  return rule === undefined ? undefined : invalidIndexName(name, rule);
}

function brokenRule(name: string): string | undefined {
  if (/[\\/*?"<>| ,]/.test(name))
    return `must not contain the following characters ['\\\\','/','*','?','"','<','>','|',' ',',']`;
  if (name === '') return 'must not be empty';
  if (name.includes('#')) return "must not contain '#'";
  if (name.includes(':')) return "must not contain ':'";
  if (/^[-_+]/.test(name)) return "must not start with '_', '-', or '+'";
  const bytes = Buffer.byteLength(name);
  if (bytes > 255) return `index name is too long, (${bytes} > 255)`;
  if (name === '.' || name === '..') return "must not be '.' or '..'";
  if (name !== name.toLowerCase()) return 'must be lowercase';
  return undefined;
}
