import { type BooksSnapshot, sumOfBooks } from '../core/books';
import { type Clock, systemClock, type Timer } from '../core/clock';
import type { Outbox, OutboxState } from '../core/outbox';
import type { HistogramSnapshot } from '../monitor/histogram';
import { healthOf, type NodeState } from '../monitor/states';
import { guard } from './input';
import type { RuntimeNode } from './node';
import type { Status, StatusOptions, StatusSources } from './status';

/** What is asked of an outbox to tell how it stands. */
export type ShownOutbox = Pick<Outbox<unknown>, 'snapshot' | 'state' | 'breakerState' | 'buffered'> &
  Partial<Pick<Outbox<unknown>, 'flush'>>;

const INTERVAL_MS = 1_000;

const NODE_STATES: Record<OutboxState['state'], NodeState> = {
  working: 'connected',
  retrying: 'degraded',
  refused: 'refused',
  'breaker-open': 'breaker-open',
  failed: 'failed',
};

/** The state of a node whose outbox stands so. */
export function nodeStateOf(state: OutboxState['state']): NodeState {
  return NODE_STATES[state];
}

/**
 * What a node with outboxes reports: their books, their buffers, the breaker of the first, how long batches took. It can
 * be told to send what waits.
 */
export function outboxReport(
  outboxes: () => readonly ShownOutbox[],
  latency: () => HistogramSnapshot | undefined = () => undefined,
): StatusSources {
  return {
    books: () => booksOf(outboxes()),
    live: () => {
      const [first] = outboxes();
      const took = latency();
      return { ...(first ? { breaker: first.breakerState } : {}), ...(took ? { latency: took } : {}) };
    },
    actions: () => ({
      flush: () => {
        for (const outbox of outboxes()) outbox.flush?.();
      },
    }),
    details: () => {
      const all = outboxes();
      const buffer = { items: 0, bytes: 0 };
      for (const { buffered } of all) {
        buffer.items += buffered.items;
        buffer.bytes += buffered.bytes;
      }
      return { breaker: all[0]?.breakerState, buffer, error: stateOf(all).error?.message };
    },
  };
}

/**
 * What keeps the sender from sending while it waits by itself for that to pass, such as a connection that is away:
 * the state to show, or `undefined` when nothing does.
 */
export type Obstacle = () => ({ state: NodeState } & StatusOptions) | undefined;

/**
 * Shows how outboxes stand: once a second by itself, so that nothing is done for a message or a batch. It ends by itself
 * when the node is closed.
 */
export class OutboxStatus {
  private timer: Timer | undefined;
  private sent: number;
  private lookedAt: number;
  /** Per second. */
  private rate = 0;

  constructor(
    node: RuntimeNode,
    private readonly status: Status,
    private readonly outboxes: readonly ShownOutbox[],
    private readonly clock: Clock = systemClock,
    private readonly obstacle: Obstacle = () => undefined,
  ) {
    this.sent = sentOf(booksOf(outboxes));
    this.lookedAt = clock.now();
    const look = guard(node, () => this.look());
    const wait = () => {
      this.timer = clock.setTimeout(() => {
        wait();
        look();
      }, INTERVAL_MS);
      this.timer.unref?.();
    };
    wait();
    this.show();
    node.on('close', () => this.clock.clearTimeout(this.timer));
  }

  /** Shows it now, because something important has changed. */
  show(): void {
    const { state, error } = stateOf(this.outboxes);
    const books = booksOf(this.outboxes);
    const count = books.queued + books.inFlight;
    const reason = error ? { reason: error.message } : {};
    const obstacle = state === 'working' ? this.obstacle() : undefined;
    if (obstacle) this.showObstacle(obstacle, count);
    else if (state === 'retrying') this.status.set('degraded', { text: 'buffering', values: { count }, ...reason });
    else if (state !== 'working') this.status.set(state, reason);
    else if (count > 0 || this.rate > 0)
      this.status.set('working', { text: 'sending', values: { count, rate: this.rate } });
    else this.status.set('connected', { text: 'sent', values: { count: books.delivered } });
  }

  /** While what comes in is kept until the obstacle is gone, the node still does its work. */
  private showObstacle({ state, ...options }: NonNullable<ReturnType<Obstacle>>, count: number): void {
    const { reason } = options;
    if (count === 0 || healthOf(state) === 'unhealthy') this.status.set(state, options);
    else this.status.set('degraded', { text: 'buffering', values: { count }, ...(reason ? { reason } : {}) });
  }

  private look(): void {
    const sent = sentOf(booksOf(this.outboxes));
    const now = this.clock.now();
    const rate = ((sent - this.sent) * 1_000) / Math.max(1, now - this.lookedAt);
    this.rate = rate < 10 ? Math.round(rate * 10) / 10 : Math.round(rate);
    this.sent = sent;
    this.lookedAt = now;
    this.show();
  }
}

function booksOf(outboxes: readonly ShownOutbox[]): BooksSnapshot {
  return sumOfBooks(outboxes.map((outbox) => outbox.snapshot()));
}

/** The first that is in trouble. */
function stateOf(outboxes: readonly ShownOutbox[]): ShownOutbox['state'] {
  return outboxes.find(({ state }) => state.state !== 'working')?.state ?? { state: 'working' };
}

function sentOf({ delivered, duplicate }: BooksSnapshot): number {
  return delivered + duplicate;
}
