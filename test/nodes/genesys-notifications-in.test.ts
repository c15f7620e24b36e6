import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { NodeMessageInFlow } from 'node-red';
import { settleDelivery } from '../../lib/core/deliveries';
import type { EventMessage } from '../../lib/genesys/emission';
import { operationsTopic } from '../../lib/genesys/topics';
import { monitored } from '../../lib/monitor/registry';
import genesysNotificationsIn from '../../nodes/genesys-notifications-in';
import genesysOauth from '../../nodes/genesys-oauth';
import {
  defaultClient,
  type GenesysSimulator,
  type GenesysSimulatorOptions,
  numberOf,
  startGenesysSimulator,
} from '../simulators/genesys';
import { type FlowNode, type Runtime, startRuntime, until } from './helper';

const MODULES = [genesysOauth, genesysNotificationsIn];

describe('genesys-notifications-in', () => {
  let genesys: GenesysSimulator;
  let runtime: Runtime;
  let userDir: string;
  let received: EventMessage[];

  beforeEach(() => {
    userDir = mkdtempSync(join(tmpdir(), 'notifications-'));
    received = [];
  });

  afterEach(async () => {
    await runtime.stop();
    await genesys.close();
    rmSync(userDir, { recursive: true, force: true });
  });

  /** The node as it is dragged from the palette, with the account filled in. */
  function flow(parts: Record<string, unknown> = {}, account: Record<string, unknown> = {}): FlowNode[] {
    return [
      { id: 'tab', type: 'tab', label: 'collector' },
      { id: 'account', type: 'genesys-oauth', name: '', loginUrl: genesys.url, apiUrl: genesys.url, ...account },
      {
        id: 'source',
        type: 'genesys-notifications-in',
        z: 'tab',
        name: '',
        account: 'account',
        discover: true,
        include: 'audiohook',
        exclude: '',
        topics: '',
        topicsFile: '',
        backfill: true,
        overlapSeconds: 120,
        pollSeconds: 30,
        settle: true,
        settleTimeoutSeconds: 300,
        wires: [['sink']],
        ...parts,
      },
      { id: 'sink', type: 'helper', z: 'tab', wires: [] },
    ];
  }

  async function start(
    parts: Record<string, unknown> = {},
    options: GenesysSimulatorOptions = {},
    secret: string = defaultClient.secret,
  ): Promise<void> {
    genesys = await startGenesysSimulator({ rateLimitPerMinute: Number.POSITIVE_INFINITY, ...options });
    runtime = await startRuntime(MODULES, flow(parts), {
      credentials: { account: { clientId: defaultClient.id, clientSecret: secret } },
      settings: { userDir },
    });
    collect();
  }

  /** Collects and settles what arrives at the end of the flow. */
  function collect(): void {
    runtime.node('sink').on('input', (message: NodeMessageInFlow, _send, done) => {
      received.push(message as unknown as EventMessage);
      settleDelivery(message, { kind: 'acknowledge' });
      done();
    });
  }

  const source = () => runtime.node('source');
  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'source')!
      .report();
  const connected = () => until(() => report().state === 'connected', 'the state connected');
  const numbers = () =>
    received
      .map(({ payload }) => {
        const { eventBody } = payload as { eventBody: { conversationId?: string; conversation?: { id: string } } };
        return numberOf(eventBody.conversationId ?? eventBody.conversation?.id ?? '') ?? -1;
      })
      .sort((one, other) => one - other);
  const upTo = (count: number) => Array.from({ length: count }, (_, number) => number);
  const events = () => report().details!['events'] as Record<string, number>;

  it('sends each event once, with the whole notification and an id', async () => {
    await start();
    await connected();
    await genesys.generate({ count: 100 }).done;
    await until(() => received.length >= 100);
    assert.deepEqual(numbers(), upTo(100));
    const { topic, payload, eventId, genesys: origin, delivery } = received[0]!;
    assert.equal(topic, operationsTopic('AUDIOHOOK-0001'));
    assert.equal((payload as { topicName: string }).topicName, topic);
    assert.equal(new Set(received.map((message) => message.eventId)).size, 100);
    assert.ok(eventId && delivery);
    assert.equal(origin.definition!.name, 'AudioHook integration error');
    assert.equal(events()['acknowledged'], 100);
  });

  it('shows its topics in the status and everything else in the report, without a secret', async () => {
    await start();
    await connected();
    const shown = () => (source().status as unknown as { args: { text: string }[][] }).args.map(([status]) => status!);
    await until(() => shown().some(({ text }) => text === 'topics'));
    assert.deepEqual(
      shown().find(({ text }) => text === 'topics'),
      { fill: 'green', shape: 'dot', text: 'topics', state: 'connected' },
    );
    const { details, metrics } = report();
    const text = JSON.stringify([details, metrics]);
    const { id, token } = genesys.channels[0]!;
    assert.ok(text.includes(`***${id.slice(-6)}`));
    for (const secret of [id, token, defaultClient.secret]) assert.ok(!text.includes(secret));
    assert.ok(metrics!.some(({ name, value }) => name === 'contact_center_genesys_topics_subscribed' && value === 6));
  });

  it('is not configured, with one sentence and without a request, when the account is not', async () => {
    genesys = await startGenesysSimulator();
    runtime = await startRuntime(MODULES, flow({}, { loginUrl: '', apiUrl: '', region: '${GENESYS_ENV_UNSET}' }), {
      settings: { userDir },
    });
    assert.equal(report().state, 'not-configured');
    assert.match(report().reason!, /GENESYS_CLIENT_ID/);
    assert.equal(genesys.requests.total, 0);
  });

  it('says which property cannot be used', async () => {
    genesys = await startGenesysSimulator();
    runtime = await startRuntime(MODULES, flow({ account: '', include: '(', overlapSeconds: 'soon' }), {
      settings: { userDir },
    });
    assert.equal(report().state, 'not-configured');
    for (const name of ['account', 'include', 'overlapSeconds']) assert.ok(report().reason!.includes(name));
  });

  it('takes a variable that is not set for an empty field', async () => {
    const parts = {
      discover: '${AUTO_DISCOVER_UNSET}',
      include: '${TOPIC_INCLUDE_UNSET}',
      exclude: '${TOPIC_EXCLUDE_UNSET}',
      topics: '${FALLBACK_TOPICS_UNSET}',
      topicsFile: '${TOPICS_FILE_UNSET}',
    };
    await start(parts);
    await connected();
    assert.equal(genesys.channels[0]!.topics.length, 6);
  });

  it('shows a wrong secret as one red status and hardly asks again', async () => {
    await start({}, {}, 'not-the-secret');
    await until(() => report().state === 'refused');
    assert.match(report().reason!, /client secret/);
    // The network of the simulator is idle from here on, so that what is still coming would come now.
    await runtime.deploy(flow({ name: 'again' }), 'nodes');
    await until(() => report().state === 'refused');
    assert.equal(genesys.requests.tokenRequests, 1);
    const statuses = (source().status as unknown as { args: { fill: string }[][] }).args.map(
      ([status]) => status!.fill,
    );
    assert.equal(statuses.filter((fill) => fill === 'red').length, 1);
  });

  it('reads its topics from a file below the user directory, and follows it', async () => {
    writeFileSync(join(userDir, 'topics.json'), JSON.stringify({ topics: [operationsTopic('TRUNKS-0001')] }));
    await start({ topicsFile: 'topics.json' });
    await connected();
    assert.deepEqual(genesys.channels[0]!.topics, [operationsTopic('TRUNKS-0001')]);
    writeFileSync(join(userDir, 'topics.json'), JSON.stringify([operationsTopic('FLOWS-0003')]));
    await until(() => genesys.channels[0]!.topics.join() === operationsTopic('FLOWS-0003'));
  });

  it('loses and doubles nothing over 20 deploys under traffic, on one channel and with one token', async () => {
    await start();
    await connected();
    const listeners = () => runtime.RED.events.listenerCount('flows:started') + process.listenerCount('exit');
    const before = listeners();
    const run = genesys.generate({ count: 4_000, ratePerSecond: 800 });
    for (let round = 1; round <= 20; round++) {
      await until(() => run.sent >= round * 150, 'traffic', 20_000);
      await runtime.deploy(flow({ name: `deploy ${round}` }), round % 2 === 0 ? 'nodes' : 'full');
      if (round % 2 === 1) collect();
    }
    await run.done;
    await until(() => new Set(numbers()).size === 4_000, 'all events', 20_000);
    assert.deepEqual(numbers(), upTo(4_000));
    assert.equal(genesys.requests.counts['POST /api/v2/notifications/channels'], 1);
    assert.equal(genesys.requests.tokenRequests, 1);
    assert.equal(genesys.channels[0]!.sockets, 1);
    assert.equal(listeners(), before);
    assert.equal(monitored.all().length, 2);
  });

  it('ends its socket when it is removed, and keeps no timer that would ask again', async () => {
    await start();
    await connected();
    await runtime.deploy([]);
    await until(() => genesys.channels[0]!.sockets === 0);
    const { total } = genesys.requests;
    await genesys.until(() => genesys.requests.total > total, 100).catch(() => {});
    assert.equal(genesys.requests.total, total);
  });

  describe('in the editor', () => {
    interface Answer {
      ok: boolean;
      code?: string;
      message?: string;
      topics: { id: string; transports: string[]; permissions: string[]; obstacle: string }[];
      rejected: { id: string; missingPermissions: string[] }[];
      problems: string[];
    }
    const browse = async (account = 'account'): Promise<Answer> => {
      const path = `contact-center/genesys-notifications-in/topics?account=${account}&node=source`;
      const response = await fetch(`${runtime.adminUrl}/${path}`);
      assert.equal(response.status, 200);
      return (await response.json()) as Answer;
    };

    it('lists what the organization offers, asked for once a minute, with what was refused', async () => {
      const topics = `${operationsTopic('AUDIOHOOK-0001')}, v2.flows.0f8f91f9-a27d-4ddf-9026-7e1e3a8d73a6`;
      genesys = await startGenesysSimulator();
      genesys.withhold(['architect:flow:view']);
      runtime = await startRuntime(MODULES, flow({ discover: false, topics }), {
        credentials: { account: { clientId: defaultClient.id, clientSecret: defaultClient.secret } },
        settings: { userDir },
      });
      await until(() => report().state === 'degraded');
      const asked = genesys.requests.counts['GET /api/v2/notifications/availabletopics']!;
      const answer = await browse();
      await Promise.all([browse(), browse()]);
      assert.equal(genesys.requests.counts['GET /api/v2/notifications/availabletopics'], asked + 1);
      const audiohook = answer.topics.find(({ id }) => id === operationsTopic('AUDIOHOOK-0001'))!;
      assert.deepEqual([audiohook.transports, audiohook.permissions], [['All'], ['usage:events:view']]);
      assert.deepEqual(
        answer.rejected.map(({ missingPermissions }) => missingPermissions),
        [['architect:flow:view']],
      );
      assert.deepEqual(answer.problems, []);
    });

    it('says that the account must be deployed first', async () => {
      await start();
      const answer = await browse('unknown');
      assert.deepEqual([answer.ok, answer.code], [false, 'CONFIGURATION']);
      assert.match(answer.message!, /deploy/);
    });

    it('says why the list cannot be had', async () => {
      await start({}, {}, 'not-the-secret');
      const answer = await browse();
      assert.deepEqual([answer.ok, answer.code], [false, 'REFUSED']);
    });
  });
});
