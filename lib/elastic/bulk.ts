import { ContactError } from '../core/errors';
import type { Entry } from '../core/spool';
import type { Verdict } from '../core/verdicts';
import type { ElasticConnection } from './connection';

/**
 * Sends a batch. A batch that is too large for the server is sent in halves, down to the document that is too large
 * by itself: that one is rejected.
 */
export async function sendBulk(
  connection: Pick<ElasticConnection, 'bulk' | 'target'>,
  entries: readonly Entry<unknown>[],
  signal: AbortSignal,
): Promise<Verdict | Verdict[]> {
  const result = await connection.bulk(entries.map(({ body }) => body).join(''), entries.length, signal);
  if (result !== 'too-large') return result;
  if (entries.length === 1) {
    const error = new ContactError('REJECTED', {
      attempted: `index a document of ${entries[0]?.bytes ?? 0} bytes`,
      target: connection.target,
      answer: 'it is larger than the server takes',
      status: 413,
      advice: 'Make the document smaller or raise http.max_content_length.',
    });
    return { kind: 'rejected', error };
  }
  const middle = Math.ceil(entries.length / 2);
  const verdicts: Verdict[] = [];
  for (const half of [entries.slice(0, middle), entries.slice(middle)]) {
    const sent = await sendBulk(connection, half, signal);
    verdicts.push(...(Array.isArray(sent) ? sent : new Array<Verdict>(half.length).fill(sent)));
  }
  return verdicts;
}
