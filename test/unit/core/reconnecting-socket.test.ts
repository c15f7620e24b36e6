import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { ContactError } from '../../../lib/core/errors';
import {
  type ConnectionLoss,
  type ConnectRequest,
  ReconnectingSocket,
  type ReconnectingSocketOptions,
  type SocketState,
} from '../../../lib/core/reconnecting-socket';
import { until } from '../until';

/** A WebSocket server that can refuse, ignore and cut. */
class Peer {
  readonly sockets: WebSocket[] = [];
  readonly texts: string[] = [];
  /** What the next upgrades get: an HTTP status, or `silence`. */
  readonly refusals: (number | 'silence')[] = [];
  private readonly streams = new Set<Socket>();

  private constructor(
    private readonly http: Server,
    private readonly websockets = new WebSocketServer({ noServer: true }),
  ) {
    http.on('connection', (stream) => {
      this.streams.add(stream);
      stream.on('close', () => this.streams.delete(stream));
    });
    http.on('upgrade', (request, stream, head) => this.upgrade(request, stream, head));
  }

  static async start(): Promise<Peer> {
    const http = createServer();
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    return new Peer(http);
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.http.address() as AddressInfo).port}/channels/secret-channel-id`;
  }

  get connections(): number {
    return this.streams.size;
  }

  async stop(): Promise<void> {
    for (const stream of this.streams) stream.destroy();
    await new Promise((resolve) => this.http.close(resolve));
  }

  private upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const refusal = this.refusals.shift();
    if (refusal === 'silence') {
      stream.on('end', () => stream.end()).resume();
      return;
    }
    if (refusal !== undefined) {
      stream.end(`HTTP/1.1 ${refusal} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    this.websockets.handleUpgrade(request, stream, head, (socket) => {
      this.sockets.push(socket);
      socket.on('message', (data) => this.texts.push(String(data)));
    });
  }
}

describe('reconnecting socket', () => {
  let peer: Peer;
  let socket: ReconnectingSocket;
  let requests: ConnectRequest[];
  let messages: { text: string; connection: number }[];
  let states: SocketState[];
  let losses: ConnectionLoss[];
  let prepare: ReconnectingSocketOptions['prepare'];

  beforeEach(async () => {
    peer = await Peer.start();
    requests = [];
    messages = [];
    states = [];
    losses = [];
    prepare = async () => ({ url: peer.url });
  });

  afterEach(async () => {
    await socket.close();
    await peer.stop();
  });

  function open(options: Partial<ReconnectingSocketOptions> = {}): ReconnectingSocket {
    socket = new ReconnectingSocket({
      prepare: (request) => {
        requests.push(request);
        return prepare(request);
      },
      onMessage: (text, connection) => messages.push({ text, connection }),
      onState: (state) => states.push(state),
      onLost: (loss) => losses.push(loss),
      backoff: { baseMs: 5, maxMs: 20 },
      overlapMs: 30,
      ...options,
    });
    socket.start();
    return socket;
  }

  const isOpen = () => socket.state.kind === 'open';
  const opened = (count: number) => until(() => peer.sockets.length === count && isOpen(), `connection ${count}`);

  it('connects, delivers each frame, and sends', async () => {
    open();
    await opened(1);
    peer.sockets[0]!.send('one');
    peer.sockets[0]!.send('two ä');
    assert.equal(socket.send('hello'), true);
    await until(() => messages.length === 2 && peer.texts.length === 1);
    assert.deepEqual(
      messages.map(({ text }) => text),
      ['one', 'two ä'],
    );
    assert.deepEqual(peer.texts, ['hello']);
    assert.deepEqual(
      states.map(({ kind }) => kind),
      ['connecting', 'open'],
    );
  });

  it('does not offer compression', async () => {
    open();
    await opened(1);
    assert.equal(peer.sockets[0]!.extensions, '');
  });

  it('comes back after the connection was cut, and says when the last frame arrived', async () => {
    open();
    await opened(1);
    peer.sockets[0]!.send('last');
    await until(() => messages.length === 1);
    peer.sockets[0]!.terminate();
    await opened(2);
    assert.equal(requests[1]!.reason, 'lost');
    assert.equal(requests[1]!.loss, losses[0]);
    assert.ok(losses[0]!.lastHeardAt! <= Date.now());
    peer.sockets[1]!.send('first');
    await until(() => messages.length === 2);
  });

  it('tells the code with which the other side closed', async () => {
    open();
    await opened(1);
    peer.sockets[0]!.close(1008, 'Another connection was opened');
    await opened(2);
    assert.equal(losses[0]!.closeCode, 1008);
    assert.match(losses[0]!.error.message, /1008 "Another connection was opened"/);
  });

  it('tells the status of a refused upgrade, masks the channel, and tries again', async () => {
    peer.refusals.push(404, 401);
    open();
    await opened(1);
    assert.deepEqual(
      requests.map(({ reason, attempt, loss }) => [reason, attempt, loss?.error.status]),
      [
        ['start', 1, undefined],
        ['start', 2, 404],
        ['start', 3, 401],
      ],
    );
    assert.doesNotMatch(requests[1]!.loss!.error.message, /secret-channel-id/);
  });

  it('gives up an upgrade that is not answered', async () => {
    peer.refusals.push('silence');
    open({ openTimeoutMs: 30 });
    await opened(1);
    assert.match(requests[1]!.loss!.error.message, /no answer/);
  });

  it('cuts a connection on which nothing arrives, although it looks open', async () => {
    open({ idleLimitMs: 60 });
    await opened(1);
    peer.sockets[0]!.pause();
    await opened(2);
    assert.match(losses[0]!.error.message, /silent/);
  });

  it('keeps a connection on which any frame arrives, an answer to its ping or a protocol ping', async () => {
    open({ idleLimitMs: 80, ping: { text: '{"message":"ping"}', everyMs: 20 } });
    await opened(1);
    let answers = 0;
    peer.sockets[0]!.on('message', () => {
      answers += 1;
      if (answers % 2 === 0) peer.sockets[0]!.send('pong');
      else peer.sockets[0]!.ping();
    });
    await until(() => answers === 12);
    assert.equal(peer.sockets.length, 1);
    assert.ok(peer.texts.every((text) => text === '{"message":"ping"}'));
  });

  it('waits longer from attempt to attempt while connections do not last', async () => {
    open({ backoff: { baseMs: 4, maxMs: 1_000, random: () => 0.999 } });
    for (let number = 1; number <= 5; number++) {
      await opened(number);
      peer.sockets[number - 1]!.terminate();
      await until(() => losses.length === number);
    }
    const delays = () => states.flatMap((state) => (state.kind === 'waiting' ? [state.delayMs] : []));
    await until(() => delays().length === 5);
    assert.deepEqual(delays(), [4, 8, 16, 32, 64]);
  });

  it('begins with a short wait again after a connection that lasted', async () => {
    open({ stableAfterMs: 0, backoff: { baseMs: 4, maxMs: 1_000, random: () => 0.999 } });
    for (let number = 1; number <= 3; number++) {
      await opened(number);
      peer.sockets[number - 1]!.terminate();
      await until(() => losses.length === number);
    }
    await opened(4);
    assert.deepEqual(
      states.flatMap((state) => (state.kind === 'waiting' ? [state.delayMs] : [])),
      [4, 4, 4],
    );
  });

  it('waits as long as an error has asked for', async () => {
    prepare = async ({ attempt }) => {
      if (attempt === 1) throw new ContactError('BUSY', { attempted: 'create a channel', retryAfterMs: 77 });
      return { url: peer.url };
    };
    open();
    await opened(1);
    assert.ok(states.some((state) => state.kind === 'waiting' && state.delayMs === 77));
  });

  it('stops for good at an error that cannot be retried', async () => {
    prepare = () => Promise.reject(new ContactError('CONFIGURATION', { attempted: 'connect' }));
    open();
    await until(() => socket.state.kind === 'failed');
    assert.equal(requests.length, 1);
  });

  it('takes an address that makes no sense for a failure, not for a crash', async () => {
    prepare = async ({ attempt }) => ({ url: attempt === 1 ? 'no address' : peer.url });
    open();
    await opened(1);
    assert.equal(requests[1]!.loss!.error.code, 'PROTOCOL');
  });

  it('opens the next connection before it closes the old one, and both deliver meanwhile', async () => {
    open({ overlapMs: 50 });
    await opened(1);
    socket.replace('socket_closing');
    await until(() => peer.sockets.length === 2);
    await until(() => socket.overlapping);
    assert.equal(peer.sockets[0]!.readyState, 1);
    peer.sockets[0]!.send('from the old');
    peer.sockets[1]!.send('from the new');
    await until(() => messages.length === 2);
    assert.notEqual(messages[0]!.connection, messages[1]!.connection);
    await until(() => peer.sockets[0]!.readyState === 3);
    await until(() => !socket.overlapping);
    peer.sockets[1]!.send('alone');
    await until(() => messages.length === 3);
    assert.equal(losses.length, 0);
    assert.ok(states.every(({ kind }) => kind === 'connecting' || kind === 'open'));
    assert.equal(requests[1]!.reason, 'replace');
    assert.equal(requests[1]!.why, 'socket_closing');
  });

  it('delivers every frame at least once over 20 replacements under traffic', async () => {
    open({ overlapMs: 5 });
    await opened(1);
    let sent = 0;
    const send = () => {
      const text = String(sent++);
      for (const each of peer.sockets) if (each.readyState === 1) each.send(text);
    };
    const traffic = setInterval(() => {
      for (let count = 0; count < 20; count++) send();
    }, 1);
    for (let number = 2; number <= 21; number++) {
      socket.replace('test');
      await opened(number);
      await until(() => !socket.overlapping);
    }
    clearInterval(traffic);
    const wanted = sent;
    await until(() => new Set(messages.map(({ text }) => text)).size === wanted);
    assert.equal(losses.length, 0);
  });

  it('keeps the old connection and goes on trying while the replacement fails', async () => {
    open();
    await opened(1);
    peer.refusals.push(503, 503, 503);
    socket.replace('roll-over');
    await until(() => requests.length === 4);
    assert.equal(peer.sockets[0]!.readyState, 1);
    await opened(2);
    assert.equal(losses.length, 0);
  });

  it('falls back to an ordinary reconnect when the old connection ends while its replacement fails', async () => {
    open();
    await opened(1);
    peer.refusals.push(503, 503);
    socket.replace('roll-over');
    await until(() => requests.length === 2);
    peer.sockets[0]!.terminate();
    await opened(2);
    assert.equal(losses.length, 1);
    assert.equal(peer.sockets.length, 2);
  });

  it('makes no second attempt when the old connection ends while its replacement is being opened', async () => {
    let release: () => void = () => {};
    prepare = async ({ reason }) => {
      if (reason === 'replace') {
        await new Promise<void>((resolve) => {
          release = resolve;
        });
      }
      return { url: peer.url };
    };
    open();
    await opened(1);
    socket.replace('socket_closing');
    await until(() => requests.length === 2);
    peer.sockets[0]!.terminate();
    await until(() => peer.connections === 0);
    await until(() => losses.length === 1);
    release();
    await opened(2);
    assert.equal(losses.length, 1);
    assert.equal(requests.length, 2);
  });

  it('makes one replacement however often it is asked for', async () => {
    open();
    await opened(1);
    for (let count = 0; count < 10; count++) socket.replace('again');
    await opened(2);
    await until(() => !socket.overlapping);
    assert.equal(peer.sockets.length, 2);
  });

  it('can be told to give a connection up', async () => {
    open();
    await opened(1);
    socket.drop(new ContactError('NOT_FOUND', { attempted: 'use the channel' }));
    await opened(2);
    assert.equal(losses[0]!.error.code, 'NOT_FOUND');
  });

  describe('close', () => {
    it('ends within a second although the other side does not answer, and leaves nothing behind', async () => {
      open();
      await opened(1);
      peer.sockets[0]!.pause();
      await socket.close();
      assert.equal(socket.state.kind, 'closed');
      assert.equal(losses.length, 0);
      peer.sockets[0]!.resume();
      await until(() => peer.connections === 0);
    });

    for (const [moment, arrange] of [
      ['before the start', () => {}],
      ['while preparing', () => until(() => requests.length === 1)],
      ['while opening', () => until(() => peer.connections === 1)],
      ['while waiting', () => until(() => states.some(({ kind }) => kind === 'waiting'))],
    ] as const) {
      it(`ends everything ${moment}`, async () => {
        if (moment === 'while preparing') {
          prepare = ({ signal }) =>
            new Promise((resolve) => signal.addEventListener('abort', () => resolve({ url: peer.url })));
        }
        if (moment === 'while opening') peer.refusals.push('silence');
        if (moment === 'while waiting') prepare = () => Promise.reject(new Error('not now'));
        open({ backoff: { baseMs: 60_000, maxMs: 60_000 } });
        await arrange();
        await socket.close();
        await socket.close();
        const asked = requests.length;
        await until(() => peer.connections === 0);
        assert.equal(requests.length, asked);
        assert.equal(socket.state.kind, 'closed');
      });
    }

    it('ends a replacement and both connections', async () => {
      open({ overlapMs: 60_000 });
      await opened(1);
      socket.replace('again');
      await until(() => socket.overlapping);
      await socket.close();
      await until(() => peer.connections === 0);
    });
  });
});
