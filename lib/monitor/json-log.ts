import { type RuntimeLogRecord, toLogEvent } from './log-event';

/** Where the lines go: anything with `write`. */
interface Destination {
  write(line: string): unknown;
}

/**
 * A log handler for the `logging` section of Node-RED's settings.js that writes one line of JSON for each event to the
 * standard output:
 *
 * ```js
 * logging: {
 *   json: {
 *     level: 'info', metrics: false, audit: false,
 *     handler: require('@contactflow/node-red-contact-center/dist/lib/monitor/json-log').handler,
 *   },
 * }
 * ```
 *
 * A line has `timestamp`, `level`, `message`, and when they are known `node {id, type, name}`, `flow` and
 * `correlationId`; then whatever else was logged with it. Secrets are masked. It never throws.
 */
export function handler(settings: { destination?: Destination } = {}): (record: RuntimeLogRecord) => void {
  const destination = settings.destination ?? process.stdout;
  return (record) => {
    try {
      destination.write(`${jsonLine(record)}\n`);
    } catch {
      // The runtime has nobody to tell that a line could not be written.
    }
  };
}

/** One record of the runtime as a line of JSON, without the line break. */
export function jsonLine(record: RuntimeLogRecord): string {
  const { fields, ...event } = toLogEvent(record);
  // The known parts come first and cannot be replaced by a field of the same name.
  return JSON.stringify({ ...event, ...fields, ...event });
}
