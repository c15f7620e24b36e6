import { connect as connectTcp, type Socket } from 'node:net';
import type { Verdict } from '../../core/verdicts';
import { type GelfAddress, type GelfTransport, notTaken } from './transport';

const CONNECT_WITHIN_MS = 10_000;
/** A receiver that takes nothing for so long is given up. */
const WRITE_WITHIN_MS = 10_000;

/**
 * GELF over TCP: each message ends with a NUL byte, nothing is compressed. Graylog answers nothing, so what the network
 * has taken counts as delivered.
 */
export class GelfTcp implements GelfTransport {
  private socket: Socket | undefined;

  constructor(private readonly address: GelfAddress) {}

  async send(messages: readonly string[], signal: AbortSignal): Promise<Verdict> {
    try {
      const socket = await this.open();
      // Given up while it was connecting: nobody closes the connection any more.
      if (signal.aborted) throw new Error('it was given up');
      await write(socket, Buffer.from(messages.map((message) => `${message}\0`).join('')), signal);
      return { kind: 'delivered' };
    } catch (thrown) {
      await this.close();
      return notTaken(this.address, thrown);
    }
  }

  async close(): Promise<void> {
    this.socket?.destroy();
    this.socket = undefined;
  }

  private async open(): Promise<Socket> {
    if (this.socket && !this.socket.destroyed && this.socket.writable) return this.socket;
    this.socket = undefined;
    const socket = await connect(this.address);
    socket.on('error', () => {});
    // Graylog says nothing; what comes nevertheless must not pile up, and its end is the end of the connection.
    socket.resume();
    socket.once('end', () => socket.destroy());
    socket.unref();
    this.socket = socket;
    return socket;
  }
}

function connect({ host, port }: GelfAddress): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port, keepAlive: true, noDelay: true });
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(CONNECT_WITHIN_MS, () => fail(new Error('no connection within 10 s')));
    socket.once('error', fail);
    socket.once('connect', () => {
      socket.setTimeout(0);
      socket.removeAllListeners('timeout');
      socket.off('error', fail);
      resolve(socket);
    });
  });
}

function write(socket: Socket, bytes: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => finish(new Error('it was given up'));
    const timer = setTimeout(() => finish(new Error('nothing was taken for 10 s')), WRITE_WITHIN_MS);
    const finish = (error?: Error | null) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      socket.off('close', closed);
      if (error) reject(error);
      else resolve();
    };
    const closed = () => finish(new Error('the connection was closed'));
    signal.addEventListener('abort', stop, { once: true });
    socket.once('close', closed);
    socket.write(bytes, finish);
  });
}
