import type { Redis, RedisOptions } from 'ioredis';
import { backoffDelayMs } from '../core/backoff';
import { ContactError, describe } from '../core/errors';
import { type Logger, silentLogger } from '../core/log';
import { redact, registerSecret } from '../core/redaction';
import { percentDecoded } from '../core/text';
import type { Keeping, StateStore } from './store';

/** Where a Redis is and how it is used. */
export interface RedisStoreOptions {
  /** `redis://` or, with TLS, `rediss://`; may hold user, password and number of the database. */
  url: string;
  /** Instead of the one in the address. */
  password?: string;
  /** Stands before every key; default `contact-center:`. */
  prefix?: string;
  /** A command without an answer for so long has failed, in milliseconds; default 2,000. */
  commandTimeoutMs?: number;
  logger?: Logger;
}

const REPLACE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1`;
const REMOVE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`;

/** How many keys a look through the keys asks for at a time. */
const KEYS_AT_ONCE = 1_000;
const RECONNECT = { baseMs: 100, maxMs: 5_000 };

/**
 * A {@link StateStore} that all processes with the same Redis share. It connects by itself and stays so: while Redis
 * is away every call rejects at once with `UNREACHABLE` (or `REFUSED`, when the password is at fault), and when it is
 * back they work again.
 */
export class RedisStore implements StateStore {
  /** The connection itself, for what needs more of Redis than a store. */
  readonly client: Redis;
  /** Address without user and password. */
  readonly target: string;
  private readonly prefix: string;
  private readonly logger: Logger;
  private readonly listeners = new Set<(available: boolean) => void>();
  /** `undefined` until the first attempt to connect has ended. */
  private availableNow: boolean | undefined;
  private problem: string | undefined;
  /** Settles when the first attempt to connect has ended. */
  private readonly firstAttempt: Promise<void>;
  private closed = false;

  constructor({
    url,
    password,
    prefix = 'contact-center:',
    commandTimeoutMs = 2_000,
    logger = silentLogger,
  }: RedisStoreOptions) {
    this.prefix = prefix;
    this.logger = logger;
    const address = new URL(url);
    // Of two passwords the library would take the one in the address.
    if (password !== undefined) address.password = encodeURIComponent(password);
    registerSecret(percentDecoded(address.password));
    this.target = `${address.protocol}//${address.host}${address.pathname}`;
    // Loaded only here: most runtimes have no Redis.
    const { Redis: Client } = require('ioredis') as typeof import('ioredis');
    this.client = new Client(address.href, connectionOptions(commandTimeoutMs));
    this.firstAttempt = new Promise((resolve) => {
      this.client.once('ready', resolve);
      this.client.once('error', () => resolve());
      // A proxy in front of a Redis that is away takes connections and ends them without a word.
      this.client.once('close', () => resolve());
    });
    this.client.on('ready', () => this.setAvailable(true));
    this.client.on('close', () => this.setAvailable(false));
    this.client.on('error', (error: unknown) => {
      this.problem = describe(error);
    });
  }

  /** Whether Redis answers, as far as is known. */
  get available(): boolean {
    return this.availableNow === true;
  }

  /** What the last failure was. */
  get lastProblem(): string | undefined {
    return this.problem;
  }

  /** Calls `listener` when Redis goes and when it comes back. Gives back the function that ends this. */
  onChange(listener: (available: boolean) => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  async get(key: string): Promise<unknown> {
    const text = await this.run((client) => client.get(this.prefix + key));
    return text === null ? undefined : JSON.parse(text);
  }

  async set(key: string, value: unknown, { expiresInMs }: Keeping = {}): Promise<void> {
    const text = JSON.stringify(value);
    await this.run((client) =>
      expiresInMs === undefined
        ? client.set(this.prefix + key, text)
        : client.set(this.prefix + key, text, 'PX', wholeMs(expiresInMs)),
    );
  }

  async add(key: string, value: unknown, { expiresInMs }: Keeping = {}): Promise<boolean> {
    const text = JSON.stringify(value);
    const answer = await this.run((client) =>
      expiresInMs === undefined
        ? client.set(this.prefix + key, text, 'NX')
        : client.set(this.prefix + key, text, 'PX', wholeMs(expiresInMs), 'NX'),
    );
    return answer === 'OK';
  }

  async replace(key: string, expected: unknown, value: unknown, { expiresInMs }: Keeping = {}): Promise<boolean> {
    const expiry = expiresInMs === undefined ? '' : wholeMs(expiresInMs);
    const texts = [JSON.stringify(expected), JSON.stringify(value)];
    return (await this.run((client) => client.eval(REPLACE, 1, this.prefix + key, ...texts, expiry))) === 1;
  }

  async delete(key: string): Promise<void> {
    await this.run((client) => client.del(this.prefix + key));
  }

  async remove(key: string, expected: unknown): Promise<boolean> {
    return (await this.run((client) => client.eval(REMOVE, 1, this.prefix + key, JSON.stringify(expected)))) === 1;
  }

  async entries(prefix: string): Promise<[string, unknown][]> {
    const found = new Map<string, unknown>();
    const pattern = `${(this.prefix + prefix).replace(/[*?[\]\\]/g, '\\$&')}*`;
    let cursor = '0';
    do {
      const [next, keys] = await this.run((client) => client.scan(cursor, 'MATCH', pattern, 'COUNT', KEYS_AT_ONCE));
      cursor = next;
      if (keys.length === 0) continue;
      const texts = await this.run((client) => client.mget(keys));
      for (const [index, key] of keys.entries()) {
        const text = texts[index];
        if (typeof text === 'string') found.set(key.slice(this.prefix.length), JSON.parse(text));
      }
    } while (cursor !== '0');
    return [...found].sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.listeners.clear();
    if (this.availableNow) await this.client.quit().catch(() => {});
    this.client.disconnect();
  }

  /** Asks Redis for its version, in milliseconds of waiting. */
  async check(): Promise<{ version: string; ms: number }> {
    const began = Date.now();
    const info = await this.run((client) => client.info('server'));
    return { version: /redis_version:(\S+)/.exec(info)?.[1] ?? 'unknown', ms: Date.now() - began };
  }

  private async run<Answer>(command: (client: Redis) => Promise<Answer>): Promise<Answer> {
    if (this.closed) throw new ContactError('CLOSED', { attempted: 'use the state store', target: this.target });
    if (!this.availableNow) {
      await this.firstAttempt;
      if (!this.availableNow) throw this.unreachable(this.problem ?? 'the connection is gone');
    }
    try {
      return await command(this.client);
    } catch (thrown) {
      const answer = describe(thrown);
      if (/^(NOAUTH|WRONGPASS|NOPERM)/.test(answer)) throw this.refused(answer);
      // A connection on which nothing comes back is given up, once for all who wait on it: a new one tells whether Redis
      // is there.
      if (this.availableNow && /timed out/i.test(answer)) {
        this.problem = answer;
        this.setAvailable(false);
        this.client.disconnect(true);
      }
      throw this.unreachable(answer);
    }
  }

  private unreachable(answer: string): ContactError {
    if (/NOAUTH|WRONGPASS|invalid password|NOPERM/i.test(answer)) return this.refused(answer);
    const advice = 'Check that Redis runs and the address leads to it; it is used again as soon as it answers.';
    return new ContactError('UNREACHABLE', { attempted: 'use the state store', target: this.target, answer, advice });
  }

  private refused(answer: string): ContactError {
    const advice = 'Check the user and the password of Redis.';
    return new ContactError('REFUSED', { attempted: 'use the state store', target: this.target, answer, advice });
  }

  private setAvailable(available: boolean): void {
    if (available === this.availableNow) return;
    this.availableNow = available;
    if (available) this.logger.info(`Redis is there (${redact(this.target)})`);
    else if (!this.closed) this.logger.warn(`Redis is gone (${redact(this.target)}): ${this.problem ?? 'closed'}`);
    if (available) this.problem = undefined;
    for (const listener of [...this.listeners]) listener(available);
  }
}

function connectionOptions(commandTimeout: number) {
  return {
    // Works with every Redis since 5; the newer protocol would gain nothing here.
    protocol: 2 as const,
    disableClientInfo: true,
    commandTimeout,
    connectTimeout: 3_000,
    // A command that cannot be sent now has failed now: the caller knows better than a queue what to do instead.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    enableAutoPipelining: true,
    retryStrategy: (times: number) => backoffDelayMs(times, RECONNECT),
    // After a failover the old primary only reads.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  } satisfies RedisOptions;
}

/** Redis takes only whole numbers above 0. */
function wholeMs(ms: number): number {
  return Math.max(1, Math.ceil(ms));
}
