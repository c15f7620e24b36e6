import { sharedAbort } from './abort';
import { type BackoffOptions, backoffDelayMs } from './backoff';
import { type Clock, systemClock, type Timer } from './clock';
import { ContactError, describe, toContactError } from './errors';
import { type Logger, silentLogger } from './log';
import { registerToken } from './redaction';

/** An access token and its time. */
export interface AccessToken {
  readonly value: string;
  /** When it was obtained, in milliseconds since the epoch. */
  readonly obtainedAt: number;
  /** When it expires, in milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** A token as it was fetched. */
export interface FetchedToken {
  value: string;
  /** From when it was obtained to when it expires, in milliseconds. */
  lifetimeMs: number;
  /** When it was obtained, in milliseconds since the epoch; just now when left out. */
  obtainedAt?: number;
}

/** Settings of a {@link TokenCache}. */
export interface TokenCacheOptions {
  /** Asks the remote system for a token. An error `REFUSED` says that the credentials are at fault. */
  fetch(signal: AbortSignal): Promise<FetchedToken>;
  /** Called with a token that is dropped, so that `fetch` does not find it somewhere else again. */
  onDropped?(value: string): void;
  /** The part of its lifetime after which a token is renewed; default 0.8, so that it works for tokens of any lifetime. */
  renewAt?: number;
  /** How long a failure is answered from memory, growing with each one in a row; default 1 s to 60 s. */
  failurePause?: BackoffOptions;
  /** The same for refused credentials; default 5 s to 5 min. */
  refusalPause?: BackoffOptions;
  clock?: Clock;
  logger?: Logger;
}

/** What `/stats` shows of a token. */
export interface TokenReport {
  state: 'none' | 'valid' | 'fetching' | 'failing' | 'refused';
  /** ISO 8601. */
  expiresAt?: string;
  /** Tokens obtained so far. */
  obtained: number;
  /** Requests for a token that failed so far. */
  failures: number;
  /** Why there is none. */
  reason?: string;
}

/** A token that is dropped sooner than this after it was obtained was not accepted at all. */
const USABLE_FOR_MS = 60_000;
/**
 * A token that is due for renewal as soon as it is there is what could be had: others share it, and no new one may be
 * asked for now. It is asked for again after so long.
 */
const ASK_AGAIN_MS = 5_000;
/** A timer cannot wait longer; it is set again then. */
const LONGEST_TIMER_MS = 2_000_000_000;

/**
 * Holds one access token for all who need it. However many ask, one request is under way at a time; the token is
 * renewed before it expires, and a remote system that refuses the credentials is asked again only after a growing
 * pause, during which everyone gets the same error from memory.
 */
export class TokenCache {
  private readonly options: Required<TokenCacheOptions>;
  private readonly listeners = new Set<(token: AccessToken) => void>();
  private readonly failureListeners = new Set<(error: ContactError) => void>();
  private readonly stopping = sharedAbort();
  private token: AccessToken | undefined;
  private pending: Promise<AccessToken> | undefined;
  private failure: { error: ContactError; until: number } | undefined;
  /** When the token that is held is to be renewed, in milliseconds since the epoch. */
  private dueAt = 0;
  /** Failures in a row. */
  private failedInRow = 0;
  /** Tokens in a row that were not accepted although they were new. */
  private uselessInRow = 0;
  private obtained = 0;
  private failures = 0;
  private timer: Timer | undefined;

  constructor(options: TokenCacheOptions) {
    this.options = {
      renewAt: 0.8,
      failurePause: { baseMs: 1_000, maxMs: 60_000 },
      refusalPause: { baseMs: 5_000, maxMs: 300_000 },
      clock: systemClock,
      logger: silentLogger,
      onDropped: () => {},
      ...options,
    };
  }

  /** A token that is valid now. Rejects with the error of the token request, remembered or new. */
  async get(): Promise<AccessToken> {
    const token = this.current;
    if (!token) return this.renew();
    if (this.options.clock.now() >= this.dueAt) {
      // The old one still works: nobody waits for the new one, and whoever uses the old one is told later.
      this.renew().catch(() => {});
    }
    return token;
  }

  /** The token that is held, if it has not expired. */
  get current(): AccessToken | undefined {
    return this.token && this.options.clock.now() < this.token.expiresAt ? this.token : undefined;
  }

  /**
   * Drops a token that the remote system did not accept. Only that very one: of many requests that fail with it, the
   * first drops it and the others find the new one.
   */
  invalidate(value: string): void {
    const { token } = this;
    if (token?.value !== value) return;
    const { clock, refusalPause } = this.options;
    const useless = clock.now() - token.obtainedAt < USABLE_FOR_MS;
    this.token = undefined;
    this.options.onDropped(value);
    this.uselessInRow = useless ? this.uselessInRow + 1 : 0;
    if (this.uselessInRow < 2) return;
    // New tokens do not help. Without a pause, each request would now cost a request for a token as well.
    const error = new ContactError('REFUSED', {
      attempted: 'get a usable access token',
      answer: 'it was issued, but it is not accepted',
    });
    this.failure = { error, until: clock.now() + backoffDelayMs(this.uselessInRow - 1, refusalPause) };
    this.tell(this.failureListeners, error);
  }

  /**
   * Calls `listener` with each new token, while the one before is still valid as a rule. As long as anyone listens, the
   * token is renewed without being asked for. Gives back the function that ends this.
   */
  onRenewed(listener: (token: AccessToken) => void): () => void {
    this.listeners.add(listener);
    this.schedule();
    return () => {
      this.listeners.delete(listener);
      this.schedule();
    };
  }

  /** Calls `listener` with the error of each request for a token that fails. Gives back the function that ends this. */
  onFailed(listener: (error: ContactError) => void): () => void {
    this.failureListeners.add(listener);
    return () => {
      this.failureListeners.delete(listener);
    };
  }

  /** For `/stats`. */
  report(): TokenReport {
    const { current, failure, obtained, failures } = this;
    return {
      state: current ? 'valid' : this.stateWithoutToken(),
      ...(current ? { expiresAt: new Date(current.expiresAt).toISOString() } : {}),
      obtained,
      failures,
      ...(failure ? { reason: failure.error.summary } : {}),
    };
  }

  /** Ends the request that is under way and forgets the token. */
  close(): void {
    this.stopping.abort();
    this.listeners.clear();
    this.failureListeners.clear();
    this.token = undefined;
    this.schedule();
  }

  private stateWithoutToken(): TokenReport['state'] {
    if (this.failure) return this.failure.error.code === 'REFUSED' ? 'refused' : 'failing';
    return this.pending === undefined ? 'none' : 'fetching';
  }

  private renew(): Promise<AccessToken> {
    const { failure } = this;
    if (failure && this.options.clock.now() < failure.until) return Promise.reject(failure.error);
    if (this.pending === undefined) {
      this.pending = this.request().finally(() => {
        this.pending = undefined;
        this.schedule();
      });
    }
    return this.pending;
  }

  private async request(): Promise<AccessToken> {
    const { clock, logger, fetch } = this.options;
    const asked = clock.now();
    try {
      const { value, lifetimeMs, obtainedAt = asked } = await fetch(this.stopping.signal);
      registerToken(value);
      const token = { value, obtainedAt, expiresAt: obtainedAt + lifetimeMs };
      if (this.token && obtainedAt - this.token.obtainedAt >= USABLE_FOR_MS) this.uselessInRow = 0;
      this.token = token;
      this.dueAt = this.renewalTime(token);
      this.obtained += 1;
      if (this.failedInRow > 0) logger.info('There is a new access token again');
      this.failedInRow = 0;
      this.failure = undefined;
      this.tell(this.listeners, token);
      return token;
    } catch (thrown) {
      throw this.remember(toContactError(thrown, 'get an access token'));
    }
  }

  private tell<News>(listeners: ReadonlySet<(news: News) => void>, news: News): void {
    for (const listener of [...listeners]) {
      try {
        listener(news);
      } catch (thrown) {
        this.options.logger.error(`A listener of an access token failed: ${describe(thrown)}`);
      }
    }
  }

  private remember(error: ContactError): ContactError {
    if (error.code === 'CLOSED') return error;
    const { clock, logger, refusalPause, failurePause } = this.options;
    // Repeating the same failure in the log helps nobody.
    if (this.failure?.error.message !== error.message) logger.warn(error.message, { code: error.code });
    this.failures += 1;
    this.failedInRow += 1;
    const pauseMs = backoffDelayMs(this.failedInRow, error.code === 'REFUSED' ? refusalPause : failurePause);
    this.failure = { error, until: clock.now() + Math.max(pauseMs, error.retryAfterMs ?? 0) };
    this.tell(this.failureListeners, error);
    return error;
  }

  private renewalTime({ obtainedAt, expiresAt }: AccessToken): number {
    const { clock, renewAt } = this.options;
    const due = obtainedAt + (expiresAt - obtainedAt) * renewAt;
    return due > clock.now() ? due : clock.now() + ASK_AGAIN_MS;
  }

  /** Renews by itself while someone listens; after a failure as soon as its pause is over. */
  private schedule(): void {
    const { clock } = this.options;
    clock.clearTimeout(this.timer);
    this.timer = undefined;
    if (this.listeners.size === 0 || this.pending !== undefined || !this.token) return;
    const due = Math.max(this.dueAt, this.failure?.until ?? 0);
    const waitMs = Math.min(LONGEST_TIMER_MS, Math.max(0, due - clock.now()));
    this.timer = clock.setTimeout(() => {
      this.timer = undefined;
      if (clock.now() < due) this.schedule();
      else this.renew().catch(() => {});
    }, waitMs);
    this.timer.unref?.();
  }
}
