import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { Installation, ORGANIZATIONS } from '../services/installation';
import { Load } from '../services/load';
import type { NodeRed } from '../services/node-red';
import { repetitions, requireService } from '../services/requirements';
import { until } from '../unit/until';

const FROZEN_SECONDS = repetitions(15, 60);
const LIMIT_PER_MINUTE = 180;
/** A lease lasts three times as long as the time between two polls, which is a second here; then the next one polls. */
const TAKEN_OVER_WITHIN_MS = 30_000;

describe('several processes with all example flows on one RabbitMQ, Redis and PostgreSQL', function () {
  this.timeout(600_000);
  requireService('rabbitmq');
  const redis = requireService('redis');
  const postgresql = requireService('postgresql');
  let installation: Installation;
  let load: Load;
  let watching: NodeJS.Timeout | undefined;
  /** Processes that stand still. */
  let frozen: Set<NodeRed>;

  afterEach(async () => {
    clearInterval(watching);
    await load?.abandon();
    for (const { pid } of frozen) process.kill(pid, 'SIGCONT');
    await installation?.close();
  });

  const awake = () => installation.processes.filter((each) => each.running && !frozen.has(each));
  const pollers = async () => {
    const answers = await Promise.all(
      awake().map(async (each) => ((await installation.polls(each).catch(() => false)) ? [each] : [])),
    );
    return answers.flat();
  };
  /** Waits until one of them polls, and tells how long that took. */
  const takenOver = async () => {
    const began = Date.now();
    const isTaken = async () => {
      await delay(50);
      return (await pollers()).length === 1;
    };
    await until(isTaken, 'a process that polls', TAKEN_OVER_WITHIN_MS);
    return Date.now() - began;
  };

  it(`share the work exactly while one is killed, one stands still for ${FROZEN_SECONDS} s and one is added`, async () => {
    frozen = new Set();
    installation = await Installation.start({
      redisProgram: redis.location,
      postgresqlPrograms: postgresql.location,
      rateLimitPerMinute: LIMIT_PER_MINUTE,
      properties: { 'contact-queue-in': { retrySeconds: '1, 5, 30' } },
    });
    for (let number = 0; number < 3; number += 1) await installation.addProcess();
    load = new Load(installation, awake);
    await load.start({ audiohook: 50, chats: 1, ocelot: 5, calls: 2, messages: 11 });

    const together: string[] = [];
    let isLooking = false;
    watching = setInterval(async () => {
      if (isLooking) return;
      isLooking = true;
      // Those who answer one after the other may have handed over in between: then a second look tells.
      if ((await pollers()).length > 1 && (await pollers()).length > 1) together.push(new Date().toISOString());
      isLooking = false;
    }, 500);

    await until(() => installation.genesys.messaging.count > 100, 'traffic', 60_000);
    const [killed] = await pollers();
    assert.ok(killed, 'one process polls');
    await killed.kill();
    const afterKill = await takenOver();

    await delay(5_000);
    const [stopped] = await pollers();
    assert.ok(stopped);
    frozen.add(stopped);
    process.kill(stopped.pid, 'SIGSTOP');
    const afterFreeze = await takenOver();
    const [added] = await Promise.all([installation.addProcess(), delay(FROZEN_SECONDS * 1_000)]);
    process.kill(stopped.pid, 'SIGCONT');
    frozen.delete(stopped);
    await installation.untilHealthy(stopped);

    await until(
      async () => {
        await delay(250);
        const [books] = await installation.booksOf(added, 'genesys-message-out');
        return (books?.delivered ?? 0) > 0;
      },
      'work of the one that was added',
      60_000,
    );
    // What the killed one has on disk comes when it is started again, as whatever watches over it would do.
    await killed.restart();
    await installation.untilHealthy(killed);
    await load.stop();
    await load.untilArrived(180_000);
    const { auditedTwice } = await load.checkOnce();
    for (const each of installation.processes) await installation.look(each);

    assert.deepEqual(together, [], 'times at which two processes polled');
    assert.equal(installation.genesys.requests.statuses[429], undefined);
    const peaks = ORGANIZATIONS.map((id) => installation.genesys.traffic.peak(id, 60_000));
    for (const peak of peaks) assert.ok(peak <= LIMIT_PER_MINUTE, `${peak} calls within a minute`);
    console.log(`        arrived: ${JSON.stringify(load.handed)}; ${auditedTwice} lines of the audit log came again`);
    console.log(`        another one polls ${afterKill} ms after a SIGKILL, ${afterFreeze} ms after a SIGSTOP`);
    console.log(`        the most calls within a minute, of ${LIMIT_PER_MINUTE}: ${peaks.join(', ')}`);
  });
});
