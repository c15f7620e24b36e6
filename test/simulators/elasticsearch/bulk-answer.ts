import { compileFilterPath, type Filter } from './filter-path';
import type { Outcome } from './operations';

const SHARDS = { total: 2, successful: 1, failed: 0 };
const SHARDS_TEXT = JSON.stringify(SHARDS);
/** Only these fields of a successful item depend on nothing but action and result. */
const CONSTANT_FIELDS = new Set(['status', 'result', '_shards', '_primary_term', 'error']);

/** The answer of a write in the server's form; also what the single-document endpoints answer, without the status. */
export function writeAnswer(outcome: Outcome): Record<string, unknown> {
  return {
    _index: outcome.index,
    _id: outcome.id,
    _version: outcome.version,
    result: outcome.result,
    _shards: outcome.result === 'noop' ? { total: 0, successful: 0, failed: 0 } : SHARDS,
    _seq_no: outcome.seqNo,
    _primary_term: 1,
  };
}

function itemObject(outcome: Outcome): Record<string, unknown> {
  const { action, status, error } = outcome;
  const item = error ? { _index: outcome.index, _id: outcome.id, status, error } : { ...writeAnswer(outcome), status };
  return { [action]: item };
}

/** Renders bulk answers as text; what can be the same for all items is made once. */
export class BulkAnswerWriter {
  readonly #filter: Filter | undefined;
  readonly #constant: boolean;
  readonly #known = new Map<string, string>();

  constructor(filterPath: string | undefined) {
    this.#filter = filterPath === undefined ? undefined : compileFilterPath(filterPath);
    this.#constant = this.#filter !== undefined && isConstant(this.#filter);
  }

  /** The whole body. */
  write(took: number, outcomes: readonly Outcome[]): string {
    const errors = outcomes.some((outcome) => outcome.error !== undefined);
    const head = { took, errors };
    const kept = (this.#filter ? this.#filter(head) : head) as Record<string, unknown> | undefined;
    const opening = JSON.stringify(kept ?? {}).slice(0, -1);
    const items = this.#items(outcomes);
    if (items === '' && this.#filter) return `${opening}}`;
    return `${opening}${opening === '{' ? '' : ','}"items":[${items}]}`;
  }

  #items(outcomes: readonly Outcome[]): string {
    const [first] = outcomes;
    if (this.#constant && first && first.error === undefined && outcomes.every((outcome) => alike(outcome, first))) {
      const text = this.#item(first);
      return text === '' ? '' : `${`${text},`.repeat(outcomes.length - 1)}${text}`;
    }
    let text = '';
    for (const outcome of outcomes) {
      const item = this.#item(outcome);
      if (item !== '') text += text === '' ? item : `,${item}`;
    }
    return text;
  }

  #item(outcome: Outcome): string {
    if (outcome.error !== undefined) return this.#render(outcome);
    if (this.#constant) {
      const key = `${outcome.action}/${outcome.result}`;
      let text = this.#known.get(key);
      if (text === undefined) {
        text = this.#render(outcome);
        this.#known.set(key, text);
      }
      return text;
    }
    if (this.#filter || outcome.result === 'noop') return this.#render(outcome);
    return (
      `{"${outcome.action}":{"_index":"${outcome.index}","_id":${JSON.stringify(outcome.id)},"_version":${outcome.version},` +
      `"result":"${outcome.result}","_shards":${SHARDS_TEXT},"_seq_no":${outcome.seqNo},"_primary_term":1,"status":${outcome.status}}}`
    );
  }

  #render(outcome: Outcome): string {
    const item = itemObject(outcome);
    if (!this.#filter) return JSON.stringify(item);
    const kept = this.#filter({ items: [item] }) as { items?: unknown[] } | undefined;
    return kept?.items ? JSON.stringify(kept.items[0]) : '';
  }
}

function alike(one: Outcome, other: Outcome): boolean {
  return one.error === undefined && one.action === other.action && one.result === other.result;
}

/** Whether the filter leaves nothing of a successful item that differs between two items. */
function isConstant(filter: Filter): boolean {
  for (const action of ['index', 'create', 'update', 'delete'] as const) {
    const sample = itemObject({ ...PROBE, action });
    const kept = filter({ items: [sample] }) as { items?: Record<string, object>[] } | undefined;
    const fields = Object.keys(kept?.items?.[0]?.[action] ?? {});
    if (!fields.every((field) => CONSTANT_FIELDS.has(field))) return false;
  }
  return true;
}

const PROBE: Outcome = {
  action: 'index',
  index: 'probe',
  id: 'probe',
  status: 201,
  result: 'created',
  version: 1,
  seqNo: 0,
  error: undefined,
};
