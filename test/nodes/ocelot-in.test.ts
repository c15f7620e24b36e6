import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { settleDelivery } from '../../lib/core/deliveries';
import { monitored } from '../../lib/monitor/registry';
import { makeEvent, type OcelotEvent } from '../../lib/ocelot/event';
import type { AmqpChannel } from '../../lib/rabbitmq/amqp';
import { dialMemory } from '../../lib/rabbitmq/memory/link';
import contactBroker from '../../nodes/contact-broker';
import ocelotIn from '../../nodes/ocelot-in';
import { VALID_DATA } from '../unit/ocelot/events';
import { drain, publish, uniqueName } from '../unit/rabbitmq/brokers';
import { type Runtime, startRuntime, until } from './helper';

type Received = Record<string, unknown> & { payload: OcelotEvent; delivery: { id: string } };

describe('ocelot-in', () => {
  let runtime: Runtime;
  let channel: AmqpChannel;
  let queue: string;
  let received: Received[];

  beforeEach(async () => {
    queue = uniqueName('queue');
    channel = await dialMemory('ocelot-in').createChannel();
  });
  afterEach(async () => {
    await runtime.stop();
    await channel.close();
  });

  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'in')!
      .report();
  const details = (name: string) => report().details?.[name] as Record<string, number>;
  const start = async (properties: Record<string, unknown> = {}) => {
    runtime = await startRuntime(
      [contactBroker, ocelotIn],
      [
        { id: 'tab', type: 'tab', label: 'Test' },
        { id: 'broker', type: 'contact-broker', addresses: 'memory:ocelot-in' },
        {
          id: 'in',
          type: 'ocelot-in',
          z: 'tab',
          broker: 'broker',
          queue,
          bindingKeys: 'comms.#',
          wires: [['out']],
          ...properties,
        },
        { id: 'out', type: 'helper', z: 'tab', wires: [] },
      ],
    );
    received = runtime.received('out') as never;
    await until(() => report().state === 'connected');
  };
  const event = (parts: Partial<Parameters<typeof makeEvent>[0]> = {}) =>
    makeEvent({
      type: 'call.ended',
      data: VALID_DATA['call.ended'],
      organizationId: 'org-1',
      module: 'cc-lite',
      now: 0,
      ...parts,
    });
  const send = (content: unknown, routingKey = 'comms.call.ended') =>
    publish(channel, { exchange: 'ocelot.events', routingKey, content: JSON.stringify(content), messageId: 'm-1' });

  it('gives out the event with what flows ask for, from the exchange of the platform', async () => {
    await start();
    const sent = event();
    await send(sent);
    await until(() => received.length === 1);
    const { payload, topic, eventType, organizationId, correlationId } = received[0]!;
    assert.deepEqual(payload, sent);
    assert.deepEqual(
      { topic, eventType, organizationId, correlationId },
      { topic: 'comms.call.ended', eventType: 'call.ended', organizationId: 'org-1', correlationId: 'm-1' },
    );
    assert.ok(settleDelivery(received[0]!, { kind: 'acknowledge' }));
  });

  it('gets only what its keys are for', async () => {
    await start({ bindingKeys: 'comms.call.*' });
    await send(event({ type: 'custom.event', data: {} }), 'comms.custom.event');
    await send(event());
    await until(() => received.length === 1);
    assert.equal(received[0]!.payload.type, 'call.ended');
  });

  it('leaves out the events of other organizations', async () => {
    await start({ organizations: 'org-2, org-3' });
    await send(event());
    await send(event({ organizationId: 'org-3' }));
    await until(() => received.length === 1);
    assert.equal(received[0]!['organizationId'], 'org-3');
    await until(() => details('deliveries')['acknowledged'] === 1);
    assert.equal(details('messages')['ignored'], 1);
  });

  it('puts aside what does not have the form of its type, with everything that is wrong', async () => {
    await start();
    await send({ ...event(), data: { call_id: 'c', duration: 'long' }, id: 'no uuid' });
    await send({ ...event(), data: { call_id: 'c', duration: 'long' } });
    await send('text');
    await until(() => details('deliveries')['putAside'] === 3);
    const reasons = (await drain(channel, `${queue}.dlq`)).map(
      ({ properties }) => properties.headers?.['x-failure-reason'] as string,
    );
    assert.match(reasons[0]!, /id must be a UUID/);
    assert.match(reasons[1]!, /data\.outcome is missing; data\.transcript is missing; data\.duration must be/);
    assert.match(reasons[2]!, /the event must be object/);
    assert.equal(received.length, 0);
  });

  it('takes anything that is JSON when nothing is to be checked', async () => {
    await start({ check: false });
    await send({ free: 'form' });
    await until(() => received.length === 1);
    assert.deepEqual(received[0]!.payload, { free: 'form' });
    settleDelivery(received[0]!, { kind: 'acknowledge' });
  });
});
