import { readable } from '../../core/answers';
import { ContactError, toContactError } from '../../core/errors';
import { HttpClient } from '../../core/http';
import type { Verdict } from '../../core/verdicts';
import type { GelfAddress, GelfTransport } from './transport';

const CONNECTIONS = 8;
const ANSWER_WITHIN_MS = 10_000;
const WHAT = 'send to Graylog';

/** GELF over HTTP: one request for each message, which Graylog answers with 202. */
export class GelfHttp implements GelfTransport {
  private readonly http = new HttpClient({ connections: CONNECTIONS });
  private readonly url: string;

  constructor({ host, port }: GelfAddress, protocol: 'http' | 'https') {
    this.url = `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}/gelf`;
  }

  async send(messages: readonly string[], signal: AbortSignal): Promise<Verdict | Verdict[]> {
    const verdicts = await Promise.all(messages.map((message) => this.sendOne(message, signal)));
    // When the first is not taken because Graylog is unwell, it is for none of them a matter of its own.
    const open = verdicts.find(({ kind }) => kind === 'busy');
    return open && verdicts.every(({ kind }) => kind === 'busy') ? open : verdicts;
  }

  async close(): Promise<void> {
    this.http.close();
  }

  private async sendOne(message: string, signal: AbortSignal): Promise<Verdict> {
    try {
      const { status, text } = await this.http.send({
        method: 'POST',
        url: this.url,
        headers: { 'Content-Type': 'application/json' },
        body: message,
        what: WHAT,
        timeoutMs: ANSWER_WITHIN_MS,
        signal,
      });
      if (status >= 200 && status < 300) return { kind: 'delivered' };
      const answer = `HTTP ${status} ${readable(text)}`.trim();
      const facts = { attempted: WHAT, target: this.url, answer, status };
      const isPassing = status === 408 || status === 429 || status >= 500;
      if (isPassing) return { kind: 'busy', fault: 'failure', error: new ContactError('BUSY', facts) };
      return { kind: 'rejected', error: new ContactError('REJECTED', facts) };
    } catch (thrown) {
      return { kind: 'busy', fault: 'failure', error: toContactError(thrown, WHAT) };
    }
  }
}
