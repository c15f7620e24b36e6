import type { BackoffOptions } from '../core/backoff';
import type { Clock } from '../core/clock';
import type { Logger } from '../core/log';
import type { StateStore } from '../store/store';
import type { GenesysAccount } from './account';
import type { ChannelTimings } from './channel-settings';
import type { EventMessage } from './emission';

/** What a user sets about notifications. */
export interface NotificationsSettings {
  /** Whether to look through what the organization offers. */
  discover: boolean;
  /** What to take of it: matched against topic ids, and ids, names and descriptions of event definitions. */
  include: RegExp;
  exclude?: RegExp | undefined;
  /** Taken when nothing else is found. */
  topics: readonly string[];
  /** A file with topics, absolute; when it lists any, they are taken instead of all else. */
  topicsFile?: string | undefined;
  /** Whether events that the socket has missed are read over REST. */
  backfill: boolean;
  /** How much further back than needed they are read after a restart, in milliseconds. */
  overlapMs: number;
  /** How often to ask for events that are not offered on a socket, in milliseconds. */
  pollMs: number;
  /** Whether the flow settles each event; otherwise one is done when it was sent. */
  settle: boolean;
  /** An event that nobody settles for so long is not waited for any longer, in milliseconds. */
  settleTimeoutMs: number;
}

/** What nobody has to set: every value has a default that suits Genesys Cloud. */
export interface NotificationsTuning {
  channel?: Partial<ChannelTimings>;
  /** How far apart the creation of an event and its arrival may be, in milliseconds; see `EventRecovery`. */
  toleranceMs?: number;
  /** An event shows up in the REST query at most so long after it was created, in milliseconds; default 60,000. */
  settleMs?: number;
  /** Between attempts of the REST query after a failure. */
  backfillBackoff?: BackoffOptions;
  /** Between attempts to learn what the organization offers. */
  plannerBackoff?: BackoffOptions;
  /** At most so many events wait to be sent again; default 10,000. */
  retryLimit?: number;
}

/** What a receiver of notifications needs. */
export interface NotificationsOptions {
  /** The id of the node: channels, checkpoint and the memory of events belong to it. */
  id: string;
  settings: NotificationsSettings;
  account: Pick<GenesysAccount, 'client' | 'tokens' | 'key'>;
  store: StateStore;
  /** Sends a message into the flow. Must not throw. */
  send(message: EventMessage): void;
  /** Something has changed that a status may show. */
  onChange(): void;
  tuning?: NotificationsTuning;
  clock?: Clock;
  logger?: Logger;
}
