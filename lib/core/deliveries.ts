import { randomBytes } from 'node:crypto';
import { type Clock, systemClock, type Timer } from './clock';
import { ContactError } from './errors';
import { carrierOf, type Span, type TraceContext, tracing } from './trace';

/**
 * What a message carries as `msg.delivery`: plain data, so that cloning a message is harmless. Whoever holds the
 * id can settle the delivery; the source's real handle stays in this process.
 */
export interface Delivery {
  id: string;
  /** Which attempt this is, from 1; counted by the source. */
  attempt: number;
  /** When the source took the message in, in milliseconds since the epoch. */
  receivedAt: number;
  /** Where in a trace it is, as the W3C has it; only while traces are recorded. */
  traceparent?: string;
  tracestate?: string;
}

/** How a delivery ends. */
export type DeliveryOutcome =
  /** Done: the source may forget the message. */
  | { kind: 'acknowledge' }
  /**
   * Not now: the source delivers it again, `delayMs` from now at the earliest (its own ladder when left out). With
   * `isCounted: false` nothing was tried: the message comes back under the same number of the attempt.
   */
  | { kind: 'retry'; delayMs?: number; isCounted?: boolean; error?: ContactError }
  /** Never: the source puts the message aside together with the reason. */
  | { kind: 'dead-letter'; error: ContactError };

/** How a source takes its deliveries back. */
export interface DeliverySourceOptions<Token> {
  /** Names the source in errors. */
  name: string;
  /** Takes a delivery back. `token` is what the source gave to {@link DeliverySource.open}. Must not throw. */
  settle(token: Token, outcome: DeliveryOutcome, delivery: Delivery): void;
  /** A delivery that nobody settled for so long goes back to the source as a retry. Default 300 000 ms; 0 = never. */
  timeoutMs?: number;
  /** How many deliveries the source has out at most (its prefetch); 0 = no limit, and then no stall is reported. */
  capacity?: number;
  /** With all of `capacity` out and none settled for so long, the source is stalled. Default 30 000 ms. */
  stallMs?: number;
  /** Called when the source stalls, and when it moves again. */
  onStall?(stalled: boolean): void;
  clock?: Clock;
}

/** What became of a source's deliveries, in numbers since it was created. */
export interface DeliveryCounts {
  open: number;
  acknowledged: number;
  retried: number;
  deadLettered: number;
  /** Handed back because nobody settled them in time; these are counted in `retried` as well. */
  expired: number;
}

/** How much of what a source gives out at most it has given out. */
export interface SourceLoad {
  open: number;
  capacity: number;
}

interface Open<Token> {
  readonly delivery: Delivery;
  readonly token: Token;
  readonly source: DeliverySource<Token>;
  /** From here until it is settled. */
  readonly span: Span | undefined;
}

/** Every delivery of this process that is not settled, by id: any sink can settle what any source gave out. */
const registry = new Map<string, Open<never>>();
const processPrefix = randomBytes(6).toString('hex');
let lastNumber = 0;

/** One source's deliveries. Create it once for the source's life and close it with the source. */
export class DeliverySource<Token> {
  private readonly options: Required<Omit<DeliverySourceOptions<Token>, 'onStall'>>;
  private readonly onStall: (stalled: boolean) => void;
  /** In the order they were opened, so that the first one is the oldest. */
  private readonly outstanding = new Map<string, Open<Token>>();
  private readonly counters = { acknowledged: 0, retried: 0, deadLettered: 0, expired: 0 };
  private lastMove: number;
  private sweepTimer: Timer | undefined;
  private stalledNow = false;
  private closed = false;

  constructor(options: DeliverySourceOptions<Token>) {
    this.options = { timeoutMs: 300_000, capacity: 0, stallMs: 30_000, clock: systemClock, ...options };
    this.onStall = options.onStall ?? (() => {});
    this.lastMove = this.options.clock.now();
  }

  /**
   * Registers a message that is about to enter the flow and returns what goes on it as `msg.delivery`. `parent` is the
   * trace that the message brings along.
   */
  open(token: Token, attempt = 1, parent?: TraceContext): Delivery {
    lastNumber += 1;
    const receivedAt = this.options.clock.now();
    const delivery: Delivery = { id: `${processPrefix}-${lastNumber}`, attempt, receivedAt };
    const span = tracing.isOn ? this.beginSpan(attempt, parent) : undefined;
    if (span) Object.assign(delivery, carrierOf(span.context));
    const open: Open<Token> = { delivery, token, source: this, span };
    if (this.outstanding.size === 0) this.lastMove = receivedAt;
    this.outstanding.set(delivery.id, open);
    registry.set(delivery.id, open as unknown as Open<never>);
    if (this.sweepTimer === undefined && !this.closed) this.scheduleSweep();
    return delivery;
  }

  /** The token of the delivery that has been out longest. */
  get oldest(): Token | undefined {
    return this.outstanding.values().next().value?.token;
  }

  /** True while all of the capacity is out and nothing has been settled for `stallMs`. */
  get stalled(): boolean {
    return this.stalledNow;
  }

  /** What became of the deliveries so far. */
  counts(): DeliveryCounts {
    return { open: this.outstanding.size, ...this.counters };
  }

  /** How many deliveries are out, and how many can be; nothing for a source without a limit. */
  get load(): SourceLoad | undefined {
    const { capacity } = this.options;
    return capacity > 0 ? { open: this.outstanding.size, capacity } : undefined;
  }

  /**
   * Forgets all that is out and returns the tokens, oldest first: the source is closing and gives them back in its
   * own way. A sink that settles one of them later is told that the delivery is gone.
   */
  close(): Token[] {
    this.closed = true;
    this.options.clock.clearTimeout(this.sweepTimer);
    this.sweepTimer = undefined;
    const tokens: Token[] = [];
    for (const [id, open] of this.outstanding) {
      registry.delete(id);
      tokens.push(open.token);
      open.span?.end('the source was closed');
    }
    this.outstanding.clear();
    return tokens;
  }

  /** For {@link settleDelivery} only. */
  finish(open: Open<Token>, outcome: DeliveryOutcome): void {
    registry.delete(open.delivery.id);
    this.outstanding.delete(open.delivery.id);
    this.lastMove = this.options.clock.now();
    if (outcome.kind === 'acknowledge') this.counters.acknowledged += 1;
    else if (outcome.kind === 'retry') this.counters.retried += 1;
    else this.counters.deadLettered += 1;
    if (this.stalledNow) this.setStalled(false);
    open.span?.set('delivery.outcome', outcome.kind);
    open.span?.end('error' in outcome ? outcome.error : undefined);
    this.options.settle(open.token, outcome, open.delivery);
  }

  private beginSpan(attempt: number, parent: TraceContext | undefined): Span {
    return tracing.start(`process ${this.options.name}`, {
      kind: 'consumer',
      parent: parent ?? null,
      attributes: { 'delivery.attempt': attempt },
    });
  }

  /** One timer for all deliveries: they were opened in order and share one time limit. */
  private scheduleSweep(): void {
    const { clock, timeoutMs, capacity, stallMs } = this.options;
    const shortest = Math.min(timeoutMs || Number.POSITIVE_INFINITY, capacity > 0 ? stallMs : Number.POSITIVE_INFINITY);
    if (!Number.isFinite(shortest)) return;
    this.sweepTimer = clock.setTimeout(() => this.sweep(), Math.max(10, Math.min(1_000, shortest / 4)));
    this.sweepTimer.unref?.();
  }

  private sweep(): void {
    this.sweepTimer = undefined;
    const { clock, timeoutMs, capacity, stallMs, name } = this.options;
    const now = clock.now();
    if (timeoutMs > 0) {
      for (const open of this.outstanding.values()) {
        if (now - open.delivery.receivedAt < timeoutMs) break;
        this.counters.expired += 1;
        this.finish(open, {
          kind: 'retry',
          error: new ContactError('DELIVERY_EXPIRED', {
            attempted: `finish a delivery of ${name}`,
            answer: `nothing settled it within ${Math.round(timeoutMs / 1000)} s`,
          }),
        });
      }
    }
    const full = capacity > 0 && this.outstanding.size >= capacity;
    const stalled = full && now - this.lastMove >= stallMs;
    if (stalled !== this.stalledNow) this.setStalled(stalled);
    if (this.outstanding.size > 0 && !this.closed) this.scheduleSweep();
  }

  private setStalled(stalled: boolean): void {
    this.stalledNow = stalled;
    this.onStall(stalled);
  }
}

/**
 * Settles the delivery that a message carries. Returns false when the message carries none, or when it was settled
 * before, timed out, or belonged to a source that is gone: settling twice does nothing.
 */
export function settleDelivery(message: object, outcome: DeliveryOutcome): boolean {
  const id = (message as { delivery?: { id?: unknown } }).delivery?.id;
  if (typeof id !== 'string') return false;
  const open = registry.get(id);
  if (!open) return false;
  open.source.finish(open, outcome);
  return true;
}

/** How busy the source of a message is; nothing when it has no limit, or the message no delivery that is open. */
export function sourceLoad(message: object): SourceLoad | undefined {
  const id = (message as { delivery?: { id?: unknown } }).delivery?.id;
  return typeof id === 'string' ? registry.get(id)?.source.load : undefined;
}
