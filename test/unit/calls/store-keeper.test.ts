import assert from 'node:assert/strict';
import { MemoryCallStore } from '../../../lib/calls/memory-store';
import { openCallStore } from '../../../lib/calls/open-store';
import { Passwords } from '../../../lib/calls/passwords';
import { StoreKeeper, type StoreKeeperOptions } from '../../../lib/calls/store-keeper';
import { systemClock } from '../../../lib/core/clock';
import { ContactError } from '../../../lib/core/errors';
import { silentLogger } from '../../../lib/core/log';

const DAY_MS = 86_400_000;

describe('who looks after a call store', () => {
  let store: MemoryCallStore;
  let keeper: StoreKeeper | undefined;
  let told: string[];

  function keep(options: Partial<StoreKeeperOptions> = {}): StoreKeeper {
    keeper = new StoreKeeper({
      store,
      retentionDays: 0,
      onReady: () => told.push('ready'),
      onUnusable: ({ code }) => told.push(`unusable ${code}`),
      onAway: ({ code }) => told.push(`away ${code}`),
      logger: silentLogger,
      ...options,
    });
    return keeper;
  }

  beforeEach(() => {
    store = new MemoryCallStore();
    told = [];
  });

  afterEach(async () => {
    keeper?.close();
    await store.close();
  });

  it('adds the first user once, and leaves one of this name alone', async () => {
    const passwords = new Passwords();
    const hash = await passwords.hash('first password');
    await passwords.close();
    const firstUser = { name: 'alice', hash };
    await keep({ firstUser }).look();
    await keep({ firstUser: { name: 'alice', hash: hash.replace(/.$/, 'x') } }).look();
    assert.deepEqual(
      (await store.users()).map(({ name }) => name),
      ['alice'],
    );
    assert.equal((await store.user('alice'))?.passwordHash, hash);
  });

  it('says once that the store is ready, however often it looks', async () => {
    const looking = keep();
    await looking.look();
    await looking.look();
    assert.deepEqual(told, ['ready']);
  });

  it('forgets what ended longer ago than is kept', async () => {
    const forgotten: number[] = [];
    store.forget = async (before) => {
      forgotten.push(before);
      return 0;
    };
    const clock = { ...systemClock, now: () => 100 * DAY_MS };
    await keep({ clock }).look();
    assert.deepEqual(forgotten, []);
    await keep({ clock, retentionDays: 90 }).look();
    assert.deepEqual(forgotten, [10 * DAY_MS]);
  });

  it('tells that the store is away, and that one cannot be used', async () => {
    const failing = (error: ContactError) => {
      store.check = () => Promise.reject(error);
    };
    failing(new ContactError('UNREACHABLE', { attempted: 'connect' }));
    await keep().look();
    failing(new ContactError('CONFIGURATION', { attempted: 'use the tables' }));
    await keep().look();
    failing(new ContactError('CLOSED', { attempted: 'connect' }));
    await keep().look();
    assert.deepEqual(told, ['away UNREACHABLE', 'unusable CONFIGURATION']);
  });
});

describe('the choice of a call store', () => {
  const choice = { kind: 'auto', disabled: false, databaseUrl: undefined, folder: undefined } as const;

  it('is the memory when calls are not to be kept, or there is no place on disk', () => {
    for (const each of [choice, { ...choice, disabled: true, databaseUrl: 'postgresql://host/calls' }]) {
      assert.equal(openCallStore(each).kind, 'memory');
    }
  });

  it('is PostgreSQL when there is an address of one', async () => {
    const store = openCallStore({ ...choice, databaseUrl: 'postgresql://127.0.0.1:1/calls' });
    assert.equal(store.kind, 'postgresql');
    await store.close();
  });

  it('is refused with a sentence when the address is none, or missing', () => {
    assert.throws(
      () => openCallStore({ ...choice, databaseUrl: 'mysql://host/calls' }),
      /does not begin with postgresql/,
    );
    assert.throws(() => openCallStore({ ...choice, kind: 'postgresql' }), /DATABASE_URL/);
  });
});
