import { badRequest } from './answers';

/** How events of a topic can be received. */
export type Transport = 'All' | 'Websocket' | 'EventBridge';

/** A topic template of the organization. */
export interface Topic {
  /** Name with `{id}` placeholders. */
  id: string;
  description: string;
  transports: Transport[];
  visibility: 'Public' | 'Preview';
  /** Whether the permissions are enforced. */
  enforced: boolean;
  requiresPermissions: string[];
  /** True when one of several requirements is enough. */
  requiresAnyValidator: boolean;
  requiresDivisionPermissions: boolean;
  /** True when the user id in the name must be the subscriber's; a client-credentials token has no user. */
  requiresCurrentUser: boolean;
  /** True when permissions are only needed for another user's id. */
  requiresCurrentUserOrPermission: boolean;
  topicParameters: string[];
  publicApiTemplateUriPaths: string[];
  schema: Record<string, unknown>;
  /** What a placeholder may be replaced with; ids are UUIDs unless the topic says otherwise. */
  idPattern: string;
}

const uuid = '[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}';
const word = '[A-Za-z0-9_-]+';

/** A topic from its name and whatever differs from the usual: all transports, public, enforced, no permission, UUID ids. */
export function topic(id: string, parts: Partial<Topic> = {}): Topic {
  return {
    id,
    description: `Events of ${id}`,
    transports: ['All'],
    visibility: 'Public',
    enforced: true,
    requiresPermissions: [],
    requiresAnyValidator: false,
    requiresDivisionPermissions: false,
    requiresCurrentUser: false,
    requiresCurrentUserOrPermission: false,
    topicParameters: parameterNames(id),
    publicApiTemplateUriPaths: [],
    schema: { title: id, type: 'object' },
    idPattern: uuid,
    ...parts,
  };
}

/** The template whose placeholder is an event definition id. */
export const operationsTopic = 'v2.operations.events.{id}';

/**
 * A cross-section of the vendor's list (242 topics in its mapping file): all areas an event collector meets, both transports,
 * previews, topics that need a user, system topics. As with the vendor, no name contains "audiohook".
 */
export const defaultTopics: readonly Topic[] = [
  topic(operationsTopic, {
    description: 'Operational events of the organization, by event definition',
    requiresPermissions: ['usage:events:view'],
    topicParameters: ['operationalEventId'],
    publicApiTemplateUriPaths: ['/api/v2/usage/events/definitions/{id}'],
    idPattern: word,
  }),
  ...['activity', 'presence', 'routingStatus', 'station'].map((tail) =>
    topic(`v2.users.{id}.${tail}`, {
      requiresPermissions: [tail === 'presence' ? 'presence:userPresence:view' : 'directory:user:view'],
      requiresDivisionPermissions: tail !== 'presence',
      requiresCurrentUserOrPermission: true,
      publicApiTemplateUriPaths: [`/api/v2/users/{id}/${tail}`],
    }),
  ),
  ...['', '.calls', '.chats', '.emails', '.messages', '.callbacks'].map((tail) =>
    topic(`v2.users.{id}.conversations${tail}`, {
      requiresPermissions: ['conversation:communication:view'],
      requiresCurrentUserOrPermission: true,
    }),
  ),
  ...['alerting.alerts', 'badges.chats', 'conversationsummary', 'analytics.reporting.exports', 'userrecordings'].map(
    (tail) => topic(`v2.users.{id}.${tail}`, { requiresCurrentUser: true, transports: ['Websocket'] }),
  ),
  ...['', '.calls', '.chats', '.emails', '.messages', '.callbacks', '.videos'].map((tail) =>
    topic(`v2.routing.queues.{id}.conversations${tail}`, { requiresPermissions: ['routing:queue:view'] }),
  ),
  topic('v2.routing.queues.{id}.users', { requiresPermissions: ['routing:queue:view'] }),
  topic('v2.analytics.queues.{id}.observations', { requiresPermissions: ['analytics:queueObservation:view'] }),
  topic('v2.analytics.users.{id}.aggregates', { requiresPermissions: ['analytics:userAggregate:view'] }),
  topic('v2.analytics.flow.{id}.aggregates', { requiresPermissions: ['analytics:flowAggregate:view'] }),
  topic('v2.conversations.{id}.transcription', {
    transports: ['Websocket'],
    requiresPermissions: ['recording:recording:view', 'speechAndTextAnalytics:data:view'],
    requiresAnyValidator: true,
  }),
  topic('v2.audits.entitytype.{id}.entityid.{id}', {
    requiresPermissions: ['audits:audit:view'],
    topicParameters: ['entityType', 'entityId'],
    idPattern: word,
  }),
  topic('v2.integrations.inbound.webhook.{id}.invocation', { visibility: 'Preview' }),
  topic('v2.speechandtextanalytics.programs.publishjobs.{id}', { visibility: 'Preview' }),
  topic('v2.architect.prompts.{id}', { requiresPermissions: ['architect:userPrompt:view'] }),
  topic('v2.flows.{id}', { requiresPermissions: ['architect:flow:view'] }),
  topic('v2.outbound.campaigns.{id}', { requiresPermissions: ['outbound:campaign:view'] }),
  topic('v2.outbound.settings', { requiresPermissions: ['outbound:settings:view'] }),
  topic('v2.quality.evaluations', { requiresPermissions: ['quality:evaluation:view'] }),
  topic('v2.telephony.providers.edges.{id}', { requiresPermissions: ['telephony:plugin:all'] }),
  topic('v2.telephony.providers.edges.trunks.{id}.metrics', { requiresPermissions: ['telephony:plugin:all'] }),
  ...[
    'acd.start',
    'acd.end',
    'acw',
    'attributes',
    'customer.start',
    'customer.end',
    'user.start',
    'user.end',
    'wrapup',
  ].map((tail) => topic(`v2.detail.events.conversation.{id}.${tail}`, { transports: ['EventBridge'] })),
  topic('v2.analytics.conversations.details.jobs.availability', { transports: ['EventBridge'] }),
  topic('v2.system.socket_closing', { transports: ['Websocket'] }),
  topic('v2.system.no_longer_subscribed.{id}', { transports: ['Websocket'] }),
  topic('v2.system.token_revoked.{id}', { transports: ['Websocket'] }),
  topic('v2.system.{id}.{id}', { transports: ['Websocket'] }),
];

const expandable = [
  'description',
  'enforced',
  'schema',
  'visibility',
  'transports',
  'publicApiTemplateUriPaths',
  'requiresPermissions',
  'permissionDetails',
  'topicParameters',
] as const;

/** The organization's topics: their listing, and the look-up of a concrete name. */
export class TopicCatalogue {
  private readonly patterns: { topic: Topic; pattern: RegExp }[];

  constructor(private readonly topics: readonly Topic[]) {
    this.patterns = topics.map((entry) => {
      const parts = entry.id.split('{id}').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
      return { topic: entry, pattern: new RegExp(`^${parts.join(`(?:${entry.idPattern})`)}$`) };
    });
  }

  /** The template of a concrete topic name. */
  find(name: string): Topic | undefined {
    return this.patterns.find(({ pattern }) => pattern.test(name))?.topic;
  }

  /** The answer of `GET /api/v2/notifications/availabletopics`: ids, and what `expand` (comma-joined) asks for. */
  list(expand: string | null, includePreview: boolean): { entities: Record<string, unknown>[] } {
    const fields = expand === null || expand === '' ? [] : expand.split(',');
    for (const field of fields) {
      if (!(expandable as readonly string[]).includes(field)) {
        throw badRequest(
          `Value [${field}] is not valid for parameter [expand]. Allowable values are: ${expandable.join(', ')}`,
        );
      }
    }
    const shown = this.topics.filter(({ visibility }) => includePreview || visibility === 'Public');
    return { entities: shown.map((entry) => view(entry, fields)) };
  }
}

function view(entry: Topic, fields: readonly string[]): Record<string, unknown> {
  const shown: Record<string, unknown> = { id: entry.id };
  for (const field of fields) {
    shown[field] = field === 'permissionDetails' ? permissionDetails(entry) : entry[field as keyof Topic];
  }
  // No expand value names these; they are about permissions and come with either permission field.
  if (fields.includes('requiresPermissions') || fields.includes('permissionDetails')) {
    shown['requiresAnyValidator'] = entry.requiresAnyValidator;
    shown['requiresDivisionPermissions'] = entry.requiresDivisionPermissions;
    shown['requiresCurrentUser'] = entry.requiresCurrentUser;
    shown['requiresCurrentUserOrPermission'] = entry.requiresCurrentUserOrPermission;
  }
  return shown;
}

function permissionDetails({
  requiresPermissions,
  requiresCurrentUserOrPermission,
  requiresDivisionPermissions,
  enforced,
}: Topic) {
  if (requiresPermissions.length === 0) return [];
  const type = requiresDivisionPermissions ? 'requiresDivisionPermissions' : 'requiresPermissions';
  return [{ type, permissions: requiresPermissions, allowsCurrentUser: requiresCurrentUserOrPermission, enforced }];
}

/** `{a}` and `{b}` by name; the vendor's `{id}` placeholders are named after the word before them. */
function parameterNames(id: string): string[] {
  const words = id.split('.');
  return words.flatMap((part, index) => (part === '{id}' ? [`${(words[index - 1] ?? '').replace(/s$/, '')}Id`] : []));
}
