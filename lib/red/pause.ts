import type { NodeActions } from '../monitor/registry';

/** A source that can be told to hold back what it would send. */
export interface Pausable {
  readonly isPaused: boolean;
  /** Holds back what comes from now on. */
  pause(): void;
  /** Goes on: first with what was held back. */
  resume(): void;
}

/** What a person can tell such a source: to pause, or to go on; nothing while there is none. */
export function pauseActions(source: Pausable | undefined): NodeActions {
  if (!source) return {};
  return source.isPaused ? { resume: () => source.resume() } : { pause: () => source.pause() };
}
