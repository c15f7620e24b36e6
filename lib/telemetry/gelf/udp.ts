import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { ContactError } from '../../core/errors';
import type { Verdict } from '../../core/verdicts';
import { datagrams } from './chunks';
import { type GelfAddress, type GelfTransport, notTaken } from './transport';

/** The address of the host is looked up again after so long. */
const RENEW_AFTER_MS = 60_000;

/** GELF over UDP. Nobody confirms a datagram, so what the network has taken counts as delivered. */
export class GelfUdp implements GelfTransport {
  private socket: Promise<Socket> | undefined;
  private openedAt = 0;

  constructor(private readonly address: GelfAddress) {}

  async send(messages: readonly string[]): Promise<Verdict | Verdict[]> {
    try {
      const socket = await this.open();
      const verdicts: Verdict[] = [];
      for (const message of messages) verdicts.push(await sendOne(socket, message));
      return verdicts;
    } catch (thrown) {
      await this.close();
      return notTaken(this.address, thrown);
    }
  }

  async close(): Promise<void> {
    const opened = this.socket;
    this.socket = undefined;
    await opened?.then(
      (socket) => socket.close(),
      () => {},
    );
  }

  private async open(): Promise<Socket> {
    if (Date.now() - this.openedAt > RENEW_AFTER_MS) await this.close();
    if (!this.socket) {
      this.openedAt = Date.now();
      this.socket = connect(this.address);
    }
    return this.socket;
  }
}

function connect({ host, port }: GelfAddress): Promise<Socket> {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  return new Promise((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.connect(port, host, () => {
      socket.removeAllListeners('error');
      // That nobody listens is told by the next datagram that is sent.
      socket.on('error', () => {});
      socket.unref();
      resolve(socket);
    });
  });
}

async function sendOne(socket: Socket, message: string): Promise<Verdict> {
  const parts = datagrams(message);
  if (!parts) {
    const answer = `the message of ${message.length} characters does not fit into 128 chunks`;
    return { kind: 'rejected', error: new ContactError('REJECTED', { attempted: 'send to Graylog', answer }) };
  }
  for (const part of parts) {
    await new Promise<void>((resolve, reject) => {
      socket.send(part, (error) => (error ? reject(error) : resolve()));
    });
  }
  return { kind: 'delivered' };
}
