import { write } from 'node:fs';
import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { ContactError, describe } from '../core/errors';
import type { Entry } from '../core/spool';
import { carrierOf } from '../core/trace';
import type { Verdict } from '../core/verdicts';
import type { Destination } from './destination';
import type { Signal, SignalKind } from './signals';

/** Where the lines go. */
export interface JsonLinesOptions {
  /** A path, or `stdout`. */
  file: string;
  /** At this size the file is renamed to `<file>.1`, in place of an older one, in bytes; default 100 MB. */
  fileBytes?: number;
}

const BATCH_ITEMS = 500;
const FILE_BYTES = 100_000_000;
const STDOUT = 1;
const writeTo = promisify(write);

/**
 * One line of JSON for each signal, into a file or to the standard output. The writing is done beside the event loop: a
 * disk that hangs, or a reader that does not read, holds nobody up.
 */
export class JsonLines implements Destination {
  readonly name = 'json-lines';
  readonly target: string;
  readonly kinds: ReadonlySet<SignalKind> = new Set(['log', 'event', 'metric', 'span']);
  readonly batchItems = BATCH_ITEMS;
  private readonly fileBytes: number;
  private handle: FileHandle | undefined;
  private size = 0;

  constructor({ file, fileBytes = FILE_BYTES }: JsonLinesOptions) {
    this.target = file;
    this.fileBytes = fileBytes;
  }

  encode(signal: Signal): string {
    return `${JSON.stringify(lineOf(signal))}\n`;
  }

  async send(entries: readonly Entry<Signal>[]): Promise<Verdict> {
    const bytes = Buffer.from(entries.map(({ body }) => body).join(''));
    try {
      if (this.target === 'stdout') await writeAll(bytes);
      else await this.append(bytes);
      return { kind: 'delivered' };
    } catch (thrown) {
      await this.close();
      const error = new ContactError('UNREACHABLE', {
        attempted: 'write telemetry',
        target: this.target,
        answer: describe(thrown),
        advice: 'Check the path, its rights and the free space; it is tried again by itself.',
      });
      return { kind: 'busy', fault: 'failure', error };
    }
  }

  async close(): Promise<void> {
    const { handle } = this;
    this.handle = undefined;
    await handle?.close().catch(() => {});
  }

  private async append(bytes: Buffer): Promise<void> {
    if (this.handle && this.size > 0 && this.size + bytes.length > this.fileBytes) {
      await this.close();
      await rename(this.target, `${this.target}.1`);
    }
    if (!this.handle) {
      await mkdir(dirname(this.target), { recursive: true });
      this.handle = await open(this.target, 'a');
      this.size = (await this.handle.stat()).size;
    }
    await this.handle.appendFile(bytes);
    this.size += bytes.length;
  }
}

async function writeAll(bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = (await writeTo(STDOUT, bytes, at)) as unknown as { bytesWritten: number };
    at += bytesWritten;
  }
}

/** A signal as the line has it: `timestamp` and `kind` first, then what it is about. */
function lineOf(signal: Signal): Record<string, unknown> {
  if (signal.kind !== 'span') {
    const { kind, at, attributes, ...facts } = signal;
    return { timestamp: new Date(at).toISOString(), kind, ...facts, attributes };
  }
  const { context, links, startedAt, kind: spanKind, ...facts } = signal.span;
  const { traceId, spanId } = context;
  return {
    timestamp: new Date(startedAt).toISOString(),
    kind: 'span',
    ...facts,
    spanKind,
    traceId,
    spanId,
    ...(links.length > 0 ? { links: links.map((link) => carrierOf(link).traceparent) } : {}),
  };
}
