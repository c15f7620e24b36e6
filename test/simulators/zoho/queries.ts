import { refusal } from './errors';
import type { ZohoModule } from './module';

/** One condition of a search. */
interface Condition {
  field: string;
  operator: string;
  value: string;
}

const OPERATORS = ['equals', 'not_equal', 'in', 'starts_with', 'between', 'greater_than', 'less_than'];

/** Reads `((Field:equals:value)and(…))`; a backslash escapes brackets, commas and itself. */
export function readCriteria(text: string): Condition[] {
  const conditions: Condition[] = [];
  // Whatever is between two brackets that are not escaped and holds no other such bracket.
  for (const [, inner = ''] of text.matchAll(/\(((?:\\.|[^()\\])*)\)/g)) {
    const [, field = '', operator = '', value = ''] = /^([^:]+):([^:]+):([\s\S]*)$/.exec(inner) ?? [];
    if (!OPERATORS.includes(operator)) throw refusal(400, 'INVALID_QUERY', 'Invalid query formed', { operator });
    conditions.push({ field, operator, value: value.replace(/\\(.)/g, '$1') });
  }
  if (conditions.length === 0) throw refusal(400, 'INVALID_QUERY', 'Invalid query formed');
  if (conditions.length > 10) throw refusal(400, 'LIMIT_EXCEEDED', 'too many criteria');
  return conditions;
}

/** What the search of a module finds: late, and `equals` also finds what only contains the value. */
export function search(module: ZohoModule, criteria: string): { id: string; fields: Record<string, unknown> }[] {
  const conditions = readCriteria(criteria);
  for (const { field } of conditions) {
    if (!module.field(field)) {
      throw refusal(400, 'INVALID_QUERY', 'Invalid query formed', {
        reason: 'the field is not available for search',
        api_name: field,
      });
    }
  }
  return module.searchable().filter(({ fields }) =>
    conditions.every(({ field, value }) => {
      const found = fields[field];
      return typeof found === 'string' && found.toLowerCase().includes(value.toLowerCase());
    }),
  );
}

const QUERY = /^select\s+(.+?)\s+from\s+(\w+)\s+where\s+(\w+)\s*=\s*'((?:\\.|[^'\\])*)'(?:\s+limit\s+(\d+))?\s*$/i;

/** Answers the one form of query that is needed here: some columns where one column equals a text. */
export function coql(modules: ReadonlyMap<string, ZohoModule>, query: string): Record<string, unknown>[] {
  const [, columns = '', name = '', column = '', value = '', limit = '200'] = QUERY.exec(query) ?? [];
  if (!QUERY.test(query)) throw refusal(400, 'SYNTAX_ERROR', 'error occured while parsing the query');
  const module = modules.get(name);
  if (!module) throw refusal(400, 'INVALID_QUERY', 'the module is not supported');
  const selected = columns.split(',').map((each) => each.trim());
  for (const each of [...selected, column]) {
    if (each !== 'id' && !module.field(each)) {
      throw refusal(400, 'INVALID_QUERY', 'column given seems to be invalid', { column_name: each });
    }
  }
  const wanted = value.replace(/\\(.)/g, '$1').toLowerCase();
  return [...module.records.values()]
    .filter(({ fields }) => String(fields[column] ?? '').toLowerCase() === wanted)
    .slice(0, Number(limit))
    .map(({ id, fields }) => Object.fromEntries(selected.map((each) => [each, each === 'id' ? id : fields[each]])));
}
