import { parseJson } from '../core/answers';
import { type AriChannel, isChannel } from './client';

/** An event of ARI, with what we read of it. */
export interface AriEvent {
  type: string;
  /** When it happened by Asterisk's clock, in milliseconds since the epoch. */
  at: number | undefined;
  /** The application it was sent to. */
  application: string | undefined;
  /** The channel it is about; of `Dial` the called one. */
  channel: AriChannel | undefined;
  /** Q.850. At the top level of the event, not in the channel. */
  cause: number | undefined;
  /** The SIP code, since release 22. */
  techCause: number | undefined;
  /** Of `Dial`: empty, `RINGING`, `PROGRESS`, `ANSWER`, `BUSY`, ... */
  dialStatus: string | undefined;
  /** Of `PlaybackFinished` and the like. */
  playback: { id: string; state: string } | undefined;
  /** All of it. */
  raw: Record<string, unknown>;
}

/** Reads a frame of the events socket; `undefined` when it is no event. */
export function readEvent(text: string): AriEvent | undefined {
  const event = parseJson(text);
  if (!event) return undefined;
  const { type, timestamp, application, channel, peer, cause, tech_cause, dialstatus, playback } = event;
  if (typeof type !== 'string') return undefined;
  const time = typeof timestamp === 'string' ? Date.parse(timestamp) : Number.NaN;
  const about = type === 'Dial' ? peer : channel;
  return {
    type,
    at: Number.isNaN(time) ? undefined : time,
    application: textOf(application),
    channel: isChannel(about) ? about : undefined,
    cause: numberOf(cause),
    techCause: numberOf(tech_cause),
    dialStatus: textOf(dialstatus),
    playback: playbackOf(playback),
    raw: event,
  };
}

function playbackOf(value: unknown): AriEvent['playback'] {
  const { id, state } = (value ?? {}) as { id?: unknown; state?: unknown };
  return typeof id === 'string' && typeof state === 'string' ? { id, state } : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

/** Below this two clocks count as the same: an event may have been on its way for so long. */
const SAME_MS = 2_000;

/**
 * Brings Asterisk's times onto our clock. Events are told within milliseconds as a rule, so the smallest difference
 * between the arrival of an event and its own time is the difference of the two clocks.
 */
export class ClockShift {
  private smallestMs: number | undefined;

  /** The time of an event by our clock. */
  adjust(eventAt: number | undefined, arrivedAt: number): number {
    if (eventAt === undefined) return arrivedAt;
    const difference = arrivedAt - eventAt;
    if (this.smallestMs === undefined || difference < this.smallestMs) this.smallestMs = difference;
    const shift = Math.abs(this.smallestMs) < SAME_MS ? 0 : this.smallestMs;
    return eventAt + shift;
  }
}
