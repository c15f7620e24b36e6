import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Call, newCall } from '../../../lib/calls/call';
import { openEmbeddedCallStore } from '../../../lib/calls/embedded-store';
import { MemoryCallStore } from '../../../lib/calls/memory-store';
import { openPostgresqlCallStore } from '../../../lib/calls/postgresql-store';
import type { CallStore } from '../../../lib/calls/store';
import { type Postgresql, startPostgresql } from '../../services/postgresql';
import { requireService } from '../../services/requirements';

/** A kind of store, as a suite opens it. */
export interface StoreKind {
  name: string;
  /** A new, empty store. */
  open(): Promise<CallStore>;
  /** Opens the store that was opened last once more, as another process would; not for the memory. */
  reopen(): CallStore;
}

/**
 * Runs the tests of `suite` against every kind of call store. To be called inside a `describe`; PostgreSQL gets a
 * server of its own.
 */
export function forEachCallStore(suite: (kind: StoreKind) => void): void {
  describe('in memory', () => {
    suite({
      name: 'memory',
      open: async () => new MemoryCallStore(),
      reopen: () => {
        throw new Error('What is in memory cannot be opened again.');
      },
    });
  });

  describe('embedded', () => {
    const folders: string[] = [];
    afterEach(() => {
      for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
    });
    suite({
      name: 'embedded',
      open: async () => {
        folders.push(mkdtempSync(join(tmpdir(), 'calls-')));
        return openEmbeddedCallStore(folders.at(-1)!);
      },
      reopen: () => openEmbeddedCallStore(folders.at(-1)!),
    });
  });

  describe('in PostgreSQL', () => {
    const programs = requireService('postgresql');
    let server: Postgresql;
    let url: string;
    before(async function () {
      this.timeout(60_000);
      server = await startPostgresql(programs.location);
    });
    after(() => server?.close());
    suite({
      name: 'postgresql',
      open: async () => {
        url = await server.createDatabase();
        return openPostgresqlCallStore({ url });
      },
      reopen: () => openPostgresqlCallStore({ url }),
    });
  });
}

/** A call that is about to be made. */
export function someCall(properties: Partial<Call> = {}): Call {
  return {
    ...newCall({
      callId: randomUUID(),
      phoneNumber: '+15550000001',
      timeoutMs: 30_000,
      createdAt: Date.now(),
      app: 'app',
    }),
    ...properties,
  };
}
