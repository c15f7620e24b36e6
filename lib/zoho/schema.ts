import { type Clock, systemClock } from '../core/clock';
import type { ZohoClient } from './client';
import type { Refusal } from './verdicts';

/** A field of Cases as the organization has it. */
export interface ZohoField {
  apiName: string;
  label: string;
  /** `text`, `textarea`, `integer`, `picklist`, … */
  dataType: string;
  /** `string`, `integer`, `double`, `jsonobject`, … */
  jsonType: string;
  length: number | undefined;
  unique: boolean;
  custom: boolean;
  readOnly: boolean;
  choices: string[];
}

/** The fields of Cases by their API name; `undefined` when the token may not see them. */
export type CaseSchema = ReadonlyMap<string, ZohoField> | undefined;

/** Fields change when someone works in the settings of Zoho; asking once an hour costs nothing. */
const KEPT_MS = 3_600_000;

/** The fields of Cases, for whoever maps them. Throws what Zoho says. */
export async function listCaseFields(client: ZohoClient): Promise<ZohoField[]> {
  const read = await new SchemaReader(client).read();
  if ('refusal' in read) throw read.refusal.error;
  return [...(read.schema?.values() ?? [])];
}

/** Knows the fields of Cases. */
export class SchemaReader {
  private known: { schema: CaseSchema; until: number } | undefined;
  private reading: Promise<CaseSchema | Refusal> | undefined;

  constructor(
    private readonly client: ZohoClient,
    private readonly clock: Clock = systemClock,
  ) {}

  /** The fields, from memory or from Zoho; a {@link Refusal} when Zoho cannot say for now. */
  async read(): Promise<{ schema: CaseSchema } | { refusal: Refusal }> {
    if (this.known && this.clock.now() < this.known.until) return { schema: this.known.schema };
    this.reading ??= this.ask().finally(() => {
      this.reading = undefined;
    });
    const found = await this.reading;
    return isRefusal(found) ? { refusal: found } : { schema: found };
  }

  private async ask(): Promise<CaseSchema | Refusal> {
    const reading = await this.client.call('GET', '/settings/fields', {
      query: { module: 'Cases' },
      what: 'read the fields of Cases',
    });
    if (reading.kind === 'refusal' && reading.code !== 'OAUTH_SCOPE_MISMATCH') return reading.refusal;
    const schema = reading.kind === 'content' ? readFields(reading.body) : undefined;
    this.known = { schema, until: this.clock.now() + KEPT_MS };
    return schema;
  }
}

function isRefusal(found: CaseSchema | Refusal): found is Refusal {
  return found !== undefined && 'kind' in found;
}

function readFields(body: Record<string, unknown> | undefined): CaseSchema {
  const listed = body?.['fields'];
  if (!Array.isArray(listed)) return undefined;
  const fields = new Map<string, ZohoField>();
  for (const each of listed as Record<string, unknown>[]) {
    const apiName = each?.['api_name'];
    if (typeof apiName !== 'string') continue;
    const { unique, length, pick_list_values: choices } = each;
    fields.set(apiName, {
      apiName,
      label: String(each['field_label'] ?? apiName),
      dataType: String(each['data_type'] ?? ''),
      jsonType: String(each['json_type'] ?? ''),
      length: typeof length === 'number' && length > 0 ? length : undefined,
      // For a field that is not unique this is an empty object.
      unique: typeof unique === 'object' && unique !== null && Object.keys(unique).length > 0,
      custom: each['custom_field'] === true,
      readOnly: each['read_only'] === true || each['field_read_only'] === true,
      choices: Array.isArray(choices)
        ? choices.map((choice) => String(choice?.actual_value ?? '')).filter(Boolean)
        : [],
    });
  }
  return fields;
}
