import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { ChannelModel, Options } from 'amqplib';
import { until } from '../nodes/helper';
import type { FlowEntry, NodeRed } from '../services/node-red';
import { type RabbitMq, startRabbitMq } from '../services/rabbitmq';
import { repetitions, requireService } from '../services/requirements';
import {
  common,
  consumingFlow,
  placed,
  startBrokerFlow,
  statsOf,
  untilState,
  WORK_SETTINGS,
  type Work,
  workOf,
} from './broker-flow';

const PREFETCH = 50;
const MESSAGES = repetitions(1_500, 20_000);
const KILLS = repetitions(1, 20);
const BROKER_KILLS = repetitions(1, 10);
const POISON = repetitions(50, 1_000);
const ATTEMPTS = 3;
const REDEPLOYS = repetitions(4, 50);
/** The time that is set in the editor when nobody changes it, or a shorter one. */
const STALL = repetitions(0, 1) === 1 ? {} : { stallSeconds: 3 };

/** Takes up to 20 ms, in which the process may end, and then says that it is finished. */
const SLOW_WORK = `
  setTimeout(() => {
    record(msg.payload.n);
    node.send(msg);
  }, Math.random() * 20);`;

describe('consuming while something fails', function () {
  this.timeout(20 * 60_000);
  requireService('rabbitmq');
  let broker: RabbitMq;
  let nodeRed: NodeRed;

  before(async () => {
    broker = await startRabbitMq();
  });
  after(() => broker.close());
  afterEach(() => nodeRed?.stop());

  const start = async (work: Work) => {
    nodeRed = await startBrokerFlow(consumingFlow(broker.url, work), { settings: WORK_SETTINGS });
    await untilState(nodeRed, 'in', ['connected', 'stalled']);
  };
  const inQueue = (queue: string) =>
    broker.use(async (connection) => (await connection.createChannel()).checkQueue(queue));
  const untilEmpty = (queue: string) =>
    until(
      async () => {
        const { deliveries } = await statsOf(nodeRed, 'in');
        if (deliveries!['open'] !== 0 || (await inQueue(queue)).messageCount !== 0) return false;
        // The last ones may have been handed out between the two looks: the broker counts those too.
        return (await broker.queued())[queue] === 0;
      },
      `the queue ${queue} to be empty`,
      300_000,
    );
  const finished = () => workOf(nodeRed).map(Number);

  for (const queueType of ['quorum', 'classic']) {
    it(`acknowledges nothing unfinished and loses nothing when Node-RED is killed ${KILLS} times, with a ${queueType} queue`, async () => {
      const queue = `killed.${queueType}`;
      await broker.use((connection) => fill(connection, queue, queueType, numbersTo(MESSAGES)));
      await start({ func: SLOW_WORK, source: { queue, queueType, prefetch: PREFETCH, declare: false } });
      for (let kill = 1; kill <= KILLS; kill += 1) {
        await until(() => finished().length >= (kill * MESSAGES) / (KILLS + 1), 'messages to kill it at', 60_000);
        await nodeRed.kill();
        // What is no longer in the queue was acknowledged; the broker takes a moment to put back what was handed out.
        const done = new Set(finished()).size;
        await until(
          async () => {
            const { messageCount, consumerCount } = await inQueue(queue);
            return consumerCount === 0 && MESSAGES - messageCount <= done;
          },
          'everything unfinished to be in the queue',
          20_000,
        );
        await nodeRed.restart();
      }
      await untilEmpty(queue);
      const all = finished();
      assert.equal(new Set(all).size, MESSAGES, 'every message was finished');
      // Only what was finished and not yet acknowledged in the broker can come a second time.
      assert.ok(all.length - MESSAGES <= KILLS * PREFETCH);
      console.log(`      ${all.length - MESSAGES} messages finished a second time in ${KILLS} kills`);
    });

    it(`finishes every message once when RabbitMQ is killed ${BROKER_KILLS} times, with a ${queueType} queue`, async () => {
      const queue = `broker-killed.${queueType}`;
      await broker.use((connection) => fill(connection, queue, queueType, numbersTo(MESSAGES)));
      await start({ func: SLOW_WORK, source: { queue, queueType, prefetch: PREFETCH, declare: false } });
      for (let kill = 1; kill <= BROKER_KILLS; kill += 1) {
        await until(() => finished().length >= (kill * MESSAGES) / (BROKER_KILLS + 1), 'messages', 60_000);
        await broker.kill();
        await untilState(nodeRed, 'in', ['disconnected']);
        await broker.start();
        await untilState(nodeRed, 'in', ['connected'], 60_000);
      }
      await untilEmpty(queue);
      const all = finished();
      assert.equal(new Set(all).size, MESSAGES, 'every message was finished');
      console.log(`      ${all.length - MESSAGES} messages finished a second time in ${BROKER_KILLS} kills`);
    });
  }

  it(`tries each of ${POISON} poison messages ${ATTEMPTS} times, puts it aside with its reason, and handles all others once`, async () => {
    const queue = 'poison';
    const source = { queue, prefetch: PREFETCH, maxAttempts: ATTEMPTS, retrySeconds: '0.5, 1' };
    await start({
      func: `
        const { n, poison } = msg.payload;
        record(n);
        if (poison) throw new Error('message ' + n + ' cannot be digested');
        return msg;`,
      source,
    });
    const every = MESSAGES / POISON;
    const isPoison = (n: number) => n % every === 0;
    const content = numbersTo(MESSAGES + POISON).map(({ n }) => ({ n, poison: isPoison(n) && n < MESSAGES }));
    await broker.use((connection) => publishAll(connection, queue, content));
    const counts = async () => (await statsOf(nodeRed, 'in')).deliveries!;
    await until(async () => (await counts())['putAside'] === POISON, 'all poison in the dead-letter queue', 300_000);
    await until(async () => (await counts())['open'] === 0, 'the rest', 60_000);
    const tries = new Map<number, number>();
    for (const n of finished()) tries.set(n, (tries.get(n) ?? 0) + 1);
    assert.equal(tries.size, content.length);
    const wrong = content.filter(({ n, poison }) => tries.get(n) !== (poison ? ATTEMPTS : 1));
    assert.deepEqual(wrong, []);
    // A message that spins would be handed out more often than it is tried.
    assert.equal((await counts())['received'], MESSAGES + ATTEMPTS * POISON);
    const aside = await broker.use((connection) => drain(connection, `${queue}.dlq`));
    assert.deepEqual(
      aside.map(({ content: { n } }) => n).toSorted((a, b) => a - b),
      content.filter(({ poison }) => poison).map(({ n }) => n),
    );
    for (const {
      content: { n },
      headers,
    } of aside) {
      assert.equal(headers['x-attempts'], ATTEMPTS);
      assert.match(
        headers['x-failure-reason'] as string,
        new RegExp(`failed 3 times.*message ${n} cannot be digested`),
      );
    }
  });

  it('turns red in the status, in /health and in the metrics when acknowledgements are dropped', async () => {
    const queue = 'dropped';
    const env = { METRICS_ENABLED: 'true' };
    const flow = consumingFlow(broker.url, { func: 'return msg;', source: { queue, ...STALL }, settled: false });
    nodeRed = await startBrokerFlow(flow, { env, settings: WORK_SETTINGS });
    await untilState(nodeRed, 'in', ['connected']);
    await broker.use((connection) => publishAll(connection, queue, numbersTo(100)));
    const began = Date.now();
    const { reason } = await untilState(nodeRed, 'in', ['stalled'], 30_000);
    console.log(`      red after ${((Date.now() - began) / 1_000).toFixed(1)} s`);
    assert.match(reason ?? '', /All 20 messages of the prefetch are out and nothing settles them/);
    const health = await nodeRed.request('/ocelot/health');
    assert.equal(health.status, 503);
    const { checks } = (await health.json()) as { checks: { node: string; status: string }[] };
    assert.equal(checks.find(({ status }) => status === 'unhealthy')?.node, 'in');
    const metrics = await (await nodeRed.request('/ocelot/metrics')).text();
    assert.match(metrics, /^contact_center_deliveries_stalled{.*node="in".*} 1$/m);
  });

  it(`loses nothing and leaves no connection and no channel behind when it is deployed ${REDEPLOYS} times under load`, async () => {
    const [source, target] = ['deployed.in', 'deployed.out'];
    const flow = (round: number): FlowEntry[] => [
      ...common(broker.url),
      {
        id: 'in',
        type: 'contact-queue-in',
        z: 'tab',
        name: `in ${round}`,
        broker: 'broker',
        queue: source,
        prefetch: PREFETCH,
        wires: [['prepare']],
      },
      {
        id: 'prepare',
        type: 'function',
        z: 'tab',
        outputs: 1,
        func: `return { ...msg, eventType: 'test.deployed', organizationId: 'org', eventId: msg.amqp.messageId };`,
        wires: [['publish']],
      },
      { id: 'publish', type: 'ocelot-publish', z: 'tab', name: `out ${round}`, broker: 'broker', wires: [[], []] },
    ];
    await broker.use(async (connection) => {
      const channel = await connection.createChannel();
      await channel.assertExchange('ocelot.events', 'topic', { durable: true });
      await channel.assertQueue(target, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
      await channel.bindQueue(target, 'ocelot.events', 'comms.test.deployed');
    });
    nodeRed = await startBrokerFlow(flow(0));
    await untilState(nodeRed, 'in', ['connected']);
    const before = await broker.users();
    let published = 0;
    const load = await startLoad(broker, source, () => published++);
    for (let round = 1; round <= REDEPLOYS; round += 1) {
      const { messageCount } = await inQueue(target);
      await until(async () => (await inQueue(target)).messageCount > messageCount + 20, 'traffic', 30_000);
      await nodeRed.deploy(placed(flow(round)), { type: (['full', 'nodes', 'flows'] as const)[round % 3]! });
    }
    await load.stop();
    await untilState(nodeRed, 'in', ['connected']);
    await untilEmpty(source);
    const ids = (await broker.use((connection) => drain(connection, target))).map(({ id }) => id);
    assert.equal(new Set(ids).size, published, 'every message has arrived');
    await until(
      async () => {
        const now = await broker.users();
        return JSON.stringify(now) === JSON.stringify(before);
      },
      `the broker to count ${JSON.stringify(before)} again`,
      30_000,
    );
    console.log(`      ${published} messages, ${ids.length - published} second copies, ${JSON.stringify(before)}`);
  });
});

interface Numbered {
  n: number;
  poison?: boolean;
}

function numbersTo(count: number): Numbered[] {
  return Array.from({ length: count }, (_, n) => ({ n }));
}

/** Makes a queue that holds these messages. */
async function fill(connection: ChannelModel, queue: string, type: string, contents: Numbered[]): Promise<void> {
  const channel = await connection.createChannel();
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': type } });
  await publishAll(connection, queue, contents);
}

async function publishAll(connection: ChannelModel, queue: string, contents: Numbered[]): Promise<void> {
  const channel = await connection.createConfirmChannel();
  for (const content of contents) channel.sendToQueue(queue, Buffer.from(JSON.stringify(content)), properties());
  await channel.waitForConfirms();
  await channel.close();
}

function properties(): Options.Publish {
  return { persistent: true, contentType: 'application/json', messageId: randomUUID() };
}

interface Drained {
  id: string;
  content: Numbered;
  headers: Record<string, unknown>;
}

/** Takes everything out of a queue. */
async function drain(connection: ChannelModel, queue: string): Promise<Drained[]> {
  const channel = await connection.createChannel();
  const { messageCount } = await channel.checkQueue(queue);
  const drained: Drained[] = [];
  await new Promise<void>((resolve, reject) => {
    if (messageCount === 0) resolve();
    channel
      .consume(queue, (message) => {
        if (!message) return;
        const { messageId, headers = {} } = message.properties;
        drained.push({ id: String(messageId), content: JSON.parse(message.content.toString()) as Numbered, headers });
        channel.ack(message);
        if (drained.length === messageCount) resolve();
      })
      .catch(reject);
  });
  await channel.close();
  return drained;
}

/** Publishes 500 messages a second into a queue until it is told to stop, which is when all are confirmed. */
async function startLoad(broker: RabbitMq, queue: string, onPublish: () => void): Promise<{ stop(): Promise<void> }> {
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const running = broker.use(async (connection) => {
    const channel = await connection.createConfirmChannel();
    let n = 0;
    const timer = setInterval(() => {
      for (let count = 0; count < 10; count += 1, n += 1) {
        channel.sendToQueue(queue, Buffer.from(JSON.stringify({ n })), properties());
        onPublish();
      }
    }, 20);
    await ended;
    clearInterval(timer);
    await channel.waitForConfirms();
  });
  return {
    stop: async () => {
      end();
      await running;
    },
  };
}
