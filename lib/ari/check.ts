import { systemClock } from '../core/clock';
import { type AriAccess, AriClient } from './client';

/** Asks an Asterisk for its version; rejects with what is in the way. `ms` is how long it took. */
export async function checkAri(access: AriAccess): Promise<{ version: string; ms: number }> {
  const client = new AriClient(access);
  const began = systemClock.now();
  try {
    const info = await client.request('GET', 'asterisk/info', { what: 'connect to Asterisk' });
    const { system } = (info ?? {}) as { system?: { version?: string } };
    return { version: system?.version ?? '', ms: systemClock.now() - began };
  } finally {
    client.close();
  }
}
