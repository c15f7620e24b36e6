import { hostname } from 'node:os';
import type { Attributes, EventSignal, LogSignal } from '../signals';

/** Syslog severities, which is what GELF counts in. */
const SEVERITIES = new Map(Object.entries({ fatal: 2, error: 3, warn: 4, info: 6, debug: 7, trace: 7 }));
const EVENT_SEVERITY = 6;
const LONGEST_SHORT_MESSAGE = 250;
/** What Graylog makes fields of; a name outside of it costs the whole message. */
const NOT_IN_NAMES = /[^\w.-]/g;

/**
 * A log line or an event as a GELF 1.1 message. Additional fields begin with an underscore, and `_id` is Graylog's own.
 */
export function gelfMessage(signal: LogSignal | EventSignal, application: string): string {
  const text = signal.kind === 'log' ? signal.text : signal.name;
  const [firstLine = ''] = text.split('\n', 1);
  const short = firstLine.trim().slice(0, LONGEST_SHORT_MESSAGE) || '-';
  return JSON.stringify({
    version: '1.1',
    host: hostname(),
    short_message: short,
    ...(short === text ? {} : { full_message: text }),
    timestamp: signal.at / 1_000,
    level: signal.kind === 'log' ? (SEVERITIES.get(signal.level) ?? EVENT_SEVERITY) : EVENT_SEVERITY,
    ...additionalFields({
      application,
      ...(signal.kind === 'event' ? { event: signal.name } : {}),
      ...signal.attributes,
    }),
  });
}

/** Graylog takes texts and numbers only. */
function additionalFields(attributes: Attributes): Record<string, string | number> {
  const fields: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(attributes)) {
    const field = `_${name.replace(NOT_IN_NAMES, '_')}`;
    fields[field === '_id' ? '__id' : field] =
      typeof value === 'number' && Number.isFinite(value) ? value : String(value);
  }
  return fields;
}
