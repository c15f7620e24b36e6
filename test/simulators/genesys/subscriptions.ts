import { badRequest, type ErrorDetail, missingPermissions, PlatformError } from './answers';
import type { Client } from './oauth';
import { operationsTopic, type TopicCatalogue } from './topics';

/** Topics that one channel may hold; a combined topic counts as one. */
export const maximumTopics = 1000;

/** A topic name must stay under this length. */
const topicLengthLimit = 200;

/** `ChannelTopic` of the API. */
export interface ChannelTopic {
  id: string;
  state: 'Permitted' | 'Rejected';
  rejectionReason?: string;
  missingPermissions?: string[];
  selfUri?: string;
}

/** A topic name that was asked for, with the verdict on it. */
export interface Verdict {
  id: string;
  /** Names under which events arrive: several for a combined topic, none when it is rejected altogether. */
  members: string[];
  rejected: { id: string; reason: string; missingPermissions?: string[] }[];
}

/** The topic names of a subscription body, which is a bare array of `{"id": "..."}`; anything else is 400. */
export function topicNames(body: unknown): string[] {
  if (!Array.isArray(body)) throw badRequest('The request body must be an array of channel topics.');
  const names = body.map((entry: unknown) => {
    const id =
      typeof entry === 'object' && entry !== null && Object.keys(entry).join() === 'id'
        ? Object.values(entry)[0]
        : undefined;
    if (typeof id !== 'string' || id === '') throw badRequest('Every channel topic must be an object with an id.');
    return id;
  });
  return [...new Set(names)];
}

/** Decides per topic whether a client may subscribe. */
export class SubscriptionRules {
  constructor(
    private readonly topics: TopicCatalogue,
    private readonly isDefinition: (id: string) => boolean,
  ) {}

  /** The verdict on one topic, combined (`prefix?last1&last2`) or plain. */
  judge(id: string, client: Client): Verdict {
    if (id.length >= topicLengthLimit) {
      return {
        id,
        members: [],
        rejected: [{ id, reason: `The topic is longer than ${topicLengthLimit - 1} characters.` }],
      };
    }
    const [prefix = '', tails] = id.split('?', 2);
    const names = tails === undefined ? [id] : tails.split('&').map((tail) => `${prefix}.${tail}`);
    const verdict: Verdict = { id, members: [], rejected: [] };
    for (const name of names) {
      const problem = this.problem(name, client);
      if (problem) verdict.rejected.push({ id: name, ...problem });
      else verdict.members.push(name);
    }
    return verdict;
  }

  private problem(name: string, client: Client): { reason: string; missingPermissions?: string[] } | undefined {
    if (name === 'channel.metadata' || name.startsWith('v2.system.')) {
      return { reason: 'System topics are sent unasked and cannot be subscribed to.' };
    }
    const topic = this.topics.find(name);
    if (!topic) return { reason: 'The topic does not exist.' };
    if (topic.id === operationsTopic && !this.isDefinition(name.slice(operationsTopic.length - '{id}'.length))) {
      return { reason: 'There is no event definition with this id.' };
    }
    if (!topic.transports.some((transport) => transport !== 'EventBridge')) {
      return { reason: 'The topic is not available on the websocket transport.' };
    }
    if (topic.requiresCurrentUser) return { reason: 'The topic user id must match the subscribing user id.' };
    if (!topic.enforced) return undefined;
    const missing = topic.requiresPermissions.filter((permission) => !client.may(permission));
    const enough = topic.requiresAnyValidator
      ? missing.length < topic.requiresPermissions.length
      : missing.length === 0;
    if (enough || topic.requiresPermissions.length === 0) return undefined;
    return { reason: 'Missing permissions.', missingPermissions: missing };
  }
}

/** The refusal of a whole request: 403 when only permissions are missing, else 400. Nothing when there is nothing to refuse. */
export function refusal(verdicts: readonly Verdict[]): PlatformError | undefined {
  const rejected = verdicts.flatMap((verdict) => verdict.rejected);
  if (rejected.length === 0) return undefined;
  const details = rejected.map(
    ({ id, missingPermissions: missing }): ErrorDetail => ({
      errorCode: missing ? 'missing.permissions' : 'invalid.topic',
      fieldName: 'id',
      entityId: id,
    }),
  );
  const missing = new Set(rejected.flatMap((entry) => entry.missingPermissions ?? []));
  if (rejected.every((entry) => entry.missingPermissions)) return missingPermissions([...missing], details);
  const list = rejected.map(({ id, reason }) => `${id}: ${reason}`).join(' ');
  return new PlatformError(400, 'invalid.topic', `One or more topics cannot be subscribed to. ${list}`, { details });
}

/** The refusal of more topics than a channel may hold. */
export function tooManyTopics(): PlatformError {
  return new PlatformError(400, 'too.many.topics', `A channel may have up to ${maximumTopics} topics.`, {
    limit: { key: 'channel.topics.max', namespace: 'notifications', value: maximumTopics },
  });
}

/**
 * The verdicts as `ChannelTopic`s: each name that was asked for, and beside a combined topic that is permitted because of some of its
 * members the rejected ones.
 */
export function channelTopics(verdicts: readonly Verdict[], channelId: string): ChannelTopic[] {
  const selfUri = `/api/v2/notifications/channels/${channelId}/subscriptions`;
  const reject = (id: string, rejected: Verdict['rejected']): ChannelTopic => {
    const missing = rejected.flatMap((entry) => entry.missingPermissions ?? []);
    return {
      id,
      state: 'Rejected',
      rejectionReason: [...new Set(rejected.map(({ reason }) => reason))].join(' '),
      ...(missing.length > 0 && { missingPermissions: [...new Set(missing)] }),
      selfUri,
    };
  };
  return verdicts.flatMap(({ id, members, rejected }) =>
    members.length === 0
      ? [reject(id, rejected)]
      : [{ id, state: 'Permitted' as const, selfUri }, ...rejected.map((entry) => reject(entry.id, [entry]))],
  );
}
