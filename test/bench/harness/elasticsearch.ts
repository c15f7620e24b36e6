import assert from 'node:assert/strict';
import type { SimulatorProcess } from './processes';

/** How often each document was written, by its id. */
async function writesById(server: SimulatorProcess): Promise<Map<string, string>> {
  const lines = (await (await server.control('applied')).text()).trimEnd().split('\n');
  return new Map(lines.map((line) => [line.slice(0, line.indexOf('\t')), line.slice(line.indexOf('\t') + 1)]));
}

/**
 * Throws unless the server holds `count` documents, each written once and, with `idOf`, each under its own id; then
 * empties it for the next round.
 */
export async function checkStored(server: SimulatorProcess, count: number, idOf?: (number: number) => string) {
  const writes = await writesById(server);
  assert.equal(writes.size, count, 'how many documents are stored');
  const often = [...writes].filter(([, created]) => created !== '1\t0');
  assert.deepEqual(often.slice(0, 5), [], 'documents that were written more than once');
  if (idOf) {
    const missing = Array.from({ length: count }, (_, number) => idOf(number)).filter((id) => !writes.has(id));
    assert.deepEqual(missing.slice(0, 5), [], 'documents that are missing');
  }
  await server.control('clear');
}
