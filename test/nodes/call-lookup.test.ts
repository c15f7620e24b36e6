import assert from 'node:assert/strict';
import type { CallStoreNode } from '../../nodes/call-store';
import { someCall } from '../unit/calls/stores';
import { startTested, type Tested } from './calls';
import { until } from './helper';

describe('call-lookup', () => {
  let tested: Tested;
  afterEach(() => tested.runtime.stop());

  const start = async (properties: Record<string, unknown> = {}) => {
    tested = await startTested({ id: 'tested', type: 'call-lookup', store: 'store', ...properties });
    return tested.runtime.node<CallStoreNode>('store').calls!;
  };
  const code = ({ payload }: { payload: { error?: { code: string } } }) => payload.error?.code;

  it('gives a call with every field of the API, by whichever way its id comes', async () => {
    const { book } = await start();
    const call = someCall({ context: 'outbound-ivr', extension: 's', priority: 1, callerId: '+15559990000' });
    await book.register(call);
    book.record(call.callId, { to: 'answered', at: call.createdAt + 1_000, channel: 'PJSIP/trunk-1' });
    book.record(call.callId, { to: 'completed', at: call.createdAt + 3_500 });
    const iso = (ms: number) => new Date(call.createdAt + ms).toISOString();
    const wanted = {
      call_id: call.callId,
      phone_number: '+15550000001',
      status: 'completed',
      channel: 'PJSIP/trunk-1',
      context: 'outbound-ivr',
      extension: 's',
      priority: 1,
      timeout: 30_000,
      caller_id: '+15559990000',
      created_at: iso(0),
      dialed_at: iso(1_000),
      answered_at: iso(1_000),
      ended_at: iso(3_500),
      duration: 2.5,
      failure_reason: null,
      attempt_number: 1,
      is_active: false,
      is_completed: true,
    };
    const ways = [
      { callId: call.callId },
      { payload: call.callId },
      { payload: { call_id: ` ${call.callId} ` } },
      { payload: {}, req: { params: { call_id: call.callId } } },
    ];
    for (const way of ways) {
      const found = await tested.answer(way);
      assert.equal(found.statusCode, 200);
      assert.deepEqual(found.payload, wanted);
    }
    assert.equal(tested.first.length, 4);
    await until(() => tested.done.length === 4);
  });

  it('gives the steps of a call when they are asked for', async () => {
    const { book } = await start({ steps: 'true' });
    const call = someCall();
    await book.register(call);
    book.record(call.callId, { to: 'busy', at: call.createdAt + 5, reason: 'busy' });
    const { payload } = await until(async () => {
      const found = await tested.answer({ payload: call.callId });
      return found.payload['status'] === 'busy' && found;
    });
    const at = new Date(call.createdAt + 5).toISOString();
    assert.deepEqual(payload['transitions'], [
      { from: null, to: 'pending', at: new Date(call.createdAt).toISOString(), reason: null },
      { from: 'pending', to: 'dialing', at, reason: null },
      { from: 'dialing', to: 'busy', at, reason: 'busy' },
    ]);
  });

  it('says that there is no such call, whatever is asked for, without an error for Catch nodes', async () => {
    await start();
    for (const payload of [undefined, '', 'nonsense', 7, {}, { call_id: "' or 1=1" }, someCall().callId, '../../etc']) {
      const missing = await tested.answer({ payload });
      assert.deepEqual([missing.statusCode, code(missing)], [404, 'not_found']);
    }
    await until(() => tested.done.length === 8);
    assert.equal(tested.caught.length, 0);
  });

  it('lists calls in pages, by status, and refuses a query that makes no sense', async () => {
    const { book } = await start({ action: 'list' });
    const calls = Array.from({ length: 5 }, (_, index) => someCall({ createdAt: 1_000_000 + index }));
    for (const call of calls) await book.register(call);
    book.record(calls[0]!.callId, { to: 'failed', at: 1_000_100, reason: 'cancelled' });
    const page = await tested.answer({ req: { query: { page: '2', page_size: '2' } } });
    assert.deepEqual(
      { ...page.payload, calls: (page.payload['calls'] as { call_id: string }[]).map(({ call_id }) => call_id) },
      { calls: [calls[2]!.callId, calls[1]!.callId], page: 2, page_size: 2, total: 5, pages: 3 },
    );
    await until(async () => (await tested.answer({ payload: { status: 'failed' } })).payload['total'] === 1);
    const wrong = [{ page: '0' }, { page: 'x' }, { page_size: '1000' }, { status: 'gone' }, { page: '1e9' }];
    for (const query of wrong) {
      const refused = await tested.answer({ req: { query } });
      assert.equal(refused.statusCode, 422, JSON.stringify(query));
    }
  });

  it('says that the store is not there', async () => {
    tested = await startTested({ id: 'tested', type: 'call-lookup', store: 'nowhere' });
    const refused = await tested.answer({ payload: 'x' });
    assert.deepEqual([refused.statusCode, code(refused)], [503, 'not_configured']);
    assert.equal(tested.report().state, 'not-configured');
  });
});
