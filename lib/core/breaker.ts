import type { CircuitState, IBreaker } from 'cockatiel';
import { cockatiel } from './libraries';

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

/** Stops calls to a remote system that is unwell: opens at a share of failures over time, probes, closes again. */
export class Breaker {
  private readonly policy;
  private readonly openMs: number;
  private openedAt = 0;

  constructor({ threshold = 0.5, windowMs = 60_000, minimumCalls = 10, openMs = 15_000 }: BreakerOptions = {}) {
    const { circuitBreaker, handleWhenResult } = cockatiel();
    this.openMs = openMs;
    const failed = handleWhenResult((result) => (result as { failed: boolean }).failed);
    const breaker = new FailureShare(threshold, windowMs, minimumCalls);
    this.policy = circuitBreaker(failed, { halfOpenAfter: openMs, breaker });
    this.policy.onBreak(() => {
      this.openedAt = Date.now();
    });
  }

  /** Whether calls are made, not made, or tried with one. */
  get state(): BreakerState {
    const { CircuitState } = cockatiel();
    const { state } = this.policy;
    if (state === CircuitState.Closed) return 'closed';
    return state === CircuitState.HalfOpen ? 'half-open' : 'open';
  }

  /** For how long no call will be made, in milliseconds; 0 when one would be. */
  get refusesForMs(): number {
    return this.state === 'open' ? Math.max(0, this.openedAt + this.openMs - Date.now()) : 0;
  }

  /**
   * Makes a call whose result says itself whether the remote system is unwell; nothing else counts as a failure.
   * Answers `undefined` without calling while the breaker is open.
   */
  async call<Result extends { failed: boolean }>(make: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await this.policy.execute(make);
    } catch (thrown) {
      if (thrown instanceof cockatiel().BrokenCircuitError) return undefined;
      throw thrown;
    }
  }
}

/** The window is divided into this many slices, which leave it one by one. */
const SLICES = 60;

/**
 * The rule by which the breaker opens. The library's own rule forgets one slice with each call, not with time: with a
 * call every five seconds its minute lasts five.
 */
class FailureShare implements IBreaker {
  /** Nothing that is worth keeping over a restart. */
  state: unknown;
  private readonly slices = Array.from({ length: SLICES }, () => ({ number: -1, calls: 0, failures: 0 }));

  constructor(
    private readonly threshold: number,
    private readonly windowMs: number,
    private readonly minimumCalls: number,
  ) {}

  success(state: CircuitState): void {
    // A probe that succeeds begins a new life: what failed before does not count against it.
    if (state === cockatiel().CircuitState.HalfOpen) for (const slice of this.slices) slice.number = -1;
    this.count(0);
  }

  failure(): boolean {
    this.count(1);
    const newest = this.sliceNumber();
    let calls = 0;
    let failures = 0;
    for (const slice of this.slices) {
      if (slice.number <= newest - SLICES || slice.number > newest) continue;
      calls += slice.calls;
      failures += slice.failures;
    }
    return calls >= this.minimumCalls && failures > this.threshold * calls;
  }

  private count(failures: number): void {
    const number = this.sliceNumber();
    const slice = this.slices[number % SLICES];
    if (!slice) return;
    if (slice.number !== number) Object.assign(slice, { number, calls: 0, failures: 0 });
    slice.calls += 1;
    slice.failures += failures;
  }

  private sliceNumber(): number {
    return Math.floor((Date.now() * SLICES) / this.windowMs);
  }
}
