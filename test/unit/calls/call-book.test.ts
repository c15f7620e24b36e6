import assert from 'node:assert/strict';
import { CallBook, type CallUpdate } from '../../../lib/calls/call-book';
import { MemoryCallStore } from '../../../lib/calls/memory-store';
import { openPostgresqlCallStore } from '../../../lib/calls/postgresql-store';
import type { CallStore } from '../../../lib/calls/store';
import { ContactError } from '../../../lib/core/errors';
import { type Postgresql, startPostgresql } from '../../services/postgresql';
import { repetitions, requireService } from '../../services/requirements';
import { until } from '../until';
import { forEachCallStore, someCall } from './stores';

const QUICK = { baseMs: 5, maxMs: 20 };

/** The states that a book has told of, by call. */
function told(book: CallBook): Map<string, string[]> {
  const states = new Map<string, string[]>();
  book.onUpdate(({ call, transitions }: CallUpdate) => {
    states.set(call.callId, [...(states.get(call.callId) ?? []), ...transitions.map(({ to }) => to)]);
  });
  return states;
}

describe('the book of calls', () => {
  forEachCallStore((kind) => {
    let store: CallStore;
    let book: CallBook;

    beforeEach(async () => {
      store = await kind.open();
      book = new CallBook({ store, backoff: QUICK });
    });

    afterEach(async () => {
      await book.close(1_000);
      await store.close();
    });

    it('writes the changes of a call in their order and tells of each step once, when the store has it', async () => {
      const states = told(book);
      const call = someCall();
      await book.register(call);
      for (const to of ['dialing', 'ringing', 'dialing', 'answered', 'ringing', 'completed', 'failed'] as const) {
        book.record(call.callId, { to, at: Date.now() });
      }
      await until(() => states.get(call.callId)?.at(-1) === 'completed');
      const steps = ['pending', 'dialing', 'ringing', 'answered', 'completed'];
      assert.deepEqual(states.get(call.callId), steps);
      const kept = await store.transitions(call.callId);
      assert.deepEqual(
        kept.map(({ to }) => to),
        steps,
      );
    });

    it('keeps nobody waiting who has registered a call, and tells of it before all else', async () => {
      const states = told(book);
      const call = someCall();
      await book.register(call);
      assert.deepEqual([...states], []);
      book.record(call.callId, { to: 'failed', at: Date.now() });
      await until(() => states.get(call.callId)?.length === 2);
      assert.deepEqual(states.get(call.callId), ['pending', 'failed']);
    });

    it('tells of what it has written before it is closed', async () => {
      const states = told(book);
      const call = someCall();
      await book.register(call);
      await book.close(1_000);
      assert.deepEqual(states.get(call.callId), ['pending']);
    });

    it('shows at once what it has been told, also before the store has it', async () => {
      const call = someCall();
      await book.register(call);
      book.record(call.callId, { to: 'dialing', at: Date.now() });
      assert.equal((await book.get(call.callId))?.status, 'dialing');
      const steps = (await book.transitions(call.callId)).map(({ number, to }) => [number, to]);
      assert.deepEqual(steps, [
        [1, 'pending'],
        [2, 'dialing'],
      ]);
      assert.equal(await book.get('no id at all'), undefined);
    });

    it('makes its changes on top of those of another book', async () => {
      const other = new CallBook({ store, backoff: QUICK });
      const states = [told(book), told(other)];
      const calls = Array.from({ length: 20 }, () => someCall());
      for (const call of calls) await book.register(call);
      for (const call of calls) {
        for (const [index, to] of (['dialing', 'ringing', 'answered', 'completed'] as const).entries()) {
          book.record(call.callId, { to, at: call.createdAt + index });
          other.record(call.callId, { to, at: call.createdAt + index });
        }
      }
      const steps = ({ callId }: { callId: string }) => states.flatMap((all) => all.get(callId) ?? []);
      await until(() => calls.every((call) => steps(call).includes('completed')));
      await other.close(1_000);
      for (const call of calls) {
        assert.deepEqual(steps(call).toSorted(), ['answered', 'completed', 'dialing', 'pending', 'ringing']);
        const kept = await store.transitions(call.callId);
        assert.deepEqual(
          kept.map(({ number }) => number),
          [1, 2, 3, 4, 5],
        );
      }
    });
  });

  it('keeps what it is told while the store is away, refuses new calls, and writes everything when the store is back', async () => {
    let away = false;
    class Moody extends MemoryCallStore {
      override async check() {
        if (away) throw new ContactError('UNREACHABLE', { attempted: 'ask', reason: 'database_unavailable' });
      }
      override async replace(...parameters: Parameters<MemoryCallStore['replace']>) {
        await this.check();
        return super.replace(...parameters);
      }
    }
    const store = new Moody();
    const book = new CallBook({ store, backoff: QUICK });
    const states = told(book);
    const changes: string[] = [];
    book.onState(({ state }) => changes.push(state));
    const call = someCall();
    await book.register(call);
    away = true;
    for (const to of ['dialing', 'answered', 'completed'] as const) book.record(call.callId, { to, at: Date.now() });
    await until(() => book.state.state === 'away');
    assert.equal(book.state.waiting, 3);
    await assert.rejects(book.register(someCall()), (error: ContactError) => error.reason === 'database_unavailable');
    assert.deepEqual(states.get(call.callId), ['pending']);
    away = false;
    await until(() => states.get(call.callId)?.at(-1) === 'completed');
    assert.deepEqual(changes, ['away', 'working']);
    await book.close(1_000);
  });

  describe('over a PostgreSQL that is killed', () => {
    const programs = requireService('postgresql');
    let server: Postgresql;

    before(async function () {
      this.timeout(60_000);
      server = await startPostgresql(programs.location);
    });
    after(() => server?.close());

    const kills = repetitions(2, 10);
    it(`loses and doubles no step, whenever it is killed (${kills} times)`, async function () {
      this.timeout(120_000);
      const store = openPostgresqlCallStore({ url: await server.createDatabase() });
      const book = new CallBook({ store, backoff: QUICK });
      const states = told(book);
      const calls = Array.from({ length: kills * 40 }, () => someCall());
      for (let kill = 0; kill < kills; kill += 1) {
        const some = calls.slice(kill * 40, kill * 40 + 40);
        for (const call of some) await book.register(call);
        for (const to of ['dialing', 'ringing', 'answered', 'completed'] as const) {
          for (const { callId, createdAt } of some) book.record(callId, { to, at: createdAt + 10 });
        }
        await until(() => some.filter(({ callId }) => (states.get(callId)?.length ?? 0) > 2).length > 3 * kill);
        await server.kill();
        // When all was written already, somebody has to ask before it is noticed.
        await assert.rejects(book.get(some[0]!.callId));
        await until(() => book.state.state === 'away');
        await server.start();
        await until(() => book.state.state === 'working' && book.state.waiting === 0, 'all written', 20_000);
      }
      await until(() => calls.every(({ callId }) => states.get(callId)?.at(-1) === 'completed'));
      for (const { callId } of calls) {
        assert.deepEqual(states.get(callId), ['pending', 'dialing', 'ringing', 'answered', 'completed']);
        assert.equal((await store.transitions(callId)).length, 5);
      }
      await book.close(1_000);
      await store.close();
    });

    it('says that it is away, in time, when it answers no more', async function () {
      this.timeout(60_000);
      const store = openPostgresqlCallStore({ url: await server.createDatabase() });
      const book = new CallBook({ store, backoff: QUICK });
      const call = someCall();
      await book.register(call);
      server.pause();
      try {
        await assert.rejects(book.get(call.callId), (error: ContactError) => error.reason === 'database_unavailable');
        book.record(call.callId, { to: 'dialing', at: Date.now() });
      } finally {
        server.resume();
      }
      await until(() => book.state.state === 'working' && book.state.waiting === 0, 'written', 20_000);
      assert.equal((await store.get(call.callId))?.status, 'dialing');
      await book.close(1_000);
      await store.close();
    });
  });

  it('says what is wrong with a database that does not let it in', async () => {
    const store = openPostgresqlCallStore({ url: 'postgresql://user:hunter22@127.0.0.1:1/calls' });
    await assert.rejects(store.check(), (error: ContactError) => {
      assert.equal(error.code, 'UNREACHABLE');
      assert.equal(error.reason, 'database_unavailable');
      assert.match(error.message, /127\.0\.0\.1:1\/calls/);
      assert.doesNotMatch(error.message, /hunter22/);
      return true;
    });
    await store.close();
  });
});
