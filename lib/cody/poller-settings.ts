import { createHash } from 'node:crypto';
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

/** What users write for {@link PollerSettings.startFrom}: a word, a day or a time in ISO 8601. Throws what it must be. */
export function readStart(text: string): PollerSettings['startFrom'] {
  const word = text.toLowerCase();
  if (word === 'now' || word === 'all') return word;
  const date = /^\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:?\d\d)?)?$/i.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(date)) throw new Error('be now, all, or a date such as 2026-01-31');
  return { date };
}

/** What is polled, in a few letters: the same for the same account and bot, in every process. */
export function scopeOf(account: string, botId: string | undefined): string {
  const told = JSON.stringify([account, botId]);
  return createHash('sha256').update(told).digest('base64url').slice(0, 16);
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

/** What a poller needs of a {@link CodyClient}. */
export type PolledClient = Pick<CodyClient, 'conversations' | 'messages' | 'counters' | 'pausedForMs'>;

/** What a poller needs. */
export interface PollerOptions {
  client: PolledClient;
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
  /** Calls of the account during the latest poll and what it has read of the history. */
  callsInLastPoll: number;
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
