/** Facts that belong to a log line, such as `correlationId`; values must be safe to print. */
export type LogFields = Record<string, unknown>;

/** What library code logs through. One line tells one event; nothing is logged per message. */
export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
}

/** Throws every line away: for callers that have nowhere to log to. */
export const silentLogger: Logger = {
  error: () => {},
  warn: () => {},
  info: () => {},
  debug: () => {},
};
