import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../nodes/helper';
import { type FlowEntry, type NodeRed, ROOT, startNodeRed } from '../services/node-red';
import { repetitions } from '../services/requirements';
import { type CodySimulator, defaultApiKey, type ListOrder, startCodySimulator } from '../simulators/cody';
import { defaultZoho, startZohoSimulator, type ZohoSimulator } from '../simulators/zoho';

const EXAMPLE = JSON.parse(readFileSync(join(ROOT, 'examples/cody-to-zoho.json'), 'utf8')) as FlowEntry[];
const CONVERSATIONS = repetitions(420, 10_000);
const PAGE = 14;
const PAGES = Math.ceil(CONVERSATIONS / PAGE);
const HOUR = 3_600_000;
const WITHIN_MS = 1_200_000;
/** What the memory of a process may move by itself. */
const MOVES_BYTES = 40_000_000;

interface PollNode {
  type: string;
  conversations: { polls: number; processed: number };
  history: { page: number; pages: number } | null;
}

describe(`a history of ${CONVERSATIONS} conversations on ${PAGES} pages`, function () {
  this.timeout(2 * WITHIN_MS);
  let cody: CodySimulator;
  let zoho: ZohoSimulator;
  let nodeRed: NodeRed;

  afterEach(async () => {
    await nodeRed.stop();
    await cody.close();
    await zoho.close();
  });

  const start = async (from: string, conversationOrder: ListOrder) => {
    cody = await startCodySimulator({ pageSize: PAGE, conversationOrder });
    // Two years of it at the full length; the newest are of an hour ago.
    for (let number = 0; number < CONVERSATIONS; number++) {
      cody.chat({ id: `old-${number}`, createdAt: Date.now() - HOUR - number * 1.75 * HOUR });
    }
    zoho = await startZohoSimulator({ scopes: [...defaultZoho.scopes, 'ZohoCRM.coql.READ'], credits: 1e6 });
    nodeRed = await startNodeRed({
      flows: EXAMPLE,
      env: {
        CODY_API_URL: cody.url,
        CODY_API_KEY: defaultApiKey,
        CODY_BOT_ID: undefined,
        ZOHO_ACCOUNTS_BASE_URL: zoho.url,
        ZOHO_API_BASE_URL: undefined,
        ZOHO_CLIENT_ID: defaultZoho.clientId,
        ZOHO_CLIENT_SECRET: defaultZoho.clientSecret,
        ZOHO_REFRESH_TOKEN: defaultZoho.refreshToken,
        REDIS_URL: undefined,
        POLL_INTERVAL_SECONDS: '0.5',
        SETTLE_SECONDS: '1',
        START_FROM: from,
        METRICS_ENABLED: 'true',
      },
    });
  };
  const poll = async (): Promise<PollNode> => {
    const answer = await nodeRed.request('/cody2zoho/stats');
    const { services } = (await answer.json()) as { services: { cody2zoho: { nodes: PollNode[] } } };
    return services.cody2zoho.nodes.find(({ type }) => type === 'cody-poll-in')!;
  };
  const memory = async (): Promise<number> => {
    const answer = await nodeRed.request('/cody2zoho/metrics', { headers: { Accept: 'application/json' } });
    const { application } = (await answer.json()) as { application: { resident_memory_bytes: number } };
    return application.resident_memory_bytes;
  };
  /** Watches how the walk gets on until it is over, from page to page: where it is, and the memory at each of them. */
  const watch = async (isEnough: (page: number) => boolean = () => false) => {
    const seen: { page: number; bytes: number }[] = [];
    for (;;) {
      const { history, conversations } = await poll();
      if (history) {
        assert.equal(history.pages, PAGES);
        seen.push({ page: history.page, bytes: await memory() });
        if (isEnough(history.page)) return seen;
      } else if (conversations.polls > 0 && seen.length > 0) return seen;
      const { calls } = cody;
      await cody.api.until(() => cody.calls.conversations > calls.conversations, 'the next page', WITHIN_MS);
    }
  };

  it('makes no Case from now on, and reads a page or two for it', async () => {
    await start('now', 'newest-first');
    await until(async () => (await poll()).conversations.polls >= 3, 'three polls', 60_000);
    const { polls } = (await poll()).conversations;
    assert.ok(cody.calls.conversations <= polls + 6, `${cody.calls.conversations} calls for ${polls} polls`);
    assert.equal(cody.calls.messages, 0);
    assert.equal(zoho.calls, 0);
    const id = cody.chat();
    await until(() => zoho.casesOf(id).length === 1, 'the Case of a new one', 60_000);
    assert.equal(zoho.cases.length, 1);
  });

  for (const order of ['newest-first', 'oldest-first'] as const) {
    it(`makes a Case of each, ${order}, goes on where it was after a kill, and its memory stays flat`, async () => {
      await start('all', order);
      const before = await watch((page) => page > PAGES * 0.3);
      await nodeRed.kill();
      const pageAtKill = before.at(-1)!.page;
      const calls = { ...cody.calls };
      await nodeRed.restart();
      const after = await watch();
      await until(() => zoho.cases.length >= CONVERSATIONS, 'all Cases', WITHIN_MS);
      const pages = [...before, ...after].map(({ page }) => page);
      assert.ok(after[0]!.page >= pageAtKill - 2, `from page ${pageAtKill} to page ${after[0]!.page}`);
      assert.ok(pages.length > 5, `progress was seen ${pages.length} times`);
      assert.equal(zoho.cases.length, CONVERSATIONS);
      assert.equal(new Set(zoho.cases.map(({ fields }) => fields['Cody_Conversation_ID'])).size, CONVERSATIONS);
      // Those that were under way at the kill are looked at twice, and so are some that may still grow.
      const again = cody.calls.messages - CONVERSATIONS;
      assert.ok(again <= 60 + CONVERSATIONS / 100, `${again} looks too many`);
      const polls = (await poll()).conversations.polls;
      const listed = cody.calls.conversations - calls.conversations;
      assert.ok(listed <= PAGES - pageAtKill + 3 * polls + 10, `${listed} pages were read after the kill`);
      const quarter = Math.ceil(after.length / 4);
      const middle = (part: { bytes: number }[]) =>
        part.map(({ bytes }) => bytes).toSorted((one, other) => one - other)[Math.floor(part.length / 2)]!;
      const [first, last] = [middle(after.slice(quarter, 2 * quarter)), middle(after.slice(-quarter))];
      assert.ok(last - first < MOVES_BYTES, `from ${first} to ${last} bytes`);
    });
  }
});
