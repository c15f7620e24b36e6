import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import { readAddresses } from '../../../lib/rabbitmq/address';
import { BrokerConnection, type BrokerState } from '../../../lib/rabbitmq/connection';
import { Publisher } from '../../../lib/rabbitmq/publisher';
import { type RabbitMq, sharedRabbitMq } from '../../services/rabbitmq';
import { requireService } from '../../services/requirements';
import { until } from '../until';
import { connectTo, uniqueName } from './brokers';

describe('a connection to RabbitMQ', function () {
  this.timeout(120_000);
  requireService('rabbitmq');
  let broker: RabbitMq;
  let connection: BrokerConnection;
  const publishers: Publisher[] = [];
  const use = () => publishers.push(new Publisher(connection, { topology: {}, purpose: 'publish a test' }));
  const isOpen = () => connection.state.kind === 'open';

  before(async () => {
    broker = await sharedRabbitMq();
  });
  afterEach(async () => {
    await Promise.all(publishers.splice(0).map((publisher) => publisher.close()));
    await connection.close();
  });

  it('can be closed at any moment while it is made', async () => {
    for (let turns = 0; turns < 60; turns += 5) {
      connection = connectTo(broker.url);
      use();
      for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
      await Promise.all([...publishers.splice(0).map((publisher) => publisher.close()), connection.close()]);
    }
  });

  it('is made for the first who uses it, shared by all, and shown in the broker under its name', async () => {
    const name = uniqueName('connection');
    connection = connectTo(broker.url, { connectionName: name });
    assert.equal(connection.state.kind, 'idle');
    for (let count = 0; count < 3; count += 1) use();
    await until(() => publishers.every((publisher) => publisher.isOpen));
    const rows = await broker.list<{ client_properties: [string, string, string][]; channels: number }>(
      'list_connections',
      'client_properties',
      'channels',
    );
    const mine = rows.filter(({ client_properties: all }) =>
      all.some(([key, , value]) => key === 'connection_name' && value === name),
    );
    assert.equal(mine.length, 1);
    assert.equal(mine[0]!.channels, 3);
    assert.match(String(connection.details()['product']), /^RabbitMQ 3\.\d+/);
  });

  it('goes to the next host when one does not answer', async () => {
    const place = readAddresses([`amqp://127.0.0.1:1`, broker.url]);
    connection = new BrokerConnection({ place, connectionName: 'test' });
    use();
    await until(isOpen);
  });

  it('says that the login is refused, without the password', async () => {
    connection = connectTo(`amqp://guest:wrong-password@127.0.0.1:${broker.port}/`);
    use();
    await until(() => connection.state.kind === 'waiting');
    const state = connection.state as Extract<BrokerState, { kind: 'waiting' }>;
    assert.equal(state.error.code, 'REFUSED');
    assert.doesNotMatch(state.error.message, /wrong-password/);
  });

  it('says that there is no such virtual host', async () => {
    connection = connectTo(`amqp://guest:guest@127.0.0.1:${broker.port}/nowhere`);
    use();
    await until(() => connection.state.kind === 'waiting');
    const state = connection.state as Extract<BrokerState, { kind: 'waiting' }>;
    assert.equal(state.error.code, 'REFUSED');
    assert.match(state.error.message, /does not let guest into the virtual host nowhere/);
  });

  it('waits for those who use it before it ends', async () => {
    connection = connectTo(broker.url);
    use();
    await until(isOpen);
    const order: string[] = [];
    const closed = connection.close().then(() => order.push('connection'));
    await publishers[0]!.close().then(() => order.push('publisher'));
    await closed;
    assert.deepEqual(order, ['publisher', 'connection']);
  });
});

describe('a connection to something that is no broker', () => {
  let server: Server;
  let connection: BrokerConnection;
  let publisher: Publisher;
  const address = () => `amqp://127.0.0.1:${(server.address() as { port: number }).port}`;
  const listen = async (answer: (socket: import('node:net').Socket) => void) => {
    server = createServer((socket) => {
      socket.on('error', () => {});
      answer(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  };
  afterEach(async () => {
    await publisher.close();
    await connection.close();
    server.close();
  });
  const failed = async () => {
    publisher = new Publisher(connection, { topology: {}, purpose: 'publish a test' });
    await until(() => connection.state.kind === 'waiting');
    return (connection.state as Extract<BrokerState, { kind: 'waiting' }>).error;
  };

  it('gives up a handshake that is not answered, and tries again', async () => {
    await listen(() => {});
    connection = connectTo(address(), { openTimeoutMs: 200 });
    const error = await failed();
    assert.equal(error.code, 'UNREACHABLE');
    assert.match(error.message, /ETIMEDOUT/);
  });

  it('does not mind a peer that hangs up', async () => {
    await listen((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    connection = connectTo(address(), { openTimeoutMs: 2_000 });
    assert.equal((await failed()).code, 'UNREACHABLE');
  });
});
