import { EventEmitter } from 'node:events';
import { redact } from '../core/redaction';
import { LOG_LEVELS, type LogEvent, type RuntimeLogRecord, toLogEvent } from './log-event';

/** A line of `/logs`. */
export interface LogEntry {
  timestamp: string;
  level: string;
  /** The type of the node that has written it, or `node-red`. */
  logger: string;
  message: string;
  /** The id of the node. */
  node?: string;
  correlationId?: string;
}

/** The answer of `/logs`; the newest line comes first. */
export interface LogsAnswer {
  logs: LogEntry[];
  count: number;
  level_filter: string | null;
  timestamp: string;
}

/** What is kept of a log line. */
export type LogLine = Omit<LogEvent, 'fields'>;

/** How many bytes of messages the ring holds at most, whatever the number of entries. */
const MOST_BYTES = 2_000_000;
/** What an entry takes besides its message, roughly. */
const ENTRY_BYTES = 200;

/** The newest log lines, bounded in number and in bytes. */
export class LogRing {
  private readonly events: LogLine[] = [];
  private bytes = 0;

  constructor(
    private mostEntries: number,
    private readonly mostBytes = MOST_BYTES,
  ) {}

  /** How many lines it holds. */
  get size(): number {
    return this.events.length;
  }

  /** Changes how many lines it may hold; the oldest go first. */
  resize(mostEntries: number): void {
    this.mostEntries = mostEntries;
    this.trim();
  }

  /** Takes a line; the oldest make room for it. */
  push(event: LogLine): void {
    this.events.push(event);
    this.bytes += sizeOf(event);
    this.trim();
  }

  /**
   * The newest `limit` lines that are at least as serious as `level` and that `belongs` accepts, the newest first.
   */
  newest(limit: number, level?: string, belongs: (event: LogLine) => boolean = () => true): LogLine[] {
    const most = level === undefined ? Number.POSITIVE_INFINITY : levelNumber(level);
    const found: LogLine[] = [];
    for (let index = this.events.length - 1; index >= 0 && found.length < limit; index--) {
      const event = this.events[index]!;
      if (levelNumber(event.level) <= most && belongs(event)) found.push(event);
    }
    return found;
  }

  private trim(): void {
    while (this.events.length > this.mostEntries || this.bytes > this.mostBytes) {
      const oldest = this.events.shift();
      if (!oldest) return;
      this.bytes -= sizeOf(oldest);
    }
  }
}

function sizeOf(event: LogLine): number {
  return ENTRY_BYTES + Buffer.byteLength(event.message);
}

function levelNumber(level: string): number {
  return LOG_LEVELS[level as keyof typeof LOG_LEVELS] ?? LOG_LEVELS.info;
}

/** A level as someone may write it in a query, or `undefined` when there is no such level. */
export function parseLevel(text: string): string | undefined {
  const lower = text.toLowerCase();
  const known = lower === 'warning' ? 'warn' : lower === 'critical' ? 'fatal' : lower;
  return Object.hasOwn(LOG_LEVELS, known) && known !== 'off' ? known : undefined;
}

/** The body of `/logs`. */
export function logsAnswer(events: LogLine[], level: string | undefined): LogsAnswer {
  const logs = events.map(({ timestamp, level: severity, message, node, correlationId }) => ({
    timestamp,
    level: severity,
    logger: node?.type ?? 'node-red',
    // A secret may have become known only after the line was written.
    message: redact(message),
    ...(node === undefined ? {} : { node: node.id }),
    ...(correlationId === undefined ? {} : { correlationId }),
  }));
  return { logs, count: logs.length, level_filter: level ?? null, timestamp: new Date().toISOString() };
}

/** What the recorder needs of the runtime's log. */
export interface RuntimeLog {
  addHandler(handler: EventEmitter): void;
  removeHandler(handler: EventEmitter): void;
}

/**
 * Listens to the runtime's log with one handler, however many ask for it, and stops when the last one goes. The ring
 * is as large as the largest one asked for.
 */
export class LogRecorder {
  /** What was recorded; it stays when nobody records any more. */
  readonly ring = new LogRing(0);
  private readonly listeners = new Set<(line: LogEvent) => void>();
  private readonly sizes = new Map<symbol, number>();
  private stop: () => void = () => {};

  /**
   * Records until the function it gives back is called. `mostTalkative` is the number of the last level that is kept;
   * what lies above is not even looked at, because the runtime calls handlers for each message that passes a node.
   */
  record(log: RuntimeLog, mostTalkative: number, mostEntries: number): () => void {
    const key = Symbol('monitor');
    if (this.sizes.size === 0) this.start(log, mostTalkative);
    this.sizes.set(key, mostEntries);
    this.fit();
    return () => {
      if (!this.sizes.delete(key)) return;
      // A redeploy must not empty the ring: it is trimmed when the next monitor comes.
      if (this.sizes.size === 0) this.stop();
      else this.fit();
    };
  }

  /**
   * Calls `listener`, which must not throw, with each line while anybody records. Gives back the function that ends this.
   */
  onLine(listener: (line: LogEvent) => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  private fit(): void {
    this.ring.resize(Math.max(...this.sizes.values()));
  }

  private start(log: RuntimeLog, mostTalkative: number): void {
    const handler = new EventEmitter();
    handler.on('log', (record: RuntimeLogRecord) => {
      if (record.level > mostTalkative) return;
      try {
        const event = toLogEvent(record);
        const { fields: _, ...line } = event;
        this.ring.push(line);
        for (const listener of this.listeners) listener(event);
      } catch {
        // A line that cannot be read must not stop the one who has written it.
      }
    });
    log.addHandler(handler);
    this.stop = () => log.removeHandler(handler);
  }
}

/** The recorder of this process. */
export const logRecorder = new LogRecorder();
