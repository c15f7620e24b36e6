import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { ContactError } from '../../../lib/core/errors';
import { openEmbeddedStore } from '../../../lib/store/embedded';
import { MemoryStore } from '../../../lib/store/memory';
import type { StateStore } from '../../../lib/store/store';

describe('state store', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'state-'));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const kinds: [name: string, open: () => StateStore][] = [
    ['memory', () => new MemoryStore()],
    ['embedded', () => openEmbeddedStore(join(folder, 'deep/state'))],
  ];

  for (const [name, open] of kinds) {
    describe(name, () => {
      let store: StateStore;

      beforeEach(() => {
        store = open();
      });

      afterEach(() => store.close());

      it('gives back what was written, and nothing for a key that was not', async () => {
        await store.set('checkpoint/one', { time: 1, list: [true, null, 'ä'] });
        assert.deepEqual(await store.get('checkpoint/one'), { time: 1, list: [true, null, 'ä'] });
        assert.equal(await store.get('checkpoint/two'), undefined);
      });

      it('forgets a deleted key, also one that was never there', async () => {
        await store.set('a', 1);
        await store.delete('a');
        await store.delete('b');
        assert.equal(await store.get('a'), undefined);
      });

      it('does not change a stored value when the caller changes the object', async () => {
        const value = { list: [1] };
        await store.set('a', value);
        value.list.push(2);
        assert.deepEqual(await store.get('a'), { list: [1] });
      });

      it('lists exactly the keys with a prefix, in order', async () => {
        const key = fc.string({ unit: fc.constantFrom('a', 'b', '/', 'ä', '\u{1F600}'), minLength: 1, maxLength: 6 });
        await fc.assert(
          fc.asyncProperty(fc.uniqueArray(key, { maxLength: 12 }), key, async (keys, prefix) => {
            for (const each of keys) await store.set(each, each);
            const wanted = keys
              .filter((each) => each.startsWith(prefix))
              .sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
            assert.deepEqual(
              await store.entries(prefix),
              wanted.map((each) => [each, each]),
            );
            for (const each of keys) await store.delete(each);
          }),
          { numRuns: 40 },
        );
      });

      it('refuses to work after it was closed, and may be closed twice', async () => {
        await store.close();
        await store.close();
        await assert.rejects(store.get('a'), (error) => error instanceof ContactError && error.code === 'CLOSED');
        await assert.rejects(store.set('a', 1), (error) => error instanceof ContactError && error.code === 'CLOSED');
      });
    });
  }

  it('keeps values over a close and a new start', async () => {
    const first = openEmbeddedStore(folder);
    await first.set('a', { kept: true });
    await first.close();
    const second = openEmbeddedStore(folder);
    assert.deepEqual(await second.get('a'), { kept: true });
    await second.close();
  });

  it('is shared by all who open the same folder, and stays open until the last of them leaves', async () => {
    const first = openEmbeddedStore(folder);
    const second = openEmbeddedStore(join(folder, '.'));
    await first.set('a', 1);
    await first.close();
    assert.equal(await second.get('a'), 1);
    await second.close();
  });

  it('can be opened again while it is being closed, as a redeploy does', async () => {
    let store = openEmbeddedStore(folder);
    for (let round = 0; round < 20; round++) {
      await store.set('round', round);
      const closing = store.close();
      const next = openEmbeddedStore(folder);
      assert.equal(await next.get('round'), round);
      await next.set('next', round);
      await closing;
      assert.equal(await next.get('next'), round);
      store = next;
    }
    const closing = store.close();
    await Promise.resolve();
    await closing;
    const last = openEmbeddedStore(folder);
    assert.equal(await last.get('round'), 19);
    await last.close();
  });

  it('keeps every value whose writing was reported, when the process is killed', async () => {
    const script = join(folder, 'write.ts');
    const module = join(__dirname, '../../../lib/store/embedded');
    writeFileSync(
      script,
      `import { openEmbeddedStore } from ${JSON.stringify(module)};
      const store = openEmbeddedStore(${JSON.stringify(folder)});
      async function work() {
        for (let number = 0; ; number++) { await store.set('n/' + number, number); process.stdout.write(number + '\\n'); }
      }
      void work();`,
    );
    const child = spawn(process.execPath, ['--import', 'tsx', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    let reported = -1;
    await new Promise<void>((resolve) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        const lines = text.trim().split('\n');
        // The last line may be cut; the one before it was written whole.
        reported = Math.max(reported, Number(lines.at(-2) ?? -1));
        if (reported >= 300) child.kill('SIGKILL');
      });
      child.on('close', () => resolve());
    });
    const store = openEmbeddedStore(folder);
    for (let number = 0; number <= reported; number++) assert.equal(await store.get(`n/${number}`), number);
    await store.close();
  });

  it('says which folder it cannot use', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    assert.throws(
      () => openEmbeddedStore(join(file, 'state')),
      (error) => error instanceof ContactError && error.code === 'BUFFER_FAILED' && error.message.includes(file),
    );
  });
});
