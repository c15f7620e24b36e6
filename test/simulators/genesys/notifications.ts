import { randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import { type Answer, badRequest, genericError, notFound, PlatformError } from './answers';
import { Connection, encodeFrames } from './connection';
import type { AccessToken, Client } from './oauth';
import { type ApiRequest, booleanParameter, jsonBody, type SimulatorServer } from './server';
import {
  type ChannelTopic,
  channelTopics,
  maximumTopics,
  refusal,
  type SubscriptionRules,
  tooManyTopics,
  topicNames,
  type Verdict,
} from './subscriptions';
import type { TopicCatalogue } from './topics';

/** Channels of one OAuth client; creating one more evicts the least recently used, unconnected ones first. */
export const maximumChannels = 20;

/** Which channels a command means: one by its id, or all. */
export type ChannelSelector = string;

/** How channels behave where the vendor's behaviour is a setting or is not settled. */
export interface NotificationOptions {
  /** Life of a channel, extended by PUT; default 24 h. */
  channelLifetimeMs: number;
  /** Period of the unasked heartbeat; default 30 s. */
  heartbeatMs: number;
  /** Whether a channel dies with the token that made it; default true. */
  channelsDieWithToken: boolean;
  /** Whether PUT with a newer token of the same client ties the channel to that token; not settled, default false. */
  renewalAdoptsChannel: boolean;
  /** Who gets events between `socket_closing` and the close, when a new socket is there; not settled, default both. */
  overlapDelivery: 'both' | 'newest';
  /** Status that refuses the upgrade of a channel that is gone: 404 or 401 have been seen; default 404. */
  goneUpgradeStatus: 401 | 404;
}

/** A notification channel as assertions see it. */
export interface ChannelView {
  id: string;
  clientId: string;
  /** Value of the access token that it is tied to: the one that made it. */
  token: string;
  /** Subscriptions as asked for. */
  topics: string[];
  /** Connected sockets. */
  sockets: number;
  /** Epoch ms. */
  createdAt: number;
  /** Epoch ms. */
  expiresAt: number;
  /** Events sent to at least one socket. */
  eventsSent: number;
  /** Events lost because no socket was there. */
  eventsLost: number;
}

interface Channel {
  readonly id: string;
  readonly client: Client;
  token: AccessToken;
  readonly createdAt: number;
  expiresAt: number;
  /** Position in the order of last use. */
  lastUsed: number;
  /** Subscribed name -> names under which its events arrive. */
  readonly subscriptions: Map<string, string[]>;
  /** All names under which events arrive. */
  members: Set<string>;
  connections: Connection[];
  eventsSent: number;
  eventsLost: number;
  cancelExpiry(): void;
}

/** A serialised event on its topic. */
export interface TopicText {
  topic: string;
  text: string;
}

const channelPath = '/api/v2/notifications/channels/{channelId}';

/** Notification channels: the REST calls, the sockets, and what can be done to both on command. */
export class Notifications {
  /** Pongs and heartbeats that are held back. */
  readonly muted = new Set<'heartbeats' | 'pongs'>();
  private readonly channels = new Map<string, Channel>();
  private readonly websockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    autoPong: false,
    maxPayload: 1 << 20,
  });
  private uses = 0;

  constructor(
    private readonly server: SimulatorServer,
    private readonly topics: TopicCatalogue,
    private readonly rules: SubscriptionRules,
    private readonly organizationId: string,
    private readonly options: NotificationOptions,
  ) {
    server.upgrade = (request, socket, head, path) => this.upgrade(request, socket, head, path);
    server.route(
      {
        method: 'GET',
        path: '/api/v2/notifications/availabletopics',
        handle: ({ query }) => ({
          status: 200,
          body: this.topics.list(query.get('expand'), booleanParameter(query, 'includePreview', true)),
        }),
      },
      { method: 'POST', path: '/api/v2/notifications/channels', handle: (request) => this.create(request) },
      { method: 'GET', path: '/api/v2/notifications/channels', handle: (request) => this.list(request) },
      {
        method: 'HEAD',
        path: channelPath,
        handle: (request) => {
          this.own(request);
          return { status: 200 };
        },
      },
      {
        method: 'GET',
        path: `${channelPath}/subscriptions`,
        handle: (request) => {
          const { id, subscriptions } = this.own(request);
          const permitted = [...subscriptions].map(([name, members]): Verdict => ({ id: name, members, rejected: [] }));
          return { status: 200, body: { entities: channelTopics(permitted, id) } };
        },
      },
      { method: 'POST', path: `${channelPath}/subscriptions`, handle: (request) => this.change(request, false) },
      { method: 'PUT', path: `${channelPath}/subscriptions`, handle: (request) => this.change(request, true) },
      {
        method: 'DELETE',
        path: `${channelPath}/subscriptions`,
        handle: (request) => {
          const channel = this.own(request);
          channel.subscriptions.clear();
          channel.members.clear();
          return { status: 200 };
        },
      },
    );
  }

  /** The channels that exist now, oldest first. */
  get views(): ChannelView[] {
    return [...this.channels.values()].map((channel) => ({
      id: channel.id,
      clientId: channel.client.id,
      token: channel.token.value,
      topics: [...channel.subscriptions.keys()],
      sockets: channel.connections.length,
      createdAt: channel.createdAt,
      expiresAt: channel.expiresAt,
      eventsSent: channel.eventsSent,
      eventsLost: channel.eventsLost,
    }));
  }

  /** Send serialised events to the channels that subscribed to their topics; resolves when no socket is far behind. */
  async deliver(events: readonly TopicText[]): Promise<void> {
    const topics = new Set(events.map(({ topic }) => topic));
    let whole: Buffer | undefined;
    const written: Connection[] = [];
    for (const channel of this.channels.values()) {
      const wanted = [...topics].filter((topic) => channel.members.has(topic));
      if (wanted.length === 0) continue;
      const all = wanted.length === topics.size;
      const mine = all ? events : events.filter(({ topic }) => channel.members.has(topic));
      const connections = this.receivers(channel);
      if (connections.length === 0) {
        channel.eventsLost += mine.length;
        continue;
      }
      if (all) whole ??= encodeFrames(events.map(({ text }) => text));
      const frames = all && whole ? whole : encodeFrames(mine.map(({ text }) => text));
      for (const connection of connections) connection.write(frames);
      channel.eventsSent += mine.length;
      written.push(...connections);
    }
    await Promise.all(written.map((connection) => connection.drained()));
  }

  /** Send one frame to every socket of a channel, or of all: an object as JSON, a string as it is. */
  sendFrame(selector: ChannelSelector, frame: unknown): void {
    const text = typeof frame === 'string' ? frame : JSON.stringify(frame);
    for (const connection of this.connections(selector)) connection.text(text);
  }

  /** Announce `v2.system.socket_closing`, and close the sockets of now after `delayMs`; new ones may come beside them meanwhile. */
  socketClosing(selector: ChannelSelector, delayMs: number): void {
    for (const connection of this.connections(selector)) {
      connection.closing = true;
      connection.text(
        JSON.stringify({
          topicName: 'v2.system.socket_closing',
          version: '2',
          eventBody: { message: 'Websocket connection will close in 60 seconds' },
          metadata: { CorrelationId: randomUUID() },
        }),
      );
      this.server.timers.after(delayMs, () => connection.close(1001, 'Going away'));
    }
  }

  /** Tell a channel that another one took over its subscriptions, and clear them. */
  noLongerSubscribed(selector: ChannelSelector): void {
    for (const channel of this.selected(selector)) {
      channel.subscriptions.clear();
      channel.members.clear();
      this.systemMessage(channel, 'no_longer_subscribed', 'another_channel_subscribed');
    }
    this.server.changed();
  }

  /** Sockets of the selected channels. */
  connections(selector: ChannelSelector): Connection[] {
    return this.selected(selector).flatMap(({ connections }) => connections);
  }

  /** Remove channels: their sockets are closed, HEAD is 404, the upgrade is refused. */
  kill(selector: ChannelSelector): void {
    for (const channel of this.selected(selector)) this.remove(channel);
    this.server.changed();
  }

  /** What the end of a token does to the channels that it made. */
  tokenEnded(token: AccessToken): void {
    if (!this.options.channelsDieWithToken) return;
    for (const channel of this.selected('all')) {
      if (channel.token !== token) continue;
      this.systemMessage(channel, 'token_revoked', 'user_tokens_revoked');
      this.remove(channel);
    }
  }

  private selected(selector: ChannelSelector): Channel[] {
    if (selector === 'all') return [...this.channels.values()];
    const channel = this.channels.get(selector);
    if (!channel) throw new Error(`The simulator has no channel ${selector}`);
    return [channel];
  }

  private create({ token }: ApiRequest): Answer {
    const mine = [...this.channels.values()].filter(({ client }) => client === token.client);
    if (mine.length >= maximumChannels) {
      const connected = ({ connections }: Channel) => Number(connections.length > 0);
      mine.sort((one, other) => connected(one) - connected(other) || one.lastUsed - other.lastUsed);
      this.remove(mine[0] as Channel);
    }
    const channel: Channel = {
      id: `streaming-${this.channels.size % 4}-${randomBytes(16).toString('hex').slice(0, 26)}`,
      client: token.client,
      token,
      createdAt: Date.now(),
      expiresAt: 0,
      lastUsed: ++this.uses,
      subscriptions: new Map(),
      members: new Set(),
      connections: [],
      eventsSent: 0,
      eventsLost: 0,
      cancelExpiry: () => undefined,
    };
    this.extend(channel);
    this.channels.set(channel.id, channel);
    return { status: 200, body: this.describe(channel) };
  }

  private list({ query, token }: ApiRequest): Answer {
    const scope = query.get('includechannels') ?? 'token';
    if (scope !== 'token' && scope !== 'oauthclient') {
      throw badRequest('The query parameter includechannels must be token or oauthclient.');
    }
    const entities = [...this.channels.values()]
      .filter((channel) => (scope === 'token' ? channel.token === token : channel.client === token.client))
      .map((channel) => {
        const shown = this.describe(channel);
        return channel.token === token ? shown : { expires: shown.expires };
      });
    return { status: 200, body: { entities } };
  }

  private describe(channel: Channel) {
    return {
      id: channel.id,
      connectUri: `ws://${this.server.host}/channels/${channel.id}`,
      expires: new Date(channel.expiresAt).toISOString(),
    };
  }

  /** The channel of the path; one of another client does not exist for the caller. */
  private own({ parameters, token }: ApiRequest): Channel {
    const channel = this.channels.get(parameters['channelId'] ?? '');
    if (!channel || channel.client !== token.client) throw notFound('Channel not found.');
    channel.lastUsed = ++this.uses;
    return channel;
  }

  private change(request: ApiRequest, replace: boolean): Answer {
    const channel = this.own(request);
    const ignoreErrors = booleanParameter(request.query, 'ignoreErrors', false);
    const entities = this.subscribe(channel, topicNames(jsonBody(request)), { replace, ignoreErrors });
    if (replace) {
      if (this.options.renewalAdoptsChannel) channel.token = request.token;
      this.extend(channel);
    }
    return { status: 200, body: { entities } };
  }

  private subscribe(
    channel: Channel,
    names: readonly string[],
    { replace, ignoreErrors }: { replace: boolean; ignoreErrors: boolean },
  ): ChannelTopic[] {
    const kept = replace ? [] : [...channel.subscriptions.keys()];
    if (new Set([...kept, ...names]).size > maximumTopics) throw tooManyTopics();
    const verdicts = names.map((name) => this.rules.judge(name, channel.client));
    const refused = ignoreErrors ? undefined : refusal(verdicts);
    if (refused) throw refused;
    if (replace) channel.subscriptions.clear();
    for (const { id, members } of verdicts) if (members.length > 0) channel.subscriptions.set(id, members);
    channel.members = new Set([...channel.subscriptions.values()].flat());
    return channelTopics(verdicts, channel.id);
  }

  private extend(channel: Channel): void {
    channel.cancelExpiry();
    channel.expiresAt = Date.now() + this.options.channelLifetimeMs;
    channel.cancelExpiry = this.server.timers.after(this.options.channelLifetimeMs, () => {
      this.remove(channel);
      this.server.changed();
    });
  }

  private remove(channel: Channel): void {
    channel.cancelExpiry();
    this.channels.delete(channel.id);
    for (const connection of channel.connections) connection.close(1001, 'Channel is gone');
  }

  private receivers(channel: Channel): Connection[] {
    const live = channel.connections.filter((connection) => connection.live);
    return this.options.overlapDelivery === 'newest' ? live.slice(-1) : live;
  }

  private upgrade(request: IncomingMessage, socket: Socket, head: Buffer, path: string): void {
    const channel = this.channels.get(/^\/channels\/([^/]+)$/.exec(path)?.[1] ?? '');
    if (!channel) throw genericError(this.options.goneUpgradeStatus);
    this.websockets.handleUpgrade(request, socket, head, (websocket) => {
      const { timers } = this.server;
      const stopHeartbeat = timers.every(this.options.heartbeatMs, () => {
        if (!this.muted.has('heartbeats')) connection.text(metadataFrame('WebSocket Heartbeat'));
      });
      const connection: Connection = new Connection(websocket, socket, timers, {
        text: (text) => this.received(channel, connection, text),
        ping: () => !this.muted.has('pongs'),
        closed: () => {
          stopHeartbeat();
          channel.connections = channel.connections.filter((other) => other !== connection);
          this.server.changed();
        },
      });
      for (const other of channel.connections) if (!other.closing) other.close(1008, 'Another connection was opened');
      channel.connections = [...channel.connections.filter(({ closing }) => closing), connection];
      channel.lastUsed = ++this.uses;
    });
  }

  /** Frames from the client: the ping of the application, a subscription, or something to complain about. */
  private received(channel: Channel, connection: Connection, text: string | undefined): void {
    const control = (answer: object) => connection.text(JSON.stringify(answer));
    let frame: unknown;
    try {
      frame = JSON.parse(text ?? '');
    } catch {
      frame = undefined;
    }
    const { message, topics, correlationId } = (typeof frame === 'object' && frame !== null ? frame : {}) as Record<
      string,
      unknown
    >;
    if (message === 'ping') {
      if (!this.muted.has('pongs')) connection.text(metadataFrame('pong'));
      return;
    }
    if (message !== 'subscribe' || !Array.isArray(topics)) {
      control({ result: '400', status: 'error', message: 'Unable to process the message', correlationId });
      return;
    }
    if (this.channels.get(channel.id) !== channel) {
      control({ result: '404', message: 'Channel not found', correlationId });
      return;
    }
    try {
      this.subscribe(channel, topicNames(topics.map((id: unknown) => ({ id }))), {
        replace: false,
        ignoreErrors: false,
      });
      control({ result: '200', status: 'subscribed', correlationId });
    } catch (error) {
      const reason = error instanceof PlatformError ? error.message : String(error);
      control({ result: '400', status: 'failure', message: reason, correlationId });
    }
    this.server.changed();
  }

  private systemMessage(channel: Channel, systemTopicType: string, reason: string): void {
    const correlationId = randomUUID();
    const frame = JSON.stringify({
      topicName: `v2.system.${systemTopicType}.${channel.client.id}`,
      version: '2',
      eventBody: {
        channelId: channel.id,
        systemTopicType,
        correlationId,
        organizationId: this.organizationId,
        oauthClientId: channel.client.id,
        oauthClientOrgId: this.organizationId,
        reason,
        message: reason.replaceAll('_', ' '),
      },
      metadata: { CorrelationId: correlationId },
    });
    for (const connection of channel.connections) connection.text(frame);
  }
}

/** Heartbeat and pong have the same form: no version, no metadata. */
function metadataFrame(message: string): string {
  return JSON.stringify({ topicName: 'channel.metadata', eventBody: { message } });
}
