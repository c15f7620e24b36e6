import { ContactError } from '../core/errors';
import type { GenesysClient } from './client';

/** A topic of the organization: a plain name, or a template with `{id}` in it. */
export interface AvailableTopic {
  id: string;
  description?: string;
  /** How its events can be had: `All`, `Websocket`, `EventBridge`; `undefined` when Genesys does not say. */
  transports?: string[];
  requiresPermissions: string[];
  /** `Public` or `Preview`. */
  visibility?: string;
  /** Then it is of no use with client credentials, behind which there is no user. */
  requiresCurrentUser: boolean;
}

/** A kind of operational event. */
export interface EventDefinition {
  id: string;
  name?: string;
  description?: string;
}

/** What an organization offers, as far as the client may know. */
export interface TopicOffer {
  topics: AvailableTopic[];
  definitions: EventDefinition[];
  /** Sentences about what could not be learned, such as a missing permission. */
  problems: string[];
}

/** Which topics a user wants. */
export interface TopicWish {
  /** Topics from the user's file; when there is at least one, they are taken instead of everything else. */
  file: readonly string[];
  /** Whether to look through what the organization offers. */
  discover: boolean;
  /** What to take of it: matched against a topic's id, and an event definition's id, name and description. */
  include: RegExp;
  /** What to leave out of it in spite of `include`. */
  exclude?: RegExp | undefined;
  /** Taken when there is nothing else. */
  fallback: readonly string[];
}

/** What is to be done about topics. */
export interface TopicPlan {
  /** Where the list comes from. */
  source: 'file' | 'discovery' | 'list';
  /** To be subscribed on a channel, in order and each once. */
  subscribed: string[];
  /** Event definitions whose events the organization does not offer on a socket: they are asked for over REST. */
  polled: string[];
  /** Names that were asked for and cannot be subscribed, with the reason. */
  unusable: { id: string; reason: string }[];
}

/**
 * The template under which every operational event is offered. The placeholder stands for the id of an event definition;
 * in the form for EventBridge it has another name than `id`.
 */
const ANY_OPERATIONS_TEMPLATE = /^v2\.operations\.events\.\{\w+\}$/;
const OPERATIONS_PREFIX = 'v2.operations.events.';
// `schema` is left out: for all topics it is large.
const EXPAND = 'description,enforced,transports,requiresPermissions,topicParameters,visibility';

/** The topic on which the events of a definition arrive. */
export function operationsTopic(definitionId: string): string {
  return OPERATIONS_PREFIX + definitionId;
}

/** The event definition of an operational topic, or `undefined` for any other topic. */
export function definitionOf(topic: string): string | undefined {
  return topic.startsWith(OPERATIONS_PREFIX) ? topic.slice(OPERATIONS_PREFIX.length) : undefined;
}

/**
 * Asks what the organization offers. What the client may not know is told in `problems`; any other failure rejects, so
 * that it can be asked again.
 */
export async function fetchOffer(client: GenesysClient, signal?: AbortSignal): Promise<TopicOffer> {
  const problems: string[] = [];
  const list = async (
    path: string,
    what: string,
    query: Record<string, string>,
  ): Promise<Record<string, unknown>[]> => {
    try {
      return entitiesOf(await client.request('GET', path, { what, query, ...(signal ? { signal } : {}) }), what);
    } catch (thrown) {
      // Trying again does not help against these; the other list, or the fallback, may do.
      if (!(thrown instanceof ContactError) || ![403, 404].includes(thrown.status ?? 0)) throw thrown;
      problems.push(thrown.message);
      return [];
    }
  };
  const topics = await list('/api/v2/notifications/availabletopics', 'list the notification topics', {
    expand: EXPAND,
  });
  const definitions = await list('/api/v2/usage/events/definitions', 'list the event definitions', {});
  return { topics: topics.map(readTopic), definitions: definitions.map(readDefinition), problems };
}

/** Decides what to subscribe and what to poll. Without an offer (it could not be had) every topic is tried as it is. */
export function planTopics(wish: TopicWish, offer: TopicOffer | undefined): TopicPlan {
  const file = clean(wish.file);
  if (file.length > 0) return plan('file', file, offer);
  if (wish.discover && offer) {
    const found = discovered(wish, offer);
    if (found.length > 0) return plan('discovery', found, offer);
  }
  return plan('list', clean(wish.fallback), offer);
}

/**
 * Shares topics out among channels of at most `limit` each. A topic that is on a channel stays there, so that a change
 * touches as few channels as possible. `kept` has the topics of each channel in `current`, none for one that is not
 * needed any more; `added` has those of further channels.
 */
export function shareTopics(
  current: readonly (readonly string[])[],
  topics: readonly string[],
  limit: number,
): { kept: string[][]; added: string[][] } {
  const wanted = new Set(topics);
  const kept = current.map((group) => group.filter((topic) => wanted.delete(topic)));
  const rest = [...wanted];
  for (const group of kept) group.push(...rest.splice(0, Math.max(0, limit - group.length)));
  const added: string[][] = [];
  while (rest.length > 0) added.push(rest.splice(0, limit));
  return { kept, added };
}

/** A topic as the dialog shows it. */
export interface ListedTopic {
  id: string;
  /** The name of its event definition, else its description. */
  title: string;
  transports: string[];
  permissions: string[];
  visibility: string;
  /** Why it cannot be used as it is; empty when it can. */
  obstacle: string;
}

/** Everything the organization offers, with a line for each event definition; what cannot be used comes last. */
export function listTopics(offer: TopicOffer): ListedTopic[] {
  const listed = offer.topics.flatMap((topic) => {
    const { transports = [], requiresPermissions: permissions, visibility = '', description = '' } = topic;
    const common = { transports, permissions, visibility };
    if (!ANY_OPERATIONS_TEMPLATE.test(topic.id)) {
      return isSystem(topic.id) ? [] : [{ ...common, id: topic.id, title: description, obstacle: obstacle(topic) }];
    }
    return offer.definitions.map((definition) => ({
      ...common,
      id: operationsTopic(definition.id),
      title: [definition.name, definition.description].filter(Boolean).join(': '),
      obstacle: '',
    }));
  });
  return listed.sort(
    (one, other) => Number(one.obstacle !== '') - Number(other.obstacle !== '') || (one.id < other.id ? -1 : 1),
  );
}

function plan(source: TopicPlan['source'], topics: readonly string[], offer: TopicOffer | undefined): TopicPlan {
  const result: TopicPlan = { source, subscribed: [], polled: [], unusable: [] };
  const overSocket = operationsOverSocket(offer);
  for (const id of topics) {
    const definition = definitionOf(id);
    if (/[{}]/.test(id)) result.unusable.push({ id, reason: 'the placeholder must be replaced with an id' });
    else if (definition !== undefined && !overSocket) result.polled.push(definition);
    else result.subscribed.push(id);
  }
  return result;
}

/** Without knowing better the subscription is tried: its answer tells. */
function operationsOverSocket(offer: TopicOffer | undefined): boolean {
  if (!offer || offer.topics.length === 0) return true;
  const template = offer.topics.find(({ id }) => ANY_OPERATIONS_TEMPLATE.test(id));
  return template !== undefined && onSocket(template);
}

function onSocket({ transports }: AvailableTopic): boolean {
  return !transports || transports.length === 0 || transports.includes('All') || transports.includes('Websocket');
}

function discovered({ include, exclude }: TopicWish, offer: TopicOffer): string[] {
  const wanted = (...texts: (string | undefined)[]) => {
    const matches = (pattern: RegExp) => texts.some((text) => text !== undefined && text.search(pattern) >= 0);
    return matches(include) && !(exclude && matches(exclude));
  };
  const plain = offer.topics.filter((topic) => !obstacle(topic) && !isSystem(topic.id) && wanted(topic.id));
  const operational = offer.definitions.filter(({ id, name, description }) =>
    wanted(operationsTopic(id), id, name, description),
  );
  return clean([...operational.map(({ id }) => operationsTopic(id)), ...plain.map(({ id }) => id)]);
}

function obstacle(topic: AvailableTopic): string {
  if (topic.requiresCurrentUser) return 'needs-user';
  if (!onSocket(topic)) return 'not-on-socket';
  return /[{}]/.test(topic.id) ? 'needs-id' : '';
}

/** They arrive unasked, and must not be subscribed. */
function isSystem(topic: string): boolean {
  return topic === 'channel.metadata' || topic.split('.')[1] === 'system';
}

function clean(topics: readonly string[]): string[] {
  const trimmed = topics.map((topic) => topic.trim()).filter((topic) => topic !== '' && !isSystem(topic));
  return [...new Set(trimmed)].sort();
}

function entitiesOf(answer: unknown, what: string): Record<string, unknown>[] {
  const entities = Array.isArray(answer) ? answer : (answer as { entities?: unknown } | undefined)?.entities;
  if (!Array.isArray(entities)) {
    throw new ContactError('PROTOCOL', { attempted: what, answer: 'the answer has no entities' });
  }
  return entities.filter(
    (entity): entity is Record<string, unknown> => typeof (entity as { id?: unknown } | null)?.id === 'string',
  );
}

function readTopic(entity: Record<string, unknown>): AvailableTopic {
  const { description, transports, visibility } = entity;
  return {
    id: String(entity['id']),
    ...(typeof description === 'string' ? { description } : {}),
    ...(Array.isArray(transports) ? { transports: transports.map(String) } : {}),
    requiresPermissions: Array.isArray(entity['requiresPermissions']) ? entity['requiresPermissions'].map(String) : [],
    ...(typeof visibility === 'string' ? { visibility } : {}),
    requiresCurrentUser: entity['requiresCurrentUser'] === true,
  };
}

function readDefinition({ id, name, description }: Record<string, unknown>): EventDefinition {
  return {
    id: String(id),
    ...(typeof name === 'string' ? { name } : {}),
    ...(typeof description === 'string' ? { description } : {}),
  };
}
