import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { settleDelivery } from '../../../lib/core/deliveries';
import { ContactError } from '../../../lib/core/errors';
import { operationsTopic } from '../../../lib/genesys/topics';
import { defaultDefinitions, type GenesysSimulatorOptions } from '../../simulators/genesys';
import { until } from '../until';
import { Harness, ROUTES } from './notifications-harness';

describe('Genesys notifications', () => {
  let harness: Harness;

  afterEach(() => harness.stop());

  async function start(options: GenesysSimulatorOptions = {}): Promise<Harness> {
    harness = await Harness.start(options);
    return harness;
  }

  /** The details as they are shown. */
  interface Details {
    topics: { permitted: number; rejected: unknown[]; polledOverRest: string[]; problems: string[] };
    channels: Record<string, unknown>[];
    events: Record<string, number>;
    gaps: { begun: number; open: number };
    rest: Record<string, unknown>;
  }
  const details = () => harness.notifications.details() as unknown as Details;
  const channel = () => harness.genesys.channels[0]!;

  describe('a message', () => {
    it('holds the whole notification, a deterministic id and a delivery', async () => {
      const { genesys, messages } = await start();
      await harness.connect();
      const event = { code: 'AUDIOHOOK-0001', entityId: 'integration-1', conversationId: 'conversation-1' };
      await genesys.publish(event);
      await until(() => messages.length === 1);
      const { delivery, receivedAt, correlationId, eventId, ...rest } = messages[0]!;
      const payload = rest.payload as { metadata: { CorrelationId: string }; eventBody: { conversationId: string } };
      assert.equal(rest.topic, 'v2.operations.events.AUDIOHOOK-0001');
      assert.equal(payload.eventBody.conversationId, 'conversation-1');
      assert.equal(correlationId, payload.metadata.CorrelationId);
      assert.equal(delivery!.attempt, 1);
      assert.ok(Math.abs(receivedAt - Date.now()) < 10_000);
      assert.match(eventId, /^[\w-]{20,}$/);
      assert.deepEqual(rest.genesys, {
        channel: `***${channel().id.slice(-6)}`,
        source: 'socket',
        definition: defaultDefinitions[0],
      });
    });

    it('has no delivery when the flow is not expected to settle', async () => {
      const { genesys, messages } = await start();
      await harness.connect({ settle: false });
      await genesys.publish({ code: 'AUDIOHOOK-0001' });
      await until(() => messages.length === 1);
      assert.ok(!('delivery' in messages[0]!));
      assert.equal(details().events['unsettled'], 0);
    });

    it('is made of events only, never of a heartbeat, a pong, a system topic, an answer or broken text', async () => {
      const { genesys, messages } = await start({ heartbeatMs: 20 });
      await harness.connect({}, { tuning: { channel: { pingMs: 20 } } });
      for (const frame of ['not JSON', 'null', '[1]', '7', '""', { result: '200' }, { topicName: 5 }, {}]) {
        genesys.sendFrame('all', frame);
      }
      genesys.sendFrame('all', { topicName: 'v2.system.subscription_changed.x', eventBody: { reason: 'x' } });
      await genesys.publish({ code: 'AUDIOHOOK-0001' });
      await until(() => messages.length === 1 && details().events['controlFrames']! >= 15);
      assert.equal(messages.length, 1);
      assert.ok(Number(details().channels[0]!['heartbeats']) >= 3);
    });
  });

  describe('subscription', () => {
    it('is one channel with a bare array, errors ignored', async () => {
      const { genesys } = await start();
      await harness.connect();
      assert.deepEqual(
        channel().topics,
        defaultDefinitions.filter(({ id }) => id.startsWith('AUDIOHOOK')).map(({ id }) => operationsTopic(id)),
      );
      const put = genesys.requests.recent.find(({ method }) => method === 'PUT')!;
      assert.equal(put.query, 'ignoreErrors=true');
    });

    it('takes more channels for more than 1,000 topics, and receives on each of them', async () => {
      const definitions = Array.from({ length: 2_500 }, (_, number) => ({
        id: `AUDIOHOOK-${String(number).padStart(5, '0')}`,
      }));
      const { genesys, messages } = await start({ definitions });
      await harness.connect();
      assert.deepEqual(genesys.channels.map(({ topics }) => topics.length).sort(), [1_000, 1_000, 500]);
      assert.equal(new Set(genesys.channels.flatMap(({ topics }) => topics)).size, 2_500);
      await genesys.publish([0, 999, 1_000, 1_999, 2_000, 2_499].map((index) => ({ code: definitions[index]!.id })));
      await until(() => messages.length === 6);
    });

    it('shows rejected topics with the missing permissions, logs them once and goes on with the others', async () => {
      const { genesys, messages, lines } = await start();
      genesys.withhold(['architect:flow:view']);
      const flow = 'v2.flows.0f8f91f9-a27d-4ddf-9026-7e1e3a8d73a6';
      const notifications = await harness.receive({
        discover: false,
        topics: [flow, operationsTopic('AUDIOHOOK-0001')],
      });
      await until(() => notifications.status().state === 'degraded');
      const { text, reason } = notifications.status();
      assert.equal(text, 'topics-rejected');
      assert.match(reason!, /architect:flow:view/);
      assert.deepEqual(details().topics.rejected, [
        { id: flow, reason: 'Missing permissions.', missingPermissions: ['architect:flow:view'] },
      ]);
      await genesys.generate({ count: 3 }).done;
      await until(() => messages.length === 3);
      assert.equal(lines.filter((line) => line.includes('architect:flow:view')).length, 1);
    });

    it('is refused as a whole when every topic is', async () => {
      const { genesys } = await start();
      genesys.withhold(['usage:events:view']);
      const notifications = await harness.receive({ topics: [operationsTopic('AUDIOHOOK-0001')] });
      await until(() => notifications.status().state === 'refused');
      assert.match(notifications.status().reason!, /usage:events:view/);
    });

    it('follows the topics file without a restart, keeps the last good list, and touches one subscription only', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'topics-'));
      const topicsFile = join(folder, 'topics.json');
      const { genesys, messages } = await start();
      await harness.receive({ topicsFile });
      await until(() => channel()?.sockets === 1);
      assert.equal(channel().topics.length, 6);
      await until(() => harness.notifications.status().reason?.includes('topics.json') === true);
      const { id } = channel();
      writeFileSync(topicsFile, JSON.stringify({ topics: ['channel.metadata', operationsTopic('TRUNKS-0001')] }));
      await until(() => channel().topics.join() === operationsTopic('TRUNKS-0001'));
      await harness.connected();
      await genesys.publish([{ code: 'TRUNKS-0001' }, { code: 'AUDIOHOOK-0001' }]);
      await until(() => messages.length === 1);
      writeFileSync(topicsFile, '{"topics": [');
      await until(() => details().topics.problems.length === 1);
      assert.equal(harness.notifications.status().state, 'degraded');
      await until(() => harness.notifications.status().reason?.includes('topics.json') === true);
      writeFileSync(topicsFile, JSON.stringify([operationsTopic('FLOWS-0003'), operationsTopic('TRUNKS-0001')]));
      await until(() => channel().topics.length === 2);
      await harness.connected();
      assert.equal(channel().id, id);
      assert.equal(harness.calls(ROUTES.create), 1);
      rmSync(folder, { recursive: true });
    });

    it('reads nothing again from before it had no topics for a while', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'topics-'));
      const topicsFile = join(folder, 'topics.json');
      const write = (topics: string[]) => writeFileSync(topicsFile, JSON.stringify(topics));
      const openSince = () => (harness.notifications.details()['rest'] as { openSince: string | null }).openSince;
      write([operationsTopic('TRUNKS-0001')]);
      const { genesys } = await start();
      await harness.connect({ topicsFile, discover: false });
      await until(() => openSince() === null);
      write([]);
      await until(() => harness.notifications.status().text === 'no-topics');
      genesys.fail({ path: /events\/query$/, times: Number.POSITIVE_INFINITY, answer: 'hang' });
      const from = Date.now();
      write([operationsTopic('TRUNKS-0001')]);
      await until(() => openSince() !== null);
      assert.ok(Date.parse(openSince() ?? '') >= from, `${openSince()}`);
      rmSync(folder, { recursive: true });
    });

    it('says so when there is nothing to subscribe', async () => {
      await start();
      const notifications = await harness.receive({ include: /nothing-like-this/ });
      await until(() => notifications.status().text === 'no-topics');
      assert.equal(notifications.status().state, 'degraded');
      assert.equal(harness.genesys.channels.length, 0);
    });

    it('waits for an organization that is unwell, and connects by itself', async () => {
      const { genesys } = await start();
      genesys.fail({ path: /availabletopics/, times: 4, answer: { status: 503 } });
      genesys.fail({ path: /channels$/, times: 2, answer: { status: 500 } });
      await harness.connect();
    });
  });

  describe('a gap', () => {
    it('after a cut is filled over REST: every event once, on the same channel', async () => {
      const { genesys } = await start();
      await harness.connect();
      const { id } = channel();
      await genesys.generate({ count: 10 }).done;
      await until(() => harness.messages.length === 10);
      genesys.drop();
      await genesys.generate({ count: 20, startNumber: 10 }).done;
      await harness.eachOnce(30);
      await until(() => details().channels[0]!['socket'] === 'open');
      await genesys.generate({ count: 5, startNumber: 30 }).done;
      await harness.eachOnce(35);
      assert.equal(channel().id, id);
      assert.equal(harness.calls(ROUTES.create), 1);
      assert.equal(harness.calls(ROUTES.head), 1);
      assert.equal(harness.calls(ROUTES.subscribe), 2);
      assert.ok(harness.messages.some(({ genesys: { source } }) => source === 'rest'));
    });

    it('is noticed when the socket is half open, and filled', async () => {
      const { genesys } = await start();
      await harness.connect({}, { tuning: { channel: { idleLimitMs: 300, pingMs: 50 } } });
      await genesys.generate({ count: 3 }).done;
      genesys.halfOpen();
      await genesys.generate({ count: 10, startNumber: 3 }).done;
      await harness.eachOnce(13);
      assert.equal(details().gaps.begun, 1);
    });

    it('is looked at once more for events that the query shows late', async () => {
      const { genesys } = await start({ restVisibleAfterMs: 500 });
      await harness.connect();
      genesys.drop();
      await genesys.generate({ count: 20 }).done;
      await harness.eachOnce(20);
      assert.ok(Number(details().rest['passes']) >= 2);
    });

    it('is filled for events that do not say when they happened: each once', async () => {
      const { genesys } = await start({ socketTimestamps: false });
      await harness.connect();
      await genesys.generate({ count: 30, ratePerSecond: 100 }).done;
      await until(() => harness.messages.length === 30);
      genesys.drop();
      await genesys.generate({ count: 30, startNumber: 30, ratePerSecond: 1_000 }).done;
      await harness.eachOnce(60);
      await until(() => details().rest['openSince'] === null);
      await harness.eachOnce(60);
    });

    it('is left alone when that is switched off', async () => {
      const { genesys } = await start();
      await harness.connect({ backfill: false });
      genesys.drop();
      await genesys.until(() => channel().sockets === 0);
      await genesys.generate({ count: 5 }).done;
      await until(() => details().gaps.begun === 1 && details().gaps.open === 0);
      await genesys.generate({ count: 5, startNumber: 5 }).done;
      await until(() => harness.messages.length >= 5);
      assert.deepEqual(harness.numbers, [5, 6, 7, 8, 9]);
      assert.equal(harness.calls(ROUTES.query), 0);
    });

    it('under traffic with many cuts loses nothing and doubles nothing', async () => {
      const { genesys } = await start();
      await harness.connect();
      const run = genesys.generate({ count: 4_000, ratePerSecond: 1_500 });
      for (const sent of [300, 900, 1_500, 2_100, 3_000]) {
        await until(() => run.sent >= sent);
        genesys.drop();
      }
      await run.done;
      await harness.eachOnce(4_000);
      assert.ok(details().gaps.begun >= 4);
    });

    it('of missing permissions for the query is told, and the socket goes on', async () => {
      const { genesys, messages } = await start();
      await harness.connect();
      genesys.fail({ path: /events\/query/, times: 50, answer: { status: 403 } });
      genesys.drop();
      await until(() => harness.notifications.status().state === 'degraded' && details().gaps.open === 0);
      await genesys.publish({ code: 'AUDIOHOOK-0001' });
      await until(() => messages.length === 1);
      assert.match(String(details().rest['problem']), /403/);
    });
  });

  describe('a change-over', () => {
    for (const overlapDelivery of ['both', 'newest'] as const) {
      for (const socketTimestamps of [true, false]) {
        const what = `${overlapDelivery === 'both' ? 'both sockets' : 'only the newest socket'} deliver ${socketTimestamps ? '' : 'events without a time'}`;
        it(`at socket_closing has no gap, no loss and no doubles when ${what}`, async () => {
          const { genesys } = await start({ overlapDelivery, socketTimestamps });
          await harness.connect();
          const { id } = channel();
          const run = genesys.generate({ count: 3_000, ratePerSecond: 1_500 });
          for (const sent of [500, 1_500]) {
            await until(() => run.sent >= sent);
            genesys.socketClosing('all', 400);
            await until(() => Number(details().channels[0]!['rollOvers']) === (sent === 500 ? 1 : 2));
            await until(() => channel().sockets === 1);
          }
          await run.done;
          await harness.eachOnce(3_000);
          assert.equal(details().gaps.begun, 0);
          assert.equal(channel().id, id);
          assert.equal(harness.calls(ROUTES.create), 1);
        });
      }
    }

    it('before the channel ends goes to a new one without a gap, when its life cannot be extended', async () => {
      const { genesys } = await start({ channelLifetimeMs: 1_500 });
      genesys.fail({
        method: 'GET',
        path: /notifications\/channels$/,
        times: 1_000,
        answer: { status: 200, body: { entities: [] } },
      });
      await harness.connect();
      const run = genesys.generate({ count: 3_500, ratePerSecond: 1_000 });
      await run.done;
      await harness.eachOnce(3_500);
      assert.equal(details().gaps.begun, 0);
      assert.ok(Number(details().channels[0]!['rollOvers']) >= 2);
    });

    it('is not needed as long as repeating the subscription extends the life of the channel', async () => {
      const { genesys } = await start({ channelLifetimeMs: 600 });
      await harness.connect();
      await genesys.generate({ count: 400, ratePerSecond: 200 }).done;
      await harness.eachOnce(400);
      assert.equal(harness.calls(ROUTES.create), 1);
      assert.ok(harness.calls(ROUTES.subscribe) >= 5);
    });

    for (const renewalAdoptsChannel of [false, true]) {
      it(`${renewalAdoptsChannel ? 'is not needed' : 'is made without a gap'} at the end of a token when the new one ${renewalAdoptsChannel ? 'takes over' : 'does not take over'} the channel`, async () => {
        const { genesys } = await start({ tokenLifetimeSeconds: 2, renewalAdoptsChannel });
        await harness.connect();
        await genesys.generate({ count: 4_500, ratePerSecond: 1_000 }).done;
        await harness.eachOnce(4_500);
        assert.equal(details().gaps.begun, 0);
        const created = harness.calls(ROUTES.create);
        if (renewalAdoptsChannel) assert.equal(created, 1);
        else assert.ok(created >= 2 && created <= 8, `${created} channels`);
        assert.ok(genesys.requests.tokenRequests <= 8, `${genesys.requests.tokenRequests} token requests`);
      });
    }
  });

  describe('trouble', () => {
    it('with the secret is one clear state, one line in the log, and hardly a request', async () => {
      const { genesys, lines } = await start();
      const fast = { baseMs: 1, maxMs: 2 };
      const notifications = await harness.receive(
        { topics: ['v2.flows.x'] },
        { secret: 'not-the-secret', tuning: { plannerBackoff: fast, channel: { backoff: fast } } },
      );
      await until(() => harness.states.filter((each) => each === 'refused').length > 200);
      const { state, text, reason } = notifications.status();
      assert.deepEqual([state, text], ['refused', 'wrong-credentials']);
      assert.match(reason!, /client secret/);
      assert.equal(genesys.requests.tokenRequests, 1);
      assert.equal(genesys.requests.total, 1);
      assert.equal(lines.filter((line) => /^(warn|error)/.test(line)).length, 1, lines.join('\n'));
    });

    it('with answers of 401 that no new token helps against is one state and hardly a request', async () => {
      const { genesys } = await start();
      const fast = { baseMs: 1, maxMs: 2 };
      genesys.fail({ path: /^\/api\//, times: Number.POSITIVE_INFINITY, answer: { status: 401 } });
      const notifications = await harness.receive(
        { topics: ['v2.flows.x'] },
        { tuning: { plannerBackoff: fast, channel: { backoff: fast } } },
      );
      await until(() => harness.states.filter((each) => each === 'refused').length > 200);
      assert.match(notifications.status().reason!, /not accepted|HTTP 401/);
      assert.ok(genesys.requests.tokenRequests <= 3, `${genesys.requests.tokenRequests} token requests`);
      assert.ok(genesys.requests.total <= 12, `${genesys.requests.total} requests`);
    });

    it('with a channel that was evicted ends with a new one, and nothing lost', async () => {
      const { genesys } = await start();
      await harness.connect();
      const { id } = channel();
      genesys.evict();
      await genesys.generate({ count: 50 }).done;
      await harness.eachOnce(50);
      await until(() => genesys.channels.length === 1 && channel().sockets === 1);
      assert.notEqual(channel().id, id);
      assert.equal(details().channels[0]!['channelsLost'], 1);
    });

    it('with evictions again and again is not answered with a storm of new channels', async () => {
      const { genesys } = await start();
      await harness.connect({}, { tuning: { channel: { contention: { baseMs: 60_000, maxMs: 60_000 } } } });
      for (let count = 1; count <= 3; count++) {
        await until(() => genesys.channels.some(({ sockets }) => sockets === 1));
        genesys.evict();
        await until(() => details().channels[0]!['channelsLost'] === count);
      }
      assert.equal(harness.calls(ROUTES.create), 3);
      assert.match(harness.notifications.status().reason ?? '', /20 channels/);
    });

    for (const status of [401, 404]) {
      it(`with an upgrade refused with ${status} ends with a new channel`, async () => {
        const { genesys } = await start({ goneUpgradeStatus: status as 401 | 404 });
        await harness.connect();
        const { id } = channel();
        genesys.refuseUpgrades(status, 1);
        genesys.drop();
        await until(() => genesys.channels.some((each) => each.sockets === 1 && each.id !== id));
        await genesys.generate({ count: 5 }).done;
        await harness.eachOnce(5);
      });
    }

    it('with upgrades that are refused for other reasons keeps the channel', async () => {
      const { genesys } = await start();
      await harness.connect();
      const { id } = channel();
      genesys.refuseUpgrades(503, 3);
      genesys.drop();
      await genesys.generate({ count: 5 }).done;
      await until(() => genesys.channels[0]!.sockets === 1);
      await harness.eachOnce(5);
      assert.equal(channel().id, id);
      assert.equal(harness.calls(ROUTES.create), 1);
    });

    it('with a channel that never gets a socket leads to a new one after ten attempts', async () => {
      const { genesys } = await start();
      await harness.connect();
      const fault = genesys.refuseUpgrades(503);
      genesys.drop();
      await until(() => harness.calls(ROUTES.create) === 2);
      assert.ok(harness.calls(ROUTES.head) >= 10 && harness.calls(ROUTES.head) <= 12, `${harness.calls(ROUTES.head)}`);
      fault.remove();
      await harness.connected();
    });

    it('with revoked tokens ends with a new token and a new channel, and nothing lost', async () => {
      const { genesys } = await start();
      await harness.connect();
      const run = genesys.generate({ count: 2_000, ratePerSecond: 1_000 });
      await until(() => run.sent >= 500);
      genesys.revokeTokens();
      await run.done;
      await harness.eachOnce(2_000);
      assert.equal(genesys.requests.tokenRequests, 2);
    });

    it('with a disabled client is one state, and over when it is enabled again', async () => {
      const { genesys } = await start();
      const notifications = await harness.connect();
      genesys.disableClient();
      await until(() => notifications.status().state === 'refused');
      const already = harness.states.length;
      await until(() => harness.states.length > already + 50);
      assert.deepEqual([...new Set(harness.states.slice(already))], ['refused']);
      const asked = genesys.requests.tokenRequests;
      assert.ok(asked <= 3, `${asked} token requests`);
      await genesys.generate({ count: 10 }).done;
      genesys.enableClient();
      await until(() => notifications.status().state === 'connected', 'connected', 15_000);
      await harness.eachOnce(10);
    });

    it('with another process that takes the subscriptions is not a fight: it waits, says so, and fills the gap', async () => {
      const { genesys } = await start();
      const notifications = await harness.connect();
      genesys.noLongerSubscribed();
      await until(() => notifications.status().state === 'connecting');
      assert.match(notifications.status().reason!, /another process/);
      assert.equal(channel().topics.length, 0);
      await genesys.generate({ count: 10 }).done;
      await until(() => channel().topics.length === 6);
      await harness.eachOnce(10);
      await harness.connected();
      assert.equal(harness.calls(ROUTES.subscribe), 2);
    });

    it('with answers of 429 waits and connects', async () => {
      const { genesys } = await start();
      genesys.fail({ path: /channels$/, answer: { status: 429, headers: { 'Retry-After': '1' } } });
      await harness.connect();
      assert.equal(harness.calls(ROUTES.create), 2);
    });

    it('never shows a channel, a token or the secret', async () => {
      const { genesys, lines, messages } = await start();
      await harness.connect();
      const { id, token } = channel();
      genesys.fail({ path: /subscriptions/, answer: { status: 400, body: { message: `bad ${id} ${token}` } } });
      genesys.drop();
      await genesys.publish({ code: 'AUDIOHOOK-0001' });
      await until(() => messages.length === 1);
      await harness.connected();
      const shown = JSON.stringify([lines, details(), harness.notifications.metrics(), messages]);
      assert.ok(!shown.includes(id));
      assert.ok(!shown.includes(token));
    });
  });

  describe('without a socket transport', () => {
    it('polls over REST: every event once, also those that show up late', async () => {
      const { genesys } = await start({ operationsTransports: ['EventBridge'], restVisibleAfterMs: 300 });
      const notifications = await harness.connect({ pollMs: 50 });
      assert.equal(notifications.status().text, 'polling');
      await genesys.generate({ count: 300, ratePerSecond: 300 }).done;
      await harness.eachOnce(300);
      assert.equal(genesys.channels.length, 0);
      assert.equal(details().topics.polledOverRest.length, 6);
      assert.ok(harness.messages.every((message) => message.genesys.source === 'rest'));
      const { payload, topic, correlationId, eventId } = harness.messages[0]!;
      const { topicName, eventBody } = payload as { topicName: string; eventBody: { eventDefinition: { id: string } } };
      assert.deepEqual([topicName, topic], [operationsTopic('AUDIOHOOK-0001'), operationsTopic('AUDIOHOOK-0001')]);
      assert.equal(eventBody.eventDefinition.id, 'AUDIOHOOK-0001');
      assert.equal(correlationId, eventId);
    });

    it('does not poll kinds of events that are not wanted', async () => {
      const { genesys } = await start({ operationsTransports: ['EventBridge'] });
      await harness.connect({ pollMs: 20 });
      await genesys.publish([{ code: 'TRUNKS-0001' }, { code: 'AUDIOHOOK-0002' }]);
      await until(() => harness.messages.length === 1);
      await until(() => Number(details().rest['passes']) >= 5);
      assert.equal(harness.messages.length, 1);
    });
  });

  describe('a restart', () => {
    it('reads what was missed meanwhile, on the channel of before, and repeats events only under the same id', async () => {
      const { genesys, messages } = await start();
      await harness.connect();
      const { id } = channel();
      await genesys.generate({ count: 10 }).done;
      await until(() => messages.length === 10);
      await harness.notifications.close({ forget: true });
      await genesys.generate({ count: 10, startNumber: 10 }).done;
      await harness.connect();
      await until(() => new Set(harness.numbers).size === 20);
      await until(() => details().rest['openSince'] === null);
      const ids = new Map(messages.map(({ eventId }, index) => [harness.numbers[index]!, eventId]));
      assert.ok(messages.every(({ eventId }, index) => ids.get(harness.numbers[index]!) === eventId));
      assert.equal(new Set(ids.values()).size, 20);
      assert.equal(channel().id, id);
      assert.equal(harness.calls(ROUTES.create), 1);
    });

    it('makes a new channel when the old one is gone', async () => {
      const { genesys } = await start();
      await harness.connect();
      await harness.notifications.close({ forget: true });
      genesys.evict();
      await harness.connect();
      await genesys.generate({ count: 3 }).done;
      await harness.eachOnce(3);
      assert.equal(details().channels[0]!['channelsLost'], 0);
    });

    it('reads back what was not settled before the process ended', async () => {
      const { genesys, messages } = await start();
      harness.onMessage = (message) => {
        if (harness.numbers.at(-1)! % 2 === 0) settleDelivery(message, { kind: 'acknowledge' });
      };
      await harness.connect({ overlapMs: 0 });
      await genesys.generate({ count: 10 }).done;
      await until(() => messages.length === 10);
      await harness.notifications.close({ forget: true });
      messages.length = 0;
      await harness.connect({ overlapMs: 0 });
      await until(() => [1, 3, 5, 7, 9].every((number) => harness.numbers.includes(number)));
    });

    it('does not read back anything the first time', async () => {
      const { genesys } = await start();
      await genesys.publish({ code: 'AUDIOHOOK-0001', dateCreated: Date.now() - 5_000 });
      await harness.connect();
      await until(() => Number(details().rest['passes']) >= 1);
      assert.equal(harness.messages.length, 0);
    });

    it('of the node alone repeats nothing but what was not settled, and loses nothing', async () => {
      const { genesys, messages } = await start();
      harness.onMessage = (message) => {
        if (harness.numbers.at(-1)! % 10 !== 0) settleDelivery(message, { kind: 'acknowledge' });
      };
      await harness.connect();
      await genesys.generate({ count: 50 }).done;
      await until(() => messages.length === 50);
      await harness.notifications.close();
      await genesys.generate({ count: 50, startNumber: 50 }).done;
      harness.onMessage = (message) => {
        settleDelivery(message, { kind: 'acknowledge' });
      };
      await harness.connect();
      await until(() => messages.length === 105);
      await until(() => details().rest['openSince'] === null);
      assert.deepEqual(
        harness.numbers.slice(50, 55).sort((one, other) => one - other),
        [0, 10, 20, 30, 40],
      );
      assert.equal(new Set(harness.numbers).size, 100);
      assert.equal(messages.length, 105);
      assert.ok(messages.slice(50, 55).every(({ delivery }) => delivery!.attempt === 1));
    });

    it('under traffic, ten times, loses nothing and doubles nothing', async () => {
      const { genesys } = await start();
      await harness.connect();
      const { id } = channel();
      const run = genesys.generate({ count: 3_000, ratePerSecond: 1_000 });
      for (let round = 1; round <= 10; round++) {
        await until(() => run.sent >= round * 200);
        await harness.notifications.close();
        await harness.receive();
      }
      await run.done;
      await harness.eachOnce(3_000);
      assert.equal(channel().id, id);
      assert.equal(harness.calls(ROUTES.create), 1);
      assert.equal(genesys.requests.tokenRequests, 1);
    });
  });

  describe('a delivery', () => {
    it('that is given back is sent again, unchanged, with the next attempt', async () => {
      const { genesys, messages } = await start();
      harness.onMessage = (message) => {
        const first = message.delivery!.attempt === 1;
        (message.payload as { topicName: string }).topicName = 'changed by the flow';
        settleDelivery(message, first ? { kind: 'retry', delayMs: 5 } : { kind: 'acknowledge' });
      };
      await harness.connect();
      await genesys.publish({ code: 'AUDIOHOOK-0001', conversationId: 'conversation-1' });
      await until(() => messages.length === 2);
      const [first, second] = messages;
      assert.equal(second!.delivery!.attempt, 2);
      assert.equal(second!.eventId, first!.eventId);
      assert.equal(second!.correlationId, first!.correlationId);
      assert.equal(details().events['repeated'], 1);
      assert.equal(details().events['unsettled'], 0);
    });

    it('that nobody settles in time is counted and not sent again', async () => {
      const { genesys, messages, lines } = await start();
      harness.onMessage = () => {};
      await harness.connect({ settleTimeoutMs: 40 });
      await genesys.generate({ count: 20 }).done;
      await until(() => details().events['expired'] === 20);
      assert.equal(messages.length, 20);
      assert.equal(details().events['unsettled'], 0);
      assert.equal(lines.filter((line) => line.includes('not settled in time')).length, 1);
    });

    it('that is refused for good is counted', async () => {
      const { genesys } = await start();
      harness.onMessage = (message) => {
        const error = new ContactError('REJECTED', { attempted: 'index a document' });
        settleDelivery(message, { kind: 'dead-letter', error });
      };
      await harness.connect();
      await genesys.generate({ count: 3 }).done;
      await until(() => details().events['deadLettered'] === 3);
      assert.equal(details().events['unsettled'], 0);
    });

    it('finds its way through a long refusal with bounded memory: what there is no room for comes over REST', async () => {
      const { genesys } = await start();
      let open = false;
      const delivered: number[] = [];
      harness.onMessage = (message) => {
        if (!open) {
          settleDelivery(message, { kind: 'retry', delayMs: 30 });
          return;
        }
        delivered.push(harness.numbers.at(-1)!);
        settleDelivery(message, { kind: 'acknowledge' });
      };
      await harness.connect({}, { tuning: { retryLimit: 50 } });
      await genesys.generate({ count: 1_000, ratePerSecond: 1_000 }).done;
      await until(() => details().events['postponed']! >= 500);
      assert.ok(details().events['unsettled']! <= 60, `${details().events['unsettled']} unsettled`);
      open = true;
      await until(() => new Set(delivered).size === 1_000, 'all delivered', 15_000);
      assert.equal(delivered.length, 1_000);
      await until(() => details().rest['openSince'] === null);
      assert.equal(details().events['unsettled'], 0);
    });
  });

  describe('a pause', () => {
    const held = () => details().events['held'];

    it('holds back what comes while the channel stays open, and sends each event once at its end', async () => {
      const { genesys, messages } = await start();
      const notifications = await harness.connect();
      notifications.pause();
      await genesys.generate({ count: 20, ratePerSecond: 1_000 }).done;
      await until(() => held() === 20);
      assert.deepEqual([messages.length, notifications.status().state], [0, 'paused']);
      assert.equal(details().events['unsettled'], 20);
      notifications.resume();
      await harness.eachOnce(20);
      assert.deepEqual([notifications.status().state, held(), details().gaps.begun], ['connected', 0, 0]);
    });

    it('leaves to the REST query what it cannot hold', async () => {
      const { genesys, messages } = await start();
      const notifications = await harness.connect({}, { tuning: { retryLimit: 10 } });
      notifications.pause();
      await genesys.generate({ count: 50, ratePerSecond: 1_000 }).done;
      await until(() => details().events['postponed'] === 40);
      assert.deepEqual([messages.length, held()], [0, 10]);
      notifications.resume();
      await harness.eachOnce(50);
    });

    it('ends by itself before an event is lost that cannot be had again', async () => {
      const { genesys, messages, lines } = await start();
      const notifications = await harness.connect({}, { tuning: { retryLimit: 3 } });
      notifications.pause();
      for (let number = 0; number < 4; number += 1) {
        genesys.sendFrame('all', { topicName: 'v2.users.one.presence', eventBody: { number }, version: '2' });
      }
      await until(() => messages.length === 4);
      assert.equal(notifications.isPaused, false);
      assert.deepEqual(
        messages.map(({ payload }) => (payload as { eventBody: { number: number } }).eventBody.number),
        [0, 1, 2, 3],
      );
      assert.equal(lines.filter((line) => line.includes('The pause is over')).length, 1);
    });

    it('loses nothing to a deploy', async () => {
      const { genesys } = await start();
      const notifications = await harness.connect();
      notifications.pause();
      await genesys.generate({ count: 10, ratePerSecond: 1_000 }).done;
      await until(() => held() === 10);
      await notifications.close();
      await harness.connect();
      await harness.eachOnce(10);
    });
  });

  describe('close', () => {
    it('leaves no timer and no socket behind, however often', async () => {
      const { genesys } = await start();
      const resources = () => {
        const active = process.getActiveResourcesInfo();
        return ['Timeout', 'TCPSocketWrap', 'FSEventWrap'].map((kind) => active.filter((each) => each === kind).length);
      };
      const cycle = async () => {
        await harness.connect();
        await genesys.publish({ code: 'AUDIOHOOK-0001' });
        await harness.notifications.close();
        await genesys.until(() => channel().sockets === 0);
      };
      await cycle();
      const before = resources();
      for (let count = 0; count < 25; count++) await cycle();
      await until(() => resources().every((count, kind) => count <= before[kind]!), 'the resources of before');
    });

    it('ends while connecting, while refused and while discovering, and asks for nothing afterwards', async () => {
      const { genesys } = await start();
      for (const path of [/availabletopics/, /channels$/, /subscriptions/]) {
        const fault = genesys.fail({ path, times: 1_000, answer: 'hang' });
        const notifications = await harness.receive();
        await until(() => fault.hits > 0);
        await notifications.close({ forget: true });
        fault.remove();
        const { total } = genesys.requests;
        await genesys.until(() => genesys.requests.total > total, 100).catch(() => {});
        assert.equal(genesys.requests.total, total);
      }
    });
  });
});
