import { type Clock, systemClock, type Timer } from '../core/clock';
import type { LiveFrame } from './live-view';

const EVERY_MS = 1_000;
/** Who watches says so again and again; when nobody has for so long, nobody watches any more. */
const WATCHED_MS = 15_000;

/** Makes a frame of the live view once a second while somebody watches, and costs nothing otherwise. */
export class LiveFeed {
  private timer: Timer | undefined;
  private newest: LiveFrame | undefined;
  private watchedUntil = 0;

  /** `make` makes the frame of this moment, `publish` takes each of them to the open editors. */
  constructor(
    private readonly make: () => LiveFrame,
    private readonly publish: (frame: LiveFrame) => void,
    private readonly clock: Clock = systemClock,
  ) {}

  /** Somebody watches, for the next 15 seconds. Answers the newest frame. */
  watch(): LiveFrame {
    this.watchedUntil = this.clock.now() + WATCHED_MS;
    if (this.timer === undefined) this.next();
    return this.newest as LiveFrame;
  }

  private next(): void {
    this.timer = undefined;
    if (this.clock.now() >= this.watchedUntil) return;
    this.timer = this.clock.setTimeout(() => this.next(), EVERY_MS);
    this.timer.unref?.();
    this.newest = this.make();
    this.publish(this.newest);
  }
}
