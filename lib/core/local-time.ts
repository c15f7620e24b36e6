const formats = new Map<string, Intl.DateTimeFormat>();

/** The parts of a time as a clock on the wall shows it. */
export interface LocalTime {
  /** `2026-01-15` */
  date: string;
  /** `09:30:05` */
  time: string;
}

/** A time in a zone such as `Europe/Berlin`; without one in that of the machine. Throws for a zone that is not known. */
export function localTime(timeMs: number, timeZone?: string): LocalTime {
  const key = timeZone ?? '';
  let format = formats.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat('en-GB', {
      ...(timeZone === undefined ? {} : { timeZone }),
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
      hourCycle: 'h23',
    });
    formats.set(key, format);
  }
  const parts = Object.fromEntries(format.formatToParts(timeMs).map(({ type, value }) => [type, value]));
  const { year = '', month, day, hour, minute, second } = parts;
  return { date: `${year.padStart(4, '0')}-${month}-${day}`, time: `${hour}:${minute}:${second}` };
}

/** Whether there is such a time zone. */
export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-GB', { timeZone: name }) !== undefined;
  } catch {
    return false;
  }
}
