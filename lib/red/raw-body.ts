import type { Request } from 'express';
import { ContactError } from '../core/errors';

/**
 * The body of a request as it came, for whoever checks a signature over it. Where a middleware of the operator has read
 * it before, it is what JSON makes of what that has found. Throws `INVALID_INPUT` for one that is too large.
 */
export async function readRawBody(request: Request, largestBytes: number): Promise<Buffer> {
  if (request.readableEnded || request.body !== undefined) {
    const body: unknown = request.body;
    if (Buffer.isBuffer(body)) return body;
    return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body ?? {}));
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > largestBytes) {
      const answer = `it is larger than ${largestBytes} bytes`;
      throw new ContactError('INVALID_INPUT', { attempted: 'read the body of the request', answer });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
