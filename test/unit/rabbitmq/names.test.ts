import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readAddresses } from '../../../lib/rabbitmq/address';
import { memoryBroker } from '../../../lib/rabbitmq/memory/link';
import { listNames } from '../../../lib/rabbitmq/names';

describe('the names to pick from', () => {
  let management: Server;
  let managementUrl: string;

  /** As the management plugin of RabbitMQ answers: the virtual host `/` is `%2F`, and the exchange without a name is listed. */
  before(async () => {
    const login = `Basic ${Buffer.from('me:a password').toString('base64')}`;
    const names: Record<string, string[]> = { queues: ['orders', 'calls'], exchanges: ['', 'ocelot.events'] };
    management = createServer(({ url, headers }, response) => {
      const [, things = ''] = /^\/api\/(queues|exchanges)\/%2F\?columns=name$/.exec(url ?? '') ?? [];
      const status = headers.authorization !== login ? 401 : names[things] ? 200 : 404;
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(status === 200 ? names[things]?.map((name) => ({ name })) : { error: 'no' }));
    });
    await new Promise<void>((resolve) => management.listen(0, '127.0.0.1', resolve));
    managementUrl = `http://127.0.0.1:${(management.address() as AddressInfo).port}`;
  });
  after(() => management.close());

  const broker = (address: string) => ({ place: readAddresses([address]), connectionName: 'test' });

  it('come from the management plugin, sorted and without the exchange that has no name', async () => {
    const options = { ...broker('amqp://me:a%20password@127.0.0.1:1/'), managementUrl };
    assert.deepEqual(await listNames(options, 'queues'), ['calls', 'orders']);
    assert.deepEqual(await listNames(options, 'exchanges'), ['ocelot.events']);
  });

  it('are those of the broker within this process', async () => {
    memoryBroker('names').declareQueue('there', {});
    assert.deepEqual(await listNames(broker('memory:names'), 'queues'), ['there']);
    assert.deepEqual(await listNames(broker('memory:names'), 'exchanges'), ['amq.direct', 'amq.fanout', 'amq.topic']);
  });

  it('cannot be had with a wrong login, and the error says what to do, without the password', async () => {
    const options = { ...broker('amqp://me:Zk4-tulip@127.0.0.1:1/'), managementUrl };
    await assert.rejects(listNames(options, 'queues'), (error: Error) => {
      assert.match(error.message, /list the queues .*401.*tag "management"/s);
      assert.doesNotMatch(error.message, /Zk4-tulip/);
      return true;
    });
  });

  it('cannot be had where neither the plugin nor the broker answers, nor for a name that is a variable', async () => {
    const options = { ...broker('amqp://127.0.0.1:1/'), managementUrl: 'http://127.0.0.1:1' };
    await assert.rejects(listNames(options, 'queues'), /enable the management plugin/);
    await assert.rejects(listNames(options, 'queues', '${QUEUE}'), /enable the management plugin/);
    await assert.rejects(listNames(options, 'queues', 'orders'), /ECONNREFUSED/);
  });
});
