import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { Installation } from '../services/installation';
import { Load } from '../services/load';
import { repetitions, requireService } from '../services/requirements';
import { until } from '../unit/until';

const STOPS = repetitions(1, 10);
/** What the nodes may take to finish, and the rest of Node-RED. */
const STOP_WITHIN_MS = 8_000;
/** So many events the audit log of the example has out at once. */
const AUDIT_PREFETCH = 20;

describe('Node-RED with all example flows', function () {
  this.timeout(120_000 + STOPS * 60_000);
  requireService('rabbitmq');
  const redis = requireService('redis');
  const postgresql = requireService('postgresql');
  let installation: Installation;
  let load: Load;

  afterEach(async () => {
    await load?.abandon();
    await installation?.close();
  });

  it(`loses nothing when it is stopped with SIGTERM under load (${STOPS} times), and stops in time`, async () => {
    installation = await Installation.start({
      redisProgram: redis.location,
      postgresqlPrograms: postgresql.location,
    });
    const nodeRed = await installation.addProcess();
    load = new Load(installation, () => [nodeRed]);
    await load.start({ audiohook: 200, chats: 2, ocelot: 20, calls: 5, messages: 20 });
    const took: number[] = [];
    for (let stop = 0; stop < STOPS; stop += 1) {
      const before = await load.arrived();
      await until(
        async () => {
          await delay(250);
          const now = await load.arrived();
          return Object.entries(before).every(([name, count]) => now[name as keyof typeof now] > count);
        },
        'work of every service',
        30_000,
      );
      took.push(await nodeRed.stop());
      assert.match(nodeRed.log(), /\[Node-RED ended: exit code 0\]\n$/);
      await nodeRed.restart();
      await installation.untilHealthy(nodeRed);
    }
    await load.stop();
    await load.untilArrived(60_000);
    const { auditedTwice } = await load.checkOnce();
    assert.doesNotMatch(nodeRed.log(), /MaxListenersExceededWarning/);
    // Node-RED stops all nodes at once, before anything could wait for them: what is within a node that is not ours then
    // is given back, and comes again.
    assert.ok(auditedTwice <= STOPS * AUDIT_PREFETCH, `${auditedTwice} lines twice`);
    console.log(`        stops took ${took.map((ms) => `${(ms / 1_000).toFixed(1)} s`).join(', ')}`);
    console.log(`        arrived: ${JSON.stringify(load.handed)}; ${auditedTwice} lines of the audit log came again`);
    assert.deepEqual(
      took.filter((ms) => ms > STOP_WITHIN_MS),
      [],
    );
  });
});
