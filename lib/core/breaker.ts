import { BrokenCircuitError, CircuitState, circuitBreaker, handleWhenResult, SamplingBreaker } from 'cockatiel';

/** When a breaker opens and for how long. */
export interface BreakerOptions {
  /** It opens when more than this share of the calls failed; default 0.5. */
  threshold?: number;
  /** Over how long the share is taken, in milliseconds; default 60 000. */
  windowMs?: number;
  /** With fewer calls than this in the window it stays closed; default 10. */
  minimumCalls?: number;
  /** How long it stays open before one probe is let through, in milliseconds; default 15 000. */
  openMs?: number;
}

/** `half-open` while a probe is on its way. */
export type BreakerState = 'closed' | 'open' | 'half-open';

const STATES: Record<CircuitState, BreakerState> = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.Open]: 'open',
  [CircuitState.HalfOpen]: 'half-open',
  [CircuitState.Isolated]: 'open',
};

/** Stops calls to a remote system that is unwell: opens at a share of failures over time, probes, closes again. */
export class Breaker {
  /** How long it stays open before a probe, in milliseconds. */
  readonly openMs: number;
  private readonly policy;

  constructor(options: BreakerOptions = {}) {
    const { threshold = 0.5, windowMs = 60_000, minimumCalls = 10, openMs = 15_000 } = options;
    this.openMs = openMs;
    // The library asks for calls a second where a person thinks of calls in the window.
    const breaker = new SamplingBreaker({
      threshold,
      duration: windowMs,
      minimumRps: (minimumCalls * 1_000) / windowMs,
    });
    const failed = handleWhenResult((result) => (result as { failed: boolean }).failed);
    this.policy = circuitBreaker(failed, { halfOpenAfter: openMs, breaker });
  }

  get state(): BreakerState {
    return STATES[this.policy.state];
  }

  /**
   * Makes a call whose result says itself whether the remote system is unwell; nothing else counts as a failure.
   * Answers `undefined` without calling while the breaker is open.
   */
  async call<Result extends { failed: boolean }>(make: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await this.policy.execute(make);
    } catch (thrown) {
      if (thrown instanceof BrokenCircuitError) return undefined;
      throw thrown;
    }
  }
}
