import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type BooksSnapshot, isBalanced } from '../../lib/core/books';
import { until } from '../nodes/helper';
import { type FlowEntry, type NodeRed, ROOT, startNodeRed } from '../services/node-red';
import { repetitions, requireService } from '../services/requirements';
import { type ElasticsearchSimulator, startElasticsearchSimulator } from '../simulators/elasticsearch';
import { defaultClient, type GenesysSimulator, numberOf, startGenesysSimulator } from '../simulators/genesys';

const EXAMPLE = JSON.parse(readFileSync(join(ROOT, 'examples/audiohook-collector.json'), 'utf8')) as FlowEntry[];
const INDEX = 'genesys-audiohook';
const EVENTS = 100_000;
const KILLS = repetitions(2, 20);
const AWAY_SECONDS = repetitions(10, 180);
const REDEPLOYS = repetitions(6, 50);

/** What a runtime has in use, answered at `/resources` by a middleware that the settings add. */
interface Resources {
  /** Timers, sockets and so on that keep the event loop busy, by kind. */
  handles: Record<string, number>;
  /** Listeners on the process and on the events of the runtime. */
  listeners: number;
  /** Routes and middleware of the runtime's own HTTP server. */
  routes: number;
  /** What JavaScript holds, in bytes; pages of the buffer's file that the system keeps in memory are not in it. */
  memory: number;
}

const ANSWER_RESOURCES = `{ httpAdminMiddleware: (request, response, next) => {
  if (request.path !== '/resources') return next();
  const handles = {};
  for (const kind of process.getActiveResourcesInfo()) handles[kind] = (handles[kind] ?? 0) + 1;
  const { events } = require(${JSON.stringify(require.resolve('@node-red/util'))});
  const { httpNode } = require(${JSON.stringify(require.resolve('node-red'))});
  let listeners = 0;
  for (const emitter of [process, events]) {
    for (const name of emitter.eventNames()) listeners += emitter.listenerCount(name);
  }
  const { heapTotal, external } = process.memoryUsage();
  response.json({ handles, listeners, routes: httpNode._router.stack.length, memory: heapTotal + external });
} }`;

describe('the AudioHook collector', function () {
  this.timeout(repetitions(180_000, 900_000));
  let genesys: GenesysSimulator;
  let elastic: ElasticsearchSimulator;
  let nodeRed: NodeRed;

  const start = async (changes: Record<string, unknown> = {}, env: Record<string, string> = {}) => {
    genesys = await startGenesysSimulator({ rateLimitPerMinute: Number.POSITIVE_INFINITY });
    elastic = await startElasticsearchSimulator();
    nodeRed = await startNodeRed({
      flows: EXAMPLE.map((entry) => (entry.type === 'es-bulk-out' ? { ...entry, ...changes } : entry)),
      settings: ANSWER_RESOURCES,
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
        ...env,
      },
    });
    await until(
      () => genesys.channels.some(({ sockets, topics }) => sockets === 1 && topics.length > 0),
      'a channel',
      20_000,
    );
  };

  afterEach(async () => {
    await nodeRed?.stop();
    await genesys.close();
    await elastic.close();
  });

  const resources = async () => (await (await nodeRed.request('/resources')).json()) as Resources;

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
    await start();
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
    await start();
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

  it(`drops exactly the oldest events beyond the limit while Elasticsearch is away for ${AWAY_SECONDS} s, and recovers`, async () => {
    const limit = AWAY_SECONDS * 500;
    await start({ overflow: 'drop-oldest', bufferDocuments: limit, bufferBytes: 1_000_000_000 });
    const run = genesys.generate({ count: 10_000_000, ratePerSecond: 1_000, code: 'AUDIOHOOK-0001' });
    await until(() => elastic.count(INDEX) > 500, 'the first documents');
    await elastic.down();
    const memory: number[] = [];
    for (let second = 0; second < AWAY_SECONDS; second += 1) {
      const { received, delivered, dropped, ...rest } = await books();
      assert.ok(isBalanced({ received, delivered, dropped, ...rest }));
      assert.equal(dropped, Math.max(0, received - delivered - limit));
      memory.push((await resources()).memory);
      await delay(1_000);
    }
    run.stop();
    await run.done;
    await until(async () => (await books()).received === run.sent, 'the last event');
    await elastic.up();
    await until(
      async () => {
        const { queued, inFlight } = await books();
        return queued + inFlight === 0;
      },
      'recovery',
      60_000,
    );
    const { delivered, dropped, rejected } = await books();
    assert.equal(rejected, 0);
    assert.equal(delivered + dropped, run.sent);
    assert.equal(elastic.count(INDEX), delivered);
    const numbers = stored();
    const missing = Array.from({ length: run.sent }, (_, number) => number).filter((number) => !numbers.has(number));
    assert.equal(missing.length, dropped);
    assert.equal(missing.at(-1)! - missing[0]!, dropped - 1);
    assert.ok(Math.max(...memory) < 500_000_000);
  });

  it(`loses nothing while Elasticsearch is away and the buffer refuses what does not fit`, async () => {
    await start({ overflow: 'refuse', bufferDocuments: 1_000 });
    const run = genesys.generate({ count: 3_000, ratePerSecond: 1_000, code: 'AUDIOHOOK-0001' });
    await until(() => elastic.count(INDEX) > 500, 'the first documents');
    await elastic.down();
    await run.done;
    await until(async () => (await books()).rejected > 0, 'a refusal');
    await elastic.up();
    await until(() => elastic.count(INDEX) === run.sent, 'all events', 30_000);
    assert.ok([...stored().values()].every((times) => times === 1));
    assert.ok(isBalanced(await books()));
  });

  it(`loses nothing and leaves nothing behind when it is deployed ${REDEPLOYS} times under load`, async () => {
    await start();
    const flows = (await (await nodeRed.request('/flows')).json()) as FlowEntry[];
    await genesys.generate({ count: 1_000, code: 'AUDIOHOOK-0001' }).done;
    await until(() => elastic.count(INDEX) === 1_000, 'the first events');
    await nodeRed.deploy(flows);
    await until(() => genesys.channels[0]?.sockets === 1, 'one socket');
    const before = await resources();
    const run = genesys.generate({
      count: 10_000_000,
      startNumber: 1_000,
      ratePerSecond: 1_000,
      code: 'AUDIOHOOK-0001',
    });
    for (let deploy = 0; deploy < REDEPLOYS; deploy += 1) {
      const seen = run.sent;
      const began = Date.now();
      await nodeRed.deploy(flows);
      assert.ok(Date.now() - began < 5_000);
      await until(() => run.sent > seen + 200, 'traffic');
    }
    run.stop();
    await run.done;
    await until(() => elastic.count(INDEX) === run.sent + 1_000, 'all events', 120_000);
    assert.ok([...stored().values()].every((times) => times === 1));
    assert.ok(isBalanced(await books()));
    const kinds = ['TCPSocketWrap', 'TCPServerWrap', 'Timeout', 'Immediate', 'FSEventWrap', 'StatWatcher'];
    let after: Resources;
    await until(
      async () => {
        after = await resources();
        return kinds.every((kind) => (after.handles[kind] ?? 0) <= (before.handles[kind] ?? 0) + 2);
      },
      'as few handles as before',
      20_000,
    );
    assert.equal(after!.listeners, before.listeners);
    assert.equal(after!.routes, before.routes);
    assert.equal(genesys.channels.filter(({ sockets }) => sockets > 0).length, 1);
    assert.ok(!nodeRed.log().includes('MaxListenersExceededWarning'));
  });

  describe('with a real Elasticsearch', () => {
    const real = requireService('elasticsearch');
    const index = `audiohook-${randomUUID()}`;
    const ask = async (path: string, method = 'GET') =>
      (await fetch(`${real.location}/${index}${path}`, { method })).json();

    it(`stores every event once although Node-RED is killed ${KILLS} times`, async () => {
      await start(
        {},
        { ELASTIC_URL: real.location, ELASTIC_INDEX: index, ELASTIC_AUTH: process.env['ELASTICSEARCH_AUTH'] ?? '' },
      );
      const run = genesys.generate({ count: 1_000_000, ratePerSecond: 1_000, code: 'AUDIOHOOK-0001' });
      for (let kill = 0; kill < KILLS; kill += 1) {
        const before = run.sent;
        await until(() => run.sent > before + 700, 'traffic', 20_000);
        await nodeRed.kill();
        await nodeRed.restart();
      }
      run.stop();
      await run.done;
      const count = async () => {
        await ask('/_refresh', 'POST');
        return ((await ask('/_search?size=0&track_total_hits=true')) as { hits: { total: { value: number } } }).hits
          .total.value;
      };
      await until(async () => (await count()) >= run.sent, 'all events', 180_000);
      await until(async () => {
        const { queued, inFlight } = await books();
        return queued + inFlight === 0;
      });
      assert.equal(await count(), run.sent);
      assert.ok(isBalanced(await books()));
      await ask('', 'DELETE');
    });
  });
});
