import assert from 'node:assert/strict';
import { ContactError } from '../../../lib/core/errors';
import { MemoryStore } from '../../../lib/store/memory';
import { DAY, HOUR, INTERVAL, MINUTE, World } from './harness';

describe('poller of Cody', () => {
  let world: World;

  beforeEach(async () => {
    world = new World();
    await world.start();
  });
  afterEach(() => world.close());

  it('sends a conversation when it has settled, and not before', async () => {
    const poller = world.poller().acknowledging();
    const id = world.cody.chat();
    await poller.polls(2 * MINUTE);
    world.cody.say(id, { content: 'And another thing' });
    await poller.polls(5 * MINUTE);
    assert.deepEqual(poller.ids, []);
    await poller.polls(MINUTE);
    assert.deepEqual(poller.ids, [id]);
    const [message] = poller.sent;
    assert.equal(message!.payload.metrics.messageCount, 3);
    assert.equal(message!.correlationId, id);
    assert.equal(message!.delivery.attempt, 1);
  });

  it('sends it once, and again only when it has grown', async () => {
    const poller = world.poller().acknowledging();
    const id = world.cody.chat();
    await poller.polls(3 * HOUR);
    assert.deepEqual(poller.ids, [id]);
    world.cody.say(id, { content: 'One more question' });
    await poller.polls(3 * HOUR);
    assert.deepEqual(
      poller.sent.map(({ payload }) => payload.metrics.messageCount),
      [2, 3],
    );
  });

  it('counts a conversation only when the flow has settled it: before that a restart sends it again', async () => {
    const first = world.poller();
    const id = world.cody.chat();
    await first.polls(10 * MINUTE);
    assert.deepEqual(first.ids, [id]);
    first.kill();
    const second = world.poller();
    await second.polls(MINUTE);
    assert.deepEqual(second.ids, [id]);
    await second.settle(second.sent[0]!, { kind: 'acknowledge' });
    second.kill();
    const third = world.poller();
    await third.polls(HOUR);
    assert.deepEqual(third.ids, []);
  });

  it('sends again what was given back, later each time, and with the number of the attempt', async () => {
    const poller = world.poller();
    poller.onSend = () => ({ kind: 'retry' });
    world.cody.chat();
    await poller.polls(30 * MINUTE);
    assert.ok(poller.sent.length >= 4 && poller.sent.length <= 9, `${poller.sent.length} times`);
    assert.deepEqual(
      poller.sent.slice(0, 3).map(({ delivery }) => delivery.attempt),
      [1, 2, 3],
    );
  });

  it('does not send again what was refused for good, until it has grown', async () => {
    const poller = world.poller();
    poller.onSend = () => ({ kind: 'dead-letter', error: new ContactError('REJECTED', { attempted: 'make a Case' }) });
    const id = world.cody.chat();
    await poller.polls(2 * HOUR);
    assert.equal(poller.sent.length, 1);
    assert.equal(poller.poller.counters.errors, 1);
    world.cody.say(id, { content: 'more' });
    await poller.polls(2 * HOUR);
    assert.equal(poller.sent.length, 2);
  });

  it('leaves out empty conversations until there is something in them', async () => {
    const poller = world.poller().acknowledging();
    const id = world.cody.converse();
    await poller.polls(HOUR);
    assert.deepEqual(poller.ids, []);
    world.cody.say(id, { content: 'Hello?' });
    await poller.polls(2 * HOUR);
    assert.deepEqual(poller.ids, [id]);
  });

  it('takes a conversation that never ends when it is a day old', async () => {
    const poller = world.poller({ capMs: 2 * HOUR }).acknowledging();
    const id = world.cody.chat();
    for (let minute = 0; minute < 125; minute += 1) {
      world.cody.say(id, { content: `minute ${minute}` });
      await poller.polls(MINUTE);
    }
    assert.deepEqual(poller.ids, [id]);
    assert.equal(poller.poller.counters.capped, 1);
  });

  it('does not let one conversation that fails stop the others', async () => {
    const poller = world.poller().acknowledging();
    const ids = Array.from({ length: 5 }, () => world.cody.chat());
    world.cody.fail({
      path: new RegExp(`conversation_id=${ids[2]}`),
      times: Number.POSITIVE_INFINITY,
      answer: { status: 500 },
    });
    await poller.polls(20 * MINUTE);
    assert.deepEqual(poller.ids.toSorted(), ids.filter((id) => id !== ids[2]).toSorted());
    assert.ok(poller.poller.counters.errors > 0);
  });

  it('forgets a conversation that was deleted', async () => {
    const poller = world.poller().acknowledging();
    const id = world.cody.chat();
    await poller.polls(MINUTE);
    world.cody.forget(id);
    await poller.polls(HOUR);
    assert.equal(poller.poller.book.size, 0);
    assert.equal(poller.poller.counters.errors, 0);
  });

  it('sends only conversations of its bot, also where the filter does not work', async () => {
    const poller = world.poller({ botId: 'mine' }).acknowledging();
    const mine = world.cody.chat({ botId: 'mine' });
    world.cody.chat({ botId: 'other' });
    await poller.polls(20 * MINUTE);
    assert.deepEqual(poller.ids, [mine]);
  });

  it('has no more conversations in the flow than it may', async () => {
    const poller = world.poller({ capacity: 3 });
    for (let number = 0; number < 10; number++) world.cody.chat({ createdAt: world.time.now - HOUR });
    const polling = poller.poller.poll();
    while (poller.sent.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
    for (let number = 0; number < 7; number++) {
      assert.equal(poller.sent.length, 3 + number);
      await poller.settle(poller.sent[number]!, { kind: 'acknowledge' });
      while (poller.sent.length < 4 + number) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await polling;
    assert.equal(new Set(poller.ids).size, 10);
  });

  it('gives a conversation that the flow forgets back to itself, and sends it again', async () => {
    const poller = world.poller({ settleTimeoutMs: 2 * MINUTE });
    world.cody.chat({ createdAt: world.time.now - HOUR });
    await poller.polls(10 * MINUTE);
    assert.ok(poller.sent.length >= 2);
    assert.ok(poller.poller.looks.deliveries.counts().expired >= 1);
  });

  it('goes on with all its room after its store has taken nothing for a while', async () => {
    let isFull = true;
    class Disk extends MemoryStore {
      override async set(...parameters: Parameters<MemoryStore['set']>): Promise<void> {
        if (isFull) throw new Error('the disk is full');
        await super.set(...parameters);
      }
    }
    const store = new Disk(world.clock, world.values);
    const poller = world.poller({ capacity: 2 }, { store }).acknowledging();
    const ids = Array.from({ length: 3 }, () => world.cody.chat({ createdAt: world.time.now - HOUR }));
    for (let number = 0; number < 3; number++) {
      await assert.rejects(poller.poller.poll(), /the disk is full/);
      await world.pass(HOUR);
    }
    isFull = false;
    await poller.polls(MINUTE);
    assert.deepEqual(poller.ids.toSorted(), ids.toSorted());
  });

  it('goes on with the page of the history in whose midst it was stopped', async () => {
    await world.cody.close();
    await world.start({ pageSize: 5 });
    const ids = Array.from({ length: 130 }, (_, number) =>
      world.cody.chat({ createdAt: world.time.now - 40 * DAY - number * MINUTE }),
    );
    const first = world.poller();
    first.onSend = () => {
      if (first.sent.length === 111) first.poller.pause();
      return { kind: 'acknowledge' };
    };
    await first.poller.poll();
    assert.ok(first.sent.length < 115, `${first.sent.length}`);
    first.kill();
    const second = world.poller().acknowledging();
    await second.poller.poll();
    assert.deepEqual([...first.ids, ...second.ids].toSorted(), ids.toSorted());
  });

  describe('start', () => {
    const history = () => {
      for (let day = 1; day <= 40; day++) {
        world.cody.chat({ id: `day-${String(day).padStart(2, '0')}`, createdAt: world.time.now - day * DAY });
      }
    };

    it('from now on leaves out what has begun before, for ever', async () => {
      history();
      const poller = world.poller({ startFrom: 'now' }).acknowledging();
      await poller.polls(MINUTE);
      assert.deepEqual(world.cody.calls.messages, 0);
      const id = world.cody.chat();
      await poller.polls(20 * MINUTE);
      poller.kill();
      const later = world.cody.chat();
      const next = world.poller({ startFrom: 'now' }).acknowledging();
      await next.polls(20 * MINUTE);
      assert.deepEqual([...poller.ids, ...next.ids], [id, later]);
    });

    it('from now on does not begin anew when the shared store was lost', async () => {
      const poller = world.poller({ startFrom: 'now' }).acknowledging();
      await poller.polls(MINUTE);
      const id = world.cody.chat();
      world.values.clear();
      const next = world.poller({ startFrom: 'now' }).acknowledging();
      Object.assign(next.poller, {
        options: { ...(next.poller as unknown as { options: object }).options, local: poller.local },
      });
      await world.pass(HOUR);
      await next.polls(20 * MINUTE);
      assert.deepEqual(next.ids, [id]);
    });

    it('from a date on takes what began then or later', async () => {
      history();
      const poller = world.poller({ startFrom: { date: world.time.now - 10.5 * DAY } }).acknowledging();
      await poller.polls(5 * MINUTE);
      assert.equal(poller.sent.length, 10);
    });

    it('with everything takes each once, and looks at it once', async () => {
      history();
      const poller = world.poller({ startFrom: 'all' }).acknowledging();
      await poller.polls(10 * MINUTE);
      assert.equal(new Set(poller.ids).size, 40);
      assert.equal(poller.sent.length, 40);
      assert.equal(world.cody.calls.messages, 40);
    });

    it('in a dry run tells what it would send, sends nothing, and remembers nothing', async () => {
      history();
      const poller = world.poller({ dryRun: true });
      await poller.polls(10 * MINUTE);
      assert.deepEqual([poller.sent.length, poller.poller.counters.wouldSend], [0, 40]);
      assert.equal(poller.poller.looks.wouldSend.length, 40);
      assert.equal(world.values.size, 0);
    });
  });

  it('asks for no messages of conversations that are known and old, and for one or two pages of the list', async () => {
    for (let number = 0; number < 500; number++) {
      world.cody.chat({ createdAt: world.time.now - 40 * DAY - number * MINUTE });
    }
    const poller = world.poller().acknowledging();
    await poller.polls(INTERVAL);
    assert.equal(poller.sent.length, 500);
    world.cody.api.clearCounts();
    await poller.polls(50 * MINUTE);
    assert.equal(world.cody.calls.messages, 0);
    assert.equal(world.cody.calls.conversations, 100);
  });

  it('waits as long as the rate limit asks, and loses nothing over it', async () => {
    await world.cody.close();
    await world.start({ now: Date.now });
    const poller = world.poller().acknowledging();
    world.cody.fail({ path: /messages/, times: 3, answer: { status: 429, headers: { 'retry-after': '0.1' } } });
    const began = Date.now();
    const id = world.cody.chat({ createdAt: world.time.now - HOUR });
    await poller.polls(INTERVAL);
    assert.ok(Date.now() - began >= 290);
    assert.deepEqual(poller.ids, [id]);
  });

  describe('with several processes', () => {
    const until = async (condition: () => boolean) => {
      for (let step = 0; step < 2_000 && !condition(); step++) {
        await world.pass(1_000);
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.ok(condition());
    };

    it('from now on remembers the start in those that wait, too, for when the shared store is lost', async () => {
      const settings = { startFrom: 'now' as const };
      const one = world.poller(settings, { owner: 'one', shared: true }).acknowledging();
      one.poller.start();
      await until(() => one.poller.isPolling);
      const other = world.poller(settings, { owner: 'other', shared: true }).acknowledging();
      other.poller.start();
      await until(() => other.poller.lease!.holder === 'one');
      const id = world.cody.chat();
      await one.poller.close();
      world.values.clear();
      await until(() => other.ids.includes(id));
      const end = other.poller.close();
      await world.pass(10_000);
      await end;
    });

    it('lets one of them poll, and another take over when that one ends', async () => {
      const [one, other] = ['one', 'other'].map((owner) => world.poller({}, { owner, shared: true }).acknowledging());
      for (const each of [one, other]) each!.poller.start();
      await until(() => one!.poller.isPolling || other!.poller.isPolling);
      const [holder, standby] = one!.poller.isPolling ? [one!, other!] : [other!, one!];
      const first = world.cody.chat();
      await until(() => holder.sent.length === 1);
      assert.deepEqual([holder.ids, standby.ids], [[first], []]);
      const closing = holder.poller.close();
      await until(() => standby.poller.isPolling);
      await closing;
      const second = world.cody.chat();
      await until(() => standby.sent.length === 1);
      assert.deepEqual(standby.ids, [second]);
      const end = standby.poller.close();
      await world.pass(10_000);
      await end;
    });
  });
});
