import type { Entry } from '../core/spool';
import type { Verdict } from '../core/verdicts';
import type { ElasticConnection } from './connection';
import { forAll } from './verdicts';

/**
 * Sends a batch. A batch that the server does not take as a whole, because it is too large or because of what one
 * document is, is sent in halves, down to that document: it is rejected.
 */
export async function sendBulk(
  connection: Pick<ElasticConnection, 'bulk'>,
  entries: readonly Entry<unknown>[],
  signal: AbortSignal,
): Promise<Verdict | Verdict[]> {
  const result = await connection.bulk(joined(entries), entries.length, signal);
  if (Array.isArray(result) || result.kind !== 'split') return result;
  if (entries.length === 1) return { kind: 'rejected', error: result.error };
  const middle = Math.ceil(entries.length / 2);
  const verdicts: Verdict[] = [];
  for (const half of [entries.slice(0, middle), entries.slice(middle)]) {
    const sent = await sendBulk(connection, half, signal);
    verdicts.push(...(Array.isArray(sent) ? sent : new Array<Verdict>(half.length).fill(sent)));
  }
  return forAll(verdicts);
}

/** Written once, where a joined text would be written twice: as a text and as bytes. */
function joined(entries: readonly Entry<unknown>[]): Buffer {
  const whole = Buffer.allocUnsafe(entries.reduce((sum, { bytes }) => sum + bytes, 0));
  let end = 0;
  for (const { body } of entries) end += whole.write(body, end);
  return whole;
}
