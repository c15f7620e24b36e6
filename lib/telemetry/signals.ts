import type { SpanRecord } from '../core/trace';

/** Plain facts of a signal. */
export type Attributes = Record<string, string | number | boolean>;

/** A line of the log. */
export interface LogSignal {
  kind: 'log';
  /** Milliseconds since the epoch. */
  at: number;
  /** `fatal`, `error`, `warn`, `info`, `debug` or `trace`. */
  level: string;
  text: string;
  attributes: Attributes;
}

/** Something that has happened once. */
export interface EventSignal {
  kind: 'event';
  at: number;
  name: string;
  attributes: Attributes;
}

/** A number at a moment. */
export interface MetricSignal {
  kind: 'metric';
  at: number;
  name: string;
  value: number;
  /** Whether it only ever grows, from the start of the process. */
  isTotal?: boolean;
  attributes: Attributes;
}

/** A piece of work that has ended. */
export interface SpanSignal {
  kind: 'span';
  span: SpanRecord;
}

/** What telemetry is made of. Everything in it is redacted already. */
export type Signal = LogSignal | EventSignal | MetricSignal | SpanSignal;

/** The kinds of signals. */
export type SignalKind = Signal['kind'];
