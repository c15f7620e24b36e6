import { type Clock, systemClock } from '../core/clock';
import {
  asFields,
  asText,
  eventIdentity,
  LATEST_MS,
  type OperationalEvent,
  readOperationalEvent,
  text,
} from './operational-event';
import { type SeverityMap, severityRule } from './severity';

/** What is read from a message. Only `payload` is needed. */
export interface EventMessage {
  /** The event in any form that `readOperationalEvent` takes. */
  payload?: unknown;
  /** The topic, for events that come without their envelope. */
  topic?: unknown;
  /** The event's identifier, when its source has given it one. */
  eventId?: unknown;
  /** When it came in, in milliseconds since the epoch; now when left out. */
  receivedAt?: unknown;
  /** What the source knows about the channel; only `channel` is read. */
  genesys?: unknown;
  correlationId?: unknown;
  /** More labels for this document. */
  enrich?: unknown;
}

/** What is the same in all documents. */
export interface NormalizerOptions {
  /** The host this runs on. */
  host: string;
  /** Names this collector among several. */
  instance: string;
  /** The version of the software. */
  version: string;
  /** Labels of all documents. */
  labels?: Readonly<Record<string, unknown>>;
  /** How severities are decided; must have passed `severityMapProblem`. */
  severity?: SeverityMap;
  clock?: Clock;
}

/** The document for one event. Everything outside `event` is a text, a boolean or `null`, so that it can be indexed. */
export interface EventDocument {
  /** ISO 8601 in UTC with milliseconds: when the event happened, or when it came in; `op.timeSource` says which. */
  '@timestamp': string;
  genesys: { topic: string | null; channel: string | null };
  op: {
    /** `UNKNOWN` for what could not be read. */
    code: string | null;
    severity: string;
    entityId: string | null;
    /** The entity, when its type names an integration. */
    integrationId: string | null;
    component: string | null;
    /** Whether code, component, name or topic speak of AudioHook. */
    isAudioHook: boolean;
    name: string | null;
    description: string | null;
    conversationId: string | null;
    participantId: string | null;
    errorCode: string | null;
    entityName: string | null;
    entityType: string | null;
    timeSource: 'event' | 'arrival';
  };
  /** The whole original; for what is no object `{raw: <its text>}`. */
  event: Readonly<Record<string, unknown>>;
  collector: { host: string; instance: string; version: string; collectedAt: string };
  correlationId: string | null;
  /** Texts only: labels of the node and of the message. */
  labels?: Record<string, string>;
}

/** A document with the identifier under which it is to be stored. */
export interface NormalizedEvent {
  /** The same whenever the same event is normalised. */
  id: string;
  document: EventDocument;
  /** What was read. */
  event: OperationalEvent;
}

/** Elasticsearch takes no longer identifiers, in bytes. */
const LONGEST_ID = 512;
const AUDIOHOOK = /audiohook/i;
const INTEGRATION = /integration/i;

/** Makes one shape of document out of all shapes of events. */
export class Normalizer {
  private readonly severity: ReturnType<typeof severityRule>;
  private readonly labels: Readonly<Record<string, string>> | undefined;
  private readonly clock: Clock;
  private lastArrivalMs = 0;
  private ordinal = 0;

  constructor(private readonly options: NormalizerOptions) {
    this.severity = severityRule(options.severity);
    this.labels = addLabels(undefined, options.labels);
    this.clock = options.clock ?? systemClock;
  }

  /**
   * Normalises the event in `message.payload`. It never throws and turns everything into a document. `index` tells
   * apart the events that came in one message.
   */
  normalize(message: EventMessage, index = 0): NormalizedEvent {
    const event = readOperationalEvent(message.payload);
    const { body } = event;
    const receivedAt = instant(message.receivedAt);
    const arrivalMs = receivedAt ?? this.clock.now();
    const collectedAt = new Date(arrivalMs).toISOString();
    const topic = event.topic ?? text(message.topic);
    const entityId = event.entityId ?? event.conversationId ?? first(body, 'deploymentId', 'sessionId');
    const component = first(body, 'component', 'source', 'service');
    const named = first(body, 'integrationId', 'integration', 'integrationName');
    const document: EventDocument = {
      '@timestamp': event.timeMs === null ? collectedAt : new Date(event.timeMs).toISOString(),
      genesys: { topic, channel: text(asFields(message.genesys)?.['channel']) },
      op: {
        code: event.code,
        severity: this.severity(event),
        entityId,
        integrationId: named ?? (INTEGRATION.test(event.entityType ?? '') ? event.entityId : null),
        component,
        isAudioHook: AUDIOHOOK.test(`${event.code}\n${component}\n${event.name}\n${topic}`),
        name: event.name,
        description: event.description,
        conversationId: event.conversationId,
        participantId: text(body['participantId']) ?? text(asFields(body['participant'])?.['id']),
        errorCode: event.errorCode,
        entityName: event.entityName,
        entityType: event.entityType,
        timeSource: event.timeMs === null ? 'arrival' : 'event',
      },
      event: asFields(event.original) ?? { raw: asText(event.original) },
      collector: {
        host: this.options.host,
        instance: this.options.instance,
        version: this.options.version,
        collectedAt,
      },
      correlationId: text(message.correlationId) ?? event.correlationId,
    };
    const labels = message.enrich === undefined ? this.labels : addLabels(this.labels, message.enrich);
    if (labels) document.labels = labels;

    const given = text(message.eventId);
    const id =
      given !== null && Buffer.byteLength(given) <= LONGEST_ID
        ? given
        : eventIdentity(event, arrivalMs, receivedAt === undefined ? this.nextOrdinal(arrivalMs) : index);
    return { id, document, event };
  }

  /** Two events without any time of their own are still two, even when they come in the same millisecond. */
  private nextOrdinal(arrivalMs: number): number {
    this.ordinal = arrivalMs === this.lastArrivalMs ? this.ordinal + 1 : 0;
    this.lastArrivalMs = arrivalMs;
    return this.ordinal;
  }
}

function instant(given: unknown): number | undefined {
  return typeof given === 'number' && given >= 0 && given <= LATEST_MS ? given : undefined;
}

function first(body: OperationalEvent['body'], ...names: string[]): string | null {
  for (const name of names) {
    const found = text(body[name]);
    if (found !== null) return found;
  }
  return null;
}

/** Labels are texts whatever is given, so that the same label has the same type in all documents. */
function addLabels(
  labels: Readonly<Record<string, string>> | undefined,
  more: unknown,
): Record<string, string> | undefined {
  const added = Object.entries(asFields(more) ?? {}).flatMap(([name, value]): [string, string][] =>
    name === '' || value === undefined || value === null ? [] : [[name, asText(value)]],
  );
  return labels || added.length > 0 ? { ...labels, ...Object.fromEntries(added) } : undefined;
}
