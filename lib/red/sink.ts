import { existsSync } from 'node:fs';
import type { NodeMessage } from 'node-red';
import { systemClock } from '../core/clock';
import { settleDelivery } from '../core/deliveries';
import { DiskSpool } from '../core/disk-spool';
import { ContactError, messageError } from '../core/errors';
import type { Logger } from '../core/log';
import { type BatchReport, type Ending, Outbox, type OutboxOptions } from '../core/outbox';
import { type Entry, MemorySpool, type Spool } from '../core/spool';
import { tracing } from '../core/trace';
import type { Verdict } from '../core/verdicts';
import { Histogram } from '../monitor/histogram';
import { boolean, readConfig } from './config';
import { guard, onClose, onInputDeferred } from './input';
import type { IntakeMessage } from './intake';
import { nodeLogger } from './logger';
import type { Definition, Red, RuntimeNode } from './node';
import { type Obstacle, OutboxStatus, outboxReport } from './outbox-status';
import type { Status, StatusSources } from './status';
import { sendTraced } from './tracing';
import { spoolFolder } from './user-dir';

/** The field of every node with a sink: whether the deliveries of its messages are the sink's to settle. */
export const SETTLE = boolean({ default: true });

/** What leaves by the failure output for something that waited; the sink adds `error`. */
export type FailedMessage = (entry: Entry<IntakeMessage>) => object;

type FromOutbox =
  | 'batch'
  | 'concurrency'
  | 'limits'
  | 'overflow'
  | 'backoff'
  | 'breaker'
  | 'attempts'
  | 'send'
  | 'onBatch';

/** What a {@link Sink} needs. */
export interface SinkOptions extends Pick<OutboxOptions<IntakeMessage>, FromOutbox> {
  /** On disk it survives the end of the process, and a message is done when it is there. */
  buffer: 'memory' | 'disk';
  failedMessage: FailedMessage;
  /** Called for what has arrived, before its message is done. */
  onDelivered?: (entry: Entry<IntakeMessage>) => void;
  /** See {@link OutboxStatus}. */
  obstacle?: Obstacle;
}

/** In seconds. */
const BATCH_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Node-RED is told after 4.5 s that a node does not close; the rest is for the disk. */
const CLOSE_WITHIN_MS = 3_500;

/** What a memory buffer still held at a deploy, by node id: the next instance of the node goes on with it. */
const handedOver = new Map<string, Entry<IntakeMessage>[]>();

/**
 * The outbox of a node with a failure output (its second). A message is done, and its delivery settled, when it needs no
 * further care. What still waits when the node is closed goes to the node's next instance.
 */
export class Sink {
  /** The second one is there when the buffer was on disk before and has left something. */
  readonly outboxes: readonly Outbox<IntakeMessage>[];
  /** How long batches were on their way. */
  readonly latency = new Histogram(BATCH_SECONDS);
  private readonly outbox: Outbox<IntakeMessage>;
  private readonly logger: Logger;
  private readonly folder: string | undefined;
  private shown: OutboxStatus | undefined;

  /** Throws `BUFFER_FAILED` when the disk buffer cannot be used, `CONFIGURATION` when there is no place for one. */
  constructor(
    RED: Red,
    private readonly node: RuntimeNode,
    private readonly options: SinkOptions,
  ) {
    this.logger = nodeLogger(RED, node);
    this.folder = spoolFolder(RED, node);
    const isOnDisk = options.buffer === 'disk';
    this.outbox = this.open(isOnDisk ? this.openDisk() : new MemorySpool(), handedOver.get(node.id));
    handedOver.delete(node.id);
    const left = isOnDisk ? undefined : this.openLeft();
    this.outboxes = left ? [this.outbox, left] : [this.outbox];
  }

  /** Keeps the status of the node up to date until the node is closed. */
  show(status: Status): void {
    this.shown = new OutboxStatus(this.node, status, this.outboxes, systemClock, this.options.obstacle);
  }

  /** Shows at once how it stands: the obstacle has changed. */
  refresh(): void {
    this.shown?.show();
  }

  /** Takes a part of a message in. */
  offer(body: string, intake: IntakeMessage): void {
    this.outbox.offer(body, intake);
  }

  /**
   * Ends a part of a message that could not be made into something to send: `failed` leaves by the second output with
   * the error, to which `details` are added.
   */
  refuse(failed: object, error: ContactError, intake: IntakeMessage, details: object = {}): void {
    this.outbox.refuse();
    sendFailed(this.node, failed, error, 0, details);
    intake.ended(error);
  }

  /** Counts something that came in and waits here already. */
  absorb(): void {
    this.outbox.absorb();
  }

  /** Sends what it still can and gives the rest away. `removed`: there is no next instance. */
  async close(removed: boolean): Promise<void> {
    const left = (await Promise.all(this.outboxes.map((outbox) => outbox.close(CLOSE_WITHIN_MS)))).flat();
    if (!removed) {
      if (left.length > 0) handedOver.set(this.node.id, left);
      return;
    }
    abandon(this.node, left, this.options.failedMessage);
    const onDisk = this.outboxes.reduce((sum, { buffered }) => sum + buffered.items, 0) - left.length;
    if (onDisk > 0) {
      this.logger.warn(`${onDisk} messages stay in ${this.folder} until a node with the same id is deployed.`);
    }
  }

  private open(spool: Spool<IntakeMessage>, inherited: Entry<IntakeMessage>[] = []): Outbox<IntakeMessage> {
    const { node, options } = this;
    const isOnDisk = spool instanceof DiskSpool;
    const end = (entry: Entry<IntakeMessage>, ending: Ending) => {
      const failure = 'error' in ending ? ending.error : undefined;
      if (failure) sendFailed(node, options.failedMessage(entry), failure, entry.attempts);
      else options.onDelivered?.(entry);
      entry.context?.ended(failure);
    };
    return new Outbox<IntakeMessage>({
      ...options,
      send: (entries, signal) => this.send(entries, signal),
      spool,
      inherited,
      onEnding: guard(node, end),
      onBatch: guard(node, (report: BatchReport) => {
        this.latency.observe(report.tookMs / 1_000);
        options.onBatch?.(report);
      }),
      ...(isOnDisk ? { onStored: guard(node, (entry: Entry<IntakeMessage>) => this.stored(entry)) } : {}),
      onState: guard(node, ({ error }) => {
        this.shown?.show();
        if (error) this.logger.warn(error.message, { code: error.code });
      }),
    });
  }

  private send(entries: readonly Entry<IntakeMessage>[], signal: AbortSignal): Promise<Verdict | readonly Verdict[]> {
    const { node, options } = this;
    if (!tracing.isOn) return options.send(entries, signal);
    const send = () => options.send(entries, signal);
    const messages = entries.map(({ context }) => context?.message);
    return sendTraced(node, messages, send, (given) => {
      const failed = [given]
        .flat()
        .find((verdict): verdict is Extract<Verdict, { error: ContactError }> => 'error' in verdict);
      return failed?.error;
    });
  }

  private stored(entry: Entry<IntakeMessage>): void {
    entry.context?.ended();
    // A failure can be told without the message, and many of them may wait.
    if (!this.options.onDelivered) entry.context = undefined;
  }

  private openDisk(): DiskSpool<IntakeMessage> {
    if (this.folder !== undefined) return new DiskSpool(this.folder);
    throw new ContactError('CONFIGURATION', {
      attempted: 'keep the buffer on disk',
      answer: 'this Node-RED has no user directory',
      advice: 'Choose the buffer in memory, or give it one.',
    });
  }

  /** What was left on disk by a configuration that kept its buffer there is sent, too. */
  private openLeft(): Outbox<IntakeMessage> | undefined {
    if (this.folder === undefined || !existsSync(this.folder)) return undefined;
    try {
      const spool = this.openDisk();
      if (spool.count > 0) return this.open(spool);
      spool.close().catch(() => {});
    } catch (thrown) {
      this.logger.error((thrown as ContactError).message);
    }
    return undefined;
  }
}

/** What a node with a sink reports, once it has one. */
export function sinkReport(sink: () => Sink | undefined): StatusSources {
  return outboxReport(
    () => sink()?.outboxes ?? [],
    () => sink()?.latency.snapshot(),
  );
}

/**
 * Lets a sink that cannot work send every message out of its second output. The delivery goes back to its source, for
 * when the sink works again, if it is the sink's to settle. What the node's last instance handed over waits for the next.
 */
export function refuseMessages(
  RED: Red,
  node: RuntimeNode,
  definition: Definition,
  error: ContactError,
  failed: FailedMessage,
): void {
  // Whatever else is wrong with the configuration.
  const read = readConfig(RED, node, definition, { settle: SETTLE });
  const settle = read.ok && read.value.settle;
  onInputDeferred(node, (message, _send, done) => {
    sendFailed(node, message, error, 0);
    if (settle) settleDelivery(message, { kind: 'retry', error });
    done(error);
  });
  onClose(node, (removed) => {
    if (!removed) return;
    abandon(node, handedOver.get(node.id) ?? [], failed);
    handedOver.delete(node.id);
  });
}

/** There is nobody left to send these. */
function abandon(node: RuntimeNode, entries: readonly Entry<IntakeMessage>[], failed: FailedMessage): void {
  const error = new ContactError('CLOSED', { attempted: 'send a message' });
  for (const entry of entries) {
    sendFailed(node, failed(entry), error, entry.attempts);
    entry.context?.ended(error);
  }
}

function sendFailed(node: RuntimeNode, message: object, error: ContactError, attempts: number, details = {}): void {
  node.send([null, { ...message, error: { ...messageError(error, attempts), ...details } } as NodeMessage]);
}
