import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ContactError } from '../../../lib/core/errors';
import { ContactStore } from '../../../lib/store/contact-store';
import { RedisStore } from '../../../lib/store/redis';
import { type RedisServer, startRedis } from '../../services/redis';
import { requireService } from '../../services/requirements';
import { until } from '../until';
import { promisesOfAStateStore } from './contract';

const gone = (error: unknown) => error instanceof ContactError && error.code === 'UNREACHABLE';

describe('state store in Redis', () => {
  const program = requireService('redis');
  let server: RedisServer;
  let folder: string;

  before(async () => {
    server = await startRedis({ program: program.location });
    folder = mkdtempSync(join(tmpdir(), 'redis-copy-'));
  });

  after(async () => {
    await server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  let number = 0;
  const prefix = () => `test-${number++}:`;

  describe('alone', () => promisesOfAStateStore(() => new RedisStore({ url: server.url, prefix: prefix() })));

  describe('with a local copy', () => {
    promisesOfAStateStore(
      () => new ContactStore({ kind: 'redis', name: 'test', url: server.url, folder, prefix: prefix() }).store,
    );
  });

  describe('with a local copy, while Redis is away', () => {
    promisesOfAStateStore(
      () =>
        new ContactStore({ kind: 'redis', name: 'test', url: 'redis://127.0.0.1:1', folder, prefix: prefix() }).store,
    );
  });

  it('is shared by all processes with the same prefix, and by no others', async () => {
    const [one, same, other] = ['a:', 'a:', 'b:'].map((each) => new RedisStore({ url: server.url, prefix: each }));
    await one!.set('key', 1);
    assert.equal(await same!.get('key'), 1);
    assert.equal(await other!.get('key'), undefined);
    for (const store of [one, same, other]) await store!.close();
  });

  it('looks through more keys than one answer holds', async () => {
    const store = new RedisStore({ url: server.url, prefix: prefix() });
    await Promise.all(Array.from({ length: 3_000 }, (_, each) => store.set(`many/${each}`, each)));
    assert.equal((await store.entries('many/')).length, 3_000);
    await store.close();
  });

  it('says at once that Redis is away, and works again when it is back', async () => {
    const mine = await startRedis({ program: program.location, appendOnly: true });
    const store = new RedisStore({ url: mine.url });
    const changes: boolean[] = [];
    store.onChange((available) => changes.push(available));
    await store.set('kept', 1);
    await mine.kill();
    await until(() => !store.available);
    await assert.rejects(store.get('kept'), gone);
    await mine.restart();
    await until(() => store.available);
    assert.equal(await store.get('kept'), 1);
    assert.deepEqual(changes, [true, false, true]);
    await store.close();
    await mine.close();
  });

  it('gives up a connection on which nothing comes back, once for all who wait on it', async () => {
    const warnings: Error[] = [];
    const warn = (warning: Error) => warnings.push(warning);
    process.on('warning', warn);
    const mine = await startRedis({ program: program.location });
    const store = new RedisStore({ url: mine.url, commandTimeoutMs: 100 });
    await store.set('a', 1);
    mine.freeze();
    const waiting: Promise<unknown>[] = [];
    for (let number = 0; number < 20; number += 1) {
      waiting.push(assert.rejects(store.get(`a${number}`), gone));
      await nextTurn();
    }
    await Promise.all(waiting);
    mine.thaw();
    await until(() => store.available);
    assert.equal(await store.get('a'), 1);
    await store.close();
    await mine.close();
    process.off('warning', warn);
    assert.deepEqual(warnings, []);
  });

  it('says that Redis is away when something takes its connections and ends them without a word', async () => {
    const proxy = createServer((socket) => socket.resume().end());
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const store = new RedisStore({ url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}` });
    await assert.rejects(store.get('a'), gone);
    await store.close();
    await new Promise((resolve) => proxy.close(resolve));
  });

  it('tells a wrong password from a Redis that is away, and shows it nowhere', async () => {
    const mine = await startRedis({ program: program.location, password: 'the-right-password' });
    const right = new RedisStore({ url: mine.url });
    assert.match((await right.check()).version, /^\d+\./);
    assert.doesNotMatch(right.target, /password/);
    await right.close();
    const wrong = new RedisStore({ url: mine.url, password: 'not-the-password' });
    await assert.rejects(wrong.get('a'), (error) => {
      assert.ok(error instanceof ContactError && error.code === 'REFUSED');
      assert.match(error.message, /password of Redis/);
      assert.doesNotMatch(error.message, /not-the-password|the-right/);
      return true;
    });
    await wrong.close();
    await mine.close();
  });

  describe('and its local copy', () => {
    let mine: RedisServer;
    let stores: ContactStore[];

    beforeEach(async () => {
      mine = await startRedis({ program: program.location, appendOnly: true });
      stores = [];
    });

    afterEach(async () => {
      for (const store of stores) await store.close();
      await mine.close();
    });

    const open = (process: string) => {
      const opened = new ContactStore({ kind: 'redis', name: process, url: mine.url, folder: join(folder, process) });
      stores.push(opened);
      return opened;
    };
    const away = async (...opened: ContactStore[]) => {
      await mine.kill();
      await until(() => opened.every(({ alone }) => alone));
    };
    const back = async (...opened: ContactStore[]) => {
      await mine.restart();
      await until(() => opened.every(({ alone }) => !alone));
    };

    it('go on with what the process has written, and write what Redis has missed when it is back', async () => {
      const store = open('one');
      const changes: boolean[] = [];
      store.onChange((alone) => changes.push(alone));
      await store.store.set('before', 1);
      await store.store.set('deleted', 1);
      await away(store);
      assert.equal(await store.store.get('before'), 1);
      await store.store.set('before', 2);
      await store.store.set('during', { n: 1 });
      await store.store.delete('deleted');
      assert.equal(store.report().behind, 3);
      await back(store);
      assert.equal(store.report().behind, 0);
      const other = open('other');
      assert.deepEqual(await other.store.entries(''), [
        ['before', 2],
        ['during', { n: 1 }],
      ]);
      assert.deepEqual(changes, [true, false]);
    });

    it('make up for what was missed also when the process ended before Redis was back', async () => {
      const first = open('one');
      await first.store.set('kept', 1);
      await away(first);
      await first.store.set('missed', 1);
      await first.close();
      stores.pop();
      await mine.restart();
      const second = open('one');
      assert.equal(await second.store.get('missed'), 1);
      await until(() => second.report().behind === 0);
      const other = open('other');
      assert.equal(await other.store.get('missed'), 1);
    });

    it('never overwrite the claim of another process', async () => {
      const [one, other] = [open('one'), open('other')];
      await one.store.get('claim');
      await other.store.get('claim');
      await away(one, other);
      // Each is alone, so each gets it: that is what `alone` warns of.
      assert.equal(await one.store.add('claim', 'one'), true);
      assert.equal(await other.store.add('claim', 'other'), true);
      await back(one, other);
      const winner = await one.store.get('claim');
      assert.equal(await other.store.get('claim'), winner);
      assert.equal(await one.store.replace('claim', 'one', 'one'), winner === 'one');
      assert.equal(await other.store.replace('claim', 'other', 'other'), winner === 'other');
    });
  });
});
