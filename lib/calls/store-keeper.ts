import { type Clock, systemClock } from '../core/clock';
import { type ContactError, toContactError } from '../core/errors';
import type { Logger } from '../core/log';
import { addFirstUser } from './login';
import type { CallStore } from './store';

const DAY_MS = 86_400_000;
const TIDY_EVERY_MS = 3_600_000;
const TRY_AGAIN_MS = 5_000;

/** What a {@link StoreKeeper} is told. */
export interface StoreKeeperOptions {
  store: CallStore;
  /** Is added when the store first answers, unless there is a user of this name. */
  firstUser?: { name: string; hash: string } | undefined;
  /** Calls that ended so many days ago are forgotten; 0 keeps them for ever. */
  retentionDays: number;
  /** The store answers for the first time. */
  onReady(): void;
  /** The store cannot be used before somebody changes its configuration; it is not tried again. */
  onUnusable(error: ContactError): void;
  /** The store does not answer; it is tried again by itself. */
  onAway(error: ContactError): void;
  logger: Logger;
  clock?: Clock;
}

/** Finds out whether a store answers, puts the first user into it, and forgets what is old, once an hour. */
export class StoreKeeper {
  private isReady = false;
  private isClosed = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: StoreKeeperOptions) {}

  /** Looks after the store now, and again later until {@link close}. Never rejects. */
  async look(): Promise<void> {
    clearTimeout(this.timer);
    let waitMs = TIDY_EVERY_MS;
    try {
      await this.tidy();
    } catch (thrown) {
      const error = toContactError(thrown, 'open the call store');
      if (error.code === 'CLOSED') return;
      if (error.code === 'CONFIGURATION' && error.reason === undefined) {
        this.options.onUnusable(error);
        return;
      }
      this.options.onAway(error);
      waitMs = TRY_AGAIN_MS;
    }
    if (this.isClosed) return;
    this.timer = setTimeout(() => void this.look(), waitMs);
    this.timer.unref();
  }

  private async tidy(): Promise<void> {
    const { store, firstUser, retentionDays, onReady, logger, clock = systemClock } = this.options;
    await store.check();
    if (!this.isReady && firstUser && (await addFirstUser(store, firstUser.name, firstUser.hash))) {
      logger.info(`Added the first user ${firstUser.name}`);
    }
    if (retentionDays > 0) await store.forget(clock.now() - retentionDays * DAY_MS);
    if (!this.isReady) onReady();
    this.isReady = true;
  }

  /** Looks no more. */
  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
  }
}
