import type { NodeMessage } from 'node-red';
import { abortable } from '../core/abort';
import { DiskSpool } from '../core/disk-spool';
import type { Logger } from '../core/log';
import { Outbox } from '../core/outbox';
import { MemorySpool } from '../core/spool';
import type { Verdict } from '../core/verdicts';

/** What {@link HeldMessages} needs. */
export interface HeldMessagesOptions {
  /** Where messages wait during a pause, so that a restart does not lose them; in memory when left out. */
  folder?: string | undefined;
  /** Sends a message into the flow. Must not throw. */
  send(message: NodeMessage): void;
  /** It was paused, goes on, or holds one more. */
  onChange(): void;
  logger: Logger;
  /** With so many messages held a pause ends by itself, so that none is lost; default 10,000. */
  limit?: number;
}

/** A batch of what was held; the flow is given room between two of them. */
const BATCH = { items: 100, bytes: 1_000_000, ageMs: 0 };
/** Far more than is ever held. */
const LIMITS = { items: 1_000_000, bytes: 4_000_000_000 };

/**
 * Holds back the messages of a source during a pause, and keeps them in their order. One that cannot be held, because the
 * disk is full or the node is being closed, goes into the flow at once: out of its order, but not lost.
 */
export class HeldMessages {
  private readonly outbox: Outbox<undefined>;
  private started = false;
  private paused = false;
  /** Resolves when something may be sent. */
  private way: Promise<void>;
  private open: () => void = () => {};

  /** Nothing is sent before {@link start}: an earlier run may have left something. Throws `BUFFER_FAILED`. */
  constructor(private readonly options: HeldMessagesOptions) {
    this.way = this.barred();
    const { folder } = options;
    this.outbox = new Outbox<undefined>({
      spool: folder === undefined ? new MemorySpool() : new DiskSpool(folder),
      batch: BATCH,
      concurrency: 1,
      limits: LIMITS,
      overflow: 'refuse',
      backoff: { baseMs: 100, maxMs: 1_000 },
      send: (entries, signal) => this.release(entries, signal),
      onEnding: ({ body }, ending) => {
        if ('error' in ending) options.send(JSON.parse(body) as NodeMessage);
        options.onChange();
      },
      onState: ({ state, error }) => {
        if (state === 'failed' && error) options.logger.error(error.message, { code: error.code });
      },
    });
  }

  /** The flow can take messages now. */
  start(): void {
    this.started = true;
    if (!this.paused) this.open();
  }

  /** Whether it holds back what comes. */
  get isPaused(): boolean {
    return this.paused;
  }

  /** How many messages are held. */
  get count(): number {
    const { queued, inFlight } = this.outbox.snapshot();
    return queued + inFlight;
  }

  /** Sends a message, or holds it before the start, while it is paused, and while others are held that came before. */
  take(message: object): void {
    if (this.started && !this.paused && this.count === 0) {
      this.options.send(message as NodeMessage);
      return;
    }
    const { limit = 10_000, logger } = this.options;
    this.outbox.offer(JSON.stringify(message), undefined);
    if (this.paused && this.count > limit) {
      logger.warn(`The pause is over: more than ${limit} messages are held.`);
      this.resume();
    } else this.options.onChange();
  }

  /** Sends nothing more until {@link resume}. */
  pause(): void {
    if (this.paused) return;
    this.paused = true;
    if (this.started) this.way = this.barred();
    this.options.onChange();
  }

  /** Goes on: first with what is held. */
  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    if (this.started) this.open();
    this.options.onChange();
  }

  /** What is held stays on disk for the next start; in memory it ends. Takes half a second longer than `withinMs` at most. */
  async close(withinMs: number): Promise<void> {
    await this.outbox.close(withinMs);
  }

  private barred(): Promise<void> {
    return new Promise((resolve) => {
      this.open = resolve;
    });
  }

  private async release(entries: readonly { body: string }[], signal: AbortSignal): Promise<Verdict> {
    await abortable(this.way, signal, 'send what is held');
    for (const { body } of entries) this.options.send(JSON.parse(body) as NodeMessage);
    return { kind: 'delivered' };
  }
}
