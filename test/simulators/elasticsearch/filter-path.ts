/** Makes the part of an answer that a `filter_path` asks for. `undefined`: nothing of it is left. */
export type Filter = (answer: unknown) => unknown;

interface Pattern {
  segments: readonly string[];
}

const cache = new Map<string, Filter>();
const CACHE_LIMIT = 200;

/**
 * Compiles a `filter_path`: comma separated paths, `*` for any part of a field name, `**` for any number of levels,
 * a leading `-` to leave something out. Arrays are transparent. What holds no included leaf is left out altogether,
 * also as an element of an array, which is why `items.*.error` makes the good items vanish.
 */
export function compileFilterPath(text: string): Filter {
  const known = cache.get(text);
  if (known) return known;
  const includes: Pattern[] = [];
  const excludes: Pattern[] = [];
  for (const part of text.split(',').map((piece) => piece.trim())) {
    if (part === '') continue;
    const excluded = part.startsWith('-');
    (excluded ? excludes : includes).push({ segments: (excluded ? part.slice(1) : part).split('.') });
  }
  const filter: Filter = (answer) => {
    const kept = includes.length === 0 ? answer : include(answer, includes);
    return kept === undefined || excludes.length === 0 ? kept : exclude(kept, excludes);
  };
  if (cache.size >= CACHE_LIMIT) cache.clear();
  cache.set(text, filter);
  return filter;
}

function include(value: unknown, patterns: readonly Pattern[]): unknown {
  if (patterns.some((pattern) => isSpent(pattern))) return value;
  const visit = (name: string, child: unknown) => {
    const next = advance(name, patterns);
    return next.length === 0 ? undefined : include(child, next);
  };
  return descend(value, visit, (element) => include(element, patterns));
}

function exclude(value: unknown, patterns: readonly Pattern[]): unknown {
  if (patterns.some((pattern) => isSpent(pattern))) return undefined;
  if (typeof value !== 'object' || value === null) return value;
  const visit = (name: string, child: unknown) => {
    const next = advance(name, patterns);
    return next.length === 0 ? child : exclude(child, next);
  };
  return descend(value, visit, (element) => exclude(element, patterns));
}

/** Rebuilds an object or array from what is left of its fields or elements. */
function descend(
  value: unknown,
  visit: (name: string, child: unknown) => unknown,
  again: (element: unknown) => unknown,
): unknown {
  if (Array.isArray(value)) {
    const kept = value.map((element) => again(element)).filter((element) => element !== undefined);
    return kept.length > 0 ? kept : undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const result: Record<string, unknown> = {};
  let filled = false;
  for (const [name, child] of Object.entries(value)) {
    const kept = visit(name, child);
    if (kept === undefined) continue;
    result[name] = kept;
    filled = true;
  }
  return filled ? result : undefined;
}

function advance(name: string, patterns: readonly Pattern[]): Pattern[] {
  const next: Pattern[] = [];
  for (const { segments } of patterns) {
    const [head, ...rest] = segments;
    if (head === undefined) continue;
    if (head === '**') {
      next.push({ segments });
      next.push(...advance(name, [{ segments: rest }]));
    } else if (matches(head, name)) next.push({ segments: rest });
  }
  return next;
}

function isSpent({ segments }: Pattern): boolean {
  return segments.length === 0 || (segments.length === 1 && segments[0] === '**');
}

/** Whether a name fits a pattern in which `*` stands for any characters. */
export function matches(pattern: string, name: string): boolean {
  if (!pattern.includes('*')) return pattern === name;
  const expression = pattern.split('*').map((piece) => piece.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'));
  return new RegExp(`^${expression.join('.*')}$`, 's').test(name);
}
