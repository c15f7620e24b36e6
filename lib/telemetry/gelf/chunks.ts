import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';

/** Datagrams of this size pass every network that carries 1,500 byte frames. */
const DATAGRAM_BYTES = 1_420;
const HEADER_BYTES = 12;
const MAGIC = Buffer.from([0x1e, 0x0f]);
/** The protocol's own limit: Graylog drops a message with more. */
const MOST_CHUNKS = 128;

/**
 * The datagrams of a GELF message: one if it fits, otherwise compressed, and if it does not fit then either, in chunks
 * of the form `0x1e 0x0f, id (8 bytes), number (from 0), count`. `undefined` for a message that is too long.
 */
export function datagrams(message: string): Buffer[] | undefined {
  const plain = Buffer.from(message);
  if (plain.length <= DATAGRAM_BYTES) return [plain];
  const whole = gzipSync(plain);
  if (whole.length <= DATAGRAM_BYTES) return [whole];
  const room = DATAGRAM_BYTES - HEADER_BYTES;
  const count = Math.ceil(whole.length / room);
  if (count > MOST_CHUNKS) return undefined;
  const id = randomBytes(8);
  return Array.from({ length: count }, (_, number) =>
    Buffer.concat([MAGIC, id, Buffer.from([number, count]), whole.subarray(number * room, (number + 1) * room)]),
  );
}
