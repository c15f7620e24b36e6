import type { CallEnding } from './endings';

/** What happens when a call is answered. */
export type CallPlan =
  /** Asterisk hands the answered call to our application, which sends it on to the dialplan. */
  | { kind: 'dialplan'; context: string; extension: string; priority: number }
  /** Our application plays something and hangs up. */
  | { kind: 'play'; media: string }
  /** Asterisk takes the answered call to the dialplan by itself. */
  | { kind: 'direct'; context: string; extension: string; priority: number };

/** A call that is not over, as the desk sees it. */
export interface LiveCall {
  readonly callId: string;
  readonly plan: CallPlan;
  readonly timeoutMs: number;
  /** When Asterisk was asked to make it, in milliseconds since the epoch. */
  dialedAt: number;
  /** Asterisk has not yet answered the request to make it. */
  asking: boolean;
  /** Something was heard of it. */
  heard: boolean;
  answered: boolean;
  /** The dialplan or the playback has begun. */
  served: boolean;
  /** The application is taking care of the answered call. */
  serving: boolean;
  hangupRequested: boolean;
  /** Somebody has hung it up, and its end is on the way. */
  ending: boolean;
  /** The cause of a request to hang up, by whomever. */
  requestCause: number | undefined;
  /** Why we hung it up ourselves, when that was a failure. */
  failing: CallEnding | undefined;
  /** How often in a row Asterisk was asked and did not have it. */
  missed: number;
  /** When a playback has lasted too long. */
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** A call that is about to be made, or that was made before this process began. */
export function liveCall(call: Pick<LiveCall, 'callId' | 'plan' | 'timeoutMs' | 'dialedAt'>): LiveCall {
  return {
    asking: false,
    heard: false,
    answered: false,
    served: false,
    serving: false,
    hangupRequested: false,
    ending: false,
    requestCause: undefined,
    failing: undefined,
    missed: 0,
    timer: undefined,
    ...call,
  };
}
