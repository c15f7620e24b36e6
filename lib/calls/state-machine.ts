import type { Call, CallStatus, Transition } from './call';

/** Where a call may go from each state. Nothing leads back, and nothing leads out of the last four. */
export const EDGES: Readonly<Record<CallStatus, readonly CallStatus[]>> = {
  pending: ['dialing', 'failed'],
  dialing: ['ringing', 'answered', 'busy', 'no_answer', 'failed'],
  ringing: ['answered', 'no_answer', 'busy', 'failed'],
  answered: ['completed', 'failed'],
  completed: [],
  busy: [],
  no_answer: [],
  failed: [],
};

/** Whether nothing follows any more. */
export function isFinal(status: CallStatus): boolean {
  return EDGES[status].length === 0;
}

/** What has become known about a call. */
export interface CallChange {
  /** The state it is known to have reached; without it, only facts are added. */
  to?: CallStatus;
  /** When, in milliseconds since the epoch. */
  at: number;
  /** Why, in one word. Kept as the call's failure reason when `to` is final. */
  reason?: string;
  /** Asterisk's name of the channel. Only the first one counts. */
  channel?: string;
  /** Somebody has asked for the end of the call. */
  hangupRequested?: boolean;
}

/** A call after a change, with the steps that led there. */
export interface Advance {
  call: Call;
  steps: Omit<Transition, 'number'>[];
}

/**
 * The call after a change; `undefined` when the change tells nothing new. Steps that were missed are filled in, with
 * the time of the change: a call that is busy has been dialed. A change that would lead backwards is ignored, and one
 * that ends a call always ends it: whatever the words of the end, an answered call is `completed` by it.
 */
export function advance(call: Call, change: CallChange): Advance | undefined {
  const { channel, hangupRequested, reason } = change;
  const next: Call = { ...call };
  // The clocks of two machines differ: a call must not end before it began.
  const at = Math.max(change.at, call.endedAt ?? call.answeredAt ?? call.dialedAt ?? call.createdAt);
  if (channel !== undefined && call.channel === null) next.channel = channel;
  if (hangupRequested && call.hangupRequestedAt === null && !isFinal(call.status)) next.hangupRequestedAt = at;
  const steps = path(call.status, change.to).map((to, index, all) => {
    const from = all[index - 1] ?? call.status;
    const isLast = index === all.length - 1;
    return { from, to, at, reason: isLast ? (reason ?? null) : null };
  });
  for (const { to } of steps) {
    next.status = to;
    if (to === 'dialing') next.dialedAt = at;
    if (to === 'answered') next.answeredAt = at;
    if (isFinal(to)) {
      next.endedAt = at;
      next.failureReason = reason ?? null;
    }
  }
  const changed =
    steps.length > 0 || next.channel !== call.channel || next.hangupRequestedAt !== call.hangupRequestedAt;
  if (!changed) return undefined;
  next.version = call.version + 1;
  return { call: next, steps };
}

/** The states that lead from one to another, the last one included; none when it is reached or out of reach. */
function path(from: CallStatus, to: CallStatus | undefined): CallStatus[] {
  if (to === undefined || from === to || isFinal(from)) return [];
  const found = shortest(from, to);
  // An answered call can no longer be busy, but it can be over.
  return found ?? (isFinal(to) ? (shortest(from, 'completed') ?? []) : []);
}

function shortest(from: CallStatus, to: CallStatus): CallStatus[] | undefined {
  let routes: CallStatus[][] = EDGES[from].map((next) => [next]);
  while (routes.length > 0) {
    const arrived = routes.find((route) => route.at(-1) === to);
    if (arrived) return arrived;
    routes = routes.flatMap((route) => EDGES[route.at(-1) as CallStatus].map((next) => [...route, next]));
  }
  return undefined;
}
