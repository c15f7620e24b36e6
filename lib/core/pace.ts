/** So many turns in each window. */
export interface TurnWindow {
  turns: number;
  /** Whole seconds: a shared counter knows nothing shorter. */
  seconds: number;
}

/** An even flow, and what may go beyond it at once after a quiet time. */
export interface Pace {
  steady: TurnWindow;
  burst: TurnWindow;
}

const LONGEST_STEADY_SECONDS = 10;
const LARGEST_BURST = 50;

/**
 * Divides a limit into short windows with few turns and one long window with a small reserve, so that no stretch of
 * `seconds`, wherever it begins, holds more than `turns`: a single long window would allow nearly twice as many around
 * its end. A turn may also reach the other side a second late.
 */
export function paceOf(turns: number, seconds: number): Pace {
  const burst = Math.min(LARGEST_BURST, Math.floor(turns / 12));
  // A stretch of time can touch two of the long windows.
  const left = turns - 2 * burst;
  let steady: TurnWindow | undefined;
  for (let length = 1; length <= LONGEST_STEADY_SECONDS; length += 1) {
    // It touches one short window more than fit into it; one more is for turns that arrive late.
    const fitting = Math.floor(left / (Math.ceil(seconds / length) + 2));
    if (fitting >= 1 && (!steady || fitting / length > steady.turns / steady.seconds)) {
      steady = { turns: fitting, seconds: length };
    }
  }
  return { steady: steady ?? sparse(left, seconds), burst: { turns: burst, seconds } };
}

/** One turn now and then. Whoever is allowed a single one may not have a second that arrives late. */
function sparse(turns: number, seconds: number): TurnWindow {
  return { turns: 1, seconds: Math.ceil(seconds / Math.max(1, turns - 1)) + 1 };
}
