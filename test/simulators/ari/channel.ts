/** A channel of the simulated Asterisk, as ARI shows it. */
export interface Channel {
  id: string;
  name: string;
  state: 'Down' | 'Ringing' | 'Up';
  caller: { name: string; number: string };
  connected: { name: string; number: string };
  accountcode: string;
  dialplan: { context: string; exten: string; priority: number; app_name: string; app_data: string };
  creationtime: string;
  language: string;
}

/** What the called party does, by the last four digits of the number; the same as SIPp does for a real Asterisk. */
export type Behaviour =
  | { kind: 'answer'; afterMs: number; hangsUp?: boolean; earlyMedia?: boolean }
  | { kind: 'refuse'; cause: number; techCause: number; dialStatus: string }
  | { kind: 'ring' }
  | { kind: 'silence' };

const REFUSALS: Record<string, [cause: number, dialStatus: string]> = {
  '0486': [17, 'BUSY'],
  '0603': [21, 'NOANSWER'],
  '0403': [21, 'NOANSWER'],
  '0404': [1, 'NOANSWER'],
  '0480': [19, 'NOANSWER'],
  '0503': [34, 'CONGESTION'],
  '0500': [38, 'NOANSWER'],
  '0488': [58, 'NOANSWER'],
};

/** What the party of a number does. */
export function behaviourOf(number: string): Behaviour {
  const digits = number.slice(-4);
  const refusal = REFUSALS[digits];
  if (refusal) return { kind: 'refuse', cause: refusal[0], techCause: Number(digits), dialStatus: refusal[1] };
  if (digits === '0180') return { kind: 'ring' };
  if (digits === '0408') return { kind: 'silence' };
  if (digits === '0201') return { kind: 'answer', afterMs: 300, hangsUp: true };
  if (digits === '0302') return { kind: 'answer', afterMs: 3_000 };
  if (digits === '0183') return { kind: 'answer', afterMs: 1_000, earlyMedia: true };
  return { kind: 'answer', afterMs: 300 };
}

/** The form of Asterisk's times: no colon in the offset. */
export function asteriskTime(at: number): string {
  return new Date(at).toISOString().replace('Z', '+0000');
}

/** The texts of the causes that occur here. */
export const CAUSE_TEXTS: Record<number, string> = {
  0: 'Unknown',
  1: 'Unallocated (unassigned) number',
  4: 'Vehicle',
  16: 'Normal Clearing',
  17: 'User busy',
  18: 'No user responding',
  19: 'User alerting, no answer',
  21: 'Call Rejected',
  34: 'Circuit/channel congestion',
  38: 'Network out of order',
  58: 'Bearer capability not available',
};
