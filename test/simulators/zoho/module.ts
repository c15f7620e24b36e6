import { failed, type RecordResult } from './errors';

/** A field of a module, as the settings of the organization have it. */
export interface ZohoField {
  apiName: string;
  label?: string;
  dataType: 'text' | 'textarea' | 'integer' | 'picklist' | 'lookup' | 'datetime';
  /** Characters at most. */
  length?: number;
  mandatory?: boolean;
  /** Whether no two records may have the same value. */
  unique?: boolean;
  custom?: boolean;
  /** For a lookup: the module it leads to. */
  lookup?: string;
}

export interface ZohoRecord {
  id: string;
  fields: Record<string, unknown>;
  /** When a search begins to find it as it is now. */
  indexedAt: number;
  /** The values that a search found before that. */
  indexed: Record<string, unknown> | undefined;
  updates: number;
}

let lastId = 4_876_876_000_000_500_000n;

export function newRecordId(): string {
  lastId += 1n;
  return String(lastId);
}

/** A module: its fields, its records, and what it lets in. */
export class ZohoModule {
  readonly records = new Map<string, ZohoRecord>();
  private readonly byUnique = new Map<string, string>();

  constructor(
    readonly apiName: string,
    readonly fields: ZohoField[],
    private readonly exists: (module: string, id: string) => boolean,
    private readonly now: () => number,
    private readonly indexDelayMs: () => number,
  ) {}

  field(apiName: string): ZohoField | undefined {
    return this.fields.find((field) => field.apiName === apiName);
  }

  insert(values: Record<string, unknown>, index: number): RecordResult {
    const problem = this.missing(values, index) ?? this.wrong(values, index) ?? this.taken(values, undefined, index);
    if (problem) return problem;
    const id = newRecordId();
    const fields = this.known(values);
    this.records.set(id, { id, fields, indexedAt: this.now() + this.indexDelayMs(), indexed: undefined, updates: 0 });
    this.keepUnique(id, fields);
    return this.success(id, 'record added');
  }

  update(id: string, values: Record<string, unknown>, index: number): RecordResult {
    const record = this.records.get(id);
    if (!record) {
      return failed('INVALID_DATA', 'the id given seems to be invalid', {
        api_name: 'id',
        json_path: `$.data[${index}].id`,
      });
    }
    const problem = this.wrong(values, index) ?? this.taken(values, id, index);
    if (problem) return problem;
    if (this.now() >= record.indexedAt) record.indexed = { ...record.fields };
    Object.assign(record.fields, this.known(values));
    record.indexedAt = this.now() + this.indexDelayMs();
    record.updates += 1;
    this.keepUnique(id, record.fields);
    return this.success(id, 'record updated');
  }

  /** Takes a record away, as a person does who deletes it. */
  remove(id: string): void {
    this.records.delete(id);
    for (const [key, owner] of this.byUnique) if (owner === id) this.byUnique.delete(key);
  }

  /** What a search sees of the records: late, and for a changed one the old values at first. */
  searchable(): { id: string; fields: Record<string, unknown> }[] {
    const now = this.now();
    return [...this.records.values()].flatMap(({ id, fields, indexedAt, indexed }) => {
      if (now >= indexedAt) return [{ id, fields }];
      return indexed ? [{ id, fields: indexed }] : [];
    });
  }

  private success(id: string, message: string): RecordResult {
    const time = new Date(this.now()).toISOString().replace(/\.\d+Z$/, '+00:00');
    const by = { name: 'Simulated user', id: '4876876000000327001' };
    return {
      code: 'SUCCESS',
      details: {
        Modified_Time: time,
        Modified_By: by,
        Created_Time: time,
        id,
        Created_By: by,
        $approval_state: 'approved',
      },
      message,
      status: 'success',
    };
  }

  /** Names that the module does not have are left out without a word. */
  private known(values: Record<string, unknown>): Record<string, unknown> {
    return Object.fromEntries(Object.entries(values).filter(([name]) => this.field(name)));
  }

  private missing(values: Record<string, unknown>, index: number): RecordResult | undefined {
    const field = this.fields.find(
      ({ apiName, mandatory }) => mandatory && [undefined, null, ''].includes(values[apiName] as undefined),
    );
    if (!field) return undefined;
    return failed('MANDATORY_NOT_FOUND', 'required field not found', this.where(field.apiName, index));
  }

  private wrong(values: Record<string, unknown>, index: number): RecordResult | undefined {
    for (const [name, value] of Object.entries(values)) {
      const field = this.field(name);
      if (!field || value === null) continue;
      const problem = this.problemOf(field, value);
      if (problem) return failed('INVALID_DATA', 'invalid data', { ...problem, ...this.where(name, index) });
    }
    return undefined;
  }

  private problemOf({ dataType, length, lookup }: ZohoField, value: unknown): Record<string, unknown> | undefined {
    if (dataType === 'integer') return Number.isInteger(value) ? undefined : { expected_data_type: 'integer' };
    if (dataType === 'lookup') {
      const id = (value as { id?: unknown } | undefined)?.id;
      if (typeof id !== 'string') return { expected_data_type: 'jsonobject' };
      return this.exists(lookup ?? '', id) ? undefined : {};
    }
    if (typeof value !== 'string') return { expected_data_type: dataType };
    return length !== undefined && value.length > length ? { maximum_length: length } : undefined;
  }

  private taken(values: Record<string, unknown>, own: string | undefined, index: number): RecordResult | undefined {
    for (const field of this.fields) {
      const value = values[field.apiName];
      if (!field.unique || value === undefined || value === null) continue;
      const other = this.byUnique.get(uniqueKey(field.apiName, value));
      if (other === undefined || other === own) continue;
      return failed('DUPLICATE_DATA', 'duplicate data', {
        ...this.where(field.apiName, index),
        id: other,
        duplicate_record: {
          Owner: { name: 'Simulated user', id: '4876876000000327001' },
          id: other,
          module: { api_name: this.apiName, id: '4876876000000002181' },
        },
      });
    }
    return undefined;
  }

  private keepUnique(id: string, values: Record<string, unknown>): void {
    for (const { apiName, unique } of this.fields) {
      const value = values[apiName];
      if (unique && value !== undefined && value !== null) this.byUnique.set(uniqueKey(apiName, value), id);
    }
  }

  private where(name: string, index: number): Record<string, unknown> {
    return { api_name: name, json_path: `$.data[${index}].${name}` };
  }
}

function uniqueKey(name: string, value: unknown): string {
  return `${name}=${String(value).toLowerCase()}`;
}
