import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ContactError } from '../../../lib/core/errors';
import type { StateStore } from '../../../lib/store/store';
import { until } from '../until';

/** What every state store promises, whatever it keeps its values in. `open` gives an empty one. */
export function promisesOfAStateStore(open: () => StateStore | Promise<StateStore>): void {
  let store: StateStore;

  beforeEach(async () => {
    store = await open();
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
    const key = fc.string({
      unit: fc.constantFrom('a', 'b', '/', '*', '[', 'ä', '\u{1F600}'),
      minLength: 1,
      maxLength: 6,
    });
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

  it('adds a value only where there is none', async () => {
    assert.equal(await store.add('claim', { owner: 'one' }), true);
    assert.equal(await store.add('claim', { owner: 'other' }), false);
    assert.deepEqual(await store.get('claim'), { owner: 'one' });
    await store.delete('claim');
    assert.equal(await store.add('claim', { owner: 'other' }), true);
  });

  it('lets exactly one of many add a value at the same time', async () => {
    const added = await Promise.all(Array.from({ length: 50 }, (_, number) => store.add('claim', { number })));
    assert.equal(added.filter(Boolean).length, 1);
    assert.deepEqual(await store.get('claim'), { number: added.indexOf(true) });
  });

  it('lets exactly one of many replace or remove the same value', async () => {
    await store.set('token', { value: 'old' });
    const numbers = Array.from({ length: 20 }, (_, number) => number);
    const replaced = await Promise.all(numbers.map((number) => store.replace('token', { value: 'old' }, { number })));
    assert.equal(replaced.filter(Boolean).length, 1);
    const left = await store.get('token');
    assert.deepEqual(left, { number: replaced.indexOf(true) });
    const removed = await Promise.all(numbers.map(() => store.remove('token', left)));
    assert.equal(removed.filter(Boolean).length, 1);
    assert.equal(await store.get('token'), undefined);
  });

  it('neither replaces nor removes what is not there, or is something else', async () => {
    assert.equal(await store.replace('a', 1, 2), false);
    assert.equal(await store.remove('a', 1), false);
    await store.set('a', { owner: 'one' });
    assert.equal(await store.replace('a', { owner: 'other' }, 2), false);
    assert.equal(await store.remove('a', { owner: 'other' }), false);
    assert.deepEqual(await store.get('a'), { owner: 'one' });
  });

  it('forgets what has expired: it is not read, not listed, and may be added again', async () => {
    await store.set('short/set', 1, { expiresInMs: 600 });
    await store.add('short/added', 1, { expiresInMs: 600 });
    await store.set('short/for-ever', 1);
    const keys = async () => (await store.entries('short/')).map(([key]) => key);
    assert.equal((await keys()).length, 3);
    await until(async () => (await keys()).length === 1, 'the end of both');
    assert.deepEqual(await keys(), ['short/for-ever']);
    assert.equal(await store.get('short/set'), undefined);
    assert.equal(await store.remove('short/set', 1), false);
    assert.equal(await store.add('short/added', 2), true);
  });

  it('renews a value when it is replaced by itself, and keeps one for ever that is written without an end', async () => {
    await store.set('lease', 1, { expiresInMs: 600 });
    assert.equal(await store.replace('lease', 1, 1, { expiresInMs: 60_000 }), true);
    await store.set('kept', 1, { expiresInMs: 600 });
    await store.set('kept', 2);
    await store.set('gone', 1, { expiresInMs: 601 });
    await until(async () => (await store.get('gone')) === undefined, 'the end');
    assert.equal(await store.get('lease'), 1);
    assert.equal(await store.get('kept'), 2);
  });

  it('refuses to work after it was closed, and may be closed twice', async () => {
    await store.close();
    await store.close();
    const closed = (error: unknown) => error instanceof ContactError && error.code === 'CLOSED';
    await assert.rejects(store.get('a'), closed);
    await assert.rejects(store.set('a', 1), closed);
    await assert.rejects(store.add('a', 1), closed);
    await assert.rejects(store.replace('a', 1, 2), closed);
    await assert.rejects(store.remove('a', 1), closed);
  });
}
