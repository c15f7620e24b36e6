import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { monitored } from '../../lib/monitor/registry';
import contactBroker from '../../nodes/contact-broker';
import contactQueueIn from '../../nodes/contact-queue-in';
import { sharedRabbitMq } from '../services/rabbitmq';
import { requireService } from '../services/requirements';
import { type FlowNode, type Runtime, startRuntime, until } from './helper';

describe('contact-broker', () => {
  let runtime: Runtime;
  afterEach(() => runtime.stop());

  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'broker')!
      .report();
  const test = async (form: Record<string, unknown>) => {
    const answer = await fetch(`${runtime.adminUrl}/contact-center/contact-broker/test`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(form),
    });
    return (await answer.json()) as Record<string, unknown>;
  };
  const flow = (broker: Record<string, unknown>): FlowNode[] => [
    { id: 'tab', type: 'tab', label: 'Test' },
    { id: 'broker', type: 'contact-broker', ...broker },
    { id: 'in', type: 'contact-queue-in', z: 'tab', broker: 'broker', queue: 'contact-broker-test', wires: [[]] },
  ];

  it('connects when a node uses it, and says that a broker in this process is not durable', async () => {
    runtime = await startRuntime([contactBroker, contactQueueIn], flow({ addresses: 'memory:broker-test' }));
    await until(() => report().state === 'connected');
    const { details, metrics } = report();
    assert.equal(details?.['target'], 'memory:broker-test');
    assert.equal(metrics?.find(({ name }) => name === 'contact_center_broker_connected')?.value, 1);
  });

  it('names what is wrong with its address, without the password', async () => {
    const addresses = 'http://me:Zk4-tulip@somewhere';
    runtime = await startRuntime([contactBroker, contactQueueIn], flow({ addresses }));
    assert.equal(report().state, 'not-configured');
    assert.match(report().reason ?? '', /does not begin with amqp/);
    assert.doesNotMatch(report().reason ?? '', /Zk4-tulip/);
  });

  it('stays calm while there is no broker, and says so', async () => {
    runtime = await startRuntime([contactBroker, contactQueueIn], flow({ addresses: 'amqp://127.0.0.1:1' }));
    await until(() => report().state === 'disconnected');
    assert.match(report().reason ?? '', /ECONNREFUSED/);
  });

  it('lets the dialogs of its nodes pick from the queues that there are', async () => {
    runtime = await startRuntime([contactBroker, contactQueueIn], flow({ addresses: 'memory:broker-picks' }));
    await until(() => report().state === 'connected');
    const names = async (things: string) => {
      const url = `${runtime.adminUrl}/contact-center/contact-queue-in/${things}?broker=broker&queue=`;
      return ((await (await fetch(url)).json()) as { names: string[] }).names;
    };
    await until(async () => (await names('queues')).includes('contact-broker-test'));
    assert.ok((await names('exchanges')).includes('amq.topic'));
  });

  describe('with RabbitMQ', function () {
    this.timeout(120_000);
    requireService('rabbitmq');

    it('tries out the values of the dialog', async () => {
      const { url, port } = await sharedRabbitMq();
      runtime = await startRuntime([contactBroker], []);
      const passed = await test({ addresses: url });
      assert.equal(passed['ok'], true);
      assert.match(String(passed['product']), /^RabbitMQ \d/);
      const refused = await test({ addresses: `amqp://127.0.0.1:${port}`, username: 'guest', password: 'Zk5-tulip' });
      assert.equal(refused['code'], 'REFUSED');
      assert.doesNotMatch(String(refused['message']), /Zk5-tulip/);
    });

    it('finds a queue by its name where no management plugin lists them', async () => {
      const { url } = await sharedRabbitMq();
      const managementUrl = 'http://127.0.0.1:1';
      runtime = await startRuntime([contactBroker, contactQueueIn], flow({ addresses: url, managementUrl }));
      const look = async (queue: string) => {
        const address = `${runtime.adminUrl}/contact-center/contact-queue-in/queues?broker=broker&queue=${queue}`;
        return (await (await fetch(address)).json()) as { names?: string[]; code?: string };
      };
      await until(async () => (await look('contact-broker-test')).names?.[0] === 'contact-broker-test', 'it', 20_000);
      assert.equal((await look('no-such-queue')).code, 'NOT_FOUND');
    });
  });
});
