import type { Clock } from '../core/clock';
import { type DeliveryOutcome, DeliverySource, settleDelivery } from '../core/deliveries';
import { type ContactError, describe, toContactError } from '../core/errors';
import type { Logger } from '../core/log';
import type { ConversationBook, Tracked } from './book';
import type { PollerCounters, PollerOptions, PollerSettings } from './poller-settings';
import { decide, type Look } from './settling';
import type { CodyMessage } from './shapes';
import { contentHash, emittedConversation } from './transcript';

/** A conversation that is in the flow. */
interface Sent {
  id: string;
  tracked: Tracked;
  hash: string;
  newestAt: number;
}

/** What a dry run would have sent. */
export interface WouldSend {
  id: string;
  name: string;
  createdAt: string;
  messages: number;
}

/** What {@link Looks} share with their poller. */
export interface LooksOptions extends Required<Pick<PollerOptions, 'client' | 'send' | 'onChange' | 'clock'>> {
  settings: PollerSettings;
  book: ConversationBook;
  counters: PollerCounters;
  logger: Logger;
  signal: AbortSignal;
  /** Whether looks may be made. */
  isPolling(): boolean;
}

/** Looks that are made at the same time. */
const LOOKS_AT_ONCE = 4;
/** How long a conversation is left alone that could not be looked at or was given back. */
const AGAIN = { firstMs: 15_000, mostMs: 3_600_000 };
const LISTED_IN_DRY_RUN = 200;

/** Looks at conversations, sends those that have settled, and remembers what the flow has done with them. */
export class Looks {
  /** The latest conversations that a dry run would have sent. */
  readonly wouldSend: WouldSend[] = [];
  readonly deliveries: DeliverySource<Sent>;
  private readonly settings: PollerSettings;
  private readonly book: ConversationBook;
  private readonly counters: PollerCounters;
  private readonly clock: Clock;
  /** Conversations in the flow. */
  private readonly sent = new Set<string>();
  /** Ends of conversations that are being written down. */
  private readonly writing = new Set<Promise<void>>();
  /** Looks that are being made: each may end in the flow. */
  private looking = 0;
  private waiters: (() => void)[] = [];

  constructor(private readonly options: LooksOptions) {
    const { settings, book, counters, clock } = options;
    this.settings = settings;
    this.book = book;
    this.counters = counters;
    this.clock = clock;
    this.deliveries = new DeliverySource<Sent>({
      name: 'cody-poll-in',
      settle: (sent, outcome) => this.settled(sent, outcome),
      timeoutMs: settings.settleTimeoutMs,
      capacity: settings.settle ? settings.capacity : 0,
      onStall: () => options.onChange(),
      clock,
    });
    options.signal.addEventListener('abort', () => this.wake(), { once: true });
  }

  /** How many conversations are in the flow. */
  get underWay(): number {
    return this.sent.size;
  }

  /** Looks at several conversations; one that fails does not stop the others. Rejects with what would meet them all. */
  async at(list: readonly Tracked[]): Promise<void> {
    const queue = list.filter(({ conversation }) => !this.sent.has(conversation.id));
    let broken: ContactError | undefined;
    const work = async () => {
      while (queue.length > 0) {
        await this.enter(() => queue.length > 0);
        const tracked = broken || this.options.signal.aborted || !this.options.isPolling() ? undefined : queue.shift();
        const error = tracked && (await this.tryToLook(tracked));
        this.looking -= 1;
        this.wake();
        if (!tracked) return;
        if (error) broken ??= error;
      }
    };
    await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, work));
    if (broken) throw broken;
  }

  /** Whoever waits for room looks again whether it still wants it. */
  wake(): void {
    const { waiters } = this;
    this.waiters = [];
    for (const waiter of waiters) waiter();
  }

  /** What the flow has not settled is sent again after the next start. */
  async close(): Promise<void> {
    this.deliveries.close();
    await Promise.allSettled([...this.writing]);
  }

  /** An error that would meet every other conversation as well. Never rejects: whoever looks gives its room back. */
  private async tryToLook(tracked: Tracked): Promise<ContactError | undefined> {
    const { id } = tracked.conversation;
    try {
      await this.look(tracked);
    } catch (thrown) {
      const error = toContactError(thrown, `read the conversation ${id}`);
      if (error.code === 'CLOSED' || error.code === 'REFUSED' || error.code === 'UNREACHABLE') return error;
      try {
        await this.lookFailed(tracked, error);
      } catch (thrownToo) {
        return toContactError(thrownToo, `remember the conversation ${id}`);
      }
    }
    return undefined;
  }

  /** What the failure of a look means for its conversation alone. */
  private async lookFailed(tracked: Tracked, error: ContactError): Promise<void> {
    if (error.code === 'NOT_FOUND') {
      await this.finish(tracked);
      return;
    }
    this.counters.errors += 1;
    this.options.logger.warn(error.message, { code: error.code, conversation: tracked.conversation.id });
    await this.again(tracked, undefined);
  }

  private async look(tracked: Tracked): Promise<void> {
    const messages = await this.options.client.messages(tracked.conversation.id, this.options.signal);
    this.counters.looks += 1;
    const look = lookOf(messages, tracked);
    const decision = decide(look, tracked, this.settings, this.clock.now());
    tracked.seen = look.hash;
    if (decision.kind === 'emit') {
      if (decision.reason === 'cap') this.counters.capped += 1;
      await this.emit(tracked, look, messages);
      return;
    }
    tracked.failures = 0;
    if (decision.kind === 'rest') this.counters.skipped += 1;
    await this.lookAgainAt(tracked, decision.nextLookAt);
  }

  private async emit(tracked: Tracked, look: Look, messages: readonly CodyMessage[]): Promise<void> {
    const { conversation } = tracked;
    if (this.settings.dryRun) {
      this.tellDryRun(tracked, look, messages.length);
      return;
    }
    // From here on a restart finds it, however far the walk has come.
    await this.lookAgainAt(tracked, this.clock.now());
    this.sent.add(conversation.id);
    this.counters.emitted += 1;
    const sent: Sent = { id: conversation.id, tracked, hash: look.hash, newestAt: look.newestAt };
    const delivery = this.deliveries.open(sent, tracked.failures + 1);
    const payload = emittedConversation(conversation, messages, this.settings.timeZone);
    this.options.send({ topic: 'conversation', payload, delivery, correlationId: conversation.id });
    if (!this.settings.settle) settleDelivery({ delivery }, { kind: 'acknowledge' });
  }

  private tellDryRun(tracked: Tracked, look: Look, messages: number): void {
    const { id, name, createdAt } = tracked.conversation;
    this.counters.wouldSend += 1;
    this.wouldSend.push({ id, name, createdAt: new Date(createdAt).toISOString(), messages });
    if (this.wouldSend.length > LISTED_IN_DRY_RUN) this.wouldSend.shift();
    this.options.logger.info(`Would send the conversation ${id} (${name}) with ${messages} messages`);
    tracked.committed = look.hash;
    tracked.nextLookAt = this.clock.now();
  }

  /** The flow has come to an end with a conversation. */
  private settled(sent: Sent, outcome: DeliveryOutcome): void {
    this.sent.delete(sent.id);
    const written = this.writeEnd(sent, outcome)
      .catch((thrown: unknown) => {
        // It will be sent again, which does nothing twice.
        this.options.logger.warn(
          `The end of the conversation ${sent.id} could not be written down: ${describe(thrown)}`,
        );
      })
      .finally(() => {
        this.writing.delete(written);
        this.wake();
      });
    this.writing.add(written);
  }

  private async writeEnd({ id, tracked: before, hash, newestAt }: Sent, outcome: DeliveryOutcome): Promise<void> {
    // What is remembered may have been read anew from the store meanwhile.
    const tracked = this.book.get(id) ?? before;
    if (outcome.kind === 'retry') {
      await this.again(tracked, outcome.delayMs);
      return;
    }
    tracked.failures = 0;
    if (outcome.kind === 'acknowledge') {
      this.counters.processed += 1;
      tracked.committed = hash;
      tracked.committedUntil = newestAt;
      delete tracked.failed;
    } else {
      this.counters.errors += 1;
      tracked.failed = hash;
      this.options.logger.warn(`The conversation ${id} was refused for good: ${outcome.error.summary}`);
    }
    const now = this.clock.now();
    const { watchMs, intervalMs } = this.settings;
    const silentMs = now - newestAt;
    await this.lookAgainAt(tracked, silentMs < watchMs ? now + Math.max(intervalMs, silentMs / 2) : undefined);
  }

  /** Tries again later, the later the more often it has failed. */
  private async again(tracked: Tracked, delayMs: number | undefined): Promise<void> {
    tracked.failures += 1;
    const firstMs = Math.min(AGAIN.firstMs, this.settings.intervalMs);
    const ladderMs = Math.min(AGAIN.mostMs, firstMs * 2 ** Math.min(20, tracked.failures - 1));
    await this.lookAgainAt(tracked, this.clock.now() + (delayMs ?? ladderMs));
  }

  private async lookAgainAt(tracked: Tracked, nextLookAt: number | undefined): Promise<void> {
    if (nextLookAt === undefined) {
      await this.finish(tracked);
      return;
    }
    tracked.nextLookAt = nextLookAt;
    if (!this.settings.dryRun) await this.book.keep(tracked);
  }

  private async finish(tracked: Tracked): Promise<void> {
    tracked.nextLookAt = Number.POSITIVE_INFINITY;
    if (!this.settings.dryRun) await this.book.finish(tracked);
  }

  /** Resolves when the flow has room for another conversation, and takes it; or when it is not wanted any more. */
  private async enter(isWanted: () => boolean): Promise<void> {
    const { signal, isPolling } = this.options;
    const { capacity } = this.settings;
    const isFull = () => this.looking + this.sent.size + this.writing.size >= capacity;
    while (isFull() && isWanted() && !signal.aborted && isPolling()) {
      await new Promise<void>((resolve) => this.waiters.push(resolve));
    }
    this.looking += 1;
  }
}

/** What a look has found. */
function lookOf(messages: readonly CodyMessage[], { conversation, committedUntil = 0 }: Tracked): Look {
  const newestAt = messages.at(-1)?.createdAt ?? conversation.createdAt;
  const firstNewAt = messages.find(({ createdAt }) => createdAt > committedUntil)?.createdAt ?? newestAt;
  return { hash: contentHash(messages), newestAt, firstNewAt, isEmpty: messages.length === 0 };
}
