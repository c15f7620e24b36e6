import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import {
  createServer as createHttp,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer as createTcp, type Socket, type Server as TcpServer } from 'node:net';
import { gunzipSync, inflateSync } from 'node:zlib';

/** A GELF message as it was received. */
export type GelfMessage = Record<string, unknown>;

/** How the simulated input behaves. */
export interface GelfBehaviour {
  /** HTTP: the status to answer with instead of 202. */
  status?: number;
  /** TCP: nothing is read. HTTP: nothing is answered. */
  stalls?: boolean;
}

const MAGIC = 0x1e0f;
const MOST_CHUNKS = 128;
/** Graylog's default for a GELF frame over TCP. */
const LONGEST_FRAME = 2_097_152;
const MUST = { version: 'string', host: 'string', short_message: 'string' } as const;
const MAY = {
  full_message: 'string',
  timestamp: 'number',
  level: 'number',
  facility: 'string',
  line: 'number',
} as const;

/** What is wrong with a GELF 1.1 message, or `undefined`. */
export function gelfProblem(message: unknown): string | undefined {
  if (typeof message !== 'object' || message === null || Array.isArray(message)) return 'it is no object';
  const fields = message as Record<string, unknown>;
  for (const [name, type] of Object.entries(MUST)) {
    if (typeof fields[name] !== type || fields[name] === '') return `${name} must be a text that is not empty`;
  }
  if (fields['version'] !== '1.1') return 'the version must be 1.1';
  for (const [name, value] of Object.entries(fields)) {
    if (name in MUST) continue;
    if (name in MAY) {
      if (typeof value !== MAY[name as keyof typeof MAY]) return `${name} must be a ${MAY[name as keyof typeof MAY]}`;
      continue;
    }
    if (!/^_[\w.-]+$/.test(name)) return `${name} is not the name of an additional field`;
    if (name === '_id') return '_id is reserved';
    if (typeof value !== 'string' && typeof value !== 'number') return `${name} must be a text or a number`;
  }
  const { level, timestamp } = fields as { level?: number; timestamp?: number };
  if (level !== undefined && !(Number.isInteger(level) && level >= 0 && level <= 7)) return 'level must be 0 to 7';
  // Milliseconds would be in the year 50,000.
  if (timestamp !== undefined && !(timestamp > 0 && timestamp < 10_000_000_000)) return 'timestamp must be in seconds';
  return undefined;
}

/** What a GELF input of Graylog does with what it gets: it takes valid messages and drops everything else. */
class GelfInput {
  readonly messages: GelfMessage[] = [];
  readonly refused: string[] = [];
  behaviour: GelfBehaviour = {};

  /** Takes the text of a message; the reason when it is not taken. */
  protected take(bytes: Buffer): string | undefined {
    let message: unknown;
    try {
      message = JSON.parse(bytes.toString('utf8'));
    } catch {
      message = undefined;
    }
    const problem = gelfProblem(message);
    if (problem === undefined) this.messages.push(message as GelfMessage);
    else this.refused.push(problem);
    return problem;
  }
}

/** A GELF UDP input: plain, gzip or zlib, whole or in chunks. */
export class GelfUdpSimulator extends GelfInput {
  private readonly socket: UdpSocket = createSocket('udp4');
  private readonly parts = new Map<string, { count: number; parts: Map<number, Buffer> }>();
  /** Datagrams that belonged to a message in chunks. */
  chunks = 0;

  async start(port = 0): Promise<number> {
    this.socket.on('message', (datagram) => this.receive(datagram));
    await new Promise<void>((resolve) => this.socket.bind(port, '127.0.0.1', resolve));
    return this.socket.address().port;
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => this.socket.close(() => resolve()));
  }

  private receive(datagram: Buffer): void {
    if (datagram.length < 2 || datagram.readUInt16BE(0) !== MAGIC) {
      this.unpack(datagram);
      return;
    }
    if (datagram.length <= 12) {
      this.refused.push('a chunk without content');
      return;
    }
    const id = datagram.subarray(2, 10).toString('hex');
    const number = datagram.readUInt8(10);
    const count = datagram.readUInt8(11);
    if (count === 0 || count > MOST_CHUNKS || number >= count) {
      this.refused.push(`chunk ${number} of ${count}`);
      return;
    }
    this.chunks += 1;
    const known = this.parts.get(id) ?? { count, parts: new Map<number, Buffer>() };
    if (known.count !== count || known.parts.has(number)) {
      this.refused.push(`chunk ${number} of ${count} does not belong to the others`);
      return;
    }
    this.parts.set(id, known);
    known.parts.set(number, datagram.subarray(12));
    if (known.parts.size < count) return;
    this.parts.delete(id);
    this.unpack(Buffer.concat(Array.from({ length: count }, (_, index) => known.parts.get(index)!)));
  }

  private unpack(bytes: Buffer): void {
    try {
      const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
      const isZlib = bytes[0] === 0x78;
      this.take(isGzip ? gunzipSync(bytes) : isZlib ? inflateSync(bytes) : bytes);
    } catch {
      this.refused.push('it cannot be decompressed');
    }
  }
}

/** A GELF TCP input: frames that end with a NUL byte, never compressed. */
export class GelfTcpSimulator extends GelfInput {
  private readonly server: TcpServer = createTcp((socket) => this.serve(socket));
  private readonly sockets = new Set<Socket>();
  connections = 0;

  async start(port = 0): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(port, '127.0.0.1', resolve));
    return (this.server.address() as { port: number }).port;
  }

  /** Cuts every connection. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(socket: Socket): void {
    this.connections += 1;
    this.sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.sockets.delete(socket));
    if (this.behaviour.stalls) {
      socket.pause();
      return;
    }
    let open = Buffer.alloc(0);
    socket.on('data', (bytes) => {
      open = Buffer.concat([open, bytes]);
      for (let end = open.indexOf(0); end >= 0; end = open.indexOf(0)) {
        this.take(open.subarray(0, end));
        open = open.subarray(end + 1);
      }
      if (open.length > LONGEST_FRAME) {
        this.refused.push('a frame is too long');
        socket.destroy();
      }
    });
  }
}

/** A GELF HTTP input: `POST /gelf`, one message a request, answered with 202 and nothing else. */
export class GelfHttpSimulator extends GelfInput {
  private readonly server: HttpServer = createHttp((request, response) => this.serve(request, response));

  async start(port = 0): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(port, '127.0.0.1', resolve));
    return (this.server.address() as { port: number }).port;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(request: IncomingMessage, response: ServerResponse): void {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const { status, stalls } = this.behaviour;
      if (stalls) return;
      if (status !== undefined) response.writeHead(status).end();
      else if (request.url !== '/gelf') response.writeHead(404).end();
      else if (request.method !== 'POST') response.writeHead(405).end();
      else response.writeHead(this.take(Buffer.concat(parts)) === undefined ? 202 : 400).end();
    });
  }
}
