import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { Clock } from '../../../lib/core/clock';
import { ContactError } from '../../../lib/core/errors';
import { pairInOrder } from '../../../lib/genesys/matching';
import { readOperationalEvent } from '../../../lib/genesys/operational-event';
import { RecentIds } from '../../../lib/genesys/recent-ids';
import {
  type ApiRequest,
  EventRecovery,
  type MissedEvent,
  type MissedQuery,
  type MissedResult,
  type RecoveryOptions,
} from '../../../lib/genesys/recovery';
import { MemoryStore } from '../../../lib/store/memory';

const START = Date.parse('2026-01-15T10:00:00.000Z');
const TOLERANCE = 10_000;
const SETTLE = 60_000;

/** Something that happens at Genesys Cloud. Its number stands in a field that no identifier is made of. */
interface Happening {
  number: number;
  key: string;
  createdMs: number;
  /** Whether the socket says when it happened. */
  timed: boolean;
  /** When the REST query knows it. */
  visibleMs: number;
}

const entityName = (number: number) => `event ${number}`;
const numberOf = (from: unknown) => Number(/event (\d+)/.exec((from as { entityName: string }).entityName)?.[1]);

function socketForm({ number, key, createdMs, timed }: Happening): unknown {
  const eventBody = { eventEntity: { id: 'AUDIOHOOK-0001' }, entityId: key, entityName: entityName(number) };
  return { topicName: 'v2.operations.events.X', eventBody: { ...eventBody, ...(timed && { timestamp: createdMs }) } };
}

function restForm({ number, key, createdMs }: Happening): unknown {
  const dateCreated = new Date(createdMs).toISOString();
  return { eventDefinition: { id: 'AUDIOHOOK-0001' }, entityId: key, entityName: entityName(number), dateCreated };
}

/** Genesys Cloud's query over what has happened, three records a page. */
class Platform {
  readonly asked: { query: Record<string, string>; body: Record<string, unknown> }[] = [];

  constructor(
    private readonly happened: readonly Happening[],
    private readonly clock: Pick<Clock, 'now'>,
  ) {}

  readonly request: ApiRequest = async (method, path, { query, body }) => {
    assert.equal(`${method} ${path}`, 'POST /api/v2/usage/events/query');
    const { interval, sortOrder } = body as { interval: string; sortOrder: string };
    this.asked.push({ query, body: body as Record<string, unknown> });
    assert.equal(sortOrder, 'ASC');
    const [from = Number.NaN, to = Number.NaN] = interval.split('/').map((text) => Date.parse(text));
    const all = this.happened
      .filter(({ createdMs, visibleMs }) => createdMs >= from && createdMs < to && visibleMs <= this.clock.now())
      .sort((one, other) => one.createdMs - other.createdMs || one.number - other.number);
    const start = Number(query['after'] ?? 0);
    const next = start + 3;
    return {
      entities: all.slice(start, next).map(restForm),
      ...(next < all.length && { nextUri: `${path}?after=${next}&pageSize=3` }),
    };
  };
}

/** One collector with a clock moved by hand; a restart leaves it only what is in the store. */
class Collector {
  nowMs = START;
  readonly emitted: { id: string; number: number; process: number }[] = [];
  readonly store = new MemoryStore();
  private process = 0;
  private recovery: EventRecovery;
  private readonly platform: Platform;
  /** From here on events may be missing. */
  private markMs = START;

  constructor(
    happened: readonly Happening[],
    private readonly options: RecoveryOptions = {},
  ) {
    this.platform = new Platform(happened, this.clock);
    this.recovery = this.create();
  }

  async restart(): Promise<void> {
    this.process += 1;
    this.recovery = this.create();
    await this.recovery.open();
  }

  /** The socket delivers; `crash` ends the process before anything is done with the event. */
  async arrive(event: Happening, crash = false): Promise<void> {
    const arrival = this.recovery.arrive(readOperationalEvent(socketForm(event)), this.nowMs);
    await arrival.stored;
    if (crash) await this.restart();
    else if (arrival.isNew) this.emit(arrival.id, event.number);
  }

  /** Asks for what was missed since everything was known to be there. */
  async poll(): Promise<MissedResult> {
    const result = await this.fetch({ from: this.markMs, to: this.nowMs });
    this.markMs = result.settledUntil;
    return result;
  }

  fetch(query: Pick<MissedQuery, 'from' | 'to'> & Partial<MissedQuery>): Promise<MissedResult> {
    const { request } = this.platform;
    return this.recovery.fetchMissed({ request, onRecord: (missed) => this.take(missed), ...query });
  }

  get asked(): Platform['asked'] {
    return this.platform.asked;
  }

  get remembered(): EventRecovery['remembered'] {
    return this.recovery.remembered;
  }

  numbers(): number[] {
    return this.emitted.map(({ number }) => number);
  }

  private take({ id, record, event }: MissedEvent): void {
    assert.deepEqual(event.original, record);
    this.emit(id, numberOf(record));
  }

  private emit(id: string, number: number): void {
    this.emitted.push({ id, number, process: this.process });
  }

  private get clock(): Clock {
    return { now: () => this.nowMs, setTimeout, clearTimeout };
  }

  private create(): EventRecovery {
    const { clock, store } = this;
    return new EventRecovery({ toleranceMs: TOLERANCE, settleMs: SETTLE, clock, store, ...this.options });
  }
}

let lastNumber = 0;
function happening(createdMs: number, more: Partial<Happening> = {}): Happening {
  lastNumber += 1;
  return { number: lastNumber, key: `entity ${lastNumber}`, createdMs, timed: true, visibleMs: 0, ...more };
}

describe('recovering missed events', () => {
  it('emits each event of the gap once, oldest first, under the identifier its socket copy would have had', async () => {
    const events = [0, 1, 2, 3, 4, 5, 6, 7].map((second) => happening(START + second * 1_000));
    const collector = new Collector(events);
    collector.nowMs = START + 8_000;
    const first = await collector.poll();
    assert.deepEqual(
      collector.numbers(),
      events.map(({ number }) => number),
    );
    assert.deepEqual([first.emitted, first.known, first.pages, first.records], [8, 0, 3, 8]);
    const second = await collector.poll();
    assert.deepEqual([second.emitted, second.known], [0, 8]);
    for (const event of events) await collector.arrive(event);
    assert.equal(collector.emitted.length, 8);
    const elsewhere = new Collector(events);
    for (const event of events) await elsewhere.arrive(event);
    assert.deepEqual(elsewhere.emitted, collector.emitted);
  });

  it('does not emit what the socket has delivered', async () => {
    const events = [0, 1, 2].map((second) => happening(START + second));
    const collector = new Collector(events);
    for (const event of events) await collector.arrive(event);
    collector.nowMs += 5_000;
    assert.equal((await collector.poll()).known, 3);
    assert.equal(collector.emitted.length, 3);
  });

  it('asks for the definitions, the order and the pages that are wanted, with room around the gap', async () => {
    const events = Array.from({ length: 7 }, (_, index) => happening(START + index));
    const collector = new Collector(events);
    collector.nowMs = START + 100_000;
    await collector.fetch({ from: START, to: START + 10_000, definitionIds: ['AUDIOHOOK-0001', 'X'] });
    assert.deepEqual(
      collector.asked.map(({ query }) => query),
      [{ pageSize: '200' }, { after: '3', pageSize: '3' }, { after: '6', pageSize: '3' }],
    );
    assert.deepEqual(collector.asked[0]?.body, {
      interval: '2026-01-15T09:59:30.000Z/2026-01-15T10:00:40.000Z',
      eventDefinitionIds: ['AUDIOHOOK-0001', 'X'],
      sortOrder: 'ASC',
    });
    collector.asked.length = 0;
    await collector.fetch({ from: START, to: START + 10_000, definitionIds: [] });
    assert.deepEqual(collector.asked, [], 'an empty list means nothing, not everything');
  });

  it('says from when on it has to be called again, because records come late', async () => {
    const late = happening(START + 1_000, { visibleMs: START + 50_000 });
    const collector = new Collector([late]);
    const gap = { from: START, to: START + 5_000 };
    collector.nowMs = START + 6_000;
    const early = await collector.fetch(gap);
    assert.deepEqual([early.emitted, early.settledUntil], [0, START]);
    collector.nowMs = START + 63_000;
    const middle = await collector.fetch({ ...gap, from: early.settledUntil });
    assert.deepEqual([middle.emitted, middle.settledUntil], [1, START + 3_000]);
    collector.nowMs = START + 65_000;
    assert.equal((await collector.fetch({ ...gap, from: middle.settledUntil })).settledUntil, gap.to);
  });

  it('does not emit again what lies before the gap, though a new process knows nothing of it', async () => {
    const before = happening(START - 20_000);
    const collector = new Collector([before]);
    collector.nowMs = START + 1_000;
    const result = await collector.poll();
    assert.deepEqual([result.records, result.emitted], [1, 0]);
  });

  it('forgets an event that could not be passed on, and emits it at the next call', async () => {
    const events = [happening(START), happening(START + 1)];
    const collector = new Collector(events);
    collector.nowMs = START + 1_000;
    const onRecord = ({ record }: MissedEvent) => {
      if (numberOf(record) === events[1]!.number) throw new Error('the buffer is full');
    };
    await assert.rejects(collector.fetch({ from: START, to: START + 500, onRecord }), /the buffer is full/);
    const again = await collector.fetch({ from: START, to: START + 500 });
    assert.deepEqual(collector.numbers(), [events[1]!.number]);
    assert.equal(again.known, 1);
  });

  it('does not emit an event that comes in over the socket while its record is being passed on', async () => {
    const event = happening(START);
    const collector = new Collector([event]);
    collector.nowMs = START + 100;
    await collector.fetch({ from: START, to: START + 100, onRecord: () => collector.arrive(event) });
    assert.deepEqual(collector.emitted, []);
  });

  it('passes on a failed request and can be called again', async () => {
    const events = Array.from({ length: 5 }, (_, index) => happening(START + index));
    const collector = new Collector(events);
    const healthy = new Platform(events, { now: () => START + 1_000 });
    collector.nowMs = START + 1_000;
    let calls = 0;
    const request: ApiRequest = (...parameters) => {
      calls += 1;
      return calls === 2 ? Promise.reject(new Error('429')) : healthy.request(...parameters);
    };
    await assert.rejects(collector.fetch({ from: START, to: START + 1_000, request }), /429/);
    await collector.fetch({ from: START, to: START + 1_000, request });
    assert.deepEqual(
      collector.numbers(),
      events.map(({ number }) => number),
    );
  });

  it('ends when it is told to', async () => {
    const events = Array.from({ length: 9 }, (_, index) => happening(START + index));
    const collector = new Collector(events);
    collector.nowMs = START + 1_000;
    const abort = new AbortController();
    const onRecord = () => abort.abort();
    const call = collector.fetch({ from: START, to: START + 1_000, signal: abort.signal, onRecord });
    await assert.rejects(call, (error) => error instanceof ContactError && error.code === 'CLOSED');
    assert.equal(collector.asked.length, 1);
  });

  it('refuses answers that make no sense instead of asking for ever', async () => {
    const record = restForm(happening(START));
    let cursor = 0;
    const answers: Record<string, () => unknown> = {
      text: () => '<html>',
      'no entities': () => ({ nextUri: '/x' }),
      'the same page again': () => ({ entities: [record], nextUri: '/api/v2/usage/events/query?after=a' }),
      'the same records under new cursors': () => {
        cursor += 1;
        return { entities: [record], nextUri: `/api/v2/usage/events/query?after=${cursor}` };
      },
      'empty pages': () => {
        cursor += 1;
        return { entities: [], nextUri: `/api/v2/usage/events/query?after=${cursor}` };
      },
    };
    for (const [name, answer] of Object.entries(answers)) {
      const collector = new Collector([]);
      collector.nowMs = START + 1_000;
      const call = collector.fetch({ from: START, to: START + 1_000, request: async () => answer() });
      await assert.rejects(call, (error) => error instanceof ContactError && error.code === 'PROTOCOL', name);
    }
  });

  it('emits a record that it cannot read, once', async () => {
    const collector = new Collector([]);
    collector.nowMs = START + 1_000;
    const seen: MissedEvent[] = [];
    const request: ApiRequest = async () => ({ entities: [{ surprise: 1 }, 'text'] });
    const query = { from: START, to: START + 1_000, request, onRecord: (missed: MissedEvent) => seen.push(missed) };
    await collector.fetch(query);
    await collector.fetch(query);
    assert.deepEqual(
      seen.map(({ record }) => record),
      [{ surprise: 1 }, 'text'],
    );
  });
});

describe('an event without a time', () => {
  const untimed = (createdMs: number, key: string, visibleMs = 0) =>
    happening(createdMs, { timed: false, key, visibleMs });

  it('is recognised in the record that was created at about the time it came in', async () => {
    const event = untimed(START + 1_000, 'a');
    const collector = new Collector([event]);
    collector.nowMs = START + 2_500;
    await collector.arrive(event);
    collector.nowMs = START + 120_000;
    assert.equal((await collector.poll()).known, 1);
    assert.equal(collector.emitted.length, 1);
  });

  it('takes only one record, and only of its own kind and time', async () => {
    const seen = untimed(START + 30_000, 'a');
    const missed = [untimed(START + 32_000, 'a'), untimed(START + 45_000, 'a'), untimed(START + 30_000, 'b')];
    const collector = new Collector([seen, ...missed]);
    collector.nowMs = START + 30_100;
    await collector.arrive(seen);
    collector.nowMs = START + 200_000;
    await collector.poll();
    assert.deepEqual(new Set(collector.numbers()), new Set([seen, ...missed].map(({ number }) => number)));
    assert.equal(new Set(collector.emitted.map(({ id }) => id)).size, 4);
    assert.equal(collector.emitted.length, 4);
  });

  it('is not lost when the one like it before or after was delivered', async () => {
    const events = Array.from({ length: 40 }, (_, index) => untimed(START + index * 1_000, 'a'));
    const collector = new Collector(events);
    for (const [index, event] of events.entries()) {
      collector.nowMs = event.createdMs + 200 + (index % 3) * 50;
      if (index !== 20) await collector.arrive(event);
    }
    collector.nowMs = START + 200_000;
    await collector.poll();
    assert.deepEqual(collector.numbers().at(-1), events[20]!.number);
    assert.equal(collector.emitted.length, 40);
  });

  it('is found in the middle of many like it that were delivered and lie outside of what is read', async () => {
    const events = Array.from({ length: 300 }, (_, index) => untimed(START + index * 1_000, 'a'));
    const collector = new Collector(events);
    for (const [index, event] of events.entries()) {
      collector.nowMs = event.createdMs + 200;
      if (index !== 150) await collector.arrive(event);
    }
    collector.nowMs = START + 400_000;
    const result = await collector.fetch({ from: START + 148_000, to: START + 152_000 });
    assert.deepEqual(collector.numbers().at(-1), events[150]!.number);
    assert.equal(result.emitted, 1);
    assert.ok(result.records < 100);
  });

  it('makes its record wait while its own copy may still be under way', async () => {
    const first = untimed(START, 'a');
    const second = untimed(START + 20_000, 'a');
    const collector = new Collector([first, second]);
    await collector.arrive(first);
    collector.nowMs = START + 20_500;
    const early = await collector.poll();
    assert.deepEqual([early.emitted, early.deferred], [0, 1]);
    collector.nowMs = START + 21_000;
    await collector.arrive(second);
    collector.nowMs = START + 200_000;
    await collector.poll();
    assert.deepEqual(collector.numbers(), [first.number, second.number]);
  });

  it('is known after a restart, when its record is emitted under the identifier it had', async () => {
    const event = untimed(START + 1_000, 'a');
    const collector = new Collector([event]);
    collector.nowMs = START + 1_200;
    await collector.arrive(event);
    await collector.restart();
    collector.nowMs = START + 120_000;
    await collector.poll();
    await collector.poll();
    const [before, after, ...rest] = collector.emitted;
    assert.equal(after?.process, 1);
    assert.equal(after?.id, before?.id);
    assert.deepEqual(rest, []);
  });

  it('has an identifier of its own even when another like it came in at the same millisecond', async () => {
    const events = [untimed(START, 'a'), untimed(START, 'a'), untimed(START, 'a')];
    const collector = new Collector(events);
    for (const event of events) await collector.arrive(event);
    assert.equal(new Set(collector.emitted.map(({ id }) => id)).size, 3);
  });

  it('is emitted even when the store fails', async () => {
    const event = untimed(START, 'a');
    const collector = new Collector([event]);
    await collector.store.close();
    await collector.arrive(event);
    assert.equal(collector.emitted.length, 1);
  });

  it('is kept in bounded memory and store', async () => {
    const collector = new Collector([], { sightingLimit: 100 });
    for (let index = 0; index < 1_000; index += 1) {
      collector.nowMs += 1_000;
      await collector.arrive(untimed(collector.nowMs, `key ${index % 7}`));
    }
    assert.ok(collector.remembered.sightings <= 110 && collector.remembered.sightings >= 100);
    assert.equal((await collector.store.entries('genesys-sightings/')).length, collector.remembered.sightings);
  });
});

describe('an event of another kind', () => {
  it('is always new and has an identifier of its own', async () => {
    const recovery = new EventRecovery();
    const presence = readOperationalEvent({ topicName: 'v2.users.1.presence', eventBody: { status: 'away' } });
    const arrivals = [1, 1, 1, 2].map((arrivalMs) => recovery.arrive(presence, arrivalMs));
    assert.ok(arrivals.every(({ isNew }) => isNew));
    assert.equal(new Set(arrivals.map(({ id }) => id)).size, 4);
    assert.deepEqual(recovery.remembered, { ids: 0, sightings: 0 });
  });
});

describe('whatever happens between socket, REST query and restarts', () => {
  /** The next event is so much later than the one before it; every third key has no time. */
  const life = fc.record({
    timed: fc.boolean(),
    /** How far it is to the next event of the same kind; twice as much as it travels, at the least. */
    spacingMs: fc.integer({ min: 4_100, max: 30_000 }),
    /** Clocks differ: it may come in before it was created. */
    latencyMs: fc.integer({ min: -400, max: 2_000 }),
    lagMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: SETTLE - TOLERANCE })),
    fate: fc.constantFrom('delivered', 'delivered', 'delivered', 'dropped', 'crash'),
  });
  const lives = fc.array(fc.array(life, { maxLength: 12 }), { minLength: 1, maxLength: 4 });
  const times = fc.array(fc.integer({ min: 0, max: 300_000 }), { maxLength: 6 });

  it('each event is emitted under exactly one identifier, and none is missing', async () => {
    await fc.assert(
      fc.asyncProperty(lives, times, times, async (kinds, polls, restarts) => {
        // Both kinds of socket events are known from the start.
        const seed = happening(START - 100_000, { timed: false, key: 'seed' });
        const plan: { atMs: number; run: (collector: Collector) => Promise<unknown> }[] = [];
        const events: Happening[] = [];
        for (const [kind, steps] of kinds.entries()) {
          let createdMs = START;
          for (const { timed, spacingMs, latencyMs, lagMs, fate } of steps) {
            createdMs += spacingMs;
            const event = happening(createdMs, { timed, key: `kind ${kind}`, visibleMs: createdMs + lagMs });
            events.push(event);
            if (fate === 'dropped') continue;
            plan.push({ atMs: createdMs + latencyMs, run: (collector) => collector.arrive(event, fate === 'crash') });
          }
        }
        for (const offset of polls) plan.push({ atMs: START + offset, run: (collector) => collector.poll() });
        for (const offset of restarts) plan.push({ atMs: START + offset, run: (collector) => collector.restart() });
        plan.sort((one, other) => one.atMs - other.atMs);

        const collector = new Collector(events);
        await collector.arrive(seed);
        for (const { atMs, run } of plan) {
          collector.nowMs = atMs;
          await run(collector);
        }
        collector.nowMs = START + 600_000;
        await collector.poll();

        const emitted = collector.emitted.filter(({ number }) => number !== seed.number);
        assert.deepEqual(
          [...new Set(emitted.map(({ number }) => number))].sort((a, b) => a - b),
          events.map(({ number }) => number).sort((a, b) => a - b),
          'each event is emitted',
        );
        const idsOf = new Map<number, Set<string>>();
        for (const { number, id } of emitted) idsOf.set(number, (idsOf.get(number) ?? new Set()).add(id));
        for (const [number, ids] of idsOf) assert.equal(ids.size, 1, `event ${number} has one identifier`);
        assert.equal(new Set(emitted.map(({ id }) => id)).size, events.length, 'no two events share an identifier');
        const perProcess = emitted.map(({ number, process }) => `${number} in process ${process}`);
        assert.equal(new Set(perProcess).size, perProcess.length, 'one process emits an event once');
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('pairing records with sightings', () => {
  it('makes as many pairs as possible, and of those the closest', () => {
    assert.deepEqual(pairInOrder([0, 5], [9, 14], 10), [0, 1]);
    assert.deepEqual(pairInOrder([49, 50, 51], [49.05, 51.05], 10), [0, -1, 1]);
    assert.deepEqual(pairInOrder([0, 100], [105], 10), [-1, 0]);
    assert.deepEqual(pairInOrder([], [1], 10), []);
    assert.deepEqual(pairInOrder([1], [], 10), [-1]);
    assert.deepEqual(pairInOrder([1], [12], 10), [-1]);
    assert.deepEqual(pairInOrder([1], [11], 10), [0]);
  });

  it('never pairs twice, out of order or too far apart, and is no worse than any other choice', () => {
    const ascending = fc
      .array(fc.integer({ min: 0, max: 60 }), { maxLength: 6 })
      .map((list) => list.sort((a, b) => a - b));
    fc.assert(
      fc.property(ascending, ascending, fc.integer({ min: 0, max: 20 }), (records, sightings, tolerance) => {
        const pairs = pairInOrder(records, sightings, tolerance);
        const used = pairs.filter((index) => index >= 0);
        assert.deepEqual(
          used,
          [...new Set(used)].sort((a, b) => a - b),
        );
        const cost = pairs.reduce(
          (sum, index, at) => sum + (index < 0 ? 0 : Math.abs(records[at]! - sightings[index]!)),
          0,
        );
        assert.deepEqual({ pairs: used.length, cost }, bestByTrying(records, sightings, tolerance));
      }),
    );
  });

  it('copes with many events of one kind', () => {
    const records = Array.from({ length: 20_000 }, (_, index) => index * 10);
    const sightings = records.map((time) => time + 3);
    const pairs = pairInOrder(records, sightings, 10_000);
    assert.equal(pairs.filter((index, at) => index === at).length, 20_000);
  });

  /** Tries everything: for each record no sighting, or any of those after the last one used. */
  function bestByTrying(records: number[], sightings: number[], tolerance: number): { pairs: number; cost: number } {
    const [record, ...rest] = records;
    if (record === undefined) return { pairs: 0, cost: 0 };
    let best = bestByTrying(rest, sightings, tolerance);
    for (const [index, time] of sightings.entries()) {
      const distance = Math.abs(record - time);
      if (distance > tolerance) continue;
      const { pairs, cost } = bestByTrying(rest, sightings.slice(index + 1), tolerance);
      const better = pairs + 1 > best.pairs || (pairs + 1 === best.pairs && cost + distance < best.cost);
      if (better) best = { pairs: pairs + 1, cost: cost + distance };
    }
    return best;
  }
});

describe('the memory of identifiers', () => {
  it('remembers between half of its limit and all of it, always the newest', () => {
    const ids = new RecentIds({ limit: 100, windowMs: 0 });
    for (let number = 0; number < 1_000; number += 1) {
      assert.equal(ids.add(`id ${number}`, number), true);
      assert.equal(ids.add(`id ${number}`, number), false);
      assert.ok(ids.size <= 100);
      for (let back = 0; back < Math.min(50, number); back += 1) assert.ok(ids.has(`id ${number - back}`));
    }
    assert.equal(ids.has('id 0'), false);
  });

  it('remembers everything of its window, even beyond the limit', () => {
    const ids = new RecentIds({ limit: 10, windowMs: 1_000 });
    for (let number = 0; number < 5_000; number += 1) {
      ids.add(`id ${number}`, number);
      assert.ok(ids.has(`id ${Math.max(0, number - 1_000)}`));
    }
    assert.ok(ids.size <= 2_001);
  });

  it('forgets what it is told to forget', () => {
    const ids = new RecentIds({ limit: 2, windowMs: 0 });
    for (const id of ['a', 'b']) ids.add(id, 0);
    for (const id of ['a', 'b']) ids.delete(id);
    assert.equal(ids.size, 0);
  });
});
