import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { redact } from './redaction';

/**
 * Where in a trace something happens, as of the W3C recommendation Trace Context. As text it is the `traceparent` that
 * messages, deliveries, HTTP requests and AMQP messages carry.
 */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits: the span that everything under this context belongs below. */
  readonly spanId: string;
  /** Whether the trace is recorded. The decision is made where the trace begins, and holds for all of it. */
  readonly sampled: boolean;
  /** The `tracestate` that came along: passed on as it is. */
  readonly state?: string;
}

/** What carries a context: a message, a delivery, or headers. */
export interface TraceCarrier {
  traceparent?: unknown;
  tracestate?: unknown;
}

/** What a span stands for, in the words of OpenTelemetry: `client` and `producer` for what leaves the process. */
export type SpanKind = 'internal' | 'server' | 'client' | 'producer' | 'consumer';

/** Plain values that are safe to show; names as OpenTelemetry has them where it has one. */
export type SpanAttributes = Record<string, string | number | boolean>;

/** A piece of work that has ended. */
export interface SpanRecord {
  name: string;
  kind: SpanKind;
  context: TraceContext;
  /** The span it belongs below; none at the root of a trace. */
  parentSpanId?: string;
  /** Other traces that it works for: a batch has one for each of its messages. */
  links: readonly TraceContext[];
  /** Milliseconds since the epoch. */
  startedAt: number;
  tookMs: number;
  attributes: SpanAttributes;
  /** Why it failed. */
  error?: string;
}

/** What is known when a span begins. */
export interface SpanOptions {
  kind?: SpanKind;
  /** The context it belongs below; the running one when left out, and `null` for the root of a new trace. */
  parent?: TraceContext | null | undefined;
  links?: readonly TraceContext[];
  attributes?: SpanAttributes;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const LONGEST_STATE = 512;
/** More links than this say no more. */
const MOST_LINKS = 128;

/** The context that the first of several carriers has, or `undefined` when none has a valid one. */
export function contextOf(...carriers: readonly (object | undefined | null)[]): TraceContext | undefined {
  for (const carrier of carriers) {
    const { traceparent, tracestate } = (carrier ?? {}) as TraceCarrier;
    const context = typeof traceparent === 'string' ? parse(traceparent, tracestate) : undefined;
    if (context) return context;
  }
  return undefined;
}

/** A context in the form that messages and headers carry. */
export function carrierOf({ traceId, spanId, sampled, state }: TraceContext): {
  traceparent: string;
  tracestate?: string;
} {
  const traceparent = `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
  return state === undefined ? { traceparent } : { traceparent, tracestate: state };
}

/** Later versions may have more at the end, which is left out; what is not valid is as good as none. */
function parse(traceparent: string, tracestate: unknown): TraceContext | undefined {
  const [, version, traceId, spanId, flags, more] = TRACEPARENT.exec(traceparent.trim()) ?? [];
  if (version === undefined || traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  const sampled = (Number.parseInt(flags, 16) & 1) === 1;
  const isState = typeof tracestate === 'string' && tracestate !== '' && tracestate.length <= LONGEST_STATE;
  return { traceId, spanId, sampled, ...(isState ? { state: tracestate } : {}) };
}

/** A piece of work under way. Of a trace that is not recorded it only passes the context on. */
export class Span {
  private readonly startedAt = Date.now();
  private readonly began = performance.now();
  private isOpen = true;

  constructor(
    private readonly name: string,
    readonly context: TraceContext,
    private readonly parentSpanId: string | undefined,
    private readonly options: SpanOptions,
    private readonly attributes: SpanAttributes,
    private readonly record: ((span: SpanRecord) => void) | undefined,
  ) {}

  /** Adds what became known on the way. */
  set(name: string, value: string | number | boolean): void {
    this.attributes[name] = value;
  }

  /** Ends it; with an error it has failed. Only the first call counts. */
  end(error?: unknown): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    const { kind = 'internal', links = [] } = this.options;
    this.record?.({
      name: this.name,
      kind,
      context: this.context,
      ...(this.parentSpanId === undefined ? {} : { parentSpanId: this.parentSpanId }),
      links: links.slice(0, MOST_LINKS),
      startedAt: this.startedAt,
      tookMs: performance.now() - this.began,
      attributes: this.attributes,
      ...(error === undefined ? {} : { error: redact(error instanceof Error ? error.message : String(error)) }),
    });
  }
}

/**
 * The traces of this process. While nobody listens it is switched off, and whoever could begin a span asks that first:
 * `const span = tracing.isOn ? tracing.start(…) : undefined`.
 */
export class Tracing {
  /** Whether anybody listens. */
  isOn = false;
  private readonly listeners = new Map<(span: SpanRecord) => void, number>();
  private readonly running = new AsyncLocalStorage<TraceContext>();
  /** The largest share of new traces that a listener has asked for. */
  private share = 0;

  /**
   * Calls `listener` with each span that ends, and gives back the function that ends this. Of the traces that begin in
   * this process the share `share` (0 to 1) is recorded. A listener must not throw.
   */
  listen(listener: (span: SpanRecord) => void, share = 1): () => void {
    this.listeners.set(listener, share);
    this.update();
    return () => {
      this.listeners.delete(listener);
      this.update();
    };
  }

  /** Begins a span. */
  start(name: string, options: SpanOptions = {}): Span {
    const parent = options.parent === undefined ? this.current : (options.parent ?? undefined);
    const spanId = randomBytes(8).toString('hex');
    const context: TraceContext = parent
      ? { ...parent, spanId }
      : { traceId: randomBytes(16).toString('hex'), spanId, sampled: Math.random() < this.share };
    const record = context.sampled ? this.record : undefined;
    return new Span(name, context, parent?.spanId, options, { ...options.attributes }, record);
  }

  /** The context under which the present code runs. */
  get current(): TraceContext | undefined {
    return this.isOn ? this.running.getStore() : undefined;
  }

  /** What a request to another system carries, so that it can go on with the trace; nothing outside of one. */
  headers(): { traceparent?: string; tracestate?: string } {
    const { current } = this;
    return current ? carrierOf(current) : {};
  }

  /** Runs `work`, and whatever it starts, under a context. */
  run<Result>(context: TraceContext, work: () => Result): Result {
    return this.running.run(context, work);
  }

  /** Runs `work` so that nothing in it is recorded: what records traces would otherwise trace itself. */
  unrecorded<Result>(work: () => Result): Result {
    return this.isOn ? this.running.run({ ...this.start('', { parent: null }).context, sampled: false }, work) : work();
  }

  private readonly record = (span: SpanRecord): void => {
    for (const listener of this.listeners.keys()) listener(span);
  };

  private update(): void {
    this.isOn = this.listeners.size > 0;
    this.share = Math.max(0, ...this.listeners.values());
    // As long as it is enabled, every promise in the process pays for it.
    if (!this.isOn) this.running.disable();
  }
}

/** The traces of this process. */
export const tracing = new Tracing();
