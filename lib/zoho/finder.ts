import { type Clock, systemClock } from '../core/clock';
import type { HttpVerb } from '../core/http';
import type { ZohoCall, ZohoClient } from './client';
import type { Reading, Refusal } from './verdicts';

/** What a look-up has found; with several the oldest one, which is the one that others have found as well. */
export type Found = { id: string | undefined } | { refusal: Refusal };

/** A scope may be added to the token while we run. */
const TRY_COQL_AGAIN_MS = 3_600_000;

/**
 * Finds records by the exact value of a field. COQL sees everything at once but needs a scope of its own; without it,
 * the search is asked, which lags behind and takes "contains" for "equals", so its answers are compared here.
 */
export class Finder {
  private coqlRefusedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly client: ZohoClient,
    private readonly clock: Clock = systemClock,
  ) {}

  /** Looks for a record. `thorough` also looks through the newest ones where the search may lag behind. */
  async find(
    module: 'Cases' | 'Contacts',
    field: string,
    value: string,
    { thorough = false, signal }: { thorough?: boolean; signal?: AbortSignal } = {},
  ): Promise<Found> {
    const what = `look for a record of ${module} by ${field}`;
    const call = signal ? { what, signal } : { what };
    if (this.clock.now() - this.coqlRefusedAt >= TRY_COQL_AGAIN_MS) {
      const query = `select id, ${field} from ${module} where ${field} = '${value.replace(/['\\]/g, '\\$&')}' limit 200`;
      const reading = await this.ask('POST', '/coql', { ...call, body: { select_query: query } });
      if (reading.kind !== 'refusal' || reading.code !== 'OAUTH_SCOPE_MISMATCH') return exact(reading, field, value);
      this.coqlRefusedAt = this.clock.now();
    }
    const criteria = `(${field}:equals:${value.replace(/[(),\\]/g, '\\$&')})`;
    const search = await this.ask('GET', `/${module}/search`, { ...call, query: { criteria, fields: field } });
    const found = exact(search, field, value);
    if ('refusal' in found || found.id !== undefined || !thorough) return found;
    const newest = { fields: field, sort_by: 'id', sort_order: 'desc', per_page: 200 };
    return exact(await this.ask('GET', `/${module}`, { ...call, query: newest }), field, value);
  }

  /** A query is a POST, but it changes nothing: it may be repeated. */
  private async ask(method: HttpVerb, path: string, call: ZohoCall): Promise<Reading> {
    const reading = await this.client.call(method, path, call);
    if (reading.kind !== 'refusal' || reading.refusal.kind !== 'unknown') return reading;
    const { error } = reading.refusal;
    return { ...reading, refusal: { kind: 'busy', fault: 'failure', error } };
  }
}

function exact(reading: Reading, field: string, value: string): Found {
  if (reading.kind === 'refusal') return { refusal: reading.refusal };
  const body = reading.kind === 'content' ? reading.body : undefined;
  const rows = Array.isArray(body?.['data']) ? (body['data'] as Record<string, unknown>[]) : [];
  const ids = rows
    .filter((row) => row?.[field] === value && typeof row['id'] === 'string')
    .map((row) => row['id'] as string);
  // Ids are numbers too large for JavaScript, and grow.
  ids.sort((one, other) => one.length - other.length || (one < other ? -1 : 1));
  return { id: ids[0] };
}
