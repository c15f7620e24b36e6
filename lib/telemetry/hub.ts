import { businessEvents } from '../core/business-events';
import { type Clock, systemClock, type Timer } from '../core/clock';
import type { OutboxState } from '../core/outbox';
import { redact } from '../core/redaction';
import { type SpanRecord, tracing } from '../core/trace';
import type { LogEvent } from '../monitor/log-event';
import { logRecorder } from '../monitor/logs';
import { membersOf, type ServiceTabs, servicesOf, UNASSIGNED } from '../monitor/members';
import { metricsOf } from '../monitor/metrics';
import { monitors } from '../monitor/monitors';
import { monitored, type StateChange } from '../monitor/registry';
import { healthOf } from '../monitor/states';
import { BusinessTelemetry } from './business';
import { Channel } from './channel';
import type { Destination } from './destination';
import type { Attributes, Signal } from './signals';

/** A destination that a monitor wants, and how to open it. */
export interface DestinationPlan {
  /** The same for the same settings: monitors with equal plans share one destination, and nothing is sent twice. */
  key: string;
  /** Where it leads to: what belongs to no service goes there once, whoever of those who lead there sends it. */
  address: string;
  /** Whether spans are wanted of it. */
  takesTraces: boolean;
  /** Throws what is wrong. */
  open(): Destination;
}

/** What a monitor wants of telemetry. */
export interface TelemetryOptions {
  /** Only what belongs to this service, or to none; everything when left out. */
  service: string | undefined;
  plans: readonly DestinationPlan[];
  /** Signals that wait for a destination at most. */
  queueLimit: number;
  /** The share of traces that is recorded, from 0 to 1. */
  traceShare: number;
  /** Called when a destination fails or works again. */
  onState(state: OutboxState): void;
}

/** A monitor's part in the telemetry of this process. */
export interface TelemetryMember {
  /** Those that are open. */
  readonly channels: readonly Channel[];
  /** What could not be opened. */
  readonly problems: readonly unknown[];
  /** Leaves them; one that nobody else uses is closed. */
  close(): Promise<void>;
}

interface Shared {
  readonly channel: Channel;
  readonly address: string;
  readonly users: Set<User>;
}

interface User {
  readonly service: string | undefined;
  onState(state: OutboxState): void;
}

/** Nodes are asked for their numbers so often. */
const METRICS_EVERY_MS = 60_000;
const BUSINESS_NODES = new Set(['cody-poll-in', 'zoho-case-out']);
/** The numbers of the pack; those with older names are told when they change. */
const OF_THE_PACK = /^contact_center_/;

/** Collects what happens in this process and gives it to the destinations of all monitors. */
export class TelemetryHub {
  private readonly shared = new Map<string, Shared>();
  /** The services of a node or tab, as far as they were asked for. */
  private readonly services = new Map<string, readonly string[]>();
  private ends: (() => void)[] = [];
  private readonly tracers = new Set<User>();

  constructor(private readonly clock: Clock = systemClock) {}

  /** Opens what a monitor wants, or joins those who have it open already. */
  join({ service, plans, queueLimit, traceShare, onState }: TelemetryOptions): TelemetryMember {
    const user: User = { service, onState };
    const problems: unknown[] = [];
    const joined: [string, Shared][] = [];
    for (const plan of plans) {
      try {
        const shared = this.shared.get(plan.key) ?? this.open(plan, queueLimit);
        shared.users.add(user);
        joined.push([plan.key, shared]);
      } catch (thrown) {
        problems.push(thrown);
      }
    }
    const wantsTraces = plans.some(({ key, takesTraces }) => takesTraces && joined.some(([name]) => name === key));
    const endTraces = wantsTraces ? tracing.listen((span) => this.takeSpan(span, user), traceShare) : () => {};
    if (wantsTraces) this.tracers.add(user);
    this.services.clear();
    if (this.ends.length === 0 && joined.length > 0) this.start();
    return {
      channels: joined.map(([, { channel }]) => channel),
      problems,
      close: async () => {
        endTraces();
        this.tracers.delete(user);
        this.services.clear();
        await Promise.all(joined.map(([key, shared]) => this.leave(key, shared, user)));
      },
    };
  }

  private open(plan: DestinationPlan, queueLimit: number): Shared {
    const users = new Set<User>();
    const onState = (state: OutboxState) => {
      for (const user of users) user.onState(state);
    };
    const channel = new Channel(plan.open(), { queueLimit, onState, clock: this.clock });
    const shared = { channel, address: plan.address, users };
    this.shared.set(plan.key, shared);
    return shared;
  }

  private async leave(key: string, shared: Shared, user: User): Promise<void> {
    shared.users.delete(user);
    if (shared.users.size > 0) return;
    if (this.shared.get(key) === shared) this.shared.delete(key);
    if (this.shared.size === 0) this.stop();
    await shared.channel.close();
  }

  private start(): void {
    const business = new BusinessTelemetry((signal) => this.offer(signal, this.businessServices()), this.clock);
    this.ends = [
      logRecorder.onLine((line) => this.takeLine(line)),
      monitored.onChange((change) => this.takeChange(change)),
      businessEvents.listen((event) => business.take(event)),
      () => business.close(),
      this.askForMetrics(),
    ];
  }

  private stop(): void {
    for (const end of this.ends) end();
    this.ends = [];
  }

  /** `services`: those that it belongs to; without any it is everybody's. */
  private offer(signal: Signal, services: readonly string[] | undefined): void {
    const told = new Set<string>();
    for (const { channel, address, users } of this.shared.values()) {
      if (!isWanted(users, services) || (services === undefined && told.has(address))) continue;
      told.add(address);
      channel.offer(signal);
    }
  }

  private takeLine({ timestamp, level, message, node, flow, correlationId, fields }: LogEvent): void {
    const services = this.servicesOf(node?.id, flow);
    const context = tracing.current;
    const attributes: Attributes = {
      ...plain(fields),
      ...aboutServices(services),
      ...(node ? { node: node.id, logger: node.type ?? 'node-red' } : { logger: 'node-red' }),
      ...(node?.name ? { node_name: node.name } : {}),
      ...(correlationId === undefined ? {} : { correlation_id: correlationId }),
      ...(context ? { trace_id: context.traceId, span_id: context.spanId } : {}),
    };
    this.offer({ kind: 'log', at: Date.parse(timestamp), level, text: message, attributes }, services);
  }

  private takeChange({ node, previous, state, reason, since }: StateChange): void {
    const services = this.servicesOf(node.id, undefined);
    const attributes: Attributes = {
      ...aboutServices(services),
      node: node.id,
      node_type: node.type,
      node_name: node.name,
      previous,
      state,
      health: healthOf(state),
      ...(reason === undefined ? {} : { reason: redact(reason) }),
    };
    this.offer({ kind: 'event', at: since, name: 'node_state_changed', attributes }, services);
  }

  /** Each monitor that wants traces listens for itself; the first of them tells everybody. */
  private takeSpan(span: SpanRecord, listener: User): void {
    if (listener !== this.tracers.values().next().value) return;
    const { 'node.id': id } = span.attributes;
    const services = this.servicesOf(typeof id === 'string' ? id : undefined, undefined);
    const attributes = { ...span.attributes, ...aboutServices(services) };
    this.offer({ kind: 'span', span: { ...span, attributes } }, services);
  }

  private askForMetrics(): () => void {
    let timer: Timer | undefined;
    const schedule = () => {
      timer = this.clock.setTimeout(() => {
        this.takeMetrics();
        schedule();
      }, METRICS_EVERY_MS);
      timer.unref?.();
    };
    schedule();
    return () => this.clock.clearTimeout(timer);
  }

  private takeMetrics(): void {
    const at = this.clock.now();
    for (const member of membersOf(monitored.all(), monitors.services())) {
      for (const metric of metricsOf(member)) {
        const { name, labels = {}, type } = metric;
        if (!OF_THE_PACK.test(name)) continue;
        const tell = (suffix: string, value: number, isTotal: boolean) =>
          this.offer(
            { kind: 'metric', at, name: `${name}${suffix}`, value, isTotal, attributes: plain(labels) },
            member.service === UNASSIGNED ? undefined : [member.service],
          );
        if (type !== 'histogram') tell('', metric.value, type === 'counter');
        else for (const part of ['sum', 'count'] as const) tell(`_${part}`, metric.value[part], true);
      }
    }
  }

  /** Those that have the nodes which tell of the business. */
  private businessServices(): readonly string[] | undefined {
    const found = monitored
      .all()
      .filter(({ type }) => BUSINESS_NODES.has(type))
      .flatMap(({ id }) => this.servicesOf(id, undefined) ?? []);
    return found.length > 0 ? found : undefined;
  }

  /** The services of a node, or of its tab when it is none of the pack. */
  private servicesOf(node: string | undefined, flow: string | undefined): readonly string[] | undefined {
    const key = `${node ?? ''}/${flow ?? ''}`;
    const known = this.services.get(key);
    if (known) return known.length > 0 ? known : undefined;
    const tabs: ServiceTabs[] = monitors.services();
    const own = monitored.all().find(({ id }) => id === node);
    const found = own
      ? servicesOf(own, tabs).filter((service) => service !== UNASSIGNED)
      : tabs.filter(({ flowIds }) => flow !== undefined && flowIds.includes(flow)).map(({ service }) => service);
    // Before all monitors are there, nobody's may become somebody's.
    if (found.length > 0) this.services.set(key, found);
    return found.length > 0 ? found : undefined;
  }
}

function isWanted(users: ReadonlySet<User>, services: readonly string[] | undefined): boolean {
  for (const { service } of users) {
    if (service === undefined || services === undefined || services.includes(service)) return true;
  }
  return false;
}

function aboutServices(services: readonly string[] | undefined): Attributes {
  return services ? { service: services.join(',') } : {};
}

/** What can stand in a signal. */
function plain(fields: Record<string, unknown>): Attributes {
  const attributes: Attributes = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === null) continue;
    const isPlain = typeof value === 'number' || typeof value === 'boolean';
    attributes[name] = isPlain ? value : redact(String(value));
  }
  return attributes;
}

/** The telemetry of this process. */
export const telemetryHub = new TelemetryHub();
