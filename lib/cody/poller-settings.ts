import type { Clock } from '../core/clock';
import type { Logger } from '../core/log';
import type { StateStore } from '../store/store';
import type { CodyClient } from './client';
import type { SettleRules } from './settling';
import type { EmittedConversation } from './transcript';

/** What a poller is told. */
export interface PollerSettings extends SettleRules {
  /** Only conversations of this bot; all when left out. */
  botId: string | undefined;
  /** Conversations that began before this do not count: `now` is the first start of all, `all` counts everything. */
  startFrom: 'now' | 'all' | { date: number };
  /** Nothing is sent and nothing is remembered: it only tells what it would send. */
  dryRun: boolean;
  /** Conversations that are in the flow at the same time. */
  capacity: number;
  /** A conversation that the flow does not settle within so long is sent again, in milliseconds. */
  settleTimeoutMs: number;
  /** Whether the flow settles what it is sent. Otherwise a conversation has arrived when it was sent. */
  settle: boolean;
  /** Of the times in the transcript, such as `Europe/Berlin`; that of the machine when left out. */
  timeZone: string | undefined;
}

/** A message as it enters the flow. */
export interface ConversationMessage {
  topic: 'conversation';
  payload: EmittedConversation;
  delivery: { id: string; attempt: number; receivedAt: number };
  correlationId: string;
}

/** Where the state is kept. */
export interface PollerState {
  store: StateStore;
  /** Whether other processes may poll with the same state: then one of them does at a time. */
  shared: boolean;
}

export interface PollerOptions {
  client: Pick<CodyClient, 'conversations' | 'messages' | 'counters' | 'pausedForMs'>;
  /** What is polled: the account and the bot, the same in all processes. */
  scope: string;
  /** This process: the same after a restart, different in every other one. */
  owner: string;
  settings: PollerSettings;
  state: PollerState;
  /** On this machine: keeps the start in case that the shared store is lost. */
  local: StateStore;
  send(message: ConversationMessage): void;
  onChange(): void;
  clock?: Clock;
  logger?: Logger;
}

/** What was done, in numbers since the start. */
export interface PollerCounters {
  polls: number;
  /** How long the latest poll took and all of them together, in milliseconds. */
  lastPollMs: number;
  pollMs: number;
  /** Conversations on the pages of the latest poll. */
  foundInLastPoll: number;
  /** Looks at the messages of a conversation. */
  looks: number;
  emitted: number;
  /** Conversations that have arrived where they should. */
  processed: number;
  /** Looks that found nothing to send: empty, or known already. */
  skipped: number;
  errors: number;
  /** Conversations that were taken although they had not settled. */
  capped: number;
  /** In a dry run: what would have been sent. */
  wouldSend: number;
}
