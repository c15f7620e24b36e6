import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { BooksSnapshot, SettledAccount } from '../../../lib/core/books';
import { ContactError } from '../../../lib/core/errors';
import type { Ending, OverflowPolicy } from '../../../lib/core/outbox';
import type { Entry } from '../../../lib/core/spool';
import type { Verdict } from '../../../lib/core/verdicts';
import { repetitions } from '../../services/requirements';
import { type Given, OutboxHarness } from './outbox-harness';

const error = new ContactError('BUSY', { attempted: 'send' });
const verdict = fc.constantFrom<Verdict[]>(
  { kind: 'delivered' },
  { kind: 'duplicate' },
  { kind: 'rejected', error },
  { kind: 'busy', fault: 'limit', error },
  { kind: 'busy', fault: 'failure', error: new ContactError('BUSY', { attempted: 'send', retryAfterMs: 7_000 }) },
  { kind: 'refused', error },
  { kind: 'unknown', error },
);
/** Lists are shorter or longer than the batch as it happens. */
const given = fc.oneof<fc.Arbitrary<Given>[]>(verdict, fc.array(verdict, { maxLength: 4 }));
const which = fc.nat(3);
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('offer' as const), sizes: fc.array(fc.nat(30), { maxLength: 9 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refuse' as const) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('answer' as const), which, given }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('throw' as const), which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 500, 1_000, 10_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('set back' as const), ms: fc.nat(100_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('reopen' as const),
      withinMs: fc.constantFrom(0, 300),
      answers: fc.array(given, { maxLength: 4 }),
    }),
  },
);
const settings = fc.record({
  overflow: fc.constantFrom<OverflowPolicy[]>('refuse', 'drop-oldest', 'drop-newest'),
  batch: fc.record({
    items: fc.integer({ min: 1, max: 4 }),
    bytes: fc.constantFrom(25, 1_000),
    ageMs: fc.constant(1_000),
  }),
  concurrency: fc.integer({ min: 1, max: 3 }),
  limits: fc.record({ items: fc.integer({ min: 1, max: 12 }), bytes: fc.constantFrom(60, 10_000) }),
  attempts: fc.constantFrom(2, 5, Number.POSITIVE_INFINITY),
  breaker: fc.constant({ minimumCalls: 4, openMs: 4_000 }),
});
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;
type Settings = typeof settings extends fc.Arbitrary<infer Value> ? Value : never;
type Batch = { bodies: string[]; answer(given: Given): void; fail(thrown: unknown): void };

/** Drives an outbox, and works out by itself what may happen. A document is its number and some filling. */
class Driver {
  private readonly harness: OutboxHarness;
  private readonly problems: string[] = [];
  /** Every document, in the order of arrival, with its end. */
  private readonly documents = new Map<string, SettledAccount | undefined>();
  private readonly counts = { delivered: 0, duplicate: 0, rejected: 0, dropped: 0 };
  /** What the books began with: those of a memory buffer end with it. */
  private earlier = { ...this.counts };
  /** Batches on their way. */
  private readonly sent = new Set<Batch>();
  private isClosing = false;

  constructor(
    kind: 'memory' | 'disk',
    private readonly options: Settings,
  ) {
    this.harness = new OutboxHarness(kind);
    this.open([]);
  }

  async run(steps: readonly Step[]): Promise<void> {
    try {
      for (const each of steps) {
        await this.take(each);
        this.check();
      }
      await this.finish();
    } finally {
      await this.harness.end();
    }
  }

  private open(inherited: readonly Entry<string>[]): void {
    this.isClosing = false;
    this.sent.clear();
    this.harness.open({
      ...this.options,
      inherited,
      send: (entries, signal) =>
        this.send(
          entries.map(({ body }) => body),
          signal,
        ),
      onEnding: ({ body }, { kind }) => this.end(body, kind),
    });
  }

  private async take(each: Step): Promise<void> {
    const { harness } = this;
    if (each.do === 'offer') for (const size of each.sizes) this.offer(size);
    if (each.do === 'refuse') this.refuse();
    if (each.do === 'answer') this.pick(each.which)?.answer(each.given);
    if (each.do === 'throw') this.pick(each.which)?.fail(new Error('a defect'));
    if (each.do === 'wait') await harness.tick(each.ms);
    if (each.do === 'set back') harness.time.setSystemTime(Date.now() - each.ms);
    if (each.do === 'reopen') await this.reopen(each.withinMs, each.answers);
    await harness.settled();
  }

  private refuse(): void {
    this.harness.outbox.refuse();
    this.counts.rejected += 1;
  }

  /** Offers a document, and says beforehand which ones that ends. */
  private offer(size: number): void {
    const { overflow, limits } = this.options;
    const body = `${this.documents.size}${'.'.repeat(size)}`;
    const bytes = body.length;
    let { items: count, bytes: used } = this.harness.outbox.buffered;
    const isFull = () => count >= limits.items || used + bytes > limits.bytes;
    const expected: [string, SettledAccount][] = [];
    if (this.isClosing) expected.push([body, 'rejected']);
    else if (isFull()) {
      const canBeDropped = overflow === 'drop-oldest' && bytes <= limits.bytes ? this.waiting() : [];
      for (const oldest of canBeDropped) {
        if (!isFull()) break;
        count -= 1;
        used -= oldest.length;
        expected.push([oldest, 'dropped']);
      }
      if (isFull()) expected.push([body, overflow === 'refuse' ? 'rejected' : 'dropped']);
    }
    this.documents.set(body, undefined);
    const before = new Set(this.endings.keys());
    this.harness.outbox.offer(body, body);
    const ended = [...this.endings].filter(([each]) => !before.has(each));
    assert.deepEqual(ended, expected, 'what an offer ends');
  }

  private readonly endings = new Map<string, SettledAccount>();

  private end(body: string, kind: Ending['kind']): void {
    if (!this.documents.has(body)) this.problems.push(`${body} was never offered`);
    if (this.endings.has(body)) this.problems.push(`${body} has ended twice`);
    this.endings.set(body, kind);
    this.counts[kind] += 1;
  }

  private send(bodies: string[], signal: AbortSignal): Promise<Given> {
    const others = this.waiting().filter((body) => this.harness.stored.has(body) && !bodies.includes(body));
    const numbers = bodies.map(Number.parseFloat);
    if (numbers.some((number, index) => number <= (numbers[index - 1] ?? -1))) this.problems.push(`order: ${bodies}`);
    if (others.some((body) => Number.parseFloat(body) < (numbers.at(-1) ?? 0)))
      this.problems.push(`older ones wait: ${others} ${bodies}`);
    if (bodies.some((body) => this.endings.has(body))) this.problems.push(`sent after its end: ${bodies}`);
    if (bodies.some((body) => this.flying().includes(body))) this.problems.push(`sent twice at once: ${bodies}`);
    if (this.sent.size >= this.options.concurrency) this.problems.push('too many batches at once');
    if (bodies.length > this.options.batch.items) this.problems.push('too many documents in a batch');
    return new Promise((resolve, reject) => {
      const batch: Batch = { bodies, answer: resolve, fail: reject };
      this.sent.add(batch);
      signal.addEventListener('abort', () => this.sent.delete(batch));
    });
  }

  private pick(index: number): Batch | undefined {
    const batch = [...this.sent][index % Math.max(1, this.sent.size)];
    if (batch) this.sent.delete(batch);
    return batch;
  }

  private flying(): string[] {
    return [...this.sent].flatMap(({ bodies }) => bodies);
  }

  private alive(): string[] {
    return [...this.documents.keys()].filter((body) => !this.endings.has(body));
  }

  /** Documents that are neither on their way nor wait after a verdict of their own. */
  private waiting(): string[] {
    const { waiting } = this.harness.outbox as unknown as { waiting: Map<unknown, Entry<string>[]> };
    const alone = [...waiting.values()].flat().map(({ body }) => body);
    const flying = this.flying();
    return this.alive().filter((body) => !alone.includes(body) && !flying.includes(body));
  }

  private async reopen(withinMs: number, answers: readonly Given[]): Promise<void> {
    const { harness } = this;
    this.isClosing = true;
    const closing = harness.close(withinMs);
    this.offer(1);
    for (const each of answers) {
      await new Promise((resolve) => setImmediate(resolve));
      this.pick(0)?.answer(each);
    }
    const left = await closing;
    assert.equal(this.sent.size, 0);
    if (harness.kind === 'memory')
      assert.deepEqual(
        left.map(({ body }) => body),
        this.alive(),
      );
    this.check();
    if (harness.kind === 'memory') this.earlier = { ...this.counts };
    const { rejected } = this.counts;
    this.open(left);
    if (harness.kind === 'disk') {
      // The one that came while it was closing may have come too late for the disk.
      const missing = rejected - this.earlier.rejected - harness.outbox.snapshot().rejected;
      assert.ok(missing === 0 || missing === 1);
      this.earlier.rejected += missing;
    }
  }

  private check(): void {
    assert.deepEqual(this.problems, []);
    const { harness } = this;
    const alive = this.alive();
    const books = harness.outbox.snapshot();
    const { received, queued, inFlight, ...settled } = books as BooksSnapshot;
    for (const account of Object.keys(settled) as SettledAccount[]) {
      assert.equal(settled[account], this.counts[account] - this.earlier[account], account);
    }
    assert.equal(queued + inFlight, alive.length);
    assert.equal(inFlight, this.flying().length);
    assert.deepEqual(harness.outbox.buffered, { items: alive.length, bytes: alive.join('').length });
    assert.ok(received >= alive.length);
  }

  /** The remote system is well again: everything ends, and one more gets through. */
  private async finish(): Promise<void> {
    let isLast = false;
    for (let n = 0; n < 200 && !(isLast && this.alive().length === 0); n += 1) {
      if (this.alive().length === 0) {
        this.offer(0);
        isLast = true;
      }
      for (let batch = this.pick(0); batch; batch = this.pick(0)) batch.answer({ kind: 'delivered' });
      await this.harness.tick(5_000);
      this.check();
    }
    assert.deepEqual(this.alive(), []);
    assert.equal([...this.endings.values()].at(-1), 'delivered');
    assert.equal(this.harness.outbox.state.state, 'working');
  }
}

describe('whatever happens to an outbox, its books balance and each document ends once', () => {
  for (const [kind, numRuns] of [
    ['memory', repetitions(400, 20_000)],
    ['disk', repetitions(40, 1_000)],
  ] as const) {
    it(`with its spool ${kind === 'memory' ? 'in memory' : 'on disk'}, ${numRuns} times`, async function () {
      this.timeout(3_600_000);
      const steps = fc.array(step, { maxLength: 40 });
      await fc.assert(
        fc.asyncProperty(settings, steps, (options, list) => new Driver(kind, options).run(list)),
        { numRuns },
      );
    });
  }
});
