import { asObject } from '../core/answers';
import { ContactError, toContactError } from '../core/errors';
import { HttpClient, type HttpVerb } from '../core/http';
import { readAnswer, transportError } from './answers';

/** Where Asterisk's REST interface is, and who we are. */
export interface AriAccess {
  /** `http://localhost:8088/ari`, without a slash at the end. */
  url: string;
  user: string;
  password: string;
}

/** One request. */
export interface AriCall {
  /** What is attempted, as a clause for errors: `hang a channel up`. */
  what: string;
  query?: Record<string, string | number | boolean | undefined>;
  /** Sent as JSON. */
  body?: unknown;
  signal?: AbortSignal;
}

/** A part of what Asterisk says of a channel. */
export interface AriChannel {
  id: string;
  name: string;
  /** `Down`, `Ringing`, `Up`, ... */
  state: string;
  dialplan: { app_name?: string; app_data?: string };
}

/** Asterisk resets connections over its `sessionlimit`, which is 100 by default; others use it too. */
const CONNECTIONS = 40;

/** Speaks to Asterisk's REST interface. What it rejects with is a ContactError with a `reason` for programs. */
export class AriClient {
  readonly access: AriAccess;
  // It keeps an unused connection for 4 s; Asterisk closes it after 15 s.
  private readonly http = new HttpClient({ transport: 'undici', connections: CONNECTIONS });
  private readonly authorization: string;

  /** Asterisk answers in milliseconds or not at all: `answerWithinMs` is 5,000 when left out. */
  constructor(
    access: AriAccess,
    private readonly answerWithinMs = 5_000,
  ) {
    this.access = access;
    this.authorization = basic(access);
  }

  /** Makes a request and gives back the parsed body; `undefined` when there is none. */
  async request(method: HttpVerb, path: string, call: AriCall): Promise<unknown> {
    const { what, query, body, signal } = call;
    const answer = await this.http
      .send({
        method,
        url: `${this.access.url}/${path}`,
        headers: { Authorization: this.authorization },
        what,
        timeoutMs: this.answerWithinMs,
        ...(query ? { query } : {}),
        ...(body === undefined ? {} : { body }),
        ...(signal ? { signal } : {}),
      })
      .catch((thrown: unknown) => {
        throw transportError(toContactError(thrown, what));
      });
    return readAnswer(what, answer);
  }

  /** All channels there are, also those of others. */
  async channels(): Promise<AriChannel[]> {
    const listed = await this.request('GET', 'channels', { what: 'list the channels' });
    if (!Array.isArray(listed)) throw new ContactError('PROTOCOL', { attempted: 'list the channels' });
    return listed.filter(isChannel);
  }

  /** A channel, or `undefined` when there is none of this id any more. */
  async channel(id: string): Promise<AriChannel | undefined> {
    try {
      const found = await this.request('GET', channelPath(id), { what: 'look for a channel' });
      return isChannel(found) ? found : undefined;
    } catch (thrown) {
      if (thrown instanceof ContactError && thrown.code === 'NOT_FOUND') return undefined;
      throw thrown;
    }
  }

  /** Ends a channel. False when there was none. */
  async hangUp(id: string): Promise<boolean> {
    try {
      await this.request('DELETE', channelPath(id), { what: 'hang a channel up', query: { reason: 'normal' } });
      return true;
    } catch (thrown) {
      if (thrown instanceof ContactError && thrown.code === 'NOT_FOUND') return false;
      throw thrown;
    }
  }

  /** Closes the connections. */
  close(): void {
    this.http.close();
  }
}

/** The value of the header `Authorization`. */
export function basic({ user, password }: AriAccess): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

/** The path of a channel. */
export function channelPath(id: string): string {
  return `channels/${encodeURIComponent(id)}`;
}

/** Where the events of an application come from, without credentials: those go into a header. */
export function eventsUrl({ url }: AriAccess, app: string): string {
  const address = new URL(`${url}/events`);
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  address.searchParams.set('app', app);
  return address.href;
}

/** Whether a value has what we read of a channel. */
export function isChannel(value: unknown): value is AriChannel {
  if (typeof value !== 'object' || value === null) return false;
  const { id, name, state, dialplan } = value as Record<string, unknown>;
  return [id, name, state].every((text) => typeof text === 'string') && asObject(dialplan) !== undefined;
}
