import type { BackoffOptions } from '../core/backoff';
import type { Clock } from '../core/clock';
import type { Logger } from '../core/log';
import type { SocketState } from '../core/reconnecting-socket';
import type { TokenCache } from '../core/token-cache';
import type { StateStore } from '../store/store';
import type { GenesysClient } from './client';

/** A notification as the socket delivers it. */
export interface Notification {
  topicName: string;
  version?: string;
  eventBody?: unknown;
  metadata?: { CorrelationId?: string };
}

/** The pace of a channel; the defaults follow the vendor's own clients. All in milliseconds. */
export interface ChannelTimings {
  /** A socket on which nothing arrives for so long is dead; heartbeats come about every 30 s. Default 35,000. */
  idleLimitMs: number;
  /** How often to ask for a sign of life. Default 12,000. */
  pingMs: number;
  /** How long the upgrade of a connection may take. Default 15,000. */
  openTimeoutMs: number;
  /** How long both sockets stay open at a change-over. Default 2,000. */
  overlapMs: number;
  /** Between attempts to connect. Default 1 s to 90 s. */
  backoff: BackoffOptions;
  /** Before a channel is taken back from, or made again against, whoever took it. Default 30 s to 10 min. */
  contention: BackoffOptions;
}

/** The default pace. */
export const CHANNEL_TIMINGS: ChannelTimings = {
  idleLimitMs: 35_000,
  pingMs: 12_000,
  openTimeoutMs: 15_000,
  overlapMs: 2_000,
  backoff: { baseMs: 1_000, maxMs: 90_000 },
  contention: { baseMs: 30_000, maxMs: 600_000 },
};

/** Settings of a notification channel. */
export interface ChannelOptions {
  /** Under which key of the store the channel is remembered, so that it is used again after a restart. */
  key: string;
  store: StateStore;
  client: GenesysClient;
  tokens: TokenCache;
  /** The organization and client: a remembered channel of another account is not used. */
  account: string;
  /** Takes each event once, as text and parsed. Must not throw. */
  onEvent(text: string, notification: Notification, channel: string): void;
  /** Events are not received since this time, in milliseconds since the epoch. */
  onGap(sinceMs: number): void;
  /** Events are received again, after a gap or for the first time. */
  onLive(): void;
  /** Something has changed that a status may show. */
  onChange(): void;
  timings?: Partial<ChannelTimings>;
  clock: Clock;
  logger: Logger;
}

/** Counters of a channel since it was started. */
export interface ChannelCounters {
  /** Connections made, change-overs included. */
  connections: number;
  reconnects: number;
  /** Change-overs to a new connection without a gap. */
  rollOvers: number;
  channelsCreated: number;
  /** Channels that were gone before their time, such as evicted ones. */
  channelsLost: number;
  heartbeats: number;
  /** All frames that are no events, heartbeats included. */
  controlFrames: number;
  /** Second copies of events that came in over both connections at a change-over. */
  twins: number;
}

/** What `/stats` shows of a channel. */
export interface ChannelReport extends ChannelCounters {
  channel: string | null;
  socket: SocketState['kind'];
  topics: number;
  /** ISO 8601. */
  endsAt: string | null;
  problem: string | null;
}
