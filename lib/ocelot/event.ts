import { randomUUID } from 'node:crypto';
import { ContactError } from '../core/errors';
import { EVENT_TYPE_PATTERN } from './schemas';
import { checkData, type SchemaProblem } from './validation';

/** The exchange of the platform, a durable topic exchange. */
export const EVENTS_EXCHANGE = 'ocelot.events';
/** What the routing keys of a contact center begin with. */
const ROUTING_PREFIX = 'comms.';
/** The part of the platform that a contact center is. */
export const EVENT_SOURCE = 'communications';
/** The version of the form of the events. */
export const EVENT_VERSION = '1.0.0';

/** An event as it is published. */
export interface OcelotEvent {
  /** A UUID. */
  id: string;
  type: string;
  source: string;
  /** As ISO 8601 in UTC, with a `Z`. */
  timestamp: string;
  organizationId: string;
  userId: string | null;
  data: Record<string, unknown>;
  metadata: { version: string; module: string };
}

/** What an event is made of. Whatever is wrong with it is told when it is made. */
export interface EventParts {
  type: unknown;
  data: unknown;
  organizationId: unknown;
  userId?: unknown;
  /** Tells the event from all others: give the same one when the same event is published again. */
  id?: unknown;
  module: string;
  /** When it happened, in milliseconds since the epoch. */
  now: number;
}

/** An event that must not be published. `problems` has one entry for each thing that is wrong. */
export class InvalidEvent extends ContactError {
  constructor(
    type: unknown,
    readonly problems: readonly SchemaProblem[],
  ) {
    super('INVALID_INPUT', {
      attempted: `publish an event of the type ${typeof type === 'string' && type !== '' ? type : '(none)'}`,
      answer: problems.map(({ field, problem }) => `${field} ${problem}`).join('; '),
    });
  }
}

const EVENT_TYPE = new RegExp(EVENT_TYPE_PATTERN);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** A routing key has at most 255 bytes. */
const LONGEST_TYPE = 255 - ROUTING_PREFIX.length;

/** Makes the event, with what can be computed filled in. Throws {@link InvalidEvent}. */
export function makeEvent(parts: EventParts): OcelotEvent {
  const { type, organizationId, userId = null, id, module, now } = parts;
  const problems: SchemaProblem[] = [];
  const isType = typeof type === 'string' && type.length <= LONGEST_TYPE && EVENT_TYPE.test(type);
  if (!isType) problems.push({ field: 'type', problem: 'must be words with dots between them, such as call.ended' });
  if (typeof organizationId !== 'string' || organizationId.trim() === '') {
    const problem = organizationId === undefined ? 'is missing' : 'must be the id of the organization as a text';
    problems.push({ field: 'organizationId', problem });
  }
  if (userId !== null && typeof userId !== 'string') {
    problems.push({ field: 'userId', problem: 'must be the id of the user as a text, or null' });
  }
  if (id !== undefined && !(typeof id === 'string' && UUID.test(id))) {
    problems.push({ field: 'id', problem: 'must be a UUID' });
  }
  const data = isType ? completed(type, parts.data) : parts.data;
  if (isType) problems.push(...checkData(type, data), ...contradictions(type, data));
  if (problems.length > 0) throw new InvalidEvent(type, problems);
  return {
    id: (id as string | undefined) ?? randomUUID(),
    type: type as string,
    source: EVENT_SOURCE,
    timestamp: new Date(now).toISOString(),
    organizationId: organizationId as string,
    userId: userId as string | null,
    data: data as Record<string, unknown>,
    metadata: { version: EVENT_VERSION, module },
  };
}

/** The routing key under which an event of this type is published. */
export function routingKeyOf(type: string): string {
  return ROUTING_PREFIX + type;
}

/** The properties that may be null, by type: a publisher may leave them out. */
const NULLABLE: Record<string, string> = { 'call.started': 'campaign_id', 'call.ended': 'transcript' };

/** The data with what may be left out, and the success rate. */
function completed(type: string, data: unknown): unknown {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return data;
  const given = data as Record<string, unknown>;
  const nullable = NULLABLE[type];
  if (nullable !== undefined && given[nullable] === undefined) return { ...given, [nullable]: null };
  if (type !== 'campaign.completed') return given;
  const { total_calls: total, successful_calls: successful, success_rate: rate } = given;
  // A rate that is wrong in itself is left for the schema to refuse; one that is merely rounded is computed anew.
  const isUsable = rate === undefined || (typeof rate === 'number' && rate >= 0 && rate <= 1);
  if (!isUsable || typeof total !== 'number' || typeof successful !== 'number') return given;
  return { ...given, success_rate: total === 0 ? 0 : successful / total };
}

/** What no schema can say: parts that are more than the whole. */
function contradictions(type: string, data: unknown): SchemaProblem[] {
  if (type !== 'campaign.completed') return [];
  const {
    total_calls: total,
    successful_calls: successful,
    failed_calls: failed,
  } = (data ?? {}) as Record<string, number>;
  if (![total, successful, failed].every((value) => Number.isSafeInteger(value) && value! >= 0)) return [];
  if (successful! > total!) return [{ field: 'data.successful_calls', problem: 'must not be more than total_calls' }];
  if (successful! + failed! > total!) {
    return [{ field: 'data.failed_calls', problem: 'must not be more than is left of total_calls' }];
  }
  return [];
}
