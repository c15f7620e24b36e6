import { ContactError, describe } from '../../core/errors';
import type { Verdict } from '../../core/verdicts';

/** Where a Graylog input listens. */
export interface GelfAddress {
  host: string;
  port: number;
}

/** A way to bring GELF messages to Graylog. */
export interface GelfTransport {
  /** Sends messages and says what became of each, or of all. Never throws. */
  send(messages: readonly string[], signal: AbortSignal): Promise<Verdict | Verdict[]>;
  /** Lets go of its connections. Never rejects. */
  close(): Promise<void>;
}

/** The verdict when the network has not taken what was to be sent. */
export function notTaken({ host, port }: GelfAddress, thrown: unknown): Verdict {
  const facts = { attempted: 'send to Graylog', target: `${host}:${port}`, answer: describe(thrown) };
  return { kind: 'busy', fault: 'failure', error: new ContactError('UNREACHABLE', facts) };
}
