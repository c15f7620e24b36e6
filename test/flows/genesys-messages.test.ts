import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { type RabbitMq, startRabbitMq } from '../services/rabbitmq';
import { repetitions, requireService } from '../services/requirements';
import { textMessage } from '../unit/genesys/messaging/sender-harness';
import { until } from '../unit/until';
import { MessagesRig } from './messages-rig';

const MESSAGE = /inbound\/open\/message$/;
const ENDLESS = Number.POSITIVE_INFINITY;

/** Messages for organizations in turn. */
function messagesFor(count: number, organizations: number, from = 0): Record<string, unknown>[] {
  return Array.from({ length: count }, (_, index) =>
    textMessage(`m${from + index}`, ((from + index) % organizations) + 1),
  );
}

describe('the example of Genesys messages, with RabbitMQ and Redis', function () {
  this.timeout(600_000);
  requireService('rabbitmq');
  const redis = requireService('redis');
  let rabbit: RabbitMq;
  let rig: MessagesRig;

  before(async () => {
    rabbit = await startRabbitMq();
  });
  afterEach(() => rig?.close());
  after(() => rabbit?.close());

  it('sends each message once through whatever goes wrong, or puts it aside, and tells of every change', async () => {
    const count = repetitions(800, 10_000);
    const organizations = 20;
    rig = await MessagesRig.start({
      rabbit,
      organizations,
      redisProgram: redis.location,
      properties: {
        'genesys-tenants': { timeoutSeconds: 2 },
        'genesys-message-out': { retryBaseSeconds: 0.05, retryMaxSeconds: 0.5 },
        'contact-queue-in': { retrySeconds: '0.2, 1' },
      },
    });
    await rig.addNodeRed();
    for (const [answer, share] of [
      [{ status: 500 }, 0.03],
      [{ status: 502 }, 0.02],
      [{ status: 503 }, 0.02],
      ['reset', 0.02],
      ['reset-after', 0.02],
      ['cut-body', 0.02],
      ['hang', 0.003],
      [{ status: 429, headers: { 'Retry-After': '1' } }, 0.003],
    ] as const) {
      rig.genesys.fail({ path: MESSAGE, times: ENDLESS, share, answer });
    }
    const good = messagesFor(count, organizations);
    const bad = [
      ...Array.from({ length: 20 }, (_, n) => textMessage(`long${n}`, 1, { textBody: 'x'.repeat(2_001) })),
      ...Array.from({ length: 20 }, (_, n) => textMessage(`stranger${n}`, 99)),
    ];
    await rig.publish([...good, ...bad]);
    await until(() => rig.genesys.messaging.count > count / 4, 'a part of the messages', 120_000);
    rig.genesys.revokeTokens();
    let looks = 0;
    while (rig.genesys.messaging.count < count) {
      // The books balance at every look.
      await rig.books();
      looks += 1;
      await delay(100);
    }
    assert.ok(looks > 0);
    await rig.untilSettled(60_000);
    await until(async () => (await rig.books()).inFlight === 0, 'idle books', 20_000);
    const { arrived, aside } = await rig.checkEachOnce();
    assert.deepEqual([arrived.size, aside.size], [good.length, bad.length]);
    assert.equal(aside.get('long0')?.headers['x-failure-code'], 'INVALID_INPUT');
    assert.equal(aside.get('stranger0')?.headers['x-failure-code'], 'NOT_FOUND');
    const told = await rig.told();
    for (const { messageId } of good) {
      const statuses = told.get(String(messageId))?.map(({ status }) => status);
      assert.deepEqual(statuses, ['queued', 'sent'], String(messageId));
    }
    for (const { messageId } of bad) {
      const statuses = told.get(String(messageId))?.map(({ status }) => status) ?? [];
      assert.deepEqual(statuses.slice(-2), ['failed', 'dead_lettered'], String(messageId));
    }
    const answer = await rig.nodeReds[0]!.request('/messages/m7?tenantId=t8');
    const record = (await answer.json()) as { status: string; history: unknown[] };
    assert.deepEqual([answer.status, record.status, record.history.length], [200, 'sent', 2]);
  });

  it('leaves all other organizations alone when one fails and floods, and comes back to it by itself', async () => {
    rig = await MessagesRig.start({
      rabbit,
      organizations: 3,
      redisProgram: redis.location,
      properties: {
        'genesys-message-out': { retryBaseSeconds: 0.1, retryMaxSeconds: 0.5, queueMessages: 50, breakerSeconds: 2 },
        'contact-queue-in': { retrySeconds: '1, 2', prefetch: 200 },
      },
    });
    const [nodeRed] = [await rig.addNodeRed()];
    const fault = rig.genesys.fail({ path: /integration-o1/, times: ENDLESS, answer: { status: 503 } });
    const flood = Array.from({ length: 300 }, (_, n) => textMessage(`flood${n}`, 1));
    await rig.publish(flood);
    const openOf = async () =>
      /contact_center_genesys_breaker_open\{organization="t1\/o1"[^}]*\} 1/.test(
        await (await nodeRed.request('/metrics')).text(),
      );
    await until(openOf, 'an open breaker', 30_000);
    const others = Array.from({ length: 100 }, (_, n) => textMessage(`other${n}`, 2 + (n % 2)));
    await rig.publish(others);
    await until(() => rig.genesys.messaging.count === others.length, 'the messages of the others', 30_000);
    assert.ok(await openOf());
    const health = async () =>
      ((await (await nodeRed.request('/messages/health')).json()) as { status: string }).status;
    // A node looks at its organizations once a second.
    await until(async () => (await health()) === 'degraded', 'a health that counts the others', 5_000);
    fault.remove();
    await rig.untilSettled(90_000);
    const { aside } = await rig.checkEachOnce();
    assert.equal(aside.size, 0);
  });

  it('serves an organization while so many others flood that their queues could hold all there is room for', async () => {
    const flooding = 6;
    rig = await MessagesRig.start({
      rabbit,
      organizations: flooding + 1,
      redisProgram: redis.location,
      properties: { 'contact-queue-in': { prefetch: 100 }, 'genesys-message-out': { queueMessages: 50 } },
      limits: Object.fromEntries(Array.from({ length: flooding }, (_, index) => [`o${index + 1}`, 60])),
    });
    await rig.addNodeRed();
    const flood = Array.from({ length: flooding * 100 }, (_, n) => textMessage(`flood${n}`, (n % flooding) + 1));
    await rig.publish(flood);
    await until(() => rig.genesys.messaging.count > 0, 'traffic', 30_000);
    const others = Array.from({ length: 200 }, (_, n) => textMessage(`other${n}`, flooding + 1));
    await rig.publish(others);
    // At the pace of those that flood, one a second each, the room would be free only after half a minute.
    const arrived = () => rig.genesys.messaging.messages.filter(({ organizationId }) => organizationId === 'o7').length;
    await until(() => arrived() === others.length, 'the messages of the other', 15_000);
    assert.ok((await rig.books()).rejected > 0, 'what floods goes back to its queue');
    assert.ok(rig.genesys.messaging.count < others.length + flood.length / 2);
  });

  it('loses nothing and changes no id or time when Node-RED is killed again and again under load', async () => {
    const kills = repetitions(1, 20);
    rig = await MessagesRig.start({
      rabbit,
      organizations: 4,
      redisProgram: redis.location,
      properties: { 'contact-queue-in': { retrySeconds: '0.2, 1' } },
    });
    const nodeRed = await rig.addNodeRed();
    rig.genesys.fail({ path: MESSAGE, times: ENDLESS, answer: { delayMs: 20 } });
    let published = 0;
    for (let kill = 0; kill < kills; kill += 1) {
      const before = rig.genesys.messaging.count;
      await rig.publish(messagesFor(300, 4, published));
      published += 300;
      await until(() => rig.genesys.messaging.count > before + 40 + 11 * (kill % 9), 'traffic', 60_000);
      await nodeRed.kill();
      await nodeRed.restart();
    }
    await rig.untilSettled(120_000);
    const { arrived, aside } = await rig.checkEachOnce();
    assert.deepEqual([arrived.size, aside.size], [published, 0]);
    const told = await rig.told();
    const untold = [...arrived.keys()].filter((id) => !told.get(id)?.some(({ status }) => status === 'sent'));
    assert.deepEqual(untold, []);
  });

  it('goes on by itself after RabbitMQ and Redis were killed under load', async () => {
    const kills = repetitions(1, 5);
    rig = await MessagesRig.start({
      rabbit,
      organizations: 4,
      redisProgram: redis.location,
      properties: { 'contact-queue-in': { retrySeconds: '0.2, 1' } },
    });
    await rig.addNodeRed();
    rig.genesys.fail({ path: MESSAGE, times: ENDLESS, answer: { delayMs: 20 } });
    let published = 0;
    for (let kill = 0; kill < kills; kill += 1) {
      for (const server of [rig.redis!, rig.rabbit]) {
        const before = rig.genesys.messaging.count;
        await rig.publish(messagesFor(300, 4, published));
        published += 300;
        await until(() => rig.genesys.messaging.count > before + 50, 'traffic', 60_000);
        await server.kill();
        await delay(300);
        if ('restart' in server) await server.restart();
        else await server.start();
      }
    }
    await rig.untilSettled(180_000);
    const { arrived, aside } = await rig.checkEachOnce();
    assert.deepEqual([arrived.size, aside.size], [published, 0]);
  });

  it('shares the work, the limit and the memory between three processes, also when one is killed', async () => {
    const limit = 300;
    rig = await MessagesRig.start({
      rabbit,
      organizations: 2,
      rateLimitPerMinute: limit,
      redisProgram: redis.location,
      simulator: { rateLimitScope: 'organization' },
      properties: { 'contact-queue-in': { retrySeconds: '1, 5, 30', prefetch: 100 } },
    });
    rig.genesys.setRateLimit(limit);
    const nodeReds = await Promise.all([rig.addNodeRed(), rig.addNodeRed(), rig.addNodeRed()]);
    const count = repetitions(160, 1_200);
    // The same messages twice: some of them to two processes at once.
    const messages = messagesFor(count, 2);
    await rig.publish(messages);
    await rig.publish(messages.filter((_, index) => index % 5 === 0));
    await until(() => rig.genesys.messaging.count > count / 4, 'a part of the messages', 120_000);
    await nodeReds[1]!.kill();
    await until(() => rig.genesys.messaging.count === count, 'all messages', 400_000);
    await rig.untilSettled(120_000);
    const { aside } = await rig.checkEachOnce();
    assert.equal(aside.size, 0);
    assert.equal(rig.genesys.requests.statuses[429], undefined);
    for (const organization of ['o1', 'o2']) {
      const peak = rig.genesys.traffic.peak(organization, 60_000);
      assert.ok(peak <= limit, `${peak} calls of ${organization} within a minute`);
    }
    for (const nodeRed of [nodeReds[0]!, nodeReds[2]!]) {
      assert.ok((await rig.booksOf(nodeRed)).delivered > 0, 'each process has sent something');
    }
  });

  it('never lets a secret out: not into logs, answers, the dead-letter queue or events', async () => {
    rig = await MessagesRig.start({
      rabbit,
      organizations: 2,
      redisProgram: redis.location,
      redisPassword: 'canary-redis',
    });
    await rig.rabbit.control('add_user', 'canary', 'canary-rabbit');
    await rig.rabbit.control('set_permissions', 'canary', '.*', '.*', '.*');
    const service = await rig.startTenantService();
    const nodeRed = await rig.addNodeRed({
      settings: { logging: { console: { level: 'debug', metrics: false, audit: false } } },
      env: {
        RABBITMQ_URL: rig.rabbit.url.replace('guest:guest', 'canary:canary-rabbit'),
        TENANTS_FILE: undefined,
        TENANT_SERVICE_URL: service.url,
        TENANT_SERVICE_TOKEN: 'canary-service',
        MONITOR_TOKEN: 'canary-monitor',
      },
    });
    // Whatever can go wrong with something that has a secret does.
    rig.genesys.withhold(['conversation:message:receive'], 'client-o2');
    rig.genesys.fail({ path: /integration-o1/, times: 3, answer: { status: 400 } });
    const long = textMessage('long', 1, { textBody: 'x'.repeat(2_001) });
    await rig.publish([...messagesFor(20, 2), textMessage('stranger', 9), long]);
    await until(async () => (await rig.waiting()).aside === 5, 'messages put aside', 30_000);
    const aside = JSON.stringify(await rig.putAside());
    const firstTokens = rig.genesys.tokens.map(({ value }) => value);
    rig.genesys.setSecret('another', 'client-o1');
    rig.genesys.revokeTokens();
    await service.close();
    await rig.publish([textMessage('late', 3), ...messagesFor(4, 2, 100)]);
    await until(() => /invalid_client/.test(nodeRed.log()), 'refused credentials', 30_000);
    await Promise.all([rig.redis!.kill(), rig.rabbit.kill()]);
    await until(() => /Redis is gone/.test(nodeRed.log()), 'that Redis is missed', 30_000);
    await rig.rabbit.start();
    await rig.redis!.restart();
    await until(
      async () => (await rig.nodeOf(nodeRed, 'contact-queue-in')).state === 'connected',
      'a consumer',
      60_000,
    );
    const headers = { Authorization: 'Bearer canary-monitor' };
    const paths = [
      '/messages/stats',
      '/messages/health',
      '/metrics',
      '/messages/m0',
      '/logs?limit=1000&level=trace',
      '/flows',
    ];
    const pages = await Promise.all(paths.map(async (path) => (await nodeRed.request(path, { headers })).text()));
    const told = [...(await rig.told()).values()];
    const everything = [nodeRed.log(), ...pages, aside, JSON.stringify(told)].join('\n');
    const secrets = [
      'secret-o1',
      'secret-o2',
      'webhook-secret',
      'canary-',
      ...firstTokens,
      ...rig.genesys.tokens.map(({ value }) => value),
    ];
    assert.ok(firstTokens.length >= 2);
    assert.deepEqual(
      secrets.filter((secret) => everything.includes(secret)),
      [],
    );
    assert.deepEqual(service.authorizations, new Set(['Bearer canary-service']));
  });

  it('takes what Genesys posts in time under load, each thing once, and nothing that is forged', async () => {
    rig = await MessagesRig.start({ rabbit, organizations: 1, redisProgram: redis.location });
    const nodeRed = await rig.addNodeRed();
    const webhookUrl = `${nodeRed.url}/genesys/webhook`;
    rig.genesys.messaging.setWebhook('integration-o1', { webhookUrl });
    const load = rig.publish(messagesFor(repetitions(500, 5_000), 1));
    const posts = repetitions(200, 2_000);
    let slowest = 0;
    for (let n = 0; n < posts; n += 20) {
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, k) => rig.genesys.messaging.reply('integration-o1', 'c', 'Hello', `r${n + k}`)),
      );
      for (const { statuses, slowestMs } of results) {
        assert.deepEqual(statuses, [200]);
        slowest = Math.max(slowest, slowestMs);
      }
    }
    assert.ok(slowest < 10_000, `${slowest} ms`);
    for (let n = 0; n < posts; n += 10) {
      const again = await rig.genesys.messaging.reply('integration-o1', 'c', 'Hello', `r${n}`);
      assert.deepEqual(again.statuses, [200]);
      const forged = await rig.genesys.messaging.post('integration-o1', { id: `f${n}` }, { secret: 'guessed' });
      assert.deepEqual(forged.statuses, [401]);
    }
    await load;
    await rig.untilSettled(180_000);
    const [sent] = rig.genesys.messaging.messages;
    assert.deepEqual((await rig.genesys.messaging.confirm(sent!, 'Delivered')).statuses, [200]);
    const webhook = await rig.nodeOf(nodeRed, 'genesys-webhook-in');
    assert.deepEqual([webhook['messages'], webhook['duplicates'], webhook['forged']], [posts, posts / 10, posts / 10]);
    const told = await rig.told();
    assert.equal(told.get(String(sent?.messageId))?.at(-1)?.status, 'delivered');
  });
});
