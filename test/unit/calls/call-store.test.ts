import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { CALL_STATUSES, type Call } from '../../../lib/calls/call';
import { advance, type CallChange } from '../../../lib/calls/state-machine';
import type { CallStore } from '../../../lib/calls/store';
import { ContactError } from '../../../lib/core/errors';
import { forEachCallStore, someCall } from './stores';

const DAY_MS = 86_400_000;

describe('the call store', () => {
  forEachCallStore((kind) => {
    let store: CallStore;

    beforeEach(async () => {
      store = await kind.open();
    });

    afterEach(() => store.close());

    /** Takes a call through changes as the book does. */
    const change = async (call: Call, ...changes: CallChange[]): Promise<Call> => {
      let current = call;
      for (const each of changes) {
        const next = advance(current, each);
        assert.ok(next && (await store.replace(next.call, next.steps)));
        current = next.call;
      }
      return current;
    };

    it('gives a call back as it was registered, with every field, and nothing for an id that it does not know', async () => {
      const call = someCall({
        context: 'outbound-ivr',
        extension: 's',
        priority: 1,
        media: 'sound:hello-world',
        callerId: '"Zoë" <+15559990000>',
        attemptNumber: 2,
        createdBy: 'alice',
        correlationId: 'c-1',
        metadata: { list: [1, 'ä', null], deep: { yes: true } },
      });
      assert.deepEqual(await store.register(call), { kind: 'registered' });
      assert.deepEqual(await store.get(call.callId), call);
      assert.equal(await store.get(randomUUID()), undefined);
      assert.deepEqual(await store.transitions(call.callId), [
        { number: 1, from: null, to: 'pending', at: call.createdAt, reason: null },
      ]);
      assert.deepEqual(await store.transitions(randomUUID()), []);
    });

    it('keeps whatever text a caller sends, or says that the text is at fault', async () => {
      const call = someCall({ metadata: { note: 'a \u0000 b' } });
      const outcome = await store.register(call).catch((thrown: unknown) => thrown);
      if (outcome instanceof ContactError) assert.equal(outcome.code, 'INVALID_INPUT');
      else assert.deepEqual(await store.get(call.callId), call);
    });

    it('keeps every transition with its time and reason, several of one change too', async () => {
      const call = someCall();
      await store.register(call);
      const at = call.createdAt;
      const last = await change(
        call,
        { to: 'dialing', at: at + 1, channel: 'PJSIP/trunk-1' },
        { to: 'ringing', at: at + 20 },
        { hangupRequested: true, at: at + 25 },
        { to: 'completed', at: at + 300, reason: 'hung_up' },
      );
      assert.deepEqual(await store.get(call.callId), last);
      assert.deepEqual(await store.transitions(call.callId), [
        { number: 1, from: null, to: 'pending', at, reason: null },
        { number: 2, from: 'pending', to: 'dialing', at: at + 1, reason: null },
        { number: 3, from: 'dialing', to: 'ringing', at: at + 20, reason: null },
        { number: 4, from: 'ringing', to: 'answered', at: at + 300, reason: null },
        { number: 5, from: 'answered', to: 'completed', at: at + 300, reason: 'hung_up' },
      ]);
    });

    it('replaces a call only by its next version, of two writers at once exactly one', async () => {
      const call = someCall();
      await store.register(call);
      const dialing = advance(call, { to: 'dialing', at: call.createdAt })!;
      const failed = advance(call, { to: 'failed', at: call.createdAt, reason: 'cause_1' })!;
      const won = await Promise.all([dialing, failed].map((next) => store.replace(next.call, next.steps)));
      assert.deepEqual(won.toSorted(), [false, true]);
      assert.equal((await store.transitions(call.callId)).length, 2);
      assert.equal(await store.replace({ ...dialing.call, version: 7 }, dialing.steps), false);
      const stranger = advance(someCall(), { to: 'dialing', at: call.createdAt })!;
      assert.equal(await store.replace(stranger.call, stranger.steps), false);
    });

    it('registers one call for a key, however many ask at once, and gives it to all who ask the same', async () => {
      const claim = { key: 'alice key-1', fingerprint: 'f', notBefore: Date.now() - DAY_MS };
      const calls = Array.from({ length: 8 }, () => someCall());
      const answers = await Promise.all(calls.map((call) => store.register(call, claim)));
      const registered = answers.flatMap(({ kind: outcome }, index) => (outcome === 'registered' ? [index] : []));
      assert.equal(registered.length, 1);
      const first = calls[registered[0]!]!;
      for (const answer of answers) if (answer.kind === 'replay') assert.equal(answer.call.callId, first.callId);
      assert.equal(answers.filter((answer) => answer.kind === 'replay').length, 7);
      assert.equal((await store.list({ offset: 0, limit: 10 })).total, 1);
      const changed = await change(first, { to: 'dialing', at: first.createdAt });
      assert.deepEqual(await store.register(someCall(), claim), { kind: 'replay', call: changed });
    });

    it('refuses a key for another request, and takes it over when the claim is too old', async () => {
      const created = Date.now();
      const claim = { key: 'k', fingerprint: 'one', notBefore: created - DAY_MS };
      await store.register(someCall({ createdAt: created }), claim);
      assert.deepEqual(await store.register(someCall(), { ...claim, fingerprint: 'two' }), { kind: 'conflict' });
      const later = { key: 'k', fingerprint: 'two', notBefore: created + 1 };
      const next = someCall({ createdAt: created + 2 });
      assert.deepEqual(await store.register(next, later), { kind: 'registered' });
      assert.deepEqual(await store.register(someCall(), later), { kind: 'replay', call: next });
    });

    it('lists calls newest first, in pages that do not overlap, of all states or of one', async () => {
      const start = Date.now();
      const calls = Array.from({ length: 25 }, (_, index) => someCall({ createdAt: start + Math.floor(index / 2) }));
      for (const [index, call] of calls.entries()) {
        await store.register(call);
        if (index % 5 === 0) await change(call, { to: 'busy', at: start + 100, reason: 'busy' });
      }
      const seen: string[] = [];
      for (let offset = 0; offset < 25; offset += 10) {
        const page = await store.list({ offset, limit: 10 });
        assert.equal(page.total, 25);
        seen.push(...page.calls.map(({ callId }) => callId));
      }
      const wanted = calls.toSorted((one, other) =>
        one.createdAt === other.createdAt ? (other.callId < one.callId ? -1 : 1) : other.createdAt - one.createdAt,
      );
      assert.deepEqual(
        seen,
        wanted.map(({ callId }) => callId),
      );
      const busy = await store.list({ status: 'busy', offset: 0, limit: 3 });
      assert.equal(busy.total, 5);
      assert.deepEqual(
        busy.calls.map(({ status }) => status),
        ['busy', 'busy', 'busy'],
      );
      assert.deepEqual(await store.list({ status: 'answered', offset: 0, limit: 3 }), { calls: [], total: 0 });
    });

    it('knows the calls that are not over', async () => {
      const open = someCall();
      await store.register(open);
      for (const to of CALL_STATUSES.slice(4)) {
        const call = someCall();
        await store.register(call);
        await change(call, { to, at: call.createdAt });
      }
      const answered = someCall();
      await store.register(answered);
      const current = await change(answered, { to: 'answered', at: answered.createdAt });
      const found = await store.unfinished();
      assert.deepEqual(
        found.toSorted((one, other) => one.version - other.version),
        [open, current],
      );
    });

    it('forgets what is over since before a time, with its steps and its key, and nothing else', async () => {
      const old = Date.now() - 10 * DAY_MS;
      const claim = { key: 'k', fingerprint: 'f', notBefore: 0 };
      const over = someCall({ createdAt: old });
      await store.register(over, claim);
      await change(over, { to: 'failed', at: old + 1 });
      const open = someCall({ createdAt: old });
      await store.register(open);
      const recent = someCall();
      await store.register(recent);
      await change(recent, { to: 'failed', at: recent.createdAt });
      assert.equal(await store.forget(Date.now() - DAY_MS), 1);
      assert.equal(await store.get(over.callId), undefined);
      assert.deepEqual(await store.transitions(over.callId), []);
      assert.equal((await store.list({ offset: 0, limit: 10 })).total, 2);
      assert.equal((await store.list({ status: 'failed', offset: 0, limit: 10 })).total, 1);
      assert.deepEqual(await store.register(someCall(), claim), { kind: 'registered' });
      assert.equal(await store.forget(Date.now() - DAY_MS), 0);
    });

    it('keeps users: adds, replaces, lists them by name', async () => {
      const at = Date.now();
      const bob = { name: 'bob', passwordHash: '$2b$12$x', disabled: false, createdAt: at, changedAt: at };
      const alice = { ...bob, name: 'Alice', disabled: true };
      await store.saveUser(bob);
      await store.saveUser(alice);
      await store.saveUser({ ...bob, passwordHash: '$2b$12$y', changedAt: at + 5 });
      assert.deepEqual(await store.users(), [alice, { ...bob, passwordHash: '$2b$12$y', changedAt: at + 5 }]);
      assert.equal((await store.user('bob'))?.passwordHash, '$2b$12$y');
      assert.equal(await store.user('carol'), undefined);
      assert.equal(await store.user("'; drop table call_users; --"), undefined);
    });

    it('answers a check, refuses to work after it was closed, and may be closed twice', async () => {
      await store.check();
      await store.close();
      await store.close();
      const closed = (error: unknown) => error instanceof ContactError && error.code === 'CLOSED';
      await assert.rejects(async () => store.get(randomUUID()), closed);
      await assert.rejects(async () => store.register(someCall()), closed);
      await assert.rejects(async () => store.check(), closed);
    });

    it('keeps everything over a close and a new start', async () => {
      if (kind.name === 'memory') {
        assert.throws(() => kind.reopen(), /cannot be opened again/);
        return;
      }
      const call = someCall();
      const claim = { key: 'k', fingerprint: 'f', notBefore: call.createdAt };
      await store.register(call, claim);
      const current = await change(call, { to: 'ringing', at: call.createdAt + 3 });
      await store.close();
      store = kind.reopen();
      assert.deepEqual(await store.get(call.callId), current);
      assert.deepEqual(await store.register(someCall(), claim), { kind: 'replay', call: current });
      assert.deepEqual(await store.unfinished(), [current]);
      assert.equal((await store.transitions(call.callId)).length, 3);
    });
  });
});
