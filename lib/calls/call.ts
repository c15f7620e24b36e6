/** Every state of a call. The last four are final. */
export const CALL_STATUSES = [
  'pending',
  'dialing',
  'ringing',
  'answered',
  'completed',
  'busy',
  'no_answer',
  'failed',
] as const;

/**
 * The state of a call: `pending` (registered, Asterisk has not been asked or has not answered yet), `dialing`,
 * `ringing`, `answered`; then for ever `completed` (it was answered), `busy`, `no_answer` or `failed`.
 */
export type CallStatus = (typeof CALL_STATUSES)[number];

/** One call. Times are in milliseconds since the epoch; what is not known is `null`. */
export interface Call {
  /** A UUID; Asterisk's channel has the same id. */
  callId: string;
  phoneNumber: string;
  status: CallStatus;
  /** Asterisk's name of the channel: `PJSIP/trunk-00000001`. */
  channel: string | null;
  /** Where the dialplan takes the call when it is answered. */
  context: string | null;
  extension: string | null;
  priority: number | null;
  /** What is played when it is answered, instead of the dialplan: `sound:hello-world`. */
  media: string | null;
  callerId: string | null;
  /** For how long it may ring, in milliseconds. */
  timeoutMs: number;
  createdAt: number;
  dialedAt: number | null;
  answeredAt: number | null;
  endedAt: number | null;
  /** When somebody asked for its end. */
  hangupRequestedAt: number | null;
  /** Why it failed, was not answered or was hung up, in one word: `rejected`, `invalid_number`. */
  failureReason: string | null;
  /** Which attempt at this number it is, from 1. */
  attemptNumber: number;
  /** The API user who asked for it. */
  createdBy: string | null;
  /** The Stasis application that looks after it; no two processes have the same. */
  app: string;
  correlationId: string | null;
  /** Plain JSON of the caller, kept and given back. */
  metadata: Record<string, unknown>;
  /** Counts the changes of this record, from 1. */
  version: number;
}

/** One step of a call from one state to the next. */
export interface Transition {
  /** From 1, without a gap. */
  number: number;
  /** `null` for the first. */
  from: CallStatus | null;
  to: CallStatus;
  at: number;
  reason: string | null;
}

/** What a call is made of; the rest begins empty. */
export type NewCall = Pick<Call, 'callId' | 'phoneNumber' | 'timeoutMs' | 'createdAt' | 'app'> &
  Partial<
    Pick<
      Call,
      | 'context'
      | 'extension'
      | 'priority'
      | 'media'
      | 'callerId'
      | 'attemptNumber'
      | 'createdBy'
      | 'correlationId'
      | 'metadata'
    >
  >;

/** A call that is about to be made, in the state `pending`. */
export function newCall(call: NewCall): Call {
  return {
    status: 'pending',
    channel: null,
    context: null,
    extension: null,
    priority: null,
    media: null,
    callerId: null,
    dialedAt: null,
    answeredAt: null,
    endedAt: null,
    hangupRequestedAt: null,
    failureReason: null,
    attemptNumber: 1,
    createdBy: null,
    correlationId: null,
    metadata: {},
    version: 1,
    ...call,
  };
}

/** How long it was answered, in seconds with milliseconds; `null` unless it was answered and is over. */
export function durationOf({ answeredAt, endedAt }: Call): number | null {
  return answeredAt === null || endedAt === null ? null : (endedAt - answeredAt) / 1_000;
}
