import type { OperationalEvent } from './event-forms';

/** Where stored events come from; generated ones are only made when they are read, so that storing them stays cheap. */
export interface EventSource {
  event(number: number): OperationalEvent;
}

/** A stored event: its place in the order, and how to get at it. */
export interface StoredEvent {
  /** Epoch ms; the first sort key. */
  readonly createdAt: number;
  /** Order of arrival; the second sort key. */
  readonly sequence: number;
  readonly code: string;
  /** When it becomes visible to queries, epoch ms. */
  readonly visibleAt: number;
  readonly source: EventSource;
  readonly number: number;
}

/** A place between events: just at the event with these keys. */
export interface Position {
  createdAt: number;
  sequence: number;
}

/** Which events, in which order, from where. */
export interface Selection {
  /** Epoch ms, inclusive. */
  from: number;
  /** Epoch ms, exclusive. */
  to: number;
  order: 'ASC' | 'DESC';
  wanted(event: StoredEvent): boolean;
  limit: number;
  /** Only events beyond this one, in the order. */
  after?: Position | undefined;
  /** Only the events just ahead of this one, in the order. */
  before?: Position | undefined;
}

/** Operational events in the order of creation; pages by position, so that new events do not shift the pages. */
export class EventStore {
  private events: StoredEvent[] = [];
  private sequence = 0;

  /** Keeps up to about `limit` events, the oldest go first. `visibleAfterMs` delays their visibility. */
  constructor(
    private readonly limit: number,
    private readonly visibleAfterMs: number,
  ) {}

  get size(): number {
    return this.events.length;
  }

  add(code: string, createdAt: number, source: EventSource, number = 0): void {
    const visibleAt = this.visibleAfterMs === 0 ? 0 : Date.now() + this.visibleAfterMs;
    const event = { createdAt, sequence: ++this.sequence, code, visibleAt, source, number };
    const last = this.events.at(-1);
    if (!last || last.createdAt <= createdAt) this.events.push(event);
    else this.events.splice(this.indexOf(event), 0, event);
    if (this.events.length > this.limit * 1.1) this.events.splice(0, this.events.length - this.limit);
  }

  /** The events of a selection in its order. */
  select({ from, to, order, wanted, limit, after, before }: Selection): StoredEvent[] {
    const first = this.indexOf({ createdAt: from, sequence: 0 });
    const end = this.indexOf({ createdAt: to, sequence: 0 });
    const forward = (order === 'ASC') !== (before !== undefined);
    const edge = after ?? before;
    const now = Date.now();
    let index = forward ? first : end - 1;
    if (edge && forward) index = Math.max(first, this.indexOf({ ...edge, sequence: edge.sequence + 1 }));
    if (edge && !forward) index = Math.min(end, this.indexOf(edge)) - 1;
    const found: StoredEvent[] = [];
    for (; index >= first && index < end && found.length < limit; index += forward ? 1 : -1) {
      const event = this.events[index] as StoredEvent;
      if (event.visibleAt <= now && wanted(event)) found.push(event);
    }
    return before ? found.reverse() : found;
  }

  /** Index of the first event that is not ahead of the position. */
  private indexOf({ createdAt, sequence }: Position): number {
    let low = 0;
    let high = this.events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const event = this.events[middle] as StoredEvent;
      if (event.createdAt < createdAt || (event.createdAt === createdAt && event.sequence < sequence)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
