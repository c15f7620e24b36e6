import type { BreakerState } from '../core/breaker';
import type { HistogramSnapshot } from './histogram';

/** What the live view shows of a node besides its state and its books. Whatever a node has not is left out. */
export interface LiveFigures {
  /** How many messages came in since the start. */
  received?: number;
  /** How many of them are done with since the start, whatever became of them. */
  done?: number;
  /** How many wait or are on their way now. */
  waiting?: number;
  breaker?: BreakerState;
  /** How many requests the rate limit allows right now. */
  tokensLeft?: number;
  /** How long messages took, in seconds. */
  latency?: HistogramSnapshot;
}
