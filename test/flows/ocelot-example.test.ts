import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OcelotEvent } from '../../lib/ocelot/event';
import { until } from '../nodes/helper';
import { type FlowEntry, type NodeRed, ROOT, startNodeRed } from '../services/node-red';
import { type RabbitMq, sharedRabbitMq } from '../services/rabbitmq';
import { requireService } from '../services/requirements';

const EXAMPLE = JSON.parse(readFileSync(join(ROOT, 'examples/ocelot-events.json'), 'utf8')) as FlowEntry[];
const button = (name: string) => EXAMPLE.find((entry) => entry.type === 'inject' && entry['name'] === name)!.id;

describe('the example of Ocelot events', function () {
  this.timeout(180_000);
  requireService('rabbitmq');
  let broker: RabbitMq;
  let nodeRed: NodeRed;

  before(async () => {
    broker = await sharedRabbitMq();
    nodeRed = await startNodeRed({ flows: EXAMPLE, env: { RABBITMQ_URL: broker.url, MODULE: undefined } });
    await until(async () => (await stats()).every(({ state }) => state === 'connected'), 'the connection', 30_000);
  });
  after(() => nodeRed?.stop());

  type NodeStats = {
    type: string;
    name: string;
    state: string;
    books?: { delivered: number; rejected: number };
    deliveries?: { acknowledged: number; putAside: number; open: number; retried: number };
  };
  const stats = async (): Promise<NodeStats[]> => {
    const answer = (await (await nodeRed.request('/ocelot/stats')).json()) as {
      services: { ocelot: { nodes: NodeStats[] } };
    };
    return answer.services.ocelot.nodes.filter(({ type }) => type !== 'contact-monitor' && type !== 'contact-settle');
  };
  const consumer = async (name: string) => (await stats()).find((node) => node.name === name)!.deliveries!;
  const click = async (name: string) => {
    const answer = await nodeRed.request(`/inject/${button(name)}`, { method: 'POST' });
    assert.equal(answer.status, 200);
  };
  const audit = (): OcelotEvent[] => {
    const path = join(nodeRed.userDir, 'ocelot-audit.jsonl');
    const lines = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as OcelotEvent);
  };

  it('publishes all five types, and each service deals with what is meant for it', async () => {
    for (const name of [
      'call.started',
      'call.ended: call me back',
      'call.transcribed',
      'campaign.completed: 60 %',
      'sentiment.analyzed: -0.8',
    ]) {
      await click(name);
    }
    await until(() => audit().length === 5, 'five lines in the audit log', 20_000);
    assert.deepEqual(
      audit()
        .map(({ type }) => type)
        .toSorted(),
      ['call.ended', 'call.started', 'call.transcribed', 'campaign.completed', 'sentiment.analyzed'],
    );
    for (const name of ['Ended calls', 'Completed campaigns', 'Sentiment']) {
      await until(async () => (await consumer(name)).acknowledged === 1, name);
    }
    await until(async () => (await stats()).every(({ deliveries }) => !deliveries || deliveries.open === 0));
  });

  it('answers over HTTP when the event is safe, and says why when it is not', async () => {
    const post = (body: object) =>
      nodeRed.request('/ocelot/calls/call-7/end', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      });
    const before = audit().length;
    const ended = await post({ duration: 180, outcome: 'completed', organizationId: 'org-1', userId: 'user-1' });
    assert.equal(ended.status, 200);
    assert.deepEqual(await ended.json(), { status: 'ended' });
    await until(() => audit().length === before + 1);
    const event = audit().at(-1)!;
    assert.equal(event.type, 'call.ended');
    assert.equal(event.userId, 'user-1');
    assert.deepEqual(event.data, { call_id: 'call-7', duration: 180, outcome: 'completed', transcript: null });

    const refused = await post({ duration: 'long' });
    assert.equal(refused.status, 422);
    const { error } = (await refused.json()) as { error: { problems: { field: string }[] } };
    assert.deepEqual(error.problems.map(({ field }) => field).toSorted(), [
      'data.duration',
      'data.outcome',
      'organizationId',
    ]);
  });

  it('tries again, puts aside what fails, and replays it', async () => {
    const { acknowledged, putAside } = await consumer('Ended calls');
    await click('Planning goes down');
    await click('call.ended: call me back');
    await until(async () => (await consumer('Ended calls')).putAside === putAside + 1, 'the dead letter', 30_000);
    const [deadLetter] = await broker.use(async (connection) => {
      const channel = await connection.createChannel();
      const message = await channel.get('focus_lite_calls.dlq');
      if (message !== false) channel.nack(message);
      return [message];
    });
    assert.ok(deadLetter);
    assert.equal(deadLetter.properties.headers?.['x-attempts'], 3);
    assert.match(String(deadLetter.properties.headers?.['x-failure-reason']), /the planning system is down/);
    await click('Planning comes back');
    await click('Replay the dead letters');
    await until(async () => (await consumer('Ended calls')).acknowledged > acknowledged, 'the task', 20_000);
  });

  it('is healthy, and shows its deliveries as metrics', async () => {
    const health = await nodeRed.request('/ocelot/health');
    assert.equal(health.status, 200);
    await nodeRed.restart({ env: { METRICS_ENABLED: 'true' } });
    await until(async () => (await nodeRed.request('/ocelot/metrics')).status === 200);
    const text = await (await nodeRed.request('/ocelot/metrics')).text();
    for (const name of ['deliveries_open', 'deliveries_stalled', 'deliveries_total', 'broker_connected']) {
      assert.match(text, new RegExp(`^contact_center_${name}{.*service="ocelot"`, 'm'));
    }
  });
});
