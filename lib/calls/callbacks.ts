import { createHmac } from 'node:crypto';
import { retryAfterHeaderMs } from '../core/answers';
import { DiskSpool } from '../core/disk-spool';
import { ContactError, toContactError } from '../core/errors';
import { type HttpAnswer, HttpClient } from '../core/http';
import { Outbox, type OutboxState } from '../core/outbox';
import { type Entry, MemorySpool } from '../core/spool';
import type { Verdict } from '../core/verdicts';
import { callBody, transitionsBody } from './api';
import type { CallUpdate } from './call-book';

/** Settings of {@link Callbacks}. */
export interface CallbacksOptions {
  /** Where each update is posted to. */
  url: string;
  /** Signs each body; without one there is no signature. */
  secret?: string | undefined;
  /** Where updates wait while nobody takes them; in memory when left out. */
  folder?: string | undefined;
  /** An update that was not taken in so many attempts is given up; default 20. */
  attempts?: number;
  onState?(state: OutboxState): void;
  /** An update was not taken, and will not be tried again. */
  onLost?(error: ContactError): void;
}

const LIMITS = { items: 10_000, bytes: 20_000_000 };
const ANSWER_WITHIN_MS = 10_000;

/**
 * Posts updates of calls to somebody who waits for them: signed, numbered, and again until they are taken. The number
 * of an update counts up for each call; who has seen a higher one ignores a lower one that comes late.
 */
export class Callbacks {
  private readonly http = new HttpClient();
  private readonly outbox: Outbox<undefined>;

  constructor(private readonly options: CallbacksOptions) {
    const { folder, attempts = 20, onState, onLost } = options;
    this.outbox = new Outbox<undefined>({
      spool: folder === undefined ? new MemorySpool() : new DiskSpool(folder),
      batch: { items: 1, bytes: LIMITS.bytes, ageMs: 1 },
      concurrency: 4,
      limits: LIMITS,
      overflow: 'drop-oldest',
      backoff: { baseMs: 1_000, maxMs: 60_000 },
      attempts,
      send: async ([entry], signal) => [await this.post(entry as Entry<undefined>, signal)],
      onEnding: (_entry, ending) => {
        if ('error' in ending) onLost?.(ending.error);
      },
      ...(onState ? { onState } : {}),
    });
  }

  /** What is posted, and how it stands. */
  get queue(): Pick<Outbox<undefined>, 'snapshot' | 'state' | 'breakerState' | 'buffered'> {
    return this.outbox;
  }

  /** Takes an update to be posted. */
  take({ call, transitions }: CallUpdate): void {
    const body = { event: `call.${call.status}`, event_number: call.version, call: callBody(call) };
    const text = JSON.stringify({ ...body, transitions: transitionsBody(transitions) });
    this.outbox.offer(text, undefined);
  }

  /** Stops within the given time; what is in memory only is lost with it. */
  async close(withinMs: number): Promise<void> {
    await this.outbox.close(withinMs);
    this.http.close();
  }

  private async post({ body }: Entry<undefined>, signal: AbortSignal): Promise<Verdict> {
    const { url, secret } = this.options;
    const what = 'post an update of a call';
    const signature: Record<string, string> =
      secret === undefined ? {} : { 'X-Signature-256': signatureOf(body, secret) };
    try {
      const answer = await this.http.send({
        method: 'POST',
        url,
        what,
        headers: { 'Content-Type': 'application/json', ...signature },
        body,
        signal,
        timeoutMs: ANSWER_WITHIN_MS,
      });
      return judge(what, url, answer);
    } catch (thrown) {
      return { kind: 'unknown', error: toContactError(thrown, what) };
    }
  }
}

/** The signature of a body: `sha256=` and the HMAC over it, in hexadecimal. */
export function signatureOf(body: string, secret: string): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

function judge(attempted: string, url: string, answer: HttpAnswer): Verdict {
  const { status } = answer;
  if (status >= 200 && status < 300) return { kind: 'delivered' };
  const facts = { attempted, target: new URL(url).origin, answer: `HTTP ${status}`, status };
  if (status === 408 || status === 429 || status >= 500) {
    const retryAfterMs = retryAfterHeaderMs(answer);
    const error = new ContactError('BUSY', { ...facts, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
    return { kind: 'busy', fault: status === 429 ? 'limit' : 'failure', error };
  }
  return { kind: 'rejected', error: new ContactError('REJECTED', facts) };
}
