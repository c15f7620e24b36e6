import assert from 'node:assert/strict';
import fc from 'fast-check';
import { until } from '../nodes/helper';
import type { FlowEntry, NodeRed } from '../services/node-red';
import { type RabbitMq, sharedRabbitMq } from '../services/rabbitmq';
import { repetitions, requireService } from '../services/requirements';
import { type MalformedEvent, malformedEvents, VALID_DATA } from '../unit/ocelot/events';
import { common, startBrokerFlow, statsOf, untilState, WORK_SETTINGS, workOf } from './broker-flow';

const EVENTS = repetitions(2_000, 20_000);
const BATCH = 1_000;
const EXCHANGE = 'malformed.events';

/** What is remembered of a message that has left one of the outputs. */
interface Left {
  output: number;
  n: number;
  fields?: string[];
  message?: string;
}

describe('malformed events', function () {
  this.timeout(300_000);
  requireService('rabbitmq');
  let broker: RabbitMq;
  let nodeRed: NodeRed;

  before(async () => {
    broker = await sharedRabbitMq();
    nodeRed = await startBrokerFlow(flow(broker.url), { settings: WORK_SETTINGS });
    await untilState(nodeRed, 'publish', ['connected']);
  });
  after(() => nodeRed?.stop());

  const send = async (first: number, events: Omit<MalformedEvent, 'field'>[]) => {
    const answer = await nodeRed.request('/events', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(events.map((event, index) => ({ ...event, n: first + index }))),
    });
    assert.equal(answer.status, 200);
  };
  const left = () => workOf(nodeRed).map((line) => JSON.parse(line) as Left);

  it(`are never published: each of ${EVENTS} leaves output 2 with an error that names its field`, async () => {
    const queue = 'malformed.all';
    await broker.use(async (connection) => {
      const channel = await connection.createChannel();
      await channel.assertQueue(queue, { durable: true });
      await channel.bindQueue(queue, EXCHANGE, '#');
    });
    const events = fc.sample(malformedEvents, EVENTS);
    for (let first = 0; first < EVENTS; first += BATCH) await send(first, events.slice(first, first + BATCH));
    // The way to the broker is open: one that is fine gets through.
    const type = 'call.ended';
    await send(EVENTS, [{ type, organizationId: 'org-1', data: VALID_DATA[type] }]);
    await until(() => left().length > EVENTS, 'every event at an output', 120_000);
    const outputs = left();
    const refused = outputs.filter(({ output }) => output === 2).toSorted((one, other) => one.n - other.n);
    assert.equal(outputs.length, EVENTS + 1);
    assert.equal(refused.length, EVENTS);
    for (const [index, { n, fields = [], message = '' }] of refused.entries()) {
      const { field } = events[index]!;
      assert.equal(n, index);
      const isNamed = fields.some((each) => each === field || each.startsWith(`${field}.`)) && message.includes(field);
      assert.ok(isNamed, `${JSON.stringify(events[index])} was refused with ${message}`);
    }
    const { messageCount } = await broker.use(async (connection) =>
      (await connection.createChannel()).deleteQueue(queue),
    );
    assert.equal(messageCount, 1);
    const { received, delivered, rejected } = (await statsOf(nodeRed, 'publish')).books!;
    assert.deepEqual([received, delivered, rejected], [EVENTS + 1, 1, EVENTS]);
  });
});

function flow(brokerUrl: string): FlowEntry[] {
  return [
    ...common(brokerUrl),
    { id: 'events', type: 'http in', z: 'tab', url: '/events', method: 'post', wires: [['split']] },
    {
      id: 'split',
      type: 'function',
      z: 'tab',
      outputs: 2,
      func: `
        const events = msg.payload;
        node.send([events.map(({ n, type, organizationId, data }) => ({ n, eventType: type, organizationId, payload: data })), null]);
        return [null, msg];`,
      wires: [['publish'], ['answer']],
    },
    { id: 'publish', type: 'ocelot-publish', z: 'tab', broker: 'broker', exchange: EXCHANGE, wires: [['1'], ['2']] },
    remember('1', '{}'),
    remember('2', '{ fields: msg.error.problems.map(({ field }) => field), message: msg.error.message }'),
    { id: 'answer', type: 'http response', z: 'tab', wires: [] },
  ];
}

function remember(output: string, more: string): FlowEntry {
  return {
    id: output,
    type: 'function',
    z: 'tab',
    outputs: 1,
    func: `
      const line = JSON.stringify({ output: ${output}, n: msg.n, ...${more} });
      global.get('fs').appendFileSync('work.log', line + '\\n');`,
    wires: [[]],
  };
}
