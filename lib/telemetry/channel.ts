import type { BooksSnapshot } from '../core/books';
import type { Clock } from '../core/clock';
import { Outbox, type OutboxState } from '../core/outbox';
import { MemorySpool } from '../core/spool';
import { tracing } from '../core/trace';
import type { Destination } from './destination';
import type { Signal } from './signals';

/** Settings of a {@link Channel}. */
export interface ChannelOptions {
  /** Signals that wait at most; the oldest make room for new ones, which is counted. */
  queueLimit: number;
  /** A signal waits so long for others that go with it; default 1,000 ms. */
  ageMs?: number;
  onState?(state: OutboxState): void;
  clock?: Clock;
}

const AGE_MS = 1_000;
const BATCH_BYTES = 1_000_000;
const QUEUE_BYTES = 20_000_000;
const BACKOFF = { baseMs: 1_000, maxMs: 60_000 };
/** What a destination does not take in so many attempts is in the way of newer signals. */
const ATTEMPTS = 10;
const CLOSE_WITHIN_MS = 1_000;

/**
 * The way of the signals to one destination: they wait in memory, in bounded number, and nobody ever waits for them.
 * What is too much or not taken is counted in the books and forgotten.
 */
export class Channel {
  private readonly outbox: Outbox<Signal>;

  constructor(
    readonly destination: Destination,
    { queueLimit, ageMs = AGE_MS, onState, clock }: ChannelOptions,
  ) {
    this.outbox = new Outbox<Signal>({
      spool: new MemorySpool(),
      // A queue that is never full enough for a batch would only lose what is in it.
      batch: { items: Math.min(destination.batchItems, queueLimit), bytes: BATCH_BYTES, ageMs },
      concurrency: 1,
      limits: { items: queueLimit, bytes: QUEUE_BYTES },
      overflow: 'drop-oldest',
      backoff: BACKOFF,
      attempts: ATTEMPTS,
      send: (entries, signal) => tracing.unrecorded(() => destination.send(entries, signal)),
      onEnding: () => {},
      ...(onState ? { onState } : {}),
      ...(clock ? { clock } : {}),
    });
  }

  /** How the way to the destination stands. */
  get state(): OutboxState {
    return this.outbox.state;
  }

  /** `rejected` were not taken, `dropped` were too many. */
  books(): BooksSnapshot {
    return this.outbox.snapshot();
  }

  /** Takes a signal of a kind that the destination takes; others are left alone. Never throws. */
  offer(signal: Signal): void {
    if (!this.destination.kinds.has(signal.kind)) return;
    let body: string;
    try {
      body = this.destination.encode(signal);
    } catch {
      // What cannot be written down is not worth the end of whoever has told it.
      this.outbox.refuse();
      return;
    }
    this.outbox.offer(body, signal);
  }

  /** Sends for a moment what waits, and forgets the rest. */
  async close(): Promise<void> {
    await this.outbox.close(CLOSE_WITHIN_MS);
    await this.destination.close();
  }
}
