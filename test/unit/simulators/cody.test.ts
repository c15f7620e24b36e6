import assert from 'node:assert/strict';
import { type CodySimulator, defaultApiKey, defaultBot, startCodySimulator } from '../../simulators/cody';

interface Answer {
  status: number;
  headers: Headers;
  body: {
    data: Record<string, unknown>[];
    meta: { pagination: Record<string, number | null> };
    message?: string;
    errors?: Record<string, string[]>;
  };
}

describe('the simulated Cody', () => {
  let cody: CodySimulator;
  let now: number;

  beforeEach(async () => {
    now = 1_700_000_000_000;
    cody = await startCodySimulator({ pageSize: 2, now: () => now });
  });
  afterEach(() => cody.close());

  const get = async (path: string, key = defaultApiKey): Promise<Answer> => {
    const response = await fetch(`${cody.url}${path}`, { headers: { Authorization: `Bearer ${key}` } });
    return { status: response.status, headers: response.headers, body: (await response.json()) as Answer['body'] };
  };

  it('lets nobody in without the key', async () => {
    assert.equal((await get('/conversations', 'wrong')).status, 401);
  });

  it('pages through conversations, newest first, with the seconds of their making', async () => {
    for (let number = 0; number < 5; number++) cody.converse({ id: `c${number}`, createdAt: now + number * 1_000 });
    const seen: unknown[] = [];
    for (let page: number | null | undefined = 1; page; ) {
      const { body } = await get(`/conversations?page=${page}`);
      seen.push(...body.data.map(({ id }) => id));
      page = body.meta.pagination['next_page'];
    }
    assert.deepEqual(seen, ['c4', 'c3', 'c2', 'c1', 'c0']);
    const { body } = await get('/conversations?page=3');
    assert.deepEqual(body.data, [{ id: 'c0', name: 'A question', bot_id: defaultBot, created_at: 1_700_000_000 }]);
    assert.deepEqual([body.meta.pagination['total'], body.meta.pagination['total_pages']], [5, 3]);
  });

  it('filters by bot', async () => {
    cody.converse({ id: 'mine' });
    cody.converse({ id: 'other', botId: 'another' });
    assert.deepEqual(
      (await get('/conversations?bot_id=another')).body.data.map(({ id }) => id),
      ['other'],
    );
  });

  it('has messages with a machine flag and no role', async () => {
    const id = cody.chat({ createdAt: now });
    const { body } = await get(`/messages?conversation_id=${id}`);
    assert.deepEqual(
      body.data.map(({ machine, role }) => [machine, role]),
      [
        [true, undefined],
        [false, undefined],
      ],
    );
  });

  it('refuses what the documentation does not have', async () => {
    const id = cody.chat();
    assert.equal((await get(`/conversations/${id}/messages`)).status, 404);
    for (const parameter of ['per_page=100', 'since=1', 'sort=created_at', 'limit=5']) {
      assert.equal((await get(`/conversations?${parameter}`)).status, 422, parameter);
    }
    assert.equal((await get('/messages')).status, 422);
    assert.equal((await get('/messages?conversation_id=unknown')).status, 404);
  });

  it('limits requests by the minute, and says when it goes on', async () => {
    cody.requestsPerMinute = 2;
    assert.equal((await get('/conversations')).headers.get('x-ratelimit-remaining'), '1');
    await get('/conversations');
    const refused = await get('/conversations');
    assert.equal(refused.status, 429);
    assert.equal(refused.headers.get('retry-after'), String(60 - (1_700_000_000 % 60)));
    now += 60_000;
    assert.equal((await get('/conversations')).status, 200);
  });

  it('fails as it is told: before and after a request takes effect', async () => {
    const fault = cody.fail({ path: /conversations/, answer: 'reset' });
    await assert.rejects(get('/conversations'));
    assert.equal(fault.hits, 1);
    cody.fail({ path: /conversations/, answer: { status: 503 } });
    await assert.rejects(get('/conversations'), SyntaxError);
    assert.equal((await get('/conversations')).status, 200);
  });
});
