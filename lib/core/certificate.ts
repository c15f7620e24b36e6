import { readFileSync } from 'node:fs';
import { ContactError, describe } from './errors';

/** A PEM file with a certificate or a key. Throws `CONFIGURATION` when it cannot be read. */
export function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (thrown) {
    throw new ContactError('CONFIGURATION', {
      attempted: 'read the certificate file',
      target: path,
      answer: describe(thrown),
    });
  }
}
