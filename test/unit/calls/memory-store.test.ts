import assert from 'node:assert/strict';
import { MemoryCallStore } from '../../../lib/calls/memory-store';
import { someCall } from './stores';

describe('the call store in memory', () => {
  it('forgets the claims of the calls that it has no room for', async () => {
    const store = new MemoryCallStore();
    for (let number = 0; number < 20_100; number += 1) {
      const call = { ...someCall(), status: 'failed' as const };
      await store.register(call, { key: `user ${number}`, fingerprint: 'f', notBefore: 0 });
    }
    const { claims } = store as unknown as { claims: Map<string, unknown> };
    assert.equal(claims.size, 20_000);
    const again = { key: 'user 20099', fingerprint: 'f', notBefore: 0 };
    assert.equal((await store.register(someCall(), again)).kind, 'replay');
  });
});
