import assert from 'node:assert/strict';
import fc from 'fast-check';
import { readAddresses, shownAddress } from '../../../lib/rabbitmq/address';
import type { ReceivedMessage } from '../../../lib/rabbitmq/consumer';
import { factsOf } from '../../../lib/rabbitmq/facts';
import { brokerFailure } from '../../../lib/rabbitmq/failures';
import { topicMatches } from '../../../lib/rabbitmq/memory/topic';
import { readPayload } from '../../../lib/rabbitmq/payload';
import { decodeRequest, encodeRequest, type PublishRequest } from '../../../lib/rabbitmq/publish-request';
import { queueTopology } from '../../../lib/rabbitmq/queue-topology';
import { nextHopMs, retryDelayMs } from '../../../lib/rabbitmq/retry';

describe('the address of a broker', () => {
  const read = (...texts: string[]) => {
    const place = readAddresses(texts);
    assert.equal(place.kind, 'network');
    return place.kind === 'network' ? place.addresses : [];
  };

  it('has the login and the virtual host of a new RabbitMQ where it names none', () => {
    for (const text of ['amqp://localhost', 'amqp://localhost/', 'amqp://guest:guest@localhost:5672/']) {
      assert.deepEqual(read(text), [
        { protocol: 'amqp', hostname: 'localhost', port: 5672, username: 'guest', password: 'guest', vhost: '/' },
      ]);
    }
  });

  it('may have special characters in every part', () => {
    const [address] = read('amqps://us%40er:q%2FZx7%25@[::1]:5999/a%2Fb');
    assert.deepEqual(address, {
      protocol: 'amqps',
      hostname: '::1',
      port: 5999,
      username: 'us@er',
      password: 'q/Zx7%',
      vhost: 'a/b',
    });
    assert.equal(shownAddress(address!), 'amqps://[::1]:5999/a%2Fb');
  });

  it('is one of several, which share the login of the first that has one', () => {
    const [first, second] = read('amqps://me:Xk7-tulip@one/prod', 'amqps://two');
    assert.equal(first?.hostname, 'one');
    assert.deepEqual([second?.username, second?.password, second?.vhost], ['me', 'Xk7-tulip', 'prod']);
  });

  it('gives way to a login that is set by itself', () => {
    const place = readAddresses(['amqp://me:old@host/one'], { username: 'you', password: 'new', vhost: 'two' });
    assert.ok(place.kind === 'network');
    const { username, password, vhost } = place.addresses[0]!;
    assert.deepEqual([username, password, vhost], ['you', 'new', 'two']);
  });

  it('may be in this process', () => {
    assert.deepEqual(readAddresses(['memory:']), { kind: 'memory', name: 'default' });
    assert.deepEqual(readAddresses(['memory:trial']), { kind: 'memory', name: 'trial' });
  });

  it('is refused with its name and without its password', () => {
    for (const text of ['http://host', 'localhost', 'amqp://', 'amqp:/host']) {
      assert.throws(() => read(text), { code: 'CONFIGURATION' });
    }
    assert.throws(
      () => read('http://me:topsecret@host'),
      (error: Error) => !error.message.includes('topsecret'),
    );
    assert.throws(() => read('amqp://host', 'memory:'), /cannot stand beside/);
  });
});

describe('the binding key of a topic exchange', () => {
  const cases: [string, string, boolean][] = [
    ['comms.call.ended', 'comms.call.ended', true],
    ['comms.call.ended', 'comms.call.started', false],
    ['comms.*.ended', 'comms.call.ended', true],
    ['comms.*', 'comms.call.ended', false],
    ['comms.#', 'comms.call.ended', true],
    ['comms.#', 'comms', true],
    ['#', 'anything.at.all', true],
    ['#', '', true],
    ['*', '', true],
    ['#.ended', 'comms.call.ended', true],
    ['comms.#.ended', 'comms.ended', true],
    ['*.*', 'one', false],
  ];
  for (const [binding, routing, fits] of cases) {
    it(`${binding} ${fits ? 'fits' : 'does not fit'} ${routing || 'an empty key'}`, () =>
      assert.equal(topicMatches(binding, routing), fits));
  }
});

describe('the waits between attempts', () => {
  const policy = { maxAttempts: 5, delaysMs: [1_000, 5_000, 30_000] };

  it('follow the ladder and stay on its last rung', () => {
    assert.deepEqual(
      [1, 2, 3, 4, 9].map((attempt) => retryDelayMs(policy, attempt)),
      [1_000, 5_000, 30_000, 30_000, 30_000],
    );
  });

  it('add up to any wait, at most one shortest rung too long and never too short', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3_600_000 }), (wanted) => {
        let waited = 0;
        for (let hops = 0; waited < wanted; hops += 1) {
          assert.ok(hops < 200);
          waited += nextHopMs(policy, wanted - waited);
        }
        assert.ok(waited < wanted + 1_000);
      }),
    );
  });
});

describe('a message for the buffer', () => {
  it('comes out as it went in', () => {
    const optional = fc.option(fc.string(), { nil: undefined });
    const request: fc.Arbitrary<PublishRequest> = fc.record({
      exchange: fc.string(),
      routingKey: fc.string(),
      content: fc.string({ unit: 'binary' }),
      messageId: fc.string(),
      correlationId: optional,
      contentType: optional,
      type: optional,
      appId: optional,
      headers: fc.option(fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }), { nil: undefined }),
    });
    fc.assert(
      fc.property(request, (given) => assert.deepEqual({ ...decodeRequest(encodeRequest(given)) }, { ...given })),
    );
  });
});

describe('the content of a message', () => {
  const read = (text: string, type: string | undefined, form: 'auto' | 'json' | 'text' | 'buffer' = 'auto') =>
    readPayload(Buffer.from(text), type, form);

  it('is read by its content type', () => {
    assert.deepEqual(read('{"a":1}', 'application/json'), { a: 1 });
    assert.deepEqual(read('{"a":1}', 'application/vnd.thing+json; charset=utf-8'), { a: 1 });
    assert.equal(read('{"a":1}', 'text/plain'), '{"a":1}');
    assert.deepEqual(read('{"a":1}', 'application/octet-stream'), Buffer.from('{"a":1}'));
  });

  it('without a type is JSON when it can be, and text otherwise', () => {
    assert.deepEqual(read('[1]', undefined), [1]);
    assert.equal(read('hello', undefined), 'hello');
  });

  it('is read as the node says', () => {
    assert.equal(read('{"a":1}', 'application/json', 'text'), '{"a":1}');
    assert.deepEqual(read('x', 'application/json', 'buffer'), Buffer.from('x'));
  });

  it('that should be JSON and is not is an error that says so', () => {
    assert.throws(() => read('{"a":', 'application/json'), { code: 'INVALID_INPUT', message: /content as JSON/ });
    assert.throws(() => read('hello', undefined, 'json'), { code: 'INVALID_INPUT' });
  });
});

describe('the facts of a message', () => {
  const timeOf = (timestamp: unknown) =>
    factsOf({ exchange: '', routingKey: 'q', properties: { headers: {}, timestamp } } as unknown as ReceivedMessage)
      .timestamp;

  it('have the time of its publisher, unless that is no time in seconds', () => {
    assert.equal(timeOf(1_768_471_845), '2026-01-15T10:10:45.000Z');
    for (const microseconds of [1_768_471_845_123_456, Number.MAX_VALUE]) assert.equal(timeOf(microseconds), undefined);
    for (const nothing of [undefined, 0, -1, 'now']) assert.equal(timeOf(nothing), undefined);
  });
});

describe('a failure of the broker', () => {
  const closed = (code: number, text: string) =>
    Object.assign(new Error(`Channel closed by server: ${code} (X) with message "${text}"`), { code });

  it('is told by what the broker has said', () => {
    const error = brokerFailure(closed(406, "PRECONDITION_FAILED - inequivalent arg 'durable'"), 'consume q');
    assert.equal(error.code, 'CONFIGURATION');
    assert.equal(error.retryable, false);
    assert.equal(error.summary, "Could not consume q: PRECONDITION_FAILED - inequivalent arg 'durable'");
  });

  it('in the handshake is one of the login, of the virtual host, or of the network', () => {
    const login = new Error('Handshake terminated by server: 403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - no"');
    assert.equal(brokerFailure(login, 'connect').code, 'REFUSED');
    const vhost = new Error('Handshake terminated by server: 530 (NOT-ALLOWED) with message "vhost x not found"');
    assert.equal(brokerFailure(vhost, 'connect').code, 'REFUSED');
    assert.equal(brokerFailure(new Error('connect ECONNREFUSED 127.0.0.1:5672'), 'connect').code, 'UNREACHABLE');
  });

  it('to wait any longer for an acknowledgement is no conflict of properties', () => {
    const error = brokerFailure(
      closed(406, 'PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out'),
      'x',
    );
    assert.equal(error.code, 'DELIVERY_EXPIRED');
  });
});

describe('the topology of a consumed queue', () => {
  const base = { name: 'q', type: 'quorum' as const, exchange: 'e', bindingKeys: ['a.#'], delaysMs: [1_000, 1_000] };

  it('has the queue, its dead-letter queue behind an exchange, and one waiting queue for each wait', () => {
    const { exchanges, queues, bindings } = queueTopology({ ...base, declare: true, deadLetterQueue: 'q.dlq' });
    assert.deepEqual(
      exchanges?.map(({ name, type }) => [name, type]),
      [
        ['e', 'topic'],
        ['q.dlx', 'fanout'],
      ],
    );
    assert.deepEqual(
      queues?.map(({ name }) => name),
      ['q.dlq', 'q', 'q.retry.1000'],
    );
    assert.deepEqual(queues?.[2]?.arguments, {
      'x-message-ttl': 1_000,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': 'q',
      'x-dead-letter-strategy': 'at-least-once',
      'x-overflow': 'reject-publish',
    });
    assert.deepEqual(bindings, [
      { queue: 'q.dlq', exchange: 'q.dlx', routingKey: '' },
      { queue: 'q', exchange: 'e', routingKey: 'a.#' },
    ]);
  });

  it('leaves a queue alone that belongs to others', () => {
    const { exchanges, queues, bindings } = queueTopology({ ...base, declare: false });
    assert.deepEqual(exchanges, []);
    assert.equal(queues?.[0]?.passive, true);
    assert.deepEqual(bindings, []);
  });
});
