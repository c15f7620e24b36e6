import { DiskSpool } from '../core/disk-spool';
import { ContactError } from '../core/errors';
import { Outbox } from '../core/outbox';
import { MemorySpool } from '../core/spool';
import type { Verdict } from '../core/verdicts';
import { type StatusChannel, statusEventId, statusRoutingKey } from '../genesys/messaging/status-channel';
import type { BrokerConnection } from '../rabbitmq/connection';
import { decodeRequest, encodeRequest, type PublishRequest, traceHeaders } from '../rabbitmq/publish-request';
import { Publisher } from '../rabbitmq/publisher';

/** Settings of a {@link StatusPublisher}. */
export interface StatusPublisherOptions {
  connection: BrokerConnection;
  /** A topic exchange; it is declared. */
  exchange: string;
  /**
   * A folder for events that are not published yet: then an event is safe as soon as it is there. Without one it is
   * safe when the broker has confirmed it, and whoever has published it must publish it again after a restart.
   */
  folder?: string | undefined;
}

/** Only so many events wait: with a folder for the broker, without one their publishers wait with them. */
const LIMITS = { items: 1_000_000, bytes: 1_000_000_000 };
const BATCH = { items: 100, bytes: 1_000_000, ageMs: 0 };
const CLOSE_WITHIN_MS = 1_000;
/** An event that ended so has not been told, and is nowhere. */
const NOT_TAKEN: ReadonlySet<string> = new Set(['BUFFER_FULL', 'BUFFER_FAILED', 'CLOSED']);

/** Tells whoever has published an event how that ended; only the first call counts. */
type Waiting = (error?: ContactError) => void;

/** Tells changes of the status of messages on an exchange of the broker. */
export class StatusPublisher implements StatusChannel {
  private readonly publisher: Publisher;
  private readonly outbox: Outbox<Waiting>;
  private readonly exchange: string;
  /** Ends the wait of everyone who has published an event. A signal would look through all its listeners each time. */
  private readonly waitingFor = new Set<() => void>();
  private isClosed = false;

  /** Throws `BUFFER_FAILED` when the folder cannot be used. */
  constructor({ connection, exchange, folder }: StatusPublisherOptions) {
    this.exchange = exchange;
    const isOnDisk = folder !== undefined;
    const spool = isOnDisk ? new DiskSpool<Waiting>(folder) : new MemorySpool<Waiting>();
    this.publisher = new Publisher(connection, {
      topology: { exchanges: [{ name: exchange, type: 'topic' }], queues: [], bindings: [] },
      purpose: `publish to ${exchange}`,
    });
    this.outbox = new Outbox({
      spool,
      batch: BATCH,
      concurrency: 4,
      limits: LIMITS,
      overflow: 'refuse',
      backoff: { baseMs: 500, maxMs: 15_000 },
      send: async (entries, signal) => {
        const requests = entries.map(({ body }) => decodeRequest(body));
        return (await this.publisher.send(requests, signal)).map(withoutListener);
      },
      ...(isOnDisk ? { onStored: ({ context }) => context?.() } : {}),
      onEnding: ({ context }, ending) => {
        const isLost = 'error' in ending && NOT_TAKEN.has(ending.error.code);
        context?.(isLost ? ending.error : undefined);
      },
    });
  }

  /** Events that wait to be published. */
  get waiting(): number {
    return this.outbox.buffered.items;
  }

  publish(event: Parameters<StatusChannel['publish']>[0]): Promise<void> {
    const request: PublishRequest = {
      exchange: this.exchange,
      routingKey: statusRoutingKey(event),
      content: JSON.stringify(event),
      messageId: statusEventId(event),
      correlationId: event.correlationId ?? undefined,
      type: 'message.status',
      headers: traceHeaders(),
    };
    return new Promise((resolve, reject) => {
      const stop = () => reject(new ContactError('CLOSED', { attempted: 'tell the status of a message' }));
      if (this.isClosed) {
        stop();
        return;
      }
      this.waitingFor.add(stop);
      this.outbox.offer(encodeRequest(request), (error) => {
        this.waitingFor.delete(stop);
        if (error) reject(error);
        else resolve();
      });
    });
  }

  /** Publishes for a moment what waits; what is on disk stays there for the next time. */
  async close(): Promise<void> {
    await this.outbox.close(CLOSE_WITHIN_MS);
    this.isClosed = true;
    for (const stop of this.waitingFor) stop();
    this.waitingFor.clear();
    await this.publisher.close();
  }
}

/** That nobody listens is nobody's fault. */
function withoutListener(verdict: Verdict): Verdict {
  return verdict.kind === 'rejected' && verdict.error.code === 'UNROUTABLE' ? { kind: 'delivered' } : verdict;
}
