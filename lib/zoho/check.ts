import { systemClock } from '../core/clock';
import { MemoryStore } from '../store/memory';
import { ZohoAccount, type ZohoAccountOptions } from './account';
import { stopFor } from './stop';

/** Gets a token and reads the fields of Cases with it; rejects with what is in the way. `ms` is how long it took. */
export async function checkZoho(options: Omit<ZohoAccountOptions, 'store'>): Promise<{ apiUrl: string; ms: number }> {
  // A store of its own: what is only tried must not end up where the flow finds it.
  const account = new ZohoAccount({ ...options, store: new MemoryStore() });
  const began = systemClock.now();
  try {
    const query = { module: 'Cases' };
    const reading = await account.client.call('GET', '/settings/fields', { query, what: 'read the fields of Cases' });
    if (reading.kind === 'refusal') throw stopFor(reading.refusal).verdict.error;
    return { apiUrl: account.apiUrl, ms: systemClock.now() - began };
  } finally {
    account.close();
  }
}
