import assert from 'node:assert/strict';
import { CodyClient } from '../../../lib/cody/client';
import type { CodyConversation } from '../../../lib/cody/shapes';
import { ListWalk } from '../../../lib/cody/walk';
import { type CodySimulator, defaultApiKey, type ListOrder, startCodySimulator } from '../../simulators/cody';

const PAGE = 10;

describe('walk through the list', () => {
  let cody: CodySimulator;
  let client: CodyClient;
  let walk: ListWalk;
  let calls: number;

  const start = async (conversationOrder: ListOrder, count: number) => {
    cody = await startCodySimulator({ conversationOrder, pageSize: PAGE });
    for (let number = 0; number < count; number++) {
      cody.converse({ id: `c${number}`, createdAt: 1_700_000_000_000 + number * 1_000 });
    }
    client = new CodyClient({ apiUrl: cody.url, apiKey: defaultApiKey });
    walk = new ListWalk((page) => client.conversations(page));
  };
  afterEach(async () => {
    client.close();
    await cody.close();
  });

  const all = async (isOld: (conversation: CodyConversation) => boolean = () => false): Promise<Set<string>> => {
    const found = new Set<string>();
    await walk.begin();
    const before = cody.calls.conversations;
    while (walk.isWalking) {
      for (const { id } of (await walk.step(isOld)).conversations) found.add(id);
    }
    calls = cody.calls.conversations - before;
    return found;
  };
  /** How many new ones the newest pages bring. */
  const newest = async (known: Set<string>): Promise<number> => {
    const before = cody.calls.conversations;
    let total = 0;
    await walk.newest(async (conversations) => {
      const fresh = conversations.filter(({ id }) => !known.has(id));
      for (const { id } of fresh) known.add(id);
      total += fresh.length;
      return fresh.length;
    }, 100);
    calls = cody.calls.conversations - before;
    return total;
  };

  for (const order of ['newest-first', 'oldest-first', 'unsorted'] as const) {
    it(`finds everything in a list that is ${order}`, async () => {
      await start(order, 75);
      assert.equal((await all()).size, 75);
      assert.equal(walk.direction, order === 'unsorted' ? 'unknown' : order);
    });
  }

  for (const order of ['newest-first', 'oldest-first'] as const) {
    it(`finds what is new with one or two calls in a list that is ${order}`, async () => {
      await start(order, 75);
      const known = await all();
      assert.equal(await newest(known), 0);
      assert.equal(calls, 1);
      for (let number = 100; number < 103; number++) cody.converse({ id: `c${number}` });
      assert.equal(await newest(known), 3);
      assert.ok(calls <= 2, `${calls} calls`);
      for (let number = 200; number < 235; number++) cody.converse({ id: `c${number}` });
      assert.equal(await newest(known), 35);
      assert.ok(calls <= 6, `${calls} calls`);
    });

    it(`ends at the first page that is too old in a list that is ${order}`, async () => {
      await start(order, 300);
      const found = await all(({ createdAt }) => createdAt < 1_700_000_000_000 + 280_000);
      assert.ok(found.has('c280') && found.has('c299'));
      assert.ok(calls <= 4, `${calls} calls`);
    });
  }

  it('goes on at the page where an earlier walk has stopped', async () => {
    await start('newest-first', 100);
    await walk.begin(8);
    assert.equal(walk.position, 8);
    const found: string[] = [];
    while (walk.isWalking) found.push(...(await walk.step(() => false)).conversations.map(({ id }) => id));
    assert.equal(found.length, 30);
  });

  it('ends when the list gives the same page again and again', async () => {
    const conversations = [{ id: 'c', name: '', botId: '', createdAt: 0 }];
    let reads = 0;
    walk = new ListWalk(async (page) => {
      reads += 1;
      return { items: conversations, next: page + 1, pages: undefined, total: undefined };
    });
    await walk.begin();
    while (walk.isWalking) await walk.step(() => false);
    assert.ok(reads < 5, `${reads} reads`);
    await start('newest-first', 1);
  });

  it('misses nothing of a list that grows while it is walked through', async () => {
    await start('newest-first', 95);
    const found = new Set<string>();
    await walk.begin();
    for (let step = 0; walk.isWalking; step++) {
      for (const { id } of (await walk.step(() => false)).conversations) found.add(id);
      cody.converse({ id: `new${step}` });
    }
    for (let number = 0; number < 95; number++) assert.ok(found.has(`c${number}`), `c${number}`);
  });
});
