import assert from 'node:assert/strict';
import { ContactError } from '../../../lib/core/errors';
import { FallbackStore, type SharedStore } from '../../../lib/store/fallback';
import { MemoryStore } from '../../../lib/store/memory';
import type { Keeping } from '../../../lib/store/store';
import { until } from '../until';

/** A shared store that goes and comes back when it is told to. */
class Going extends MemoryStore implements SharedStore {
  available = true;
  private tell: (available: boolean) => void = () => {};

  onChange(listener: (available: boolean) => void): () => void {
    this.tell = listener;
    return () => {};
  }

  turn(available: boolean): void {
    this.available = available;
    this.tell(available);
  }

  override async get(key: string): Promise<unknown> {
    this.mustBeThere();
    return super.get(key);
  }

  override async set(key: string, value: unknown, keeping?: Keeping): Promise<void> {
    this.mustBeThere();
    return super.set(key, value, keeping);
  }

  private mustBeThere(): void {
    if (!this.available) throw new ContactError('UNREACHABLE', { attempted: 'use the state store' });
  }
}

/** A store on a disk that takes its time for each write. */
class Slow extends MemoryStore {
  private readonly waiting: (() => void)[] = [];

  override async set(key: string, value: unknown, keeping?: Keeping): Promise<void> {
    await new Promise<void>((resolve) => this.waiting.push(resolve));
    return super.set(key, value, keeping);
  }

  get writes(): number {
    return this.waiting.length;
  }

  /** The oldest write is done. */
  finishWrite(): void {
    this.waiting.shift()?.();
  }
}

describe('store with a local copy', () => {
  for (const before of [1, 2]) {
    it(`writes what it was told while alone, though the shared store comes back before write ${before} of the copy`, async () => {
      const shared = new Going();
      const local = new Slow();
      const store = new FallbackStore({ shared, local, name: 'test' });
      await store.get('ready');
      shared.turn(false);
      const written = store.set('checkpoint', 'new');
      for (let write = 1; write <= 2; write += 1) {
        await until(() => local.writes === 1);
        if (write === before) shared.turn(true);
        // What is made up for gets as far as it can.
        await new Promise((resolve) => setImmediate(resolve));
        local.finishWrite();
      }
      await written;
      await until(() => store.behind === 0 && !store.alone);
      assert.equal(await store.get('checkpoint'), 'new');
      assert.equal(await shared.get('checkpoint'), 'new');
    });
  }
});
