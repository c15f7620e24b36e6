import type { Entry } from '../core/spool';
import type { Verdict } from '../core/verdicts';
import type { Signal, SignalKind } from './signals';

/** Where telemetry can go. */
export type DestinationName = 'application-insights' | 'otlp' | 'graylog' | 'json-lines';

/** A system that takes telemetry. */
export interface Destination {
  readonly name: DestinationName;
  /** Names it in errors: an address without credentials, or a file. */
  readonly target: string;
  /** What it takes. */
  readonly kinds: ReadonlySet<SignalKind>;
  /** How many signals it takes at a time, at most. */
  readonly batchItems: number;
  /** A signal as it waits; the empty text when it waits as it is. */
  encode(signal: Signal): string;
  /** Sends signals and says what became of each, or of all. Never throws. */
  send(entries: readonly Entry<Signal>[], signal: AbortSignal): Promise<Verdict | Verdict[]>;
  /** Lets go of its connections or files. Never rejects. */
  close(): Promise<void>;
}
