import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import FakeTimers from '@sinonjs/fake-timers';
import { systemClock } from '../../../lib/core/clock';
import { ContactError } from '../../../lib/core/errors';
import { openEmbeddedStore } from '../../../lib/store/embedded';
import { MemoryStore, type MemoryValues } from '../../../lib/store/memory';
import { until } from '../until';
import { promisesOfAStateStore } from './contract';

describe('state store', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'state-'));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  describe('in memory', () => promisesOfAStateStore(() => new MemoryStore()));
  describe('on disk', () => promisesOfAStateStore(() => openEmbeddedStore(join(folder, 'deep/state'))));

  it('in memory lets go of what has expired', async () => {
    const clock = FakeTimers.createClock();
    const values: MemoryValues = new Map();
    const store = new MemoryStore({ ...systemClock, now: () => clock.now }, values);
    for (let number = 0; number < 100; number++) await store.set(`short/${number}`, number, { expiresInMs: 1_000 });
    clock.tick(61_000);
    await store.set('kept', 1);
    assert.deepEqual([...values.keys()], ['kept']);
  });

  it('on disk lets go of what has expired', async () => {
    let now = Date.now();
    const store = openEmbeddedStore(folder, { ...systemClock, now: () => now });
    await store.set('kept', 1);
    for (let number = 0; number < 2_500; number++) void store.set(`short/${number}`, number, { expiresInMs: 1_000 });
    await store.set('last', 1);
    // For a clock that stands at 0 nothing has expired: it lists what is really there.
    const all = openEmbeddedStore(folder, { ...systemClock, now: () => 0 });
    assert.equal((await all.entries('')).length, 2_502);
    now += 601_000;
    await store.set('kept', 2);
    await until(async () => (await all.entries('')).length === 2, 'the sweep');
    await all.close();
    await store.close();
  });

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

  it('still writes what was asked for before it was closed', async () => {
    const first = openEmbeddedStore(folder);
    const [added] = await Promise.all([first.add('a', 1), first.set('b', 2), first.close()]);
    const second = openEmbeddedStore(folder);
    assert.deepEqual([added, await second.get('a'), await second.get('b')], [true, 1, 2]);
    await second.close();
  });

  it('on a full disk rejects what it could not write, keeps what it has written, and writes again when there is room', async () => {
    const script = join(folder, 'fill.ts');
    const module = join(__dirname, '../../../lib/store/embedded');
    writeFileSync(
      script,
      `import { openEmbeddedStore } from ${JSON.stringify(module)};
      const value = 'x'.repeat(5_000);
      async function work() {
        const store = openEmbeddedStore(${JSON.stringify(join(folder, 'state'))});
        const codes = new Set(), written = [];
        for (let number = 0; number < 300; number += 10) {
          const keys = Array.from({ length: 10 }, (_, index) => 'n/' + (number + index));
          // Several at the same time, as the nodes of a flow do.
          await Promise.all(keys.map((key, index) => (index % 2 ? store.set(key, value) : store.add(key, value)).then(
            () => written.push(key),
            (error) => codes.add(error.code + ' ' + error.message),
          )));
        }
        for (const key of written.splice(0, 50)) await store.delete(key);
        await store.set('again', value);
        await store.close();
        process.stdout.write(JSON.stringify({ codes: [...codes], written }));
      }
      void work();`,
    );
    // A limit of the size of files does what a full disk does.
    const command = `trap '' XFSZ; ulimit -f 1000; exec "${process.execPath}" --import tsx "${script}"`;
    const child = spawn('bash', ['-c', command], { stdio: ['ignore', 'pipe', 'ignore'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    const exitCode = await new Promise((resolve) => child.on('close', resolve));
    assert.equal(exitCode, 0);
    const { codes, written } = JSON.parse(output) as { codes: string[]; written: string[] };
    assert.equal(codes.length, 1);
    assert.match(codes[0]!, /^BUFFER_FAILED .*state store.*free space/i);
    assert.ok(written.length > 20 && written.length < 250, `${written.length} are left`);
    const store = openEmbeddedStore(join(folder, 'state'));
    const keys = (await store.entries('')).map(([key]) => key);
    assert.deepEqual(keys.toSorted(), [...written, 'again'].toSorted());
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
