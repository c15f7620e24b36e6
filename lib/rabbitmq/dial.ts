import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import type { ChannelModel } from 'amqplib';
import { readPem } from '../core/certificate';
import { ContactError, describe } from '../core/errors';
import { type BrokerAddress, shownAddress } from './address';
import type { AmqpChannel, AmqpLink } from './amqp';
import { brokerFailure } from './failures';

/** How a connection is made. */
export interface DialOptions {
  /** Shown in the broker's list of connections. */
  connectionName: string;
  /** A connection on which nothing arrives for two such intervals is dead. Default 10 s; 0 = no heartbeat. */
  heartbeatSeconds?: number;
  /** How long the handshake may take. Default 10 000 ms. */
  openTimeoutMs?: number;
  /** Path of a PEM file with the authority that signed the broker's certificate. */
  certificateFile?: string | undefined;
  /** Paths of PEM files with a certificate of our own and its key, for brokers that ask for one. */
  clientCertificateFile?: string | undefined;
  clientKeyFile?: string | undefined;
  /** Whether the broker's certificate is checked; default true. */
  verifyCertificate?: boolean;
}

/** Opens a connection over the network. Throws a {@link ContactError}. The client is loaded when first needed. */
export async function dial(address: BrokerAddress, options: DialOptions): Promise<AmqpLink> {
  const { heartbeatSeconds = 10, openTimeoutMs = 10_000, connectionName } = options;
  const { vhost, ...where } = address;
  const tls = address.protocol === 'amqps' ? tlsOptions(options) : {};
  const { connect } = await import('amqplib');
  try {
    const model = await connect(
      // The client undoes an encoding of the virtual host.
      { ...where, vhost: encodeURIComponent(vhost), heartbeat: heartbeatSeconds },
      {
        noDelay: true,
        keepAlive: true,
        timeout: openTimeoutMs,
        clientProperties: { connection_name: connectionName },
        ...tls,
      },
    );
    return new NetworkLink(model);
  } catch (thrown) {
    const target = shownAddress(address);
    // The client keeps what the broker says at this point to itself; it is about the virtual host whatever it is.
    if (/Expected ConnectionOpenOk; got <ConnectionClose/.test(describe(thrown))) {
      throw new ContactError('REFUSED', {
        attempted: 'connect to the broker',
        target,
        answer: `it does not let ${address.username} into the virtual host ${vhost}`,
        advice: 'Check the name of the virtual host and the rights of the user on it.',
        cause: thrown,
      });
    }
    throw brokerFailure(thrown, 'connect to the broker', target);
  }
}

class NetworkLink extends EventEmitter implements AmqpLink {
  readonly product: string;

  constructor(private readonly model: ChannelModel) {
    super();
    const { product = 'broker', version = '' } = model.connection.serverProperties;
    this.product = `${product} ${version}`.trim();
    // It may be given up before anybody listens, and an error that nobody hears would end the process.
    this.on('error', () => {});
    model.on('error', (error) => this.emit('error', error));
    model.on('close', (error) => {
      // After a missed heartbeat the client only says goodbye, which a dead peer never answers: the socket would stay.
      this.destroy();
      this.emit('close', error);
    });
    model.on('blocked', (reason) => this.emit('blocked', reason));
    model.on('unblocked', () => this.emit('unblocked'));
  }

  async createChannel(): Promise<AmqpChannel> {
    const channel = await this.model.createConfirmChannel();
    // What a channel ends with is told to whoever listens; an error that nobody hears would end the process.
    channel.on('error', () => {});
    const together = (work: () => void) => {
      const { stream } = this;
      stream?.cork();
      try {
        work();
      } finally {
        stream?.uncork();
      }
    };
    return Object.assign(channel, { together }) as AmqpChannel;
  }

  close(): Promise<void> {
    return this.model.close();
  }

  /** The client's own, which it does not show. */
  private get stream(): Duplex | undefined {
    return (this.model.connection as { stream?: Duplex }).stream;
  }

  destroy(): void {
    const { stream } = this;
    // The client listens only until the connection is closed, and an error that nobody hears would end the process.
    stream?.on('error', () => {});
    // Without an error the client would not notice; when it has said goodbye already it does not mind.
    stream?.destroy(new Error('the connection was cut'));
  }
}

function tlsOptions(options: DialOptions): Record<string, unknown> {
  const { certificateFile, clientCertificateFile, clientKeyFile, verifyCertificate = true } = options;
  return {
    rejectUnauthorized: verifyCertificate,
    ...(certificateFile ? { ca: readPem(certificateFile) } : {}),
    ...(clientCertificateFile ? { cert: readPem(clientCertificateFile) } : {}),
    ...(clientKeyFile ? { key: readPem(clientKeyFile) } : {}),
  };
}
