import type { WebSocket } from 'ws';
import { type BackoffOptions, backoffDelayMs } from './backoff';
import { type Clock, delay, systemClock, type Timer } from './clock';
import { ContactError, describe, toContactError } from './errors';
import { ws } from './libraries';
import { type Logger, silentLogger } from './log';

/** Why a connection is made: at the start, after one was lost, or to take the place of one that still works. */
export type ConnectReason = 'start' | 'lost' | 'replace';

/** How a connection, or the attempt to make one, came to its end. */
export interface ConnectionLoss {
  /** `error.status` is the HTTP status of a refused upgrade. */
  readonly error: ContactError;
  /** The code of the close frame, when there was one. */
  readonly closeCode?: number;
  /** When the last frame arrived, in milliseconds since the epoch; `undefined` when it was never open. */
  readonly lastHeardAt?: number;
}

/** What {@link ReconnectingSocketOptions.prepare} is told. */
export interface ConnectRequest {
  readonly reason: ConnectReason;
  /** What was given to {@link ReconnectingSocket.replace}. */
  readonly why?: string;
  /** From 1; counts on until a connection has lasted. */
  readonly attempt: number;
  /** How the connection or the attempt before this one ended. */
  readonly loss?: ConnectionLoss;
  /** Aborted when the socket is closed. */
  readonly signal: AbortSignal;
}

/** Where to connect to. */
export interface ConnectTarget {
  url: string;
  headers?: Record<string, string>;
}

/** What the socket does now. */
export type SocketState =
  | { kind: 'idle' }
  | { kind: 'connecting'; attempt: number }
  | { kind: 'open'; since: number }
  | { kind: 'waiting'; attempt: number; delayMs: number; error: ContactError }
  | { kind: 'failed'; error: ContactError }
  | { kind: 'closed' };

/** Settings of a {@link ReconnectingSocket}. Apart from `prepare`, its functions must not throw. */
export interface ReconnectingSocketOptions {
  /**
   * Finds out where to connect to; whatever the vendor wants done before belongs here. An error that is not retryable
   * ends all attempts with the state `failed`.
   */
  prepare(request: ConnectRequest): Promise<ConnectTarget>;
  /** Takes each text frame. `connection` tells two connections apart while both are open. */
  onMessage(text: string, connection: number): void;
  /** A connection is open and is the one that counts from now on. */
  onOpen?(opened: { reason: ConnectReason; connection: number }): void;
  /** The connection that counted is gone, and nothing has taken its place yet. */
  onLost?(loss: ConnectionLoss): void;
  /** It does something else now. */
  onState?(state: SocketState): void;
  /** How long the upgrade may take, in milliseconds; default 15,000. */
  openTimeoutMs?: number;
  /** A connection on which nothing arrives for so long is dead; default 35,000. */
  idleLimitMs?: number;
  /**
   * What makes the other side answer, sent every so often so that a dead connection is noticed: a text, or a ping of the
   * WebSocket protocol when there is none.
   */
  ping?: { text?: string; everyMs: number };
  /** How long both connections stay open when one takes the place of the other; default 2,000 ms. */
  overlapMs?: number;
  /** A connection that is lost sooner counts as one more failure in a row; default 10,000 ms. */
  stableAfterMs?: number;
  /** The wait between attempts; default 1 s growing to 90 s. */
  backoff?: BackoffOptions;
  clock?: Clock;
  logger?: Logger;
}

/** The `readyState` of a WebSocket that is open, as the HTML standard numbers it. */
const OPEN = 1;
/** How long a closing handshake may take; `close()` promises to be done within a second. */
const CLOSE_WITHIN_MS = 500;
/** No frame of the systems we speak to comes near this. */
const LARGEST_FRAME_BYTES = 16 * 1024 * 1024;

/**
 * A WebSocket that comes back by itself. Only one connection counts at a time; while {@link replace} changes from one
 * to the next, both deliver, so that nothing is missed and the caller may see a frame twice.
 */
export class ReconnectingSocket {
  private readonly options: Required<Omit<ReconnectingSocketOptions, 'ping'>> & Pick<ReconnectingSocketOptions, 'ping'>;
  private readonly stopping = new AbortController();
  private readonly connections = new Set<Connection>();
  private current: Connection | undefined;
  private replacement: Promise<void> | undefined;
  private failures = 0;
  private lastNumber = 0;
  private stateNow: SocketState = { kind: 'idle' };
  private closing: Promise<void> | undefined;

  constructor(options: ReconnectingSocketOptions) {
    this.options = {
      onOpen: () => {},
      onLost: () => {},
      onState: () => {},
      openTimeoutMs: 15_000,
      idleLimitMs: 35_000,
      overlapMs: 2_000,
      stableAfterMs: 10_000,
      backoff: { baseMs: 1_000, maxMs: 90_000 },
      clock: systemClock,
      logger: silentLogger,
      ...options,
    };
  }

  /** What the socket does now. */
  get state(): SocketState {
    return this.stateNow;
  }

  /** Whether two connections are open, so that a frame may arrive on both. */
  get overlapping(): boolean {
    return this.connections.size > 1;
  }

  /** Begins to connect. Only the first call does something. */
  start(): void {
    if (this.stateNow.kind !== 'idle') return;
    this.run().catch((thrown: unknown) => {
      const error = toContactError(thrown, 'keep the connection');
      this.options.logger.error(error.message, { code: error.code });
      this.setState({ kind: 'failed', error });
    });
  }

  /** Sends a text on the connection that counts. False when there is none. */
  send(text: string): boolean {
    return this.current?.send(text) ?? false;
  }

  /**
   * Opens a second connection, lets it take the place of the first, and closes the first a moment later. While that
   * does not succeed the first one stays, and the attempts go on until it is gone. Does nothing unless a connection is
   * open, or while another replacement is under way.
   */
  replace(why: string): void {
    const old = this.current;
    if (this.stateNow.kind !== 'open' || !old || this.replacement !== undefined) return;
    this.replacement = this.makeReplacement(old, why).finally(() => {
      this.replacement = undefined;
    });
  }

  /** Gives the connection up, as if it had been lost with this error. */
  drop(error: ContactError): void {
    this.current?.fail(error);
  }

  /** Ends everything within a second. Calling it again gives the same promise. */
  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private async shutDown(): Promise<void> {
    this.setState({ kind: 'closed' });
    this.stopping.abort();
    this.current = undefined;
    await Promise.all([...this.connections].map((connection) => connection.close(CLOSE_WITHIN_MS)));
  }

  private async run(): Promise<void> {
    let reason: ConnectReason = 'start';
    let loss: ConnectionLoss | undefined;
    while (!this.stopping.signal.aborted) {
      const connection: Connection | undefined = await this.connect(reason, loss);
      if (!connection || this.stopping.signal.aborted) return;
      this.adopt(connection, reason);
      loss = await this.lost();
      reason = 'lost';
      if (this.stopping.signal.aborted) return;
      await this.waitAfter(loss);
    }
  }

  /** Tries until a connection is open. `undefined` when that makes no sense any more. */
  private async connect(reason: ConnectReason, first: ConnectionLoss | undefined): Promise<Connection | undefined> {
    let loss = first;
    while (!this.stopping.signal.aborted) {
      this.setState({ kind: 'connecting', attempt: this.failures + 1 });
      const result = await this.establish({ reason, attempt: this.failures + 1, ...(loss ? { loss } : {}) });
      if (result instanceof Connection) return result;
      loss = result;
      if (!loss.error.retryable) {
        this.setState({ kind: 'failed', error: loss.error });
        return undefined;
      }
      this.failures += 1;
      await this.waitAfter(loss);
    }
    return undefined;
  }

  private async waitAfter({ error }: ConnectionLoss): Promise<void> {
    const { clock, backoff } = this.options;
    const delayMs = Math.max(backoffDelayMs(Math.max(1, this.failures), backoff), error.retryAfterMs ?? 0);
    this.setState({ kind: 'waiting', attempt: this.failures + 1, delayMs, error });
    await delay(delayMs, { clock, signal: this.stopping.signal });
  }

  /** One attempt: an open connection, or how it failed. */
  private async establish(request: Omit<ConnectRequest, 'signal'>): Promise<Connection | ConnectionLoss> {
    const { signal } = this.stopping;
    let target: ConnectTarget;
    try {
      target = await this.options.prepare({ ...request, signal });
    } catch (thrown) {
      return { error: preparationError(thrown) };
    }
    if (signal.aborted) return { error: closedError() };
    this.lastNumber += 1;
    const connection = new Connection(this.lastNumber, target, this.options);
    this.connections.add(connection);
    connection.down.then(() => this.connections.delete(connection)).catch(() => {});
    const loss = await connection.opened;
    if (!loss) return connection;
    return loss;
  }

  private adopt(connection: Connection, reason: ConnectReason): void {
    this.current = connection;
    this.setState({ kind: 'open', since: this.options.clock.now() });
    this.options.onOpen({ reason, connection: connection.number });
  }

  /** Waits until the connection that counts is gone and no replacement has taken its place. */
  private async lost(): Promise<ConnectionLoss> {
    for (;;) {
      const connection: Connection | undefined = this.current;
      if (!connection) return { error: closedError() };
      const loss = await connection.down;
      if (this.current !== connection) continue;
      this.current = undefined;
      this.options.onLost(loss);
      // The replacement that is about to open, if there is one, makes the gap shorter than a new beginning would.
      if (this.replacement !== undefined) {
        this.setState({ kind: 'connecting', attempt: this.failures + 1 });
        await this.replacement;
      }
      if (this.current) continue;
      const { clock, stableAfterMs } = this.options;
      const lasted = connection.openedAt !== undefined && clock.now() - connection.openedAt >= stableAfterMs;
      this.failures = lasted ? 1 : this.failures + 1;
      return loss;
    }
  }

  private async makeReplacement(old: Connection, why: string): Promise<void> {
    const { clock, backoff, logger, overlapMs } = this.options;
    let loss: ConnectionLoss | undefined;
    for (let attempt = 1; !old.ended && !this.stopping.signal.aborted; attempt++) {
      const result = await this.establish({ reason: 'replace', why, attempt, ...(loss ? { loss } : {}) });
      if (result instanceof Connection) {
        if (this.stopping.signal.aborted) return;
        this.adopt(result, 'replace');
        clock.setTimeout(() => void old.close(CLOSE_WITHIN_MS), overlapMs).unref?.();
        return;
      }
      loss = result;
      if (attempt === 1) logger.warn(`The connection could not be replaced yet: ${loss.error.message}`);
      if (!loss.error.retryable) return;
      await Promise.race([
        delay(Math.max(backoffDelayMs(attempt, backoff), loss.error.retryAfterMs ?? 0), {
          clock,
          signal: this.stopping.signal,
        }),
        old.down,
      ]);
    }
  }

  private setState(state: SocketState): void {
    if (this.stateNow.kind === 'closed') return;
    this.stateNow = state;
    this.options.onState(state);
  }
}

type ConnectionOptions = Pick<ReconnectingSocketOptions, 'ping'> &
  Required<Pick<ReconnectingSocketOptions, 'onMessage' | 'openTimeoutMs' | 'idleLimitMs' | 'clock'>>;

/** One WebSocket from its beginning to its end. */
class Connection {
  /** Resolves when it is open, or with what prevented that. */
  readonly opened: Promise<ConnectionLoss | undefined>;
  /** Resolves when it is gone, for whatever reason. */
  readonly down: Promise<ConnectionLoss>;
  openedAt: number | undefined;
  ended = false;
  private readonly socket: WebSocket | undefined;
  private lastHeardAt: number | undefined;
  private error: ContactError | undefined;
  private openTimer: Timer | undefined;
  private idleTimer: Timer | undefined;
  private pingTimer: Timer | undefined;
  private settleOpened: (loss?: ConnectionLoss) => void = () => {};
  private settleDown: (loss: ConnectionLoss) => void = () => {};

  constructor(
    readonly number: number,
    private readonly target: ConnectTarget,
    private readonly options: ConnectionOptions,
  ) {
    this.opened = new Promise((resolve) => {
      this.settleOpened = resolve;
    });
    this.down = new Promise((resolve) => {
      this.settleDown = resolve;
    });
    try {
      this.socket = this.connect();
    } catch (thrown) {
      this.end({ error: this.failure(describe(thrown), 'PROTOCOL') });
    }
  }

  send(text: string): boolean {
    if (this.socket?.readyState !== OPEN) return false;
    // What goes wrong comes with the `error` and `close` events.
    this.socket.send(text, () => {});
    return true;
  }

  /** Cuts the connection; `error` is told as the reason. */
  fail(error: ContactError): void {
    this.error ??= error;
    this.socket?.terminate();
  }

  /** Says goodbye, and cuts the connection when that is not answered in time. */
  async close(withinMs: number): Promise<void> {
    if (this.ended) return;
    this.error ??= closedError();
    const timer = this.options.clock.setTimeout(() => this.socket?.terminate(), withinMs);
    if (this.socket?.readyState === OPEN) this.socket.close(1000);
    else this.socket?.terminate();
    await this.down;
    this.options.clock.clearTimeout(timer);
  }

  private connect(): WebSocket {
    const { clock, onMessage, openTimeoutMs } = this.options;
    const { url, headers = {} } = this.target;
    // Compression would cost ten times the processor time for events of this size.
    const socket = new (ws().WebSocket)(url, { headers, perMessageDeflate: false, maxPayload: LARGEST_FRAME_BYTES });
    const heard = () => {
      this.lastHeardAt = clock.now();
    };
    this.openTimer = clock.setTimeout(() => {
      // A peer that does not answer the upgrade would not answer a closing handshake either.
      this.fail(this.failure(`no answer within ${Math.round(openTimeoutMs / 1_000)} s`, 'UNREACHABLE'));
    }, openTimeoutMs);
    socket.on('open', () => {
      clock.clearTimeout(this.openTimer);
      heard();
      this.openedAt = clock.now();
      this.watch();
      this.schedulePing();
      this.settleOpened();
    });
    socket.on('message', (data) => {
      heard();
      onMessage(String(data), this.number);
    });
    socket.on('ping', heard);
    socket.on('pong', heard);
    socket.on('unexpected-response', (_request, response) => {
      const status = response.statusCode ?? 0;
      this.fail(this.failure(`the upgrade was refused with HTTP ${status}`, 'UNREACHABLE', status));
    });
    socket.on('error', (thrown) => {
      this.error ??= this.failure(describe(thrown), 'UNREACHABLE');
    });
    socket.on('close', (code, reason) => {
      const said = reason.length > 0 ? `${code} "${String(reason)}"` : String(code);
      const error = this.error ?? this.failure(`it was closed with code ${said}`, 'UNREACHABLE');
      this.end({ error, closeCode: code });
    });
    return socket;
  }

  private end(loss: ConnectionLoss): void {
    const { clock } = this.options;
    this.ended = true;
    clock.clearTimeout(this.openTimer);
    clock.clearTimeout(this.idleTimer);
    clock.clearTimeout(this.pingTimer);
    const whole = this.lastHeardAt === undefined ? loss : { ...loss, lastHeardAt: this.lastHeardAt };
    this.settleOpened(whole);
    this.settleDown(whole);
  }

  /** One timer that looks at the time of the last frame costs nothing for each frame. */
  private watch(): void {
    const { clock, idleLimitMs } = this.options;
    const remainingMs = (this.lastHeardAt ?? 0) + idleLimitMs - clock.now();
    if (remainingMs > 0) {
      this.idleTimer = clock.setTimeout(() => this.watch(), remainingMs);
      return;
    }
    // When the process was held up, frames may lie in the socket unread: timers run before sockets are read.
    this.idleTimer = clock.setTimeout(() => {
      if (this.lastHeardAt !== undefined && clock.now() - this.lastHeardAt < idleLimitMs) this.watch();
      else this.fail(this.failure(`silent for ${Math.round(idleLimitMs / 1_000)} s`, 'UNREACHABLE'));
    }, 1);
  }

  private schedulePing(): void {
    const { clock, ping } = this.options;
    if (!ping) return;
    this.pingTimer = clock.setTimeout(() => {
      if (ping.text !== undefined) this.send(ping.text);
      else if (this.socket?.readyState === OPEN) this.socket.ping();
      this.schedulePing();
    }, ping.everyMs);
  }

  private failure(answer: string, code: 'UNREACHABLE' | 'PROTOCOL', status?: number): ContactError {
    const attempted = this.openedAt === undefined ? 'open the connection' : 'keep the connection';
    const known = status === undefined ? {} : { status };
    return new ContactError(code, { attempted, target: this.target.url, answer, ...known });
  }
}

/** What is no error of ours may be a passing one as well: only those that say so end the attempts. */
function preparationError(thrown: unknown): ContactError {
  if (thrown instanceof ContactError) return thrown;
  const answer = describe(thrown);
  return new ContactError('INTERNAL', { attempted: 'prepare the connection', answer, retryable: true, cause: thrown });
}

function closedError(): ContactError {
  return new ContactError('CLOSED', { attempted: 'keep the connection' });
}
