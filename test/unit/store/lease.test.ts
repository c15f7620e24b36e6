import assert from 'node:assert/strict';
import FakeTimers, { type Clock as FakeClock } from '@sinonjs/fake-timers';
import { type Clock, systemClock } from '../../../lib/core/clock';
import { ContactError } from '../../../lib/core/errors';
import { Lease } from '../../../lib/store/lease';
import { MemoryStore, type MemoryValues } from '../../../lib/store/memory';

const DURATION = 30_000;

describe('lease', () => {
  let time: FakeClock;
  let clock: Clock;
  let values: MemoryValues;
  let store: MemoryStore;
  let changes: string[];
  let leases: Lease[];

  beforeEach(() => {
    time = FakeTimers.createClock(1_000_000);
    clock = {
      now: () => time.now,
      setTimeout: (callback, delayMs) => time.setTimeout(callback, delayMs) as never,
      clearTimeout: (timer) => time.clearTimeout(timer as never),
    };
    values = new Map();
    store = new MemoryStore(clock, values);
    changes = [];
    leases = [];
  });

  afterEach(async () => {
    for (const each of leases) await each.close();
  });

  const lease = async (owner: string, of = store): Promise<Lease> => {
    const onChange = (held: boolean) => changes.push(`${owner} ${held ? 'has' : 'lost'} it`);
    const created = new Lease({ store: of, key: 'poller', owner, durationMs: DURATION, clock, onChange });
    leases.push(created);
    await created.start();
    return created;
  };
  /** A process that is gone from one moment to the next: it neither renews nor gives back. */
  const kill = (dead: Lease) => {
    leases = leases.filter((each) => each !== dead);
    Object.assign(dead, { closed: true });
  };

  it('is held by the first who asks, for as long as that one renews it', async () => {
    const one = await lease('one');
    const other = await lease('other');
    await time.tickAsync(10 * DURATION);
    assert.deepEqual([one.held, other.held, other.holder], [true, false, 'one']);
    assert.deepEqual(changes, ['one has it']);
  });

  it('passes on as soon as its holder gives it back', async () => {
    const one = await lease('one');
    const other = await lease('other');
    await one.close();
    await time.tickAsync(DURATION / 3);
    assert.equal(other.held, true);
  });

  it('passes on when its holder is not heard of, and not before its time is over', async () => {
    const one = await lease('one');
    const other = await lease('other');
    kill(one);
    await time.tickAsync(DURATION - 1);
    assert.equal(other.held, false);
    await time.tickAsync(DURATION / 2);
    assert.equal(other.held, true);
  });

  it('is found again at once by a process that was killed and comes back', async () => {
    kill(await lease('one'));
    assert.equal((await lease('one')).held, true);
  });

  it('has at most one holder when the store loses everything, and that stays the same', async () => {
    const one = await lease('one');
    const other = await lease('other');
    for (let round = 0; round < 20; round++) {
      values.clear();
      for (let step = 0; step < 13; step++) {
        await time.tickAsync(DURATION / 13);
        assert.equal(other.held, false);
      }
    }
    assert.equal(one.held, true);
    assert.deepEqual(changes, ['one has it']);
  });

  it('is lost by a holder that cannot renew it, before anyone else can have it', async () => {
    const one = await lease('one');
    const other = await lease('other');
    const away = new ContactError('UNREACHABLE', { attempted: 'use the state store' });
    const broken = Object.assign(Object.create(store), {
      replace: () => Promise.reject(away),
      get: () => Promise.reject(away),
      add: () => Promise.reject(away),
    });
    Object.assign(one, { options: { ...(one as unknown as { options: object }).options, store: broken } });
    for (let step = 0; step < 40; step++) {
      await time.tickAsync(DURATION / 20);
      assert.ok(!(one.held && other.held));
    }
    assert.deepEqual([one.held, other.held], [false, true]);
  });

  it('is kept when the answer to a renewal got lost', async () => {
    const one = await lease('one');
    const { replace } = store;
    let failures = 1;
    store.replace = async (...parameters) => {
      const replaced = await replace.apply(store, parameters);
      if (failures-- > 0) throw new ContactError('UNREACHABLE', { attempted: 'use the state store' });
      return replaced;
    };
    await time.tickAsync(5 * DURATION);
    assert.equal(one.held, true);
    assert.deepEqual(changes, ['one has it']);
  });

  it('can be tried for once: it is got and renewed, or left alone', async () => {
    const take = async (owner: string) => {
      const created = new Lease({ store, key: 'claim', owner, durationMs: DURATION, clock, leavesWord: false });
      leases.push(created);
      return { lease: created, taken: await created.take() };
    };
    const one = await take('one');
    const other = await take('other');
    await time.tickAsync(10 * DURATION);
    assert.deepEqual([one.taken, one.lease.held, other.taken, other.lease.held], [true, true, false, false]);
    await one.lease.close();
    assert.equal(values.size, 0);
    assert.equal((await take('another')).taken, true);
    const away = new ContactError('UNREACHABLE', { attempted: 'use the state store' });
    store.add = () => Promise.reject(away);
    values.clear();
    await assert.rejects(take('last'), away);
  });

  it('is given back for good, however often it was tried for', async () => {
    const claim = new Lease({ store, key: 'claim', owner: 'one', durationMs: DURATION, clock, leavesWord: false });
    assert.deepEqual([await claim.take(), await claim.take()], [true, true]);
    await claim.close();
    await time.tickAsync(DURATION);
    assert.equal(values.size, 0);
  });

  it('counts a new term when someone else may have had it', async () => {
    const one = await lease('one');
    await time.tickAsync(10 * DURATION);
    assert.equal(one.term, 1);
    values.clear();
    await time.tickAsync(DURATION);
    assert.deepEqual([one.held, one.term], [true, 2]);
  });

  it('works on the clock of the machine', async () => {
    const real = new Lease({ store: new MemoryStore(systemClock), key: 'a', owner: 'one', durationMs: 50 });
    await real.start();
    assert.equal(real.held, true);
    await real.close();
    assert.equal(real.held, false);
  });
});
