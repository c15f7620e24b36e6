import { type Clock, systemClock } from '../core/clock';
import { ContactError } from '../core/errors';
import { type Logger, silentLogger } from '../core/log';
import type { StateStore } from '../store/store';
import { pairInOrder } from './matching';
import {
  asFields,
  eventIdentity,
  type OperationalEvent,
  readOperationalEvent,
  timelessIdentity,
} from './operational-event';
import { RecentIds } from './recent-ids';
import { type Sighting, Sightings } from './sightings';

/** How events are recognised again; every setting has a default that suits Genesys Cloud. */
export interface RecoveryOptions {
  /**
   * How far apart the creation of an event and its arrival over the socket may be, in milliseconds, the difference of
   * the two clocks included. Default 10 000.
   */
  toleranceMs?: number;
  /**
   * An event shows up in the REST query at most so long after it was created, in milliseconds. Default 60 000, at
   * least three times the tolerance.
   */
  settleMs?: number;
  /** How many identifiers are remembered. Default 50 000, and always those of one pass over what is not settled. */
  idLimit?: number;
  /** How many events without a time are remembered. Default 100 000, with the same exception. */
  sightingLimit?: number;
  /** Where events without a time are remembered beyond the life of the process; nowhere when left out. */
  store?: StateStore;
  /** Tells apart several users of one store: best the id of the node. */
  owner?: string;
  clock?: Clock;
  logger?: Logger;
}

/** What is to be done with an event from the socket. */
export interface Arrival {
  /** The identifier of the event, to be sent as `msg.eventId`. */
  id: string;
  /** `false` for an event that was seen before: it must not be emitted. */
  isNew: boolean;
  /**
   * Only for an event without a time, when there is a store. Emit the event when this has resolved: should the process
   * end before, its record from the REST query gets the same identifier after the restart. It never rejects.
   */
  stored?: Promise<void>;
}

/** Calls the platform API and gives the parsed body of a good answer; rejects otherwise. */
export type ApiRequest = (
  method: 'POST',
  path: string,
  options: { query: Record<string, string>; body: unknown; signal?: AbortSignal },
) => Promise<unknown>;

/** A record of the REST query that the socket has not delivered. */
export interface MissedEvent {
  /** The identifier of the event, to be sent as `msg.eventId`. */
  id: string;
  /** The record as it was answered. */
  record: unknown;
  /** The same, read. */
  event: OperationalEvent;
}

/** Which events may have been missed. */
export interface MissedQuery {
  /** Start of the time without a subscribed socket, in milliseconds since the epoch. */
  from: number;
  /** Its end; what lies in the future is left for a later call. */
  to: number;
  /** The event definitions that are asked for; all when left out. */
  definitionIds?: readonly string[];
  request: ApiRequest;
  /** Takes a missed event; the next one follows when its promise resolves. Should it reject, the event is not done. */
  onRecord: (missed: MissedEvent) => Promise<unknown> | unknown;
  /** Ends the call, which then rejects with `CLOSED`. */
  signal?: AbortSignal;
}

/** What a call has found, in numbers of records. */
export interface MissedResult {
  pages: number;
  /** All that was read, also what lies around the gap. */
  records: number;
  /** Handed to `onRecord`. */
  emitted: number;
  /** Seen before: over the socket, or in an earlier call. */
  known: number;
  /** Left for a later call, because an event without a time may still come in over the socket. */
  deferred: number;
  /**
   * Up to here nothing can be missing any more, in milliseconds since the epoch. Call again, a while later and with
   * `from` set to this, until it has reached the end of the gap; a steady poll goes on from here each time.
   */
  settledUntil: number;
}

const QUERY_PATH = '/api/v2/usage/events/query';
/** The most that the query gives at once. */
const PAGE_SIZE = '200';
/** So many pages in a row without anything new mean that the answers go in a circle. */
const MOST_IDLE_PAGES = 10;
const DEFAULT_TOLERANCE_MS = 10_000;
const DEFAULT_SETTLE_MS = 60_000;

interface Found {
  readonly record: unknown;
  readonly event: OperationalEvent;
  /** Its identifier, if it is not the record of an event that came in without a time. */
  readonly ownId: string;
  /** When it was created. */
  readonly timeMs: number;
  /** What it has in common with its sighting; made when it is first asked for. */
  key?: string;
}

/** One call of {@link EventRecovery.fetchMissed}. */
interface Pass {
  readonly query: MissedQuery;
  readonly result: MissedResult;
  /** All records from here on are read. */
  readonly windowFrom: number;
  /** A later call does not come back to what was created before. */
  readonly finalUntil: number;
  /** Records that wait for the ones after them, oldest first. */
  waiting: Found[];
  /** Sightings that have found their records. */
  readonly taken: Set<Sighting>;
}

/**
 * Recognises events that come in over the socket and again over the REST query, which is asked for what the socket may
 * have missed: each is emitted once, and always under the same identifier.
 *
 * An event with a time is recognised by its identity. One without is remembered as a sighting, and the record that was
 * created at about that time with otherwise the same content is the same event. Where several come into question, the
 * pairs with the least distance are taken; so two events that differ in nothing but the time are told apart as long as
 * the time between them is more than twice as long as they travel.
 *
 * A record that belongs to a sighting of this process is not emitted. One that belongs to a sighting of an earlier
 * process is, under the identifier of the sighting, since nobody knows how far it had come; where it is stored under
 * that identifier the repetition does no harm.
 */
export class EventRecovery {
  private readonly toleranceMs: number;
  private readonly settleMs: number;
  private readonly clock: Clock;
  private readonly ids: RecentIds;
  private readonly sightings: Sightings;
  private lastUnidentifiedMs = 0;
  private ordinal = 0;

  constructor(options: RecoveryOptions = {}) {
    this.toleranceMs = options.toleranceMs ?? DEFAULT_TOLERANCE_MS;
    this.settleMs = Math.max(options.settleMs ?? DEFAULT_SETTLE_MS, 3 * this.toleranceMs);
    this.clock = options.clock ?? systemClock;
    const windowMs = this.settleMs + 3 * this.toleranceMs;
    this.ids = new RecentIds({ limit: options.idLimit ?? 50_000, windowMs });
    this.sightings = new Sightings({
      limit: options.sightingLimit ?? 100_000,
      windowMs,
      store: options.store,
      owner: options.owner ?? 'default',
      logger: options.logger ?? silentLogger,
    });
  }

  /** Reads what an earlier process has left. To be awaited before anything else; rejects when the store does. */
  open(): Promise<void> {
    return this.sightings.load();
  }

  /** Goes on with another handle of the same store: the one before was closed with its user. */
  useStore(store: StateStore): void {
    this.sightings.useStore(store);
  }

  /** How much is remembered, for `/stats`. */
  get remembered(): { ids: number; sightings: number } {
    return { ids: this.ids.size, sightings: this.sightings.size };
  }

  /** Takes an event from the socket. `arrivalMs` is when it came in. */
  arrive(event: OperationalEvent, arrivalMs: number): Arrival {
    if (event.kind !== 'operational') {
      this.ordinal = arrivalMs === this.lastUnidentifiedMs ? this.ordinal + 1 : 0;
      this.lastUnidentifiedMs = arrivalMs;
      return { id: eventIdentity(event, arrivalMs, this.ordinal), isNew: true };
    }
    if (event.timeMs !== null) {
      const id = eventIdentity(event, arrivalMs);
      return { id, isNew: this.ids.add(id, arrivalMs) };
    }
    const key = timelessIdentity(event);
    const id = eventIdentity(event, arrivalMs, this.sightings.countAt(key, arrivalMs));
    const stored = this.sightings.add(key, arrivalMs, id);
    this.ids.add(id, arrivalMs);
    return { id, isNew: true, ...(stored && { stored }) };
  }

  /** Makes an event unknown again, so that the REST query brings it back under the same identifier. */
  forget(id: string): void {
    this.ids.delete(id);
  }

  /**
   * Asks the REST query for the events of a gap and emits those that were not seen, oldest first. Rejects with what
   * `request` or `onRecord` rejects with, and with `PROTOCOL` when the answers make no sense; to call again is safe.
   *
   * It reads more than the gap: three tolerances on either side, because a record may only be given to a sighting, or
   * be missing one, when all that compete with it are known.
   */
  async fetchMissed(query: MissedQuery): Promise<MissedResult> {
    const now = this.clock.now();
    const windowFrom = query.from - 3 * this.toleranceMs;
    const windowTo = Math.min(query.to + 3 * this.toleranceMs, now);
    const settledUntil = Math.max(query.from, Math.min(query.to, now - this.settleMs));
    const result: MissedResult = { pages: 0, records: 0, emitted: 0, known: 0, deferred: 0, settledUntil };
    if (windowFrom >= windowTo || query.definitionIds?.length === 0) return result;
    const finalUntil = settledUntil < query.to ? settledUntil - this.toleranceMs : Number.POSITIVE_INFINITY;
    const pass: Pass = { query, result, windowFrom, finalUntil, waiting: [], taken: new Set() };
    for await (const records of this.pages(pass, windowTo)) {
      pass.waiting.push(...records);
      await this.decide(pass, records.at(-1)?.timeMs ?? windowFrom, pass.waiting.length / 2);
    }
    await this.decide(pass, windowTo, 1);
    result.deferred += pass.waiting.filter((found) => found.timeMs <= query.to + this.toleranceMs).length;
    return result;
  }

  /** The records of a window page by page, in ascending order of time. */
  private async *pages({ query, result, windowFrom }: Pass, windowTo: number): AsyncGenerator<Found[]> {
    const { definitionIds, request, signal } = query;
    const body = {
      interval: `${new Date(windowFrom).toISOString()}/${new Date(windowTo).toISOString()}`,
      ...(definitionIds && { eventDefinitionIds: definitionIds }),
      sortOrder: 'ASC',
    };
    const asked = new Set<string>();
    let last = new Set<string>();
    let idle = 0;
    let parameters: Record<string, string> | undefined = { pageSize: PAGE_SIZE };
    while (parameters) {
      if (signal?.aborted) throw new ContactError('CLOSED', { attempted: 'read missed events' });
      const cursor = JSON.stringify(parameters);
      if (asked.has(cursor) || idle >= MOST_IDLE_PAGES) throw senseless('its pages go in a circle');
      asked.add(cursor);
      const answer = asFields(
        await request('POST', QUERY_PATH, { query: parameters, body, ...(signal && { signal }) }),
      );
      const entities = answer?.['entities'];
      if (!Array.isArray(entities)) throw senseless('the answer has no entities');
      const records = entities
        .map((record) => found(record, query.from))
        .sort((one, other) => one.timeMs - other.timeMs);
      idle = records.every(({ ownId }) => last.has(ownId)) ? idle + 1 : 0;
      last = new Set(records.map(({ ownId }) => ownId));
      result.pages += 1;
      result.records += records.length;
      yield records;
      parameters = nextParameters(answer?.['nextUri']);
    }
  }

  /**
   * Decides about the waiting records that can be decided, when all records up to `horizonMs` have been read. With
   * fewer than `fewest` of them it is put off, so that long queues are not gone through again and again.
   */
  private async decide(pass: Pass, horizonMs: number, fewest: number): Promise<void> {
    const { from, to } = pass.query;
    // Without events that have no time nothing has to wait for anything.
    const untilMs = this.sightings.size > 0 ? horizonMs - 2 * this.toleranceMs : Number.POSITIVE_INFINITY;
    const firstOpen = pass.waiting.findIndex(({ timeMs }) => timeMs > untilMs);
    const ready = firstOpen < 0 ? pass.waiting.length : firstOpen;
    if (ready === 0 || ready < fewest) return;
    const sightings = this.pair(pass, horizonMs);
    const decided = pass.waiting.splice(0, ready);
    for (const each of decided) {
      const sighting = sightings.get(each);
      if (sighting) pass.taken.add(sighting);
      // What lies further out was read only because it may belong to the sightings at the edges.
      if (each.timeMs < from - this.toleranceMs || each.timeMs > to + this.toleranceMs) continue;
      await this.emit(pass, each, sighting);
    }
  }

  private async emit({ query, result, finalUntil }: Pass, found: Found, sighting: Sighting | undefined): Promise<void> {
    const { record, event, ownId, timeMs } = found;
    const id = sighting?.id ?? ownId;
    if (this.ids.has(id)) {
      result.known += 1;
      return;
    }
    // Of an earlier process: there is no hurry, and with all late records at hand the pairs are certain.
    if (sighting && timeMs >= finalUntil) {
      result.deferred += 1;
      return;
    }
    if (query.signal?.aborted) throw new ContactError('CLOSED', { attempted: 'emit missed events' });
    // Remembered first: its twin may come in over the socket while it is being emitted.
    this.ids.add(id, this.clock.now());
    try {
      await query.onRecord({ id, record, event });
    } catch (thrown) {
      this.ids.delete(id);
      throw thrown;
    }
    result.emitted += 1;
  }

  /** Which of the waiting records belong to which sightings. */
  private pair({ waiting, windowFrom, taken }: Pass, horizonMs: number): Map<Found, Sighting> {
    const pairs = new Map<Found, Sighting>();
    if (this.sightings.size === 0) return pairs;
    const groups = new Map<string, Found[]>();
    for (const each of waiting) {
      // Known under its own identifier, so it belongs to none.
      if (this.ids.has(each.ownId)) continue;
      each.key ??= timelessIdentity(each.event);
      const group = groups.get(each.key);
      if (group) group.push(each);
      else groups.set(each.key, [each]);
    }
    for (const [key, group] of groups) {
      // Of sightings further out the own record may lie outside of what was read; they would take that of another.
      const free = this.sightings
        .near(key, windowFrom + this.toleranceMs, horizonMs - this.toleranceMs)
        .filter((sighting) => !taken.has(sighting));
      const times = free.map(({ arrivalMs }) => arrivalMs);
      const indexes = pairInOrder(
        group.map(({ timeMs }) => timeMs),
        times,
        this.toleranceMs,
      );
      for (const [position, index] of indexes.entries()) {
        if (index >= 0) pairs.set(group[position]!, free[index]!);
      }
    }
    return pairs;
  }
}

function found(record: unknown, fallbackMs: number): Found {
  const event = readOperationalEvent(record);
  // Records always say when they were created; one that does not is recognised by its content alone.
  return { record, event, ownId: eventIdentity(event, 0), timeMs: event.timeMs ?? fallbackMs };
}

function nextParameters(nextUri: unknown): Record<string, string> | undefined {
  if (typeof nextUri !== 'string' || nextUri === '') return undefined;
  const start = nextUri.indexOf('?');
  return Object.fromEntries(new URLSearchParams(start < 0 ? '' : nextUri.slice(start + 1)));
}

function senseless(answer: string): ContactError {
  return new ContactError('PROTOCOL', { attempted: 'read missed events', target: QUERY_PATH, answer });
}
