import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { type Clock, systemClock, type Timer } from './clock';
import { describe } from './errors';

/** Settings of a {@link WatchedFile}. */
export interface WatchedFileOptions<Value> {
  /** Absolute. The file need not be there. */
  path: string;
  /** Makes the value of the text; what it throws says what is wrong with the text. */
  parse(text: string): Value;
  /** The value has changed. Must not throw. */
  onChange(value: Value): void;
  /** What is wrong with the file now has changed; `undefined` when nothing is any more. Must not throw. */
  onProblem?(problem: string | undefined): void;
  /** How often it is looked at when the system does not tell of changes, in milliseconds; default 2,000. */
  pollMs?: number;
  clock?: Clock;
}

const WRITTEN_WITHIN_MS = 50;

/**
 * The value of a file that is read again when it changes. A file that is gone or cannot be understood does not take the
 * last good value away. Changes are noticed over a rename too, which is how editors and container platforms replace a
 * file; where the system does not tell (network drives), by looking every so often.
 */
export class WatchedFile<Value> {
  private readonly options: Required<WatchedFileOptions<Value>>;
  private watcher: FSWatcher | undefined;
  private timer: Timer | undefined;
  private soon: Timer | undefined;
  private text: string | undefined;
  private lastGood: Value | undefined;
  private problemNow: string | undefined;
  private reading: Promise<void> | undefined;
  private closed = false;

  constructor(options: WatchedFileOptions<Value>) {
    this.options = { onProblem: () => {}, pollMs: 2_000, clock: systemClock, ...options };
  }

  /** The last good value, or `undefined` when there never was one. */
  get value(): Value | undefined {
    return this.lastGood;
  }

  /** What is wrong with the file, in one sentence. */
  get problem(): string | undefined {
    return this.problemNow;
  }

  /** Reads the file for the first time (without telling of a change) and begins to watch it. */
  async open(): Promise<void> {
    await this.read(false);
    if (this.closed) return;
    const name = basename(this.options.path);
    try {
      // The folder, not the file: a replaced file is another one, and the watcher would stay with the old.
      this.watcher = watch(dirname(this.options.path), { persistent: false }, (_event, changed) => {
        // Names that begin with two dots are what a container platform swaps when it replaces a mounted file.
        if (changed === null || changed === name || changed.startsWith('..')) this.lookSoon();
      });
      this.watcher.on('error', () => this.watcher?.close());
    } catch {
      // There is no such folder yet, or too many watchers: looking every so often will do.
    }
    this.poll();
  }

  /** Ends the watching. */
  close(): void {
    this.closed = true;
    this.watcher?.close();
    this.options.clock.clearTimeout(this.timer);
    this.options.clock.clearTimeout(this.soon);
  }

  /** Who writes a file in place empties it first: that moment is not worth a problem. */
  private lookSoon(): void {
    const { clock } = this.options;
    clock.clearTimeout(this.soon);
    this.soon = clock.setTimeout(() => this.look(), WRITTEN_WITHIN_MS);
  }

  private poll(): void {
    const { clock, pollMs } = this.options;
    this.timer = clock.setTimeout(() => {
      this.look();
      if (!this.closed) this.poll();
    }, pollMs);
    this.timer.unref?.();
  }

  private look(): void {
    this.reading ??= this.read(true).finally(() => {
      this.reading = undefined;
    });
  }

  private async read(tell: boolean): Promise<void> {
    const { path, parse, onChange } = this.options;
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (thrown) {
      this.text = undefined;
      this.report(`The file ${path} cannot be read: ${describe(thrown)}`);
      return;
    }
    if (text === this.text || this.closed) return;
    this.text = text;
    let value: Value;
    try {
      value = parse(text);
    } catch (thrown) {
      this.report(`The file ${path} cannot be used: ${describe(thrown)}`);
      return;
    }
    this.report(undefined);
    this.lastGood = value;
    if (tell) onChange(value);
  }

  private report(problem: string | undefined): void {
    if (problem === this.problemNow || this.closed) return;
    this.problemNow = problem;
    this.options.onProblem(problem);
  }
}
