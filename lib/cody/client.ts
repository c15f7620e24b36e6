import { parseJson, readable, retryAfterHeaderMs, waitUntilMs } from '../core/answers';
import { type BackoffOptions, backoffDelayMs } from '../core/backoff';
import { businessEvents } from '../core/business-events';
import { type Clock, delay, systemClock } from '../core/clock';
import { ContactError, type ErrorCode, toContactError } from '../core/errors';
import { type HttpAnswer, HttpClient } from '../core/http';
import { RateLimit } from '../core/rate-limit';
import { registerSecret } from '../core/redaction';
import {
  type CodyConversation,
  type CodyMessage,
  type CodyPage,
  inOrder,
  isNewestFirst,
  readConversation,
  readMessage,
  readPage,
} from './shapes';

/** Settings of a {@link CodyClient}. */
export interface CodyClientOptions {
  /** Such as `https://getcody.ai/api/v1`, without a slash at the end. */
  apiUrl: string;
  apiKey: string;
  /** For one answer, in milliseconds; default 30,000: Cody takes its time. */
  timeoutMs?: number;
  /** How often a call is made before its error is told; default 3. */
  attempts?: number;
  /** The wait between attempts; default 0.5 s to 10 s. */
  backoff?: BackoffOptions;
  clock?: Clock;
}

/** What was called, in numbers since the start. */
export interface CodyCounters {
  calls: number;
  /** How long they took in all, in milliseconds. */
  tookMs: number;
  failures: number;
  rateLimitHits: number;
}

/** Lists are not endless: whoever says so is broken. */
const MOST_PAGES = 5_000;
/** How long to wait after a 429 that does not say. */
const USUAL_PAUSE_MS = 30_000;
const WINDOW_MS = 60_000;

/** Reads conversations and messages, within the account's rate limit, which it learns from the answers. */
export class CodyClient {
  readonly counters: CodyCounters = { calls: 0, tookMs: 0, failures: 0, rateLimitHits: 0 };
  private readonly options: Required<CodyClientOptions>;
  private readonly http = new HttpClient();
  /** Once Cody has told its limit. */
  private limit: RateLimit | undefined;
  private pausedUntil = 0;
  /** Calls in a row that were one too many. */
  private limitedInRow = 0;
  /** How lists of messages are sorted, as far as was seen. */
  private newestFirst: boolean | undefined;

  constructor(options: CodyClientOptions) {
    const backoff = { baseMs: 500, maxMs: 10_000 };
    this.options = { timeoutMs: 30_000, attempts: 3, backoff, clock: systemClock, ...options };
    registerSecret(options.apiKey);
  }

  /** For how long no call is made from now on, because Cody has asked for it, in milliseconds. */
  get pausedForMs(): number {
    return Math.max(0, this.pausedUntil - this.options.clock.now());
  }

  /** One page of the conversations, of one bot if it is named. */
  async conversations(
    page: number,
    { botId, signal }: { botId?: string | undefined; signal?: AbortSignal } = {},
  ): Promise<CodyPage<CodyConversation>> {
    const query = { page, bot_id: botId };
    return this.page('/conversations', query, 'list the conversations', readConversation, signal);
  }

  /** All messages of a conversation, in their order. Rejects with `NOT_FOUND` when it is gone. */
  async messages(conversationId: string, signal?: AbortSignal): Promise<CodyMessage[]> {
    const found: CodyMessage[] = [];
    for (let page: number | undefined = 1; page !== undefined; ) {
      const query: Record<string, string | number> = { conversation_id: conversationId, page };
      const answer: CodyPage<CodyMessage> = await this.page(
        '/messages',
        query,
        'list the messages',
        readMessage,
        signal,
      );
      found.push(...answer.items);
      page = nextPage(page, answer.next);
    }
    // A list whose times do not tell is taken to be sorted like the others; without others, nobody answers before a question.
    this.newestFirst = isNewestFirst(found) ?? this.newestFirst;
    const beginsWithAnswer = found[0]?.machine === true && found.at(-1)?.machine === false;
    return inOrder(found, this.newestFirst ?? beginsWithAnswer);
  }

  /** The bots of the account: the first pages of them, which are all as a rule. */
  async bots(): Promise<{ id: string; name: string }[]> {
    const found: { id: string; name: string }[] = [];
    for (let page: number | undefined = 1; page !== undefined && page <= 10; ) {
      const answer: CodyPage<CodyConversation> = await this.page(
        '/bots',
        { page },
        'list the bots',
        readConversation,
        undefined,
      );
      found.push(...answer.items.map(({ id, name }) => ({ id, name })));
      page = nextPage(page, answer.next);
    }
    return found;
  }

  /** Proves that the key opens the account. */
  async check(): Promise<{ conversations: number | undefined; ms: number }> {
    const began = this.options.clock.now();
    const { total } = await this.conversations(1);
    return { conversations: total, ms: this.options.clock.now() - began };
  }

  close(): void {
    this.http.close();
  }

  private async page<Item>(
    path: string,
    query: Record<string, string | number | undefined>,
    what: string,
    readItem: (value: Record<string, unknown>) => Item | undefined,
    signal: AbortSignal | undefined,
  ): Promise<CodyPage<Item>> {
    const answer = await this.request(path, query, what, signal);
    const page = readPage(parseJson(answer.text), readItem);
    if (page) return page;
    throw new ContactError('PROTOCOL', {
      attempted: what,
      target: this.options.apiUrl,
      answer: `HTTP ${answer.status}, ${readable(answer.text) || 'without a text'}`,
    });
  }

  /** A 429 is waited out, other passing failures are tried again a few times. */
  private async request(
    path: string,
    query: Record<string, string | number | undefined>,
    what: string,
    signal: AbortSignal | undefined,
  ): Promise<HttpAnswer> {
    const { attempts, backoff, clock } = this.options;
    for (let attempt = 1; ; ) {
      await this.turn(what, signal);
      const result = await this.once(path, query, what, signal);
      if (!(result instanceof ContactError)) return result;
      if (result.code === 'CLOSED') throw result;
      const isLimited = result.reason === 'rate_limit';
      if (!isLimited && (!result.retryable || result.code === 'REFUSED' || attempt >= attempts)) throw result;
      if (!isLimited) {
        await delay(backoffDelayMs(attempt, backoff), { clock, ...(signal ? { signal } : {}) });
        attempt += 1;
      }
    }
  }

  private async turn(what: string, signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.options;
    while (this.pausedForMs > 0 && !signal?.aborted) {
      await delay(this.pausedForMs, { clock, ...(signal ? { signal } : {}) });
    }
    if (signal?.aborted) throw new ContactError('CLOSED', { attempted: what });
    await this.limit?.acquire(signal);
  }

  private async once(
    path: string,
    query: Record<string, string | number | undefined>,
    what: string,
    signal: AbortSignal | undefined,
  ): Promise<HttpAnswer | ContactError> {
    const { apiUrl, apiKey, timeoutMs, clock } = this.options;
    const began = clock.now();
    this.counters.calls += 1;
    const result = await this.http
      .send({
        method: 'GET',
        url: `${apiUrl}${path}`,
        query,
        headers: { Authorization: `Bearer ${apiKey}` },
        timeoutMs,
        what,
        ...(signal ? { signal } : {}),
      })
      .catch((thrown: unknown) => toContactError(thrown, what));
    const tookMs = clock.now() - began;
    this.counters.tookMs += tookMs;
    if (!(result instanceof ContactError)) this.learn(result);
    const error = result instanceof ContactError ? result : this.errorOf(what, result);
    if (error) this.counters.failures += 1;
    if (businessEvents.isOn) {
      const bytes = result instanceof ContactError ? 0 : Buffer.byteLength(result.text);
      businessEvents.tell({ kind: 'api-call', api: 'cody', what, tookMs, isSuccess: !error, bytes });
    }
    return error ?? (result as HttpAnswer);
  }

  /** The limit is the account's, and not published: the answers tell it. */
  private learn({ headers }: HttpAnswer): void {
    const turns = Number(headers['x-ratelimit-limit'] ?? Number.NaN);
    if (!(turns >= 1)) return;
    this.limit ??= new RateLimit({ turns, windowMs: WINDOW_MS, even: true, clock: this.options.clock });
    this.limit.setTurns(turns);
  }

  private errorOf(what: string, answer: HttpAnswer): ContactError | undefined {
    const { status, text } = answer;
    if (status !== 429) this.limitedInRow = 0;
    if (status >= 200 && status < 300) return undefined;
    const message = parseJson(text)?.['message'];
    const said = typeof message === 'string' && message !== '' ? message : readable(text);
    const facts = { attempted: what, target: 'Cody', answer: `HTTP ${status}${said && `, ${said}`}`, status };
    const error = (code: ErrorCode, more: { advice?: string; reason?: string; retryAfterMs?: number } = {}) =>
      new ContactError(code, { ...facts, ...more });
    if (status === 429) return this.pause(answer, error);
    if (status === 401 || status === 403) {
      return error('REFUSED', { advice: 'Check the API key of Cody; everything is kept until it works.' });
    }
    if (status === 404) return error('NOT_FOUND');
    // A redirect, say from http to https, comes from something in between.
    if (status < 400) return error('PROTOCOL');
    return error(status === 408 || status >= 500 ? 'BUSY' : 'REJECTED');
  }

  private pause(
    answer: HttpAnswer,
    error: (code: ErrorCode, more: { reason: string; retryAfterMs: number }) => ContactError,
  ): ContactError {
    const { clock, backoff } = this.options;
    const now = clock.now();
    const reset = Number(answer.headers['x-ratelimit-reset'] ?? Number.NaN) * 1_000;
    const told = retryAfterHeaderMs(answer, now) ?? (reset > 0 ? waitUntilMs(answer, reset, now) : USUAL_PAUSE_MS);
    this.limitedInRow += 1;
    // Told to come back at once and turned away again, it comes back later each time.
    const retryAfterMs = Math.max(told, backoffDelayMs(this.limitedInRow, backoff));
    this.counters.rateLimitHits += 1;
    if (businessEvents.isOn) businessEvents.tell({ kind: 'rate-limit', api: 'cody', retryAfterMs });
    this.pausedUntil = Math.max(this.pausedUntil, now + retryAfterMs);
    return error('BUSY', { reason: 'rate_limit', retryAfterMs });
  }
}

/** The page after this one; a list that does not advance has ended. */
export function nextPage(page: number, next: number | undefined): number | undefined {
  return next !== undefined && next > page && next <= MOST_PAGES ? next : undefined;
}
