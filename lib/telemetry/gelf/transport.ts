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
  close(): Promise<void>;
}
