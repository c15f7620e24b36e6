import { toContactError } from '../core/errors';
import type { LogFields, Logger } from '../core/log';
import { redact, redactValue } from '../core/redaction';
import { LOG_LEVELS } from '../monitor/log-event';
import type { Red, RuntimeNode } from './node';

/**
 * What is handed to the runtime: the text alone, or an object that the console shows as its message while handlers
 * that understand objects see the fields beside it. Catch nodes get the text form, which therefore is the message.
 */
function logged(message: string, fields: LogFields | undefined): unknown {
  const text = redact(message);
  if (fields === undefined) return text;
  const record = { ...(redactValue(fields) as LogFields), message: text };
  return Object.defineProperty(record, 'toString', { value: () => text });
}

/**
 * A logger that writes in the name of a node. Levels that no log handler in the settings wants cost nothing. What is
 * logged with `error` also reaches Catch nodes, as soon as the flows have started.
 */
export function nodeLogger(RED: Red, node: RuntimeNode): Logger {
  const wanted = loggedLevel(RED);
  const write = (level: number, method: 'warn' | 'log' | 'debug') => (message: string, fields?: LogFields) => {
    if (level <= wanted) node[method](logged(message, fields));
  };
  return {
    // Without a message object the runtime does not tell Catch nodes.
    error: (message, fields) => node.error(logged(message, fields), {}),
    warn: write(LOG_LEVELS.warn, 'warn'),
    info: write(LOG_LEVELS.info, 'log'),
    debug: write(LOG_LEVELS.debug, 'debug'),
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

/** The most talkative level that any log handler in the settings asks for, as the runtime's number. */
export function loggedLevel(RED: Red): number {
  const handlers = Object.values((RED.settings.logging ?? {}) as Record<string, { level?: string } | undefined>);
  const levels = handlers.map((handler) => LOG_LEVELS[handler?.level as keyof typeof LOG_LEVELS] ?? LOG_LEVELS.info);
  return levels.length > 0 ? Math.max(...levels) : LOG_LEVELS.info;
}
