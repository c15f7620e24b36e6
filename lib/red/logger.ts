import { toContactError } from '../core/errors';
import type { LogFields, Logger } from '../core/log';
import { redact, redactValue } from '../core/redaction';
import type { Red, RuntimeNode } from './node';

const LEVELS: Record<string, number> = { off: 1, fatal: 10, error: 20, warn: 30, info: 40, debug: 50, trace: 60 };

/**
 * One log line. The runtime's console shows `message`; handlers that understand objects see the fields beside it.
 * It turns itself into its message because the runtime gives Catch nodes the text form.
 */
class LogRecord {
  readonly message: string;

  constructor(message: string, fields: LogFields = {}) {
    Object.assign(this, redactValue(fields));
    this.message = redact(message);
  }

  toString(): string {
    return this.message;
  }
}

/**
 * A logger that writes in the name of a node. Levels that no log handler in the settings wants cost nothing. What is
 * logged with `error` also reaches Catch nodes.
 */
export function nodeLogger(RED: Red, node: RuntimeNode): Logger {
  const wanted = mostWanted(RED);
  const write = (level: number, method: 'warn' | 'log' | 'debug') => (message: string, fields?: LogFields) => {
    if (level <= wanted) node[method](new LogRecord(message, fields));
  };
  return {
    // Without a message object the runtime does not tell Catch nodes.
    error: (message, fields) => node.error(new LogRecord(message, fields), {}),
    warn: write(LEVELS['warn']!, 'warn'),
    info: write(LEVELS['info']!, 'log'),
    debug: write(LEVELS['debug']!, 'debug'),
  };
}

/**
 * Logs what background work of a node has thrown, so that Catch nodes see it. It never throws itself: after it there
 * is nobody left to catch.
 */
export function nodeFailure(node: RuntimeNode, thrown: unknown, attempted = 'go on with background work'): void {
  try {
    node.error(toContactError(thrown, attempted), {});
  } catch {
    // A log handler that throws must not end the process.
  }
}

/** The number of the most talkative level that any log handler in the settings asks for. */
function mostWanted(RED: Red): number {
  const handlers = Object.values((RED.settings.logging ?? {}) as Record<string, { level?: string } | undefined>);
  const levels = handlers.map((handler) => LEVELS[handler?.level ?? 'info'] ?? LEVELS['info']!);
  return levels.length > 0 ? Math.max(...levels) : LEVELS['info']!;
}
