import { createHash } from 'node:crypto';
import { type Answer, badRequest, invalidValue, notFound } from './answers';
import {
  definitionRef,
  type EventDefinition,
  type OperationalEvent,
  restForm,
  socketForm,
  topicOf,
} from './event-forms';
import { type GenerateOptions, type GeneratorRun, NumberedEvents, run } from './event-generator';
import { EventStore, type Position, type StoredEvent } from './event-store';
import type { TopicText } from './notifications';
import { type ApiRequest, jsonBody, type SimulatorServer } from './server';

/** Settings of the event service. */
export interface OperationalEventOptions {
  /** Whether the socket form of an event that gives no `timestamp` carries its creation time; default true. */
  socketTimestamps: boolean;
  /** How long after it happened an event shows up in the REST query; default 0. */
  restVisibleAfterMs: number;
  /** How many events the REST query remembers; default 2,000,000. */
  storedEvents: number;
}

/** Where an event goes. */
export interface PublishOptions {
  /** Stored for the REST query; default true. */
  rest?: boolean;
  /** Sent on the sockets; default true. */
  socket?: boolean;
}

const permission = 'usage:events:view';
const queryPath = '/api/v2/usage/events/query';
const standardPageSize = 25;
const maximumPageSize = 200;

/** Operational events: definitions, the REST query, and making events happen. */
export class OperationalEvents {
  private readonly definitions: Map<string, EventDefinition>;
  private readonly store: EventStore;
  private readonly running = new Set<GeneratorRun>();
  /** Events that happened so far. */
  published = 0;

  constructor(
    private readonly server: SimulatorServer,
    private readonly deliver: (events: readonly TopicText[]) => Promise<void>,
    definitions: readonly EventDefinition[],
    private readonly options: OperationalEventOptions,
  ) {
    this.definitions = new Map(definitions.map((definition) => [definition.id, definition]));
    this.store = new EventStore(options.storedEvents, options.restVisibleAfterMs);
    server.route(
      {
        method: 'GET',
        path: '/api/v2/usage/events/definitions',
        permission,
        handle: () => ({ status: 200, body: { entities: [...this.definitions.values()].map(describe) } }),
      },
      {
        method: 'GET',
        path: '/api/v2/usage/events/definitions/{definitionId}',
        permission,
        handle: ({ parameters }) => {
          const definition = this.definitions.get(parameters['definitionId'] ?? '');
          if (!definition) throw notFound('Event definition not found.');
          return { status: 200, body: describe(definition) };
        },
      },
      { method: 'POST', path: queryPath, permission, handle: (request) => this.query(request) },
      {
        method: 'POST',
        path: '/api/v2/usage/events/aggregates/query',
        permission,
        handle: (request) => this.aggregate(request),
      },
    );
  }

  /** Events that the REST query remembers. */
  get stored(): number {
    return this.store.size;
  }

  /** Make events happen; throws for a code without a definition. Resolves when no socket is far behind. */
  publish(events: readonly OperationalEvent[], { rest = true, socket = true }: PublishOptions = {}): Promise<void> {
    const texts: TopicText[] = [];
    for (const given of events) {
      const definition = this.definition(given.code);
      const createdAt = given.dateCreated === undefined ? Date.now() : new Date(given.dateCreated).getTime();
      const event =
        given.timestamp === undefined && !this.options.socketTimestamps ? { ...given, timestamp: null } : given;
      if (rest) this.store.add(event.code, createdAt, { event: () => event });
      if (socket) texts.push({ topic: topicOf(event.code), text: socketForm(event, definition, createdAt) });
    }
    this.published += events.length;
    return this.send(texts);
  }

  /** Make numbered events happen, each with a conversation id of its own. */
  generate(options: GenerateOptions): GeneratorRun {
    const { code = 'AUDIOHOOK-0001', rest = true, socket = true } = options;
    const numbered = new NumberedEvents(code, this.definition(code), this.options.socketTimestamps);
    const topic = topicOf(code);
    const emit = (first: number, size: number) => {
      const now = Date.now();
      const texts: TopicText[] = [];
      for (let number = first; number < first + size; number++) {
        if (rest) this.store.add(code, now, numbered, number);
        if (socket) texts.push({ topic, text: numbered.text(number, now) });
      }
      this.published += size;
      return this.send(texts);
    };
    const started = run(options, emit, (delayMs) => this.server.timers.pause(delayMs));
    this.running.add(started);
    void started.done.then(() => this.running.delete(started));
    return started;
  }

  /** Stop every stream of numbered events. */
  stop(): void {
    for (const started of this.running) started.stop();
  }

  private async send(texts: readonly TopicText[]): Promise<void> {
    if (texts.length > 0) await this.deliver(texts);
    this.server.changed();
  }

  private definition(code: string): EventDefinition {
    const definition = this.definitions.get(code);
    if (!definition) throw new Error(`The simulator has no event definition ${code}`);
    return definition;
  }

  private query(request: ApiRequest): Answer {
    const body = knownProperties(jsonBody(request), ['interval', 'eventDefinitionIds', 'searchTerm', 'sortOrder']);
    const [from, to] = interval(body['interval']);
    const ids = stringArray(body['eventDefinitionIds']);
    const searchTerm = body['searchTerm'];
    if (searchTerm !== undefined && typeof searchTerm !== 'string')
      throw invalidValue('searchTerm', 'searchTerm must be a string.');
    const order = body['sortOrder'] ?? 'DESC';
    if (order !== 'ASC' && order !== 'DESC') throw invalidValue('sortOrder', 'sortOrder must be ASC or DESC.');
    const pageSize = pageSizeOf(request.query.get('pageSize'));
    const filter = createHash('sha256')
      .update(JSON.stringify([from, to, ids, searchTerm, order]))
      .digest('base64url')
      .slice(0, 12);
    const after = position(request.query.get('after'), 'after', filter);
    const before = position(request.query.get('before'), 'before', filter);
    if (after && before) throw badRequest('Only one of after and before may be given.');
    const needle = searchTerm?.toLowerCase();
    const wanted = (event: StoredEvent) =>
      (ids === undefined || ids.includes(event.code)) &&
      (needle === undefined || JSON.stringify(record(event)).toLowerCase().includes(needle));
    const selection = { from, to, order, wanted } as const;
    const page = this.store.select({ ...selection, limit: pageSize, after, before });
    const first = page[0];
    const last = page.at(-1);
    const more = (edge: { after: Position } | { before: Position }) =>
      this.store.select({ ...selection, limit: 1, ...edge }).length > 0;
    const uri = (name: string, event: Position) => `${queryPath}?${name}=${cursor(event, filter)}&pageSize=${pageSize}`;
    const search = request.query.toString();
    return {
      status: 200,
      body: {
        entities: page.map(record),
        ...(last && more({ after: last }) && { nextUri: uri('after', last) }),
        ...(first && more({ before: first }) && { previousUri: uri('before', first) }),
        selfUri: search ? `${queryPath}?${search}` : queryPath,
      },
    };
  }

  private aggregate(request: ApiRequest): Answer {
    const body = knownProperties(jsonBody(request), ['interval']);
    const [from, to] = interval(body['interval']);
    const counts = new Map<string, number>();
    const wanted = ({ code }: StoredEvent) => {
      counts.set(code, (counts.get(code) ?? 0) + 1);
      return false;
    };
    this.store.select({ from, to, order: 'ASC', wanted, limit: 1 });
    const eventDefinitionAggregates = [...counts].map(([id, eventCount]) => ({
      eventDefinition: definitionRef(id),
      eventCount,
    }));
    return { status: 200, body: { interval: body['interval'], eventDefinitionAggregates } };
  }
}

function describe({ id, name, description }: EventDefinition) {
  return { id, name, description, selfUri: definitionRef(id).selfUri };
}

function record(event: StoredEvent): Record<string, unknown> {
  return restForm(event.source.event(event.number), event.createdAt);
}

function knownProperties(body: unknown, names: readonly string[]): Record<string, unknown> {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw badRequest('The request body must be an object.');
  const unknown = Object.keys(body).find((name) => !names.includes(name));
  if (unknown !== undefined) throw invalidValue(unknown, `Unknown property ${unknown}.`);
  return body as Record<string, unknown>;
}

/** `ISO-8601/ISO-8601`, start inclusive, end exclusive. A time without a zone is UTC. */
function interval(value: unknown): [from: number, to: number] {
  const instant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?$/;
  const parts = typeof value === 'string' ? value.split('/') : [];
  const times = parts.map((part) => {
    const zone = instant.exec(part)?.[3];
    return instant.test(part) ? Date.parse(zone ? part : `${part}Z`) : Number.NaN;
  });
  const [from = Number.NaN, to = Number.NaN] = times;
  if (times.length !== 2 || !(from <= to)) {
    throw invalidValue(
      'interval',
      'interval must be two ISO-8601 times, YYYY-MM-DDThh:mm:ss/YYYY-MM-DDThh:mm:ss, the first not after the second.',
    );
  }
  return [from, to];
}

function stringArray(value: unknown): string[] | undefined {
  if (value === undefined) return undefined;
  if (Array.isArray(value) && value.every((entry): entry is string => typeof entry === 'string')) return value;
  throw invalidValue('eventDefinitionIds', 'eventDefinitionIds must be an array of strings.');
}

function pageSizeOf(value: string | null): number {
  const size = value === null ? standardPageSize : /^\d+$/.test(value) ? Number(value) : 0;
  if (size < 1 || size > maximumPageSize) throw badRequest(`pageSize must be between 1 and ${maximumPageSize}.`);
  return size;
}

/** Opaque to the client; tied to the filter, so that a page cannot be continued with another question. */
function cursor({ createdAt, sequence }: Position, filter: string): string {
  return Buffer.from(`${createdAt}.${sequence}.${filter}`).toString('base64url');
}

function position(value: string | null, name: string, filter: string): Position | undefined {
  if (value === null) return undefined;
  const [createdAt, sequence, of] = Buffer.from(value, 'base64url').toString('utf8').split('.').map(String);
  if (of !== filter || !/^-?\d+$/.test(createdAt ?? '') || !/^\d+$/.test(sequence ?? '')) {
    throw badRequest(`The cursor in ${name} does not belong to this query.`);
  }
  return { createdAt: Number(createdAt), sequence: Number(sequence) };
}
