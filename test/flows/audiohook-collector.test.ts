import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type BooksSnapshot, isBalanced } from '../../lib/core/books';
import { until } from '../nodes/helper';
import { type FlowEntry, type NodeRed, ROOT, startNodeRed } from '../services/node-red';
import { repetitions } from '../services/requirements';
import { type ElasticsearchSimulator, startElasticsearchSimulator } from '../simulators/elasticsearch';
import { defaultClient, type GenesysSimulator, numberOf, startGenesysSimulator } from '../simulators/genesys';

const EXAMPLE = JSON.parse(readFileSync(join(ROOT, 'examples/audiohook-collector.json'), 'utf8')) as FlowEntry[];
const INDEX = 'genesys-audiohook';
const EVENTS = 100_000;
const KILLS = repetitions(4, 20);

describe('the AudioHook collector', function () {
  this.timeout(180_000);
  let genesys: GenesysSimulator;
  let elastic: ElasticsearchSimulator;
  let nodeRed: NodeRed;

  beforeEach(async () => {
    genesys = await startGenesysSimulator({ rateLimitPerMinute: Number.POSITIVE_INFINITY });
    elastic = await startElasticsearchSimulator();
    nodeRed = await startNodeRed({
      flows: EXAMPLE,
      env: {
        GENESYS_LOGIN_URL: genesys.url,
        GENESYS_API_URL: genesys.url,
        GENESYS_CLIENT_ID: defaultClient.id,
        GENESYS_CLIENT_SECRET: defaultClient.secret,
        ELASTIC_URL: elastic.url,
        BULK_MAX_DOCS: '1000',
        BULK_MAX_SECONDS: '0.5',
        RETRY_BASE_SLEEP: '0.2',
        RETRY_MAX_SLEEP: '1',
      },
    });
    await until(
      () => genesys.channels.some(({ sockets, topics }) => sockets === 1 && topics.length > 0),
      'a channel',
      20_000,
    );
  });

  afterEach(async () => {
    await nodeRed?.stop();
    await genesys.close();
    await elastic.close();
  });

  const books = async (): Promise<BooksSnapshot> => {
    const stats = (await (await nodeRed.request('/stats')).json()) as {
      services: { audiohook: { nodes: { type: string; books?: BooksSnapshot }[] } };
    };
    return stats.services.audiohook.nodes.find(({ type }) => type === 'es-bulk-out')!.books!;
  };

  /** The numbers of the events that are stored, each as often as it was stored as a new document. */
  const stored = () => {
    const numbers = new Map<number, number>();
    for (const { _source, created } of elastic.documents(INDEX).values()) {
      const { op } = _source as unknown as { op: { conversationId: string } };
      const number = numberOf(op.conversationId)!;
      numbers.set(number, (numbers.get(number) ?? 0) + created);
    }
    return numbers;
  };

  it(`stores ${EVENTS} events once each, with books that balance at every look`, async () => {
    const run = genesys.generate({ count: EVENTS, ratePerSecond: 20_000, code: 'AUDIOHOOK-0001' });
    let looks = 0;
    while (elastic.count(INDEX) < EVENTS) {
      assert.ok(isBalanced(await books()));
      looks += 1;
      await delay(100);
    }
    await run.done;
    await until(async () => (await books()).delivered === EVENTS);
    assert.ok(looks > 1);
    const numbers = stored();
    assert.equal(numbers.size, EVENTS);
    assert.ok([...numbers.values()].every((times) => times === 1));
  });

  it(`loses and doubles nothing when it is killed ${KILLS} times under load, Elasticsearch up or down`, async () => {
    const run = genesys.generate({ count: 1_000_000, ratePerSecond: 1_000, code: 'AUDIOHOOK-0001' });
    for (let kill = 0; kill < KILLS; kill += 1) {
      if (kill % 2 === 1) await elastic.down();
      const before = run.sent;
      await until(() => run.sent > before + 500 + 400 * kill, 'traffic', 20_000);
      await nodeRed.kill();
      if (kill % 2 === 1) await elastic.up();
      await nodeRed.restart();
    }
    run.stop();
    await run.done;
    const sent = run.sent;
    await until(() => elastic.count(INDEX) >= sent, 'all events', 90_000);
    await until(async () => {
      const { queued, inFlight } = await books();
      return queued + inFlight === 0;
    });
    const numbers = stored();
    assert.equal(numbers.size, sent);
    assert.deepEqual(
      [...numbers].filter(([, times]) => times !== 1),
      [],
    );
    assert.ok(isBalanced(await books()));
  });
});
