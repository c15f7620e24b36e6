import type { Clock } from './clock';
import type { Logger } from './log';

/** More different texts than this are not remembered. */
const MOST_TEXTS = 200;

/**
 * A logger for what is tried again and again: a warning or an error that was written already is left out until
 * `quietMs` have passed since. Default 10 minutes.
 */
export function quietLogger(logger: Logger, clock: Clock, quietMs = 600_000): Logger {
  const writtenAt = new Map<string, number>();
  const isNews = (message: string): boolean => {
    const now = clock.now();
    const last = writtenAt.get(message);
    if (last !== undefined && now - last < quietMs) return false;
    writtenAt.delete(message);
    writtenAt.set(message, now);
    const [oldest] = writtenAt.keys();
    if (writtenAt.size > MOST_TEXTS && oldest !== undefined) writtenAt.delete(oldest);
    return true;
  };
  return {
    error: (message, fields) => {
      if (isNews(message)) logger.error(message, fields);
    },
    warn: (message, fields) => {
      if (isNews(message)) logger.warn(message, fields);
    },
    info: (message, fields) => logger.info(message, fields),
    debug: (message, fields) => logger.debug(message, fields),
  };
}
