/** The state of a call; what each means is told by whoever keeps the book. */
export type KnownStatus =
  | 'pending'
  | 'dialing'
  | 'ringing'
  | 'answered'
  | 'completed'
  | 'busy'
  | 'no_answer'
  | 'failed';

/** What the desk has to know of a call. Times in milliseconds since the epoch. */
export interface KnownCall {
  callId: string;
  status: KnownStatus;
  context: string | null;
  extension: string | null;
  priority: number | null;
  media: string | null;
  timeoutMs: number;
  createdAt: number;
  dialedAt: number | null;
  answeredAt: number | null;
  endedAt: number | null;
  hangupRequestedAt: number | null;
  /** Who looks after it. */
  app: string;
}

/** A change of a call that the desk has seen. */
export interface SeenChange {
  to?: KnownStatus;
  at: number;
  reason?: string;
  channel?: string;
  hangupRequested?: boolean;
}

/** Makes a request repeatable; see the book that keeps it. */
export interface Claim {
  key: string;
  fingerprint: string;
  notBefore: number;
}

/** A call before it is made. */
export interface CallToRegister {
  callId: string;
  phoneNumber: string;
  timeoutMs: number;
  createdAt: number;
  app: string;
  context?: string | null;
  extension?: string | null;
  priority?: number | null;
  media?: string | null;
  callerId?: string | null;
  attemptNumber?: number;
  createdBy?: string | null;
  correlationId?: string | null;
  metadata?: Record<string, unknown>;
}

/** Where calls are written down. A call is registered there before Asterisk hears of it. */
export interface Book<Call extends KnownCall = KnownCall> {
  register(
    call: CallToRegister,
    claim?: Claim,
  ): Promise<{ kind: 'registered' | 'replay' | 'conflict'; call: Call | undefined }>;
  /** Takes a change; never fails, and keeps the order of the changes of a call. */
  record(callId: string, change: SeenChange): void;
  get(callId: string): Promise<Call | undefined>;
  /** All calls that are not over, of others too. */
  unfinished(): Promise<Call[]>;
}

/** Whether nothing follows any more. */
export function isOver({ status }: Pick<KnownCall, 'status'>): boolean {
  return status === 'completed' || status === 'busy' || status === 'no_answer' || status === 'failed';
}
