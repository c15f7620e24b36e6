import { businessEvents } from '../core/business-events';
import { type Clock, delay, systemClock } from '../core/clock';
import { type ContactError, describe, toContactError } from '../core/errors';
import { type Logger, silentLogger } from '../core/log';
import { quietLogger } from '../core/quiet-logger';
import { Lease } from '../store/lease';
import { ConversationBook, startMark } from './book';
import { Looks } from './looks';
import type { PolledClient, PollerCounters, PollerOptions, PollerSettings } from './poller-settings';
import type { CodyConversation } from './shapes';
import { ListWalk } from './walk';

/** All pages are read again after so long, and the longer the list is, the less often. */
const FULL_WALK_EVERY_MS = 3_600_000;
const FULL_WALK_A_PAGE_MS = 60_000;
/** Newest pages that are read at one poll while the history is being walked through. */
const PAGES_BESIDE_HISTORY = 20;
const CLOSE_GRACE_MS = 1_500;
const LEASE_MS = { least: 2_000, most: 60_000 };

/**
 * Polls Cody for conversations and sends each one when it has settled, once for each new content. What was sent counts
 * only when the flow has settled it; until then it is sent again after a restart.
 */
export class CodyPoller {
  readonly counters: PollerCounters = {
    polls: 0,
    lastPollMs: 0,
    pollMs: 0,
    foundInLastPoll: 0,
    callsInLastPoll: 0,
    looks: 0,
    emitted: 0,
    processed: 0,
    skipped: 0,
    errors: 0,
    capped: 0,
    wouldSend: 0,
  };
  /** Why the latest poll failed as a whole. */
  problem: ContactError | undefined;
  readonly walk: ListWalk;
  readonly book: ConversationBook;
  readonly looks: Looks;
  readonly lease: Lease | undefined;
  readonly client: PolledClient;
  readonly settings: PollerSettings;
  private readonly options: Required<PollerOptions>;
  private readonly clock: Clock;
  private readonly logger: Logger;
  private readonly stopping = new AbortController();
  /** Conversations that began before this do not count, in milliseconds since the epoch. */
  private mark = 0;
  private isLoaded = false;
  private fullWalkAt = 0;
  private isFirstWalk = true;
  private nextPollAt = 0;
  private told = { processed: 0, skipped: 0, errors: 0 };
  private loop: Promise<void> = Promise.resolve();
  private hasWarnedOfBots = false;

  /** Whether someone has stopped the polling for now. */
  isPaused = false;

  constructor(options: PollerOptions) {
    this.options = { clock: systemClock, logger: silentLogger, ...options };
    const { settings, scope, state, client, send, onChange, clock, logger } = this.options;
    const { signal } = this.stopping;
    this.client = client;
    this.settings = settings;
    this.clock = clock;
    this.logger = quietLogger(logger, clock);
    this.book = new ConversationBook(state.store, scope);
    this.walk = new ListWalk((page) => client.conversations(page, { botId: settings.botId, signal }));
    const { book, counters } = this;
    const isPolling = () => this.isPolling;
    this.looks = new Looks({
      settings,
      book,
      counters,
      client,
      send,
      onChange,
      clock,
      logger: this.logger,
      signal,
      isPolling,
    });
    this.lease = state.shared ? this.createLease() : undefined;
  }

  /** Whether this process is the one that polls, and does. */
  get isPolling(): boolean {
    return !this.isPaused && (this.lease?.held ?? true);
  }

  /** Polls no more until {@link resume}; no other process takes over. What is in the flow comes to its end. */
  pause(): void {
    this.isPaused = true;
    this.options.onChange();
  }

  /** Goes on with the next poll. */
  resume(): void {
    this.isPaused = false;
    this.options.onChange();
  }

  /** Begins to poll, and goes on until {@link CodyPoller.close}. */
  start(): void {
    this.loop = this.run();
  }

  /** Ends the polling. Conversations that are in the flow get a moment to come to their end. */
  async close(): Promise<void> {
    const end = this.clock.now() + CLOSE_GRACE_MS;
    this.stopping.abort();
    await this.loop;
    while (this.looks.underWay > 0 && this.clock.now() < end) await delay(20, { clock: this.clock });
    await this.looks.close();
    await this.lease?.close();
  }

  /** One poll: what is new is found, what is due is looked at, and the rest of the time goes to the history. */
  async poll(): Promise<void> {
    const began = this.clock.now();
    const { calls } = this.client.counters;
    this.nextPollAt = began + this.settings.intervalMs;
    this.counters.foundInLastPoll = 0;
    if (!this.isLoaded) await this.load();
    await this.discover();
    await this.looks.at(this.book.due(this.clock.now()));
    this.counters.polls += 1;
    this.counters.lastPollMs = this.clock.now() - began;
    this.counters.pollMs += this.counters.lastPollMs;
    await this.goOnWithHistory();
    this.counters.callsInLastPoll = this.client.counters.calls - calls;
    this.tellPoll();
  }

  /** What the flow and the looks have done since the poll before belongs to this one. */
  private tellPoll(): void {
    const { processed, skipped, errors, lastPollMs: tookMs, foundInLastPoll: found } = this.counters;
    const before = this.told;
    this.told = { processed, skipped, errors };
    if (!businessEvents.isOn) return;
    businessEvents.tell({
      kind: 'poll',
      tookMs,
      found,
      processed: processed - before.processed,
      skipped: skipped - before.skipped,
      errors: errors - before.errors,
    });
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    // A process that waits for its turn remembers the start as well: it may be the only one left to know it.
    await this.readMark().catch((thrown: unknown) => {
      this.logger.debug(`The start could not be read: ${describe(thrown)}`);
    });
    await this.lease?.start();
    while (!signal.aborted) {
      if (this.isPolling) await this.tryToPoll();
      this.options.onChange();
      const waitMs = this.isPolling ? this.nextPollAt - this.clock.now() : this.settings.intervalMs;
      // Several processes that began together do not ask together.
      await delay(Math.max(0, waitMs * (0.9 + Math.random() * 0.2)), { clock: this.clock, signal });
    }
  }

  private async tryToPoll(): Promise<void> {
    try {
      await this.poll();
      if (this.problem) this.logger.info('Cody is polled again');
      this.problem = undefined;
    } catch (thrown) {
      const error = toContactError(thrown, 'poll Cody');
      if (this.stopping.signal.aborted || error.code === 'CLOSED') return;
      this.counters.errors += 1;
      this.problem = error;
      this.logger.warn(error.message, { code: error.code });
      this.nextPollAt = this.clock.now() + Math.max(this.settings.intervalMs, error.retryAfterMs ?? 0);
    }
  }

  private async load(): Promise<void> {
    await this.readMark();
    if (!this.settings.dryRun) await this.book.load();
    this.isLoaded = true;
  }

  private async readMark(): Promise<void> {
    const { startFrom, dryRun } = this.settings;
    const { state, local, scope } = this.options;
    // Cody counts seconds: what began in this very second counts.
    const now = Math.floor(this.clock.now() / 1_000) * 1_000;
    const stores = state.store === local ? [local] : [state.store, local];
    if (startFrom === 'now') this.mark = dryRun ? now : await startMark(stores, scope, now);
    else this.mark = startFrom === 'all' ? 0 : startFrom.date;
  }

  /** Finds conversations that were not there before. */
  private async discover(): Promise<void> {
    const now = this.clock.now();
    if (!this.walk.isWalking && (this.walk.isShort || now >= this.fullWalkAt)) {
      const progress = this.isFirstWalk && !this.settings.dryRun ? await this.book.walk() : undefined;
      await this.walk.begin(progress?.page);
      this.fullWalkAt = now + Math.max(FULL_WALK_EVERY_MS, this.walk.pages * FULL_WALK_A_PAGE_MS);
    }
    // What is not sorted can only be found by reading it all, which is done as time allows.
    if (this.walk.direction === 'unknown') return;
    if (this.walk.isWalking && this.walk.isShort) {
      while (this.walk.isWalking) await this.stepOfWalk();
      return;
    }
    const most = this.walk.isWalking ? PAGES_BESIDE_HISTORY : Number.POSITIVE_INFINITY;
    await this.walk.newest((conversations) => this.take(conversations), most);
  }

  /** The pages of a full walk, as far as they get until the next poll. */
  private async goOnWithHistory(): Promise<void> {
    while (this.walk.isWalking && this.isPolling && !this.stopping.signal.aborted) {
      await this.stepOfWalk();
      this.options.onChange();
      if (this.clock.now() >= this.nextPollAt) return;
    }
  }

  private async stepOfWalk(): Promise<void> {
    const { conversations, isOver } = await this.walk.step(({ createdAt }) => createdAt < this.mark);
    await this.take(conversations);
    await this.looks.at(this.book.due(this.clock.now()));
    if (!this.isFirstWalk || this.settings.dryRun) return;
    // Stopped in the middle of a page, nobody has looked at the rest of it.
    if (!this.isPolling || this.stopping.signal.aborted) return;
    // What is on the pages so far is remembered one by one: a walk that is cut off goes on from here.
    const { position } = this.walk;
    if (position !== undefined && !this.walk.isShort) await this.book.keepWalk({ page: position });
    if (isOver) await this.book.keepWalk(undefined);
    if (isOver) this.isFirstWalk = false;
  }

  /** Begins to look at those that are new, and tells how many there were. */
  private async take(conversations: readonly CodyConversation[]): Promise<number> {
    this.counters.foundInLastPoll += conversations.length;
    const counted = conversations.filter(({ createdAt, botId }) => createdAt >= this.mark && this.isOfBot(botId));
    const known = await Promise.all(counted.map(({ id }) => this.book.isKnown(id)));
    const fresh = counted.filter((_conversation, index) => !known[index]);
    for (const conversation of fresh) this.book.begin(conversation, this.clock.now());
    return fresh.length;
  }

  /** The filter is asked for, but whether it works is seen only here. */
  private isOfBot(botId: string): boolean {
    const { botId: wanted } = this.settings;
    if (wanted === undefined || botId === '' || botId === wanted) return true;
    if (!this.hasWarnedOfBots) {
      this.logger.warn(
        `Cody lists conversations of the bot ${botId} too, which are left out: the bot id is ${wanted}.`,
      );
    }
    this.hasWarnedOfBots = true;
    return false;
  }

  private createLease(): Lease {
    const { state, scope, owner, clock, logger } = this.options;
    const durationMs = Math.min(LEASE_MS.most, Math.max(LEASE_MS.least, 3 * this.settings.intervalMs));
    const onChange = (held: boolean) => {
      // Whoever gets it goes on with what the one before has left.
      if (held) this.isLoaded = false;
      logger.info(held ? 'This process polls Cody' : 'Another process polls Cody');
      this.looks.wake();
      this.options.onChange();
    };
    return new Lease({ store: state.store, key: `cody-lease/${scope}/`, owner, durationMs, clock, logger, onChange });
  }
}
