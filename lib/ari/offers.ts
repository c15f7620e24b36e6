import type { AriClient } from './client';

/** Something to pick from in a dialog: what the field then holds, and what it is. */
export interface Offer {
  value: string;
  label: string;
}

/** The endpoints that Asterisk knows, as ari-originate dials a number over them: `PJSIP/{number}@trunk`. */
export async function offeredEndpoints(client: AriClient): Promise<Offer[]> {
  const listed = await client.request('GET', 'endpoints', { what: 'list the endpoints' });
  return records(listed).map(({ technology, resource, state }) => ({
    value: `${technology}/{number}@${resource}`,
    label: `${technology}/${resource} (${state ?? 'unknown'})`,
  }));
}

/** The sounds that Asterisk has, as they are played: `sound:hello-world`. */
export async function offeredSounds(client: AriClient): Promise<Offer[]> {
  const listed = await client.request('GET', 'sounds', { what: 'list the sounds' });
  return records(listed).map(({ id, text }) => ({ value: `sound:${id}`, label: String(text ?? id) }));
}

/** The contexts in which channels are at this moment: Asterisk's interface lists no others. */
export async function offeredContexts(client: AriClient): Promise<Offer[]> {
  const listed = await client.request('GET', 'channels', { what: 'list the channels' });
  const contexts = records(listed).map(({ dialplan }) => (dialplan as { context?: unknown } | undefined)?.context);
  const known = new Set(contexts.filter((context): context is string => typeof context === 'string' && context !== ''));
  return [...known].toSorted().map((value) => ({ value, label: value }));
}

function records(listed: unknown): Record<string, unknown>[] {
  return Array.isArray(listed) ? listed : [];
}
