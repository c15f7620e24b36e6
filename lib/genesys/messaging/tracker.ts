import { type ContactError, toContactError } from '../../core/errors';
import { type Logger, silentLogger } from '../../core/log';
import { changeStatus, type MessageRecord, type MessageStatus, type StatusChange, statusEvent } from './record';
import type { MessageRecords, Remembered } from './records';
import type { StatusChannel } from './status-channel';

/** Settings of a {@link StatusTracker}. */
export interface StatusTrackerOptions {
  records: MessageRecords;
  /** Nobody is told when left out. */
  channel?: StatusChannel | undefined;
  logger?: Logger;
  now?(): number;
}

/** Keeps the status of messages in the store and tells others of each change. */
export class StatusTracker {
  private readonly options: Required<Omit<StatusTrackerOptions, 'channel'>> & Pick<StatusTrackerOptions, 'channel'>;

  constructor(options: StatusTrackerOptions) {
    this.options = { logger: silentLogger, now: Date.now, ...options };
  }

  /**
   * Writes changes into a record, in the order given, and resolves when the record is stored and the events are safe.
   * Rejects with `CLOSED` when that was ended before.
   */
  async change(remembered: Remembered, statuses: readonly MessageStatus[], error?: ContactError): Promise<void> {
    const told = error && { code: error.code, message: error.message };
    const now = this.options.now();
    const changes = statuses.map((status) => changeStatus(remembered.record, status, { now, error: told }));
    await Promise.all([this.save(remembered), this.tell(remembered, changes)]);
  }

  /** Tells the latest change once more: it is not known whether that was done before a restart. */
  async tellAgain({ record, key }: Remembered): Promise<void> {
    await this.tell({ record, key }, record.history.slice(-1));
  }

  /** Tells of changes that are in the record already. */
  async tell({ record }: Remembered, changes: readonly StatusChange[]): Promise<void> {
    const { channel } = this.options;
    if (!channel) return;
    await Promise.all(changes.map((change) => channel.publish(statusEvent(record, change))));
  }

  /**
   * Takes over what a receipt has written about a message while it was not known to be sent. True when one has: then the
   * message is no longer merely sent.
   */
  async takeReceipt(remembered: Remembered): Promise<boolean> {
    const { record } = remembered;
    let isTaken = false;
    await this.write(async () => {
      const stored = (await this.options.records.find(record.messageId, record.tenantId))?.record;
      if (stored?.status !== 'delivered' && stored?.status !== 'failed') return;
      remembered.record = { ...record, status: stored.status, history: stored.history };
      isTaken = true;
    });
    return isTaken;
  }

  /** Stores a record as it is. */
  save(remembered: Remembered): Promise<void> {
    return this.write(() => this.options.records.save(remembered));
  }

  /** Remembers under which id Genesys knows a message. */
  link(record: MessageRecord): Promise<void> {
    return this.write(() => this.options.records.link(record));
  }

  private async write(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      // What has happened has happened: that it could not be written down must not make it happen again.
      const error = toContactError(thrown, 'write down the status of a message');
      if (error.code === 'CLOSED') throw error;
      this.options.logger.error(error.message, { code: error.code });
    }
  }
}
