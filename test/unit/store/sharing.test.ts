import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import { RateLimit } from '../../../lib/core/rate-limit';
import { MemoryStore } from '../../../lib/store/memory';
import { Presence } from '../../../lib/store/presence';
import { RedisStore } from '../../../lib/store/redis';
import { type RedisServer, startRedis } from '../../services/redis';
import { requireService } from '../../services/requirements';
import { until } from '../until';

describe('what processes share through Redis', () => {
  const program = requireService('redis');
  let server: RedisServer;
  let clients: RedisStore[];
  let number = 0;

  before(async () => {
    server = await startRedis({ program: program.location });
  });

  after(() => server?.close());

  beforeEach(() => {
    clients = [];
    number += 1;
  });

  afterEach(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await server.restart();
  });

  async function connect(): Promise<Redis> {
    const client = new RedisStore({ url: server.url });
    clients.push(client);
    await client.get('ready');
    return client.client;
  }

  async function limits(turns: number, count: number, processes = count): Promise<RateLimit[]> {
    const made: RateLimit[] = [];
    for (let index = 0; index < count; index++) {
      const shared = { redis: await connect(), key: `limit-${number}`, processes: () => processes };
      made.push(new RateLimit({ turns, windowMs: 60_000, even: true, shared }));
    }
    return made;
  }

  /** How many turns those who ask for many get at once. */
  async function turnsNow(asked: readonly RateLimit[]): Promise<number> {
    let given = 0;
    // Where nobody has got a turn in some rounds, all that there are have been given.
    for (let quiet = 0, before = -1; quiet < 5; quiet = before === given ? quiet + 1 : 0) {
      before = given;
      const turns = await Promise.allSettled(asked.map((limit) => limit.acquire(AbortSignal.timeout(60))));
      given += turns.filter(({ status }) => status === 'fulfilled').length;
    }
    return given;
  }

  it('is one count of turns, not one for each', async () => {
    const three = await limits(120, 3);
    const given = await turnsNow(three);
    assert.ok(given >= 10 && given <= 20, `${given} turns at once`);
  });

  it('is a pause, which all of them sit out', async () => {
    const [one, other] = (await limits(120, 2)) as [RateLimit, RateLimit];
    one.pauseFor(30_000);
    await until(async () => {
      const turn = other.acquire(AbortSignal.timeout(50)).then(
        () => 'turn',
        () => 'none',
      );
      return (await turn) === 'none';
    });
  });

  it('is divided by their number while Redis is away, and is one again when it is back', async () => {
    const [one] = (await limits(600, 1, 4)) as [RateLimit];
    await one.acquire();
    assert.equal(one.alone, false);
    await server.kill();
    await one.acquire();
    assert.equal(one.alone, true);
    const given = await turnsNow([one]);
    assert.ok(given <= 20, `${given} turns at once`);
    await server.restart();
    await until(async () => {
      await one.acquire();
      return !one.alone;
    });
  });

  it('is known to be shared by so many: those who are there and have not fallen silent', async () => {
    const store = new MemoryStore();
    const open = async (id: string) => {
      const presence = new Presence({ redis: await connect(), store, name: `${number}`, id, everyMs: 50 });
      await presence.start();
      return presence;
    };
    const one = await open('one');
    assert.equal(one.count, 1);
    const two = await open('two');
    const silent = await open('three');
    await until(() => one.count === 3);
    await silent.close();
    await until(() => one.count === 2);
    await server.kill();
    assert.equal(one.count, 2);
    const late = new Presence({ redis: clients[0]!.client, store, name: `${number}`, id: 'four', everyMs: 50 });
    await late.start();
    assert.equal(late.count, 2);
    await server.restart();
    await until(() => late.count === 3);
    for (const presence of [one, two, late]) await presence.close();
  });
});
