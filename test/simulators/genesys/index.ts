import { defaultDefinitions, type EventDefinition, type OperationalEvent } from './event-forms';
import type { GenerateOptions, GeneratorRun } from './event-generator';
import type { Fault, FaultRule, Faults } from './faults';
import { Messaging, type MessagingOptions } from './messaging';
import { type ChannelSelector, type ChannelView, type NotificationOptions, Notifications } from './notifications';
import { type AccessToken, type Client, type ClientOptions, OAuth, type OAuthOptions } from './oauth';
import { type OperationalEventOptions, OperationalEvents, type PublishOptions } from './operational-events';
import { type IntegrationOptions, type OrganizationOptions, serveLimits } from './organization';
import type { RateScope } from './rate-limit';
import type { RequestLog } from './request-log';
import { SimulatorServer } from './server';
import { SubscriptionRules } from './subscriptions';
import type { Topic, Transport } from './topics';
import { defaultTopics, operationsTopic, TopicCatalogue, topic } from './topics';
import type { Traffic } from './traffic';

export type { Answer } from './answers';
export { defaultDefinitions, type EventDefinition, type OperationalEvent } from './event-forms';
export { conversationIdOf, type GenerateOptions, type GeneratorRun, numberOf } from './event-generator';
export type { Fault, FaultAnswer, FaultRule } from './faults';
export type { Messaging } from './messaging';
export type { InboundMessage } from './messaging/inbound';
export { receipt } from './messaging/webhook';
export type { ChannelSelector, ChannelView } from './notifications';
export type { AccessToken, Client, ClientOptions } from './oauth';
export type { PublishOptions } from './operational-events';
export type { IntegrationOptions, OrganizationOptions } from './organization';
export type { LoggedRequest, RequestLog } from './request-log';
export { defaultTopics, type Topic, type Transport, topic } from './topics';

/** The OAuth client that the simulator has when no other is given. */
export const defaultClient = {
  id: '5d1f5a3e-6f0b-4f6e-9c43-0c3a2f6b7d10',
  secret: 'simulated-client-secret',
} as const satisfies ClientOptions;

/** The Open Messaging integration that the first organization has when no other is given. */
export const defaultIntegration = {
  id: '7b4e9d5c-2f7a-4d0e-8f0b-64d7f1f0c9aa',
  webhookSecret: 'simulated-webhook-secret',
} as const satisfies IntegrationOptions;

/** Settings of a simulator; each has the vendor's documented default. */
export interface GenesysSimulatorOptions
  extends Partial<OAuthOptions>,
    Partial<NotificationOptions>,
    Partial<OperationalEventOptions>,
    Partial<MessagingOptions> {
  /** Port on 127.0.0.1; default 0, a free one. */
  port?: number;
  /** OAuth clients; default `[defaultClient]`. */
  clients?: ClientOptions[];
  /** Integrations of the first organization; default `[defaultIntegration]`. */
  integrations?: IntegrationOptions[];
  /** Organizations besides the first one. */
  organizations?: OrganizationOptions[];
  /** Event definitions; default `defaultDefinitions`. */
  definitions?: readonly EventDefinition[];
  /** Topic templates, whole or only the parts that differ from the usual; default `defaultTopics`. */
  topics?: readonly (Partial<Topic> & { id: string })[];
  /** Transports of `v2.operations.events.{id}`; default `['All']`. */
  operationsTransports?: Transport[];
  /** Permissions of `v2.operations.events.{id}`; default `['usage:events:view']`. */
  operationsPermissions?: string[];
  /** Calls per token and window; default 300, `Infinity` switches the limit off. */
  rateLimitPerMinute?: number;
  /** What is counted together under the rate limit; default `token`, as the vendor does. */
  rateLimitScope?: RateScope;
  /** Length of the window of the rate limit; default a minute. */
  rateLimitWindowMs?: number;
  /** Requests that `requests.recent` keeps; default 1000. */
  requestLogLimit?: number;
}

/** A running simulator and everything that can be done to it. */
export class GenesysSimulator {
  /** Base URL of login and API host alike. */
  readonly url: string;
  /** Log and counters of the requests that arrived. */
  readonly requests: RequestLog;
  /** Rules that make requests go wrong. */
  readonly faults: Faults;
  /** When the calls of each organization arrived. */
  readonly traffic: Traffic;

  constructor(
    /** The HTTP half: `route` adds endpoints, `mount` serves paths outside of the platform. */
    readonly server: SimulatorServer,
    private readonly oauth: OAuth,
    private readonly notifications: Notifications,
    private readonly events: OperationalEvents,
    /** Open Messaging: what arrived, and what a person in Genesys Cloud can do. */
    readonly messaging: Messaging,
  ) {
    this.url = `http://${server.host}`;
    this.requests = server.requests;
    this.faults = server.faults;
    this.traffic = server.traffic;
  }

  /** The channels that exist now, oldest first. */
  get channels(): ChannelView[] {
    return this.notifications.views;
  }

  /** The tokens that are valid now, oldest first. */
  get tokens(): AccessToken[] {
    return this.oauth.valid;
  }

  /** The OAuth clients. */
  get clients(): Client[] {
    return this.oauth.allClients;
  }

  /** Operational events that happened so far. */
  get published(): number {
    return this.events.published;
  }

  /** Operational events that the REST query remembers. */
  get stored(): number {
    return this.events.stored;
  }

  /**
   * Make operational events happen: stored for the REST query and sent on every channel subscribed to their topic. Resolves when no
   * socket is far behind; what a channel without a socket misses is lost on it. Throws for a code without a definition.
   */
  publish(events: OperationalEvent | readonly OperationalEvent[], options?: PublishOptions): Promise<void> {
    return this.events.publish(Array.isArray(events) ? events : [events as OperationalEvent], options);
  }

  /** Make numbered events happen; `numberOf` reads the number back from the conversation id. */
  generate(options: GenerateOptions): GeneratorRun {
    return this.events.generate(options);
  }

  /** Resolve as soon as `condition` holds (looked at after each request, socket and subscription change), reject after `timeoutMs`. */
  until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
    return this.server.until(condition, timeoutMs);
  }

  /** Make matching requests go wrong. */
  fail(rule: FaultRule): Fault {
    return this.faults.fail(rule);
  }

  /** Refuse to open sockets with a status, `times` times (default: until removed). */
  refuseUpgrades(status: number, times = Number.POSITIVE_INFINITY): Fault {
    return this.faults.fail({ method: 'UPGRADE', path: /^\/channels\//, times, answer: { status } });
  }

  /** Send a raw frame: an object as JSON, a string as it is. */
  sendFrame(channel: ChannelSelector, frame: unknown): void {
    this.notifications.sendFrame(channel, frame);
  }

  /** Announce `v2.system.socket_closing`; the sockets of now are closed after `delayMs`, by default the vendor's minute. */
  socketClosing(channel: ChannelSelector = 'all', delayMs = 60_000): void {
    this.notifications.socketClosing(channel, delayMs);
  }

  /** Tell a channel that another one took over: its subscriptions are gone. */
  noLongerSubscribed(channel: ChannelSelector = 'all'): void {
    this.notifications.noLongerSubscribed(channel);
  }

  /** Cut the TCP connections of the sockets of now. */
  drop(channel: ChannelSelector = 'all'): void {
    for (const connection of this.notifications.connections(channel)) connection.drop();
  }

  /** Keep the TCP connections of the sockets of now, but send, read and answer nothing on them any more. */
  halfOpen(channel: ChannelSelector = 'all'): void {
    for (const connection of this.notifications.connections(channel)) connection.goHalfOpen();
  }

  /** Delay each write to the sockets of now by `delayMs`; 0 ends it. */
  slow(delayMs: number, channel: ChannelSelector = 'all'): void {
    for (const connection of this.notifications.connections(channel)) connection.slowMs = delayMs;
  }

  /** Hold back heartbeats, pongs (of the JSON and the protocol ping), or by default both, on all sockets. */
  mute(...what: ('heartbeats' | 'pongs')[]): void {
    for (const each of what.length > 0 ? what : (['heartbeats', 'pongs'] as const)) this.notifications.muted.add(each);
  }

  /** Send heartbeats and pongs again. */
  unmute(): void {
    this.notifications.muted.clear();
  }

  /** Remove channels as an eviction does: sockets closed, HEAD 404, upgrade refused. */
  evict(channel: ChannelSelector = 'all'): void {
    this.notifications.kill(channel);
  }

  /** Make the tokens of one client, or of all, invalid at once. */
  revokeTokens(clientId?: string): void {
    this.oauth.revokeTokens(clientId);
  }

  /** Disable a client (here and below by default the first one): its tokens are invalid at once and it gets no more. */
  disableClient(clientId?: string): void {
    this.oauth.setState(clientId, 'disabled');
  }

  /** Let a client get tokens again. */
  enableClient(clientId?: string): void {
    this.oauth.setState(clientId, 'active');
  }

  /** Change a client's secret; its tokens stay valid. */
  setSecret(secret: string, clientId?: string): void {
    this.oauth.client(clientId).secret = secret;
  }

  /** Give a client exactly these permissions, or all with `undefined`. */
  setPermissions(permissions: readonly string[] | undefined, clientId?: string): void {
    this.oauth.client(clientId).permissions = permissions && new Set(permissions);
  }

  /** Take permissions away from a client and leave it all others. */
  withhold(permissions: readonly string[], clientId?: string): void {
    this.oauth.client(clientId).withheld = new Set(permissions);
  }

  /** Change the rate limit (calls per token and window) of all organizations, or of one. */
  setRateLimit(perMinute: number, organizationId?: string): void {
    if (organizationId === undefined) this.server.rateLimit.allowed = perMinute;
    else this.server.rateLimit.allow(organizationId, perMinute);
  }

  /** Stop: cuts every connection and timer. */
  async close(): Promise<void> {
    this.events.stop();
    await this.server.close();
  }
}

/** Start a simulated Genesys Cloud: login, API and streaming host on one loopback port. */
export async function startGenesysSimulator(options: GenesysSimulatorOptions = {}): Promise<GenesysSimulator> {
  const organization = { id: 'a3c1de5e-8f0d-4c0f-9d2b-5a0a1f3b7c22', name: 'Simulated organization' };
  const {
    port = 0,
    clients = [defaultClient],
    integrations = [defaultIntegration],
    definitions = defaultDefinitions,
    topics = defaultTopics,
    tokenLifetimeSeconds = 86_400,
    tokenLifetimeMs = tokenLifetimeSeconds * 1000,
  } = options;
  const server = new SimulatorServer({
    rateLimitPerMinute: options.rateLimitPerMinute ?? 300,
    rateLimitWindowMs: options.rateLimitWindowMs ?? 60_000,
    rateLimitScope: options.rateLimitScope ?? 'token',
    requestLogLimit: options.requestLogLimit ?? 1000,
  });
  const organizations = [{ ...organization, clients, integrations }, ...(options.organizations ?? []).map(named)];
  const oauth = new OAuth(server, organizations, {
    tokenLifetimeSeconds,
    tokenLifetimeMs,
    invalidClientStatus: options.invalidClientStatus ?? 401,
  });
  const operations = {
    ...(options.operationsTransports && { transports: options.operationsTransports }),
    ...(options.operationsPermissions && { requiresPermissions: options.operationsPermissions }),
  };
  const catalogue = new TopicCatalogue(
    topics.map(({ id, ...parts }) => topic(id, { ...parts, ...(id === operationsTopic ? operations : {}) })),
  );
  const codes = new Set(definitions.map(({ id }) => id));
  const rules = new SubscriptionRules(catalogue, (id) => codes.has(id));
  const notifications = new Notifications(server, catalogue, rules, organization.id, {
    channelLifetimeMs: options.channelLifetimeMs ?? 24 * 60 * 60 * 1000,
    heartbeatMs: options.heartbeatMs ?? 30_000,
    channelsDieWithToken: options.channelsDieWithToken ?? true,
    renewalAdoptsChannel: options.renewalAdoptsChannel ?? false,
    overlapDelivery: options.overlapDelivery ?? 'both',
    goneUpgradeStatus: options.goneUpgradeStatus ?? 404,
  });
  const events = new OperationalEvents(server, (texts) => notifications.deliver(texts), definitions, {
    socketTimestamps: options.socketTimestamps ?? true,
    restVisibleAfterMs: options.restVisibleAfterMs ?? 0,
    storedEvents: options.storedEvents ?? 2_000_000,
  });
  oauth.onTokenEnd = (token) => notifications.tokenEnded(token);
  serveLimits(server);
  const messaging = new Messaging(server, organizations, {
    repeats: options.repeats ?? 'same',
    answerOutbound: options.answerOutbound ?? 200,
    mediaPendingLooks: options.mediaPendingLooks ?? 1,
    webhookRetryMs: options.webhookRetryMs ?? 5_000,
  });
  for (const { id, rateLimitPerMinute } of options.organizations ?? []) {
    if (rateLimitPerMinute !== undefined) server.rateLimit.allow(id, rateLimitPerMinute);
  }
  await server.listen(port);
  return new GenesysSimulator(server, oauth, notifications, events, messaging);
}

function named({ id, name = `Organization ${id}`, clients, integrations = [] }: OrganizationOptions) {
  return { id, name, clients, integrations };
}
