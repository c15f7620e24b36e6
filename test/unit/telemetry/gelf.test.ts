import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import fc from 'fast-check';
import { Channel } from '../../../lib/telemetry/channel';
import { datagrams } from '../../../lib/telemetry/gelf/chunks';
import { type GELF_PROTOCOLS, Graylog } from '../../../lib/telemetry/gelf/graylog';
import { gelfMessage } from '../../../lib/telemetry/gelf/message';
import type { LogSignal, Signal } from '../../../lib/telemetry/signals';
import { GelfHttpSimulator, GelfTcpSimulator, GelfUdpSimulator, gelfProblem } from '../../simulators/telemetry/gelf';
import { until } from '../until';

const SIMULATORS = { udp: GelfUdpSimulator, tcp: GelfTcpSimulator, http: GelfHttpSimulator };
type Simulated = keyof typeof SIMULATORS;

const log = (text: string, more: Partial<LogSignal> = {}): LogSignal => ({
  kind: 'log',
  at: 1_700_000_000_123,
  level: 'warn',
  text,
  attributes: { service: 'audiohook' },
  ...more,
});

describe('a GELF message', () => {
  it('has the time in seconds, the severity of syslog, and the facts as additional fields', () => {
    const attributes = { node: 'n1', attempts: 3, ready: true, id: 'x', 'a b': 'c' };
    const message = JSON.parse(gelfMessage(log('Two lines\nare one message', { attributes }), 'contact-center'));
    assert.equal(gelfProblem(message), undefined);
    const { host, ...others } = message;
    assert.ok(host);
    assert.deepEqual(others, {
      version: '1.1',
      short_message: 'Two lines',
      full_message: 'Two lines\nare one message',
      timestamp: 1_700_000_000.123,
      level: 4,
      _application: 'contact-center',
      _node: 'n1',
      _attempts: 3,
      _ready: 'true',
      __id: 'x',
      _a_b: 'c',
    });
  });

  it('is one that Graylog takes, whatever was logged', () => {
    const value = fc.oneof(fc.string(), fc.double(), fc.boolean());
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.dictionary(fc.string({ minLength: 1 }), value), (text, level, given) => {
        const attributes = { ...given };
        assert.equal(gelfProblem(JSON.parse(gelfMessage(log(text, { level, attributes }), 'a'))), undefined);
      }),
    );
  });
});

describe('the datagrams of a GELF message', () => {
  it('are one when it fits, and none when it would need more than 128 chunks', () => {
    assert.equal(datagrams('x'.repeat(1_420))?.length, 1);
    assert.equal(datagrams('x'.repeat(20_000))?.length, 1, 'compressed');
    assert.equal(datagrams(noise(400_000)), undefined);
  });

  it('are never larger than what every network carries', () => {
    const parts = datagrams(noise(100_000)) ?? [];
    assert.ok(parts.length > 1);
    assert.deepEqual(
      parts.filter(({ length }) => length > 1_420),
      [],
    );
  });
});

for (const protocol of ['udp', 'tcp', 'http'] as const satisfies readonly (typeof GELF_PROTOCOLS)[number][]) {
  describe(`Graylog over ${protocol}`, () => {
    let simulator: InstanceType<(typeof SIMULATORS)[Simulated]>;
    let port: number;
    let channel: Channel;
    const open = (queueLimit = 1_000, at = port) => {
      const options = { host: '127.0.0.1', port: at, protocol, application: 'contact-center' };
      channel = new Channel(new Graylog(options), { queueLimit, ageMs: 20 });
    };
    const texts = () => simulator.messages.map((message) => message['full_message'] ?? message['short_message']);

    beforeEach(async () => {
      simulator = new SIMULATORS[protocol]();
      port = await simulator.start();
    });
    afterEach(async () => {
      await channel?.close();
      await simulator.stop().catch(() => {});
    });

    it('gets every message whole, short and long', async () => {
      open();
      const sent = ['short', 'with ümlaut', noise(60_000), 'x'.repeat(30_000)];
      for (const text of sent) channel.offer(log(text));
      await until(() => simulator.messages.length === sent.length);
      assert.deepEqual(texts().toSorted(), sent.toSorted());
      assert.deepEqual(simulator.refused, []);
      await until(() => channel.books().delivered === sent.length);
    });

    it('gets log lines and events, and nothing else', async () => {
      open();
      const others: Signal[] = [{ kind: 'metric', at: 1, name: 'm', value: 1, attributes: {} }];
      for (const signal of others) channel.offer(signal);
      channel.offer({ kind: 'event', at: Date.now(), name: 'case_created', attributes: { case_id: '1' } });
      await until(() => simulator.messages.length === 1);
      assert.equal(simulator.messages[0]?.['_event'], 'case_created');
      assert.equal(channel.books().received, 1);
    });

    if (protocol !== 'udp') {
      it('gets what waited while it was away', async () => {
        await simulator.stop();
        open();
        channel.offer(log('while away'));
        await until(() => channel.state.state === 'retrying');
        assert.equal(channel.state.error?.code, 'UNREACHABLE');
        assert.match(channel.state.error?.message ?? '', new RegExp(`127\\.0\\.0\\.1:${port}`));
        simulator = new SIMULATORS[protocol]();
        await simulator.start(port);
        await until(() => simulator.messages.length === 1);
        assert.deepEqual(texts(), ['while away']);
      });

      it('holds nobody up when it takes nothing: what is too much is dropped and counted', async () => {
        simulator.behaviour.stalls = true;
        open(100);
        for (let number = 0; number < 5_000; number += 1) channel.offer(log(`line ${number} ${noise(1_000)}`));
        const books = channel.books();
        assert.equal(books.received, 5_000);
        assert.equal(books.queued + books.inFlight, 100);
        assert.equal(books.dropped, 4_900);
        const began = Date.now();
        await channel.close();
        assert.ok(Date.now() - began < 4_000, 'and it can be closed');
      });
    }
  });
}

describe('Graylog over http', () => {
  it('drops what it will never take, and keeps what it will', async () => {
    const simulator = new GelfHttpSimulator();
    const port = await simulator.start();
    const options = { host: '127.0.0.1', port, protocol: 'http', application: 'a' } as const;
    const channel = new Channel(new Graylog(options), { queueLimit: 10, ageMs: 20 });
    simulator.behaviour.status = 400;
    channel.offer(log('refused'));
    await until(() => channel.books().rejected === 1);
    simulator.behaviour.status = 503;
    channel.offer(log('kept'));
    await until(() => channel.state.state === 'retrying');
    simulator.behaviour = {};
    await until(() => simulator.messages.length === 1);
    await channel.close();
    await simulator.stop();
    assert.equal(simulator.messages[0]?.['short_message'], 'kept');
  });
});

describe('Graylog over tcp', () => {
  it('is connected to anew when the connection is cut', async () => {
    const simulator = new GelfTcpSimulator();
    const port = await simulator.start();
    const options = { host: '127.0.0.1', port, protocol: 'tcp', application: 'a' } as const;
    const channel = new Channel(new Graylog(options), { queueLimit: 10, ageMs: 20 });
    channel.offer(log('before'));
    await until(() => simulator.messages.length === 1);
    simulator.cut();
    await until(async () => {
      channel.offer(log('after'));
      return simulator.connections === 2 && simulator.messages.length >= 2;
    });
    await channel.close();
    await simulator.stop();
  });
});

describe('Graylog over udp', () => {
  it('may be away without anybody noticing', async () => {
    const free = createServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    const { port } = free.address() as { port: number };
    free.close();
    const options = { host: '127.0.0.1', port, protocol: 'udp', application: 'a' } as const;
    const channel = new Channel(new Graylog(options), { queueLimit: 10, ageMs: 20 });
    for (let number = 0; number < 1_000; number += 1) channel.offer(log('nobody hears'));
    assert.ok(channel.books().queued <= 10);
    await channel.close();
    const { received, ...accounts } = channel.books();
    assert.equal(
      Object.values(accounts).reduce((sum, value) => sum + value, 0),
      received,
    );
  });
});

/** A text that cannot be compressed much. */
function noise(length: number): string {
  return randomBytes(length).toString('base64').slice(0, length);
}
