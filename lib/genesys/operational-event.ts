import * as crypto from 'node:crypto';
import { inspect } from 'node:util';

/**
 * What an event is: `operational` carries an event definition's id, `other` is a readable event of another kind, and
 * `broken` is anything that is not a JSON object.
 */
export type EventKind = 'operational' | 'other' | 'broken';

/**
 * One shape for what Genesys Cloud says in several: the socket's `OperationalEventNotification`, the REST query's
 * `OperationalEvent`, and either of them inside a notification or an EventBridge envelope. What is missing is `null`.
 */
export interface OperationalEvent {
  kind: EventKind;
  /** The id of the event definition, such as `AUDIOHOOK-0001`; `UNKNOWN` when broken. */
  code: string | null;
  name: string | null;
  description: string | null;
  entityId: string | null;
  entityName: string | null;
  /** Only the socket tells it. */
  entityType: string | null;
  parentEntityId: string | null;
  conversationId: string | null;
  previousValue: string | null;
  currentValue: string | null;
  errorCode: string | null;
  version: string | null;
  /** When it happened, in milliseconds since the epoch; older notifications do not say. */
  timeMs: number | null;
  /** The id of the envelope, when the time is the envelope's: that one only counts in seconds. */
  envelopeId: string | null;
  topic: string | null;
  correlationId: string | null;
  /** The event without its envelope; empty when there is none to be read. */
  body: Readonly<Record<string, unknown>>;
  /** What came in; JSON text is parsed, other bytes are text. */
  original: unknown;
}

type Fields = Record<string, unknown>;

const NOTHING: Fields = Object.freeze({});
/** The last instant of the year 9999, in milliseconds since the epoch: ISO 8601 has four digits for the year. */
export const LATEST_MS = 253_402_300_799_999;
/** A number below this is a count of seconds: as milliseconds it would be a day before March 1973. */
const FEWEST_MS = 100_000_000_000;
const ZONE = /(?:z|[+-]\d{2}:?\d{2})$/i;

/** Reads an event in any of its forms. It never throws: what cannot be read has the kind `broken`. */
export function readOperationalEvent(input: unknown): OperationalEvent {
  const original = parsed(input);
  const envelope = asFields(original);
  if (!envelope) return broken(original);

  const detail = bridged(envelope);
  const notification = detail ?? envelope;
  const body = asFields(parsed(notification['eventBody'])) ?? ('eventBody' in notification ? NOTHING : notification);
  const entity = asFields(body['eventEntity']) ?? asFields(body['eventDefinition']) ?? NOTHING;
  const definitionId = text(entity['id']) ?? text(body['eventDefinitionId']);
  const ownTimeMs = time(body['timestamp']) ?? time(body['dateCreated']);
  const envelopeTimeMs = detail ? time(envelope['time']) : null;
  return {
    kind: definitionId === null ? 'other' : 'operational',
    code: definitionId ?? text(body['code']) ?? text(body['eventId']),
    name: text(entity['name']),
    description: text(entity['description']),
    entityId: text(body['entityId']),
    entityName: text(body['entityName']),
    entityType: text(body['entityType']),
    parentEntityId: id(body['parentEntity']) ?? text(body['parentEntityId']),
    conversationId: text(body['conversationId']) ?? id(body['conversation']),
    previousValue: value(body['previousValue']),
    currentValue: value(body['currentValue']),
    errorCode: text(body['errorCode']),
    version: text(body['version']) ?? text(body['entityVersion']),
    timeMs: ownTimeMs ?? envelopeTimeMs,
    envelopeId: ownTimeMs === null && envelopeTimeMs !== null ? text(envelope['id']) : null,
    topic: text(notification['topicName']),
    correlationId: text((asFields(notification['metadata']) ?? NOTHING)['CorrelationId']),
    body,
    original,
  };
}

/**
 * The identifier of an event: the same for each copy of it, over whichever way it came. Genesys gives its events no
 * id, so it is a hash of what the socket's form and the REST form share. An event without a time takes
 * `fallbackTimeMs`, and `ordinal` tells apart those that would then be alike.
 *
 * Events of other kinds, whose fields are not known, are hashed as a whole.
 */
export function eventIdentity(event: OperationalEvent, fallbackTimeMs: number, ordinal = 0): string {
  if (event.timeMs === null) return hash(JSON.stringify([...sharedFields(event), fallbackTimeMs, ordinal]));
  return hash(JSON.stringify([...sharedFields(event), event.timeMs, event.envelopeId]));
}

/** The identifier of all that could be the same event at different times: {@link eventIdentity} without the time. */
export function timelessIdentity(event: OperationalEvent): string {
  return hash(JSON.stringify(sharedFields(event)));
}

function sharedFields(event: OperationalEvent): (string | null)[] {
  if (event.kind !== 'operational') return [event.topic, asText(event.original)];
  return [
    event.code,
    event.entityId,
    event.conversationId,
    event.errorCode,
    event.previousValue,
    event.currentValue,
    event.parentEntityId,
  ];
}

/** Any value as text: JSON where that is possible. It never throws. */
export function asText(anything: unknown): string {
  if (typeof anything === 'string') return anything;
  try {
    return JSON.stringify(anything) ?? String(anything);
  } catch {
    // Circular, or it holds a bigint.
    return inspect(anything, { depth: 8, breakLength: Number.POSITIVE_INFINITY });
  }
}

/** A scalar as text; `null` when it is missing, empty or no scalar. */
export function text(anything: unknown): string | null {
  if (typeof anything === 'string') return anything === '' ? null : anything;
  const scalar = typeof anything === 'number' || typeof anything === 'boolean' || typeof anything === 'bigint';
  return scalar ? String(anything) : null;
}

/** An instant as milliseconds since the epoch: a number in milliseconds or seconds, or ISO 8601 (UTC without a zone). */
export function time(anything: unknown): number | null {
  const given =
    typeof anything === 'string' ? textTime(anything) : typeof anything === 'number' ? anything : Number.NaN;
  const timeMs = Math.trunc(given < FEWEST_MS && typeof anything === 'number' ? given * 1_000 : given);
  return timeMs > 0 && timeMs <= LATEST_MS ? timeMs : null;
}

/** The object as a map of unknown values; `undefined` for anything else, arrays and bytes included. */
export function asFields(anything: unknown): Fields | undefined {
  if (typeof anything !== 'object' || anything === null || Array.isArray(anything)) return undefined;
  return anything instanceof Uint8Array ? undefined : (anything as Fields);
}

const NOT_JSON: Omit<OperationalEvent, 'original'> = {
  kind: 'broken',
  code: 'UNKNOWN',
  name: null,
  description: null,
  entityId: null,
  entityName: null,
  entityType: null,
  parentEntityId: null,
  conversationId: null,
  previousValue: null,
  currentValue: null,
  errorCode: null,
  version: null,
  timeMs: null,
  envelopeId: null,
  topic: null,
  correlationId: null,
  body: NOTHING,
};

/** The notification inside of an EventBridge event. */
function bridged(envelope: Fields): Fields | undefined {
  const detail = asFields(envelope['detail']);
  return detail && ('detail-type' in envelope || 'eventBody' in detail) ? detail : undefined;
}

function broken(original: unknown): OperationalEvent {
  return { ...NOT_JSON, original };
}

function parsed(input: unknown): unknown {
  const given = input instanceof Uint8Array ? Buffer.from(input).toString('utf8') : input;
  if (typeof given !== 'string') return given;
  try {
    return JSON.parse(given);
  } catch {
    return given;
  }
}

function id(reference: unknown): string | null {
  return text(reference) ?? text(asFields(reference)?.['id']);
}

/** Both forms give texts here; anything else still has to tell two events apart. */
function value(anything: unknown): string | null {
  return anything === undefined || anything === null ? null : text(asText(anything));
}

function textTime(given: string): number {
  if (/^\d+(?:\.\d+)?$/.test(given)) {
    const number = Number(given);
    return number < FEWEST_MS ? number * 1_000 : number;
  }
  return Date.parse(ZONE.test(given) ? given : `${given}Z`);
}

// Not for secrecy, so the shortest of the common ones will do. `crypto.hash` came with Node 20.12 and takes half the time.
const hash: (data: string) => string =
  typeof crypto.hash === 'function'
    ? (data) => crypto.hash('sha1', data, 'base64url')
    : (data) => crypto.createHash('sha1').update(data).digest('base64url');
