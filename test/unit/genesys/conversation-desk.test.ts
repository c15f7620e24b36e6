import assert from 'node:assert/strict';
import type { ContactError } from '../../../lib/core/errors';
import { actOnConversation, type DeskOptions } from '../../../lib/genesys/conversation-desk';
import type { MessageRecord } from '../../../lib/genesys/messaging/record';
import { MessageRecords } from '../../../lib/genesys/messaging/records';
import { MemoryStore } from '../../../lib/store/memory';

const record: MessageRecord = {
  messageId: 'm1',
  tenantId: 't1',
  mode: 'agent',
  time: '2026-01-15T10:30:45.000Z',
  status: 'queued',
  attempts: 1,
  parts: 1,
  inDoubt: true,
  holder: { id: 'one', until: 0 },
  history: [{ status: 'queued', timestamp: '2026-01-15T10:30:45.000Z', attempts: 0 }],
};

describe('conversation desk', () => {
  const records = new MessageRecords(new MemoryStore(), 3_600_000);
  const nobody: DeskOptions['organizations'] = {
    find: () => Promise.reject(new Error('no organization is needed for this')),
  };
  const ask = (payload: unknown, options: Partial<DeskOptions> = {}) =>
    actOnConversation(payload, {
      action: 'details',
      organizations: nobody,
      records,
      signal: new AbortController().signal,
      ...options,
    });
  const refusedWith = (code: string) => (thrown: ContactError) => thrown.code === code;

  before(() => records.accept(record));

  it('tells what became of a message, without what only the senders need', async () => {
    const { parts: _parts, inDoubt: _inDoubt, holder: _holder, ...shown } = record;
    assert.deepEqual(await ask({ messageId: 'm1' }, { action: 'message' }), shown);
    assert.deepEqual(await ask({ action: 'message', messageId: 'm1', tenantId: 't1' }), shown);
  });

  it('does not know the message of another tenant, or one that nobody has sent', async () => {
    for (const payload of [{ messageId: 'm1', tenantId: 't2' }, { messageId: 'm2' }]) {
      await assert.rejects(ask(payload, { action: 'message' }), refusedWith('NOT_FOUND'));
    }
  });

  it('says what is missing', async () => {
    await assert.rejects(ask({}, { action: 'message' }), refusedWith('INVALID_INPUT'));
    await assert.rejects(
      ask({ messageId: 'm1' }, { action: 'message', records: undefined }),
      refusedWith('CONFIGURATION'),
    );
    for (const payload of [undefined, 'close it', ['m1'], { tenantId: 't1' }]) {
      await assert.rejects(ask(payload), refusedWith('INVALID_INPUT'));
    }
  });
});
