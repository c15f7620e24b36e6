import type { Socket } from 'node:net';
import { type RawData, WebSocket } from 'ws';
import type { Timers } from './timers';

/** Unsent bytes above which `publish` waits for the client to read. */
const highWaterBytes = 1 << 20;

/** Encode texts as unmasked, unfragmented WebSocket text frames in one buffer, so that a burst costs one write per socket. */
export function encodeFrames(texts: readonly string[]): Buffer {
  let size = 0;
  const lengths = texts.map((text) => {
    const length = Buffer.byteLength(text);
    size += length + (length < 126 ? 2 : length < 65_536 ? 4 : 10);
    return length;
  });
  const buffer = Buffer.allocUnsafe(size);
  let offset = 0;
  texts.forEach((text, index) => {
    const length = lengths[index] as number;
    buffer[offset++] = 0x81;
    if (length < 126) {
      buffer[offset++] = length;
    } else if (length < 65_536) {
      buffer[offset++] = 126;
      offset = buffer.writeUInt16BE(length, offset);
    } else {
      buffer[offset++] = 127;
      offset = buffer.writeBigUInt64BE(BigInt(length), offset);
    }
    offset += buffer.write(text, offset, 'utf8');
  });
  return buffer;
}

/** One WebSocket of a channel, with the ways it can misbehave. */
export class Connection {
  /** True when the close was announced with `v2.system.socket_closing`: a second socket does not displace it. */
  closing = false;
  /** Every write waits this long; 0 is off. */
  slowMs = 0;
  private halfOpen = false;
  private tail: Promise<void> = Promise.resolve();
  private draining: Promise<void> | undefined;

  constructor(
    private readonly websocket: WebSocket,
    private readonly socket: Socket,
    private readonly timers: Timers,
    handlers: { text(text: string | undefined): void; closed(): void; ping(): boolean },
  ) {
    websocket.on('message', (data: RawData, binary) => handlers.text(binary ? undefined : String(data)));
    websocket.on('ping', (data) => {
      if (handlers.ping() && !this.halfOpen) websocket.pong(data);
    });
    websocket.on('close', () => handlers.closed());
    websocket.on('error', () => websocket.terminate());
  }

  /** Whether events can be sent to it and would arrive. */
  get live(): boolean {
    return this.websocket.readyState === WebSocket.OPEN && !this.halfOpen;
  }

  /** Send one text frame. */
  text(text: string): void {
    this.write(encodeFrames([text]));
  }

  /** Send frames that are already encoded. */
  write(frames: Buffer): void {
    if (!this.live) return;
    if (this.slowMs === 0) {
      // Past `ws` on purpose: it writes twice for each frame. Both write whole frames synchronously, so they may be mixed.
      this.socket.write(frames);
      return;
    }
    this.tail = this.tail.then(async () => {
      await this.timers.pause(this.slowMs);
      if (this.live) this.socket.write(frames);
    });
  }

  /** Resolves when what is not yet sent is below the high-water mark, or the socket is gone. */
  drained(): Promise<void> {
    if (this.socket.writableLength < highWaterBytes || !this.live) return Promise.resolve();
    this.draining ??= new Promise<void>((resolve) => {
      const done = () => {
        this.socket.off('drain', done);
        this.socket.off('close', done);
        this.draining = undefined;
        resolve();
      };
      this.socket.on('drain', done);
      this.socket.on('close', done);
    });
    return this.draining;
  }

  /** Close with a WebSocket close frame; cut after a second when the client does not answer it. */
  close(code: number, reason: string): void {
    if (this.halfOpen) {
      this.drop();
      return;
    }
    this.websocket.close(code, reason);
    this.timers.after(1000, () => this.drop());
  }

  /** Cut the TCP connection without a close frame. */
  drop(): void {
    this.websocket.terminate();
  }

  /** Keep the TCP connection, but read, send and answer nothing any more. */
  goHalfOpen(): void {
    this.halfOpen = true;
    this.websocket.pause();
  }
}
