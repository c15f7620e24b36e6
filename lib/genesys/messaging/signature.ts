import { createHmac, timingSafeEqual } from 'node:crypto';

const PREFIX = 'sha256=';

/**
 * Whether a body was signed with one of the secrets: `X-Hub-Signature-256: sha256=<base64 HMAC-SHA256>`. The vendor
 * signs the bytes it sends; its own sample signs what JSON makes of them, so that is accepted as well. It takes the same
 * time for every wrong signature.
 */
export function isSigned(
  body: Buffer,
  header: string | undefined,
  secrets: readonly string[],
  parsed?: unknown,
): boolean {
  if (header?.startsWith(PREFIX) !== true) return false;
  const given = Buffer.from(header.slice(PREFIX.length), 'base64');
  const texts: (Buffer | string)[] = [body];
  if (parsed !== undefined) texts.push(JSON.stringify(parsed));
  let isRight = false;
  for (const secret of secrets) {
    for (const text of texts) {
      const expected = createHmac('sha256', secret).update(text).digest();
      if (given.length === expected.length && timingSafeEqual(given, expected)) isRight = true;
    }
  }
  return isRight;
}
