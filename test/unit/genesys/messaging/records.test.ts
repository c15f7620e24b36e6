import assert from 'node:assert/strict';
import { systemClock } from '../../../../lib/core/clock';
import type { MessageRecord } from '../../../../lib/genesys/messaging/record';
import { MessageRecords } from '../../../../lib/genesys/messaging/records';
import { MemoryStore } from '../../../../lib/store/memory';

describe('the memory of messages', () => {
  const record = (tenantId: string): MessageRecord => ({
    messageId: '1',
    tenantId,
    mode: 'inbound',
    time: '2026-01-15T10:30:45.123Z',
    status: 'sent',
    attempts: 1,
    history: [],
  });

  it('keeps messages of two tenants with the same id apart, also when the first one would be forgotten before', async () => {
    let now = 0;
    const records = new MessageRecords(new MemoryStore({ ...systemClock, now: () => now }), 1_000);
    assert.equal((await records.accept(record('one'))).isNew, true);
    now = 900;
    assert.equal((await records.accept(record('other'))).isNew, true);
    now = 1_800;
    assert.equal((await records.accept(record('other'))).isNew, false);
    assert.equal((await records.find('1', 'other'))?.record.tenantId, 'other');
    now = 4_000;
    assert.equal((await records.accept(record('other'))).isNew, true);
  });
});
