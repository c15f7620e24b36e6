import type { NodeMessage } from 'node-red';
import type { EventMessage } from '../lib/genesys/emission';
import { GenesysNotifications } from '../lib/genesys/notifications';
import { OfferedTopics } from '../lib/genesys/offered-topics';
import type { RejectedTopic } from '../lib/genesys/subscription';
import { type ListedTopic, listTopics } from '../lib/genesys/topics';
import { adminRoute } from '../lib/red/admin';
import { boolean, configNode, integer, list, readConfig, regex, text } from '../lib/red/config';
import { whenFlowsStarted } from '../lib/red/flows-started';
import { guard, onClose } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import { type Definition, findConfigNode, offered, type Red, type RuntimeNode } from '../lib/red/node';
import { pauseActions } from '../lib/red/pause';
import { registerNode } from '../lib/red/register';
import { openState } from '../lib/red/state';
import { Status } from '../lib/red/status';
import { withTrace } from '../lib/red/tracing';
import { userPath } from '../lib/red/user-dir';
import type { GenesysOauthNode } from './genesys-oauth';

const FIELDS = {
  account: configNode<GenesysOauthNode>('genesys-oauth'),
  discover: boolean({ default: true }),
  include: regex({ default: /audiohook/i }),
  exclude: regex(),
  topics: list({ default: [] }),
  topicsFile: text(),
  backfill: boolean({ default: true }),
  overlapSeconds: integer({ default: 120, min: 0, max: 86_400 }),
  pollSeconds: integer({ default: 30, min: 1, max: 3_600 }),
  settle: boolean({ default: true }),
  settleTimeoutSeconds: integer({ default: 300, min: 1, max: 86_400 }),
};

interface NotificationsNode extends RuntimeNode {
  notifications?: GenesysNotifications;
}

/** genesys-notifications-in: the events of a Genesys Cloud organization, received for ever and without gaps. */
export default function genesysNotificationsIn(RED: Red): void {
  adminRoute(RED, {
    method: 'get',
    path: '/contact-center/genesys-notifications-in/topics',
    permission: 'genesys-notifications-in.read',
    handler: ({ query }) => offeredTopics(RED, query['account'], query['node']),
  });
  registerNode<NotificationsNode>(RED, 'genesys-notifications-in', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: NotificationsNode, definition: Definition): void {
  const status = new Status(RED, node, {
    details: () => node.notifications?.details() ?? {},
    metrics: () => node.notifications?.metrics() ?? [],
    live: () => node.notifications?.figures() ?? {},
    actions: () => pauseActions(node.notifications),
  });
  const config = readConfig(RED, node, definition, FIELDS);
  if (!config.ok) {
    status.cannotStart(config.error);
    return;
  }
  const { account: accountNode, topicsFile, overlapSeconds, pollSeconds, ...rest } = config.value;
  const { settleTimeoutSeconds, ...settings } = rest;
  const { account, problem } = accountNode;
  if (!account) {
    status.set('not-configured', problem ? { reason: problem.message } : {});
    return;
  }
  const store = openState(RED);
  const notifications = new GenesysNotifications({
    id: node.id,
    settings: {
      ...settings,
      topicsFile: topicsFile === undefined ? undefined : userPath(RED, topicsFile),
      overlapMs: overlapSeconds * 1_000,
      pollMs: pollSeconds * 1_000,
      settleTimeoutMs: settleTimeoutSeconds * 1_000,
    },
    account,
    store,
    send: guard(node, (message: EventMessage) => node.send(withTrace(node, message) as unknown as NodeMessage)),
    onChange: () => {
      const { state, ...options } = notifications.status();
      status.set(state, options);
    },
    logger: nodeLogger(RED, node),
  });
  node.notifications = notifications;
  whenFlowsStarted(RED, node, () => notifications.start());
  status.set('connecting', { text: 'starting' });
  onClose(node, async (removed) => {
    await notifications.close({ forget: removed });
    await store.close();
  });
}

const offers = new OfferedTopics();

/** What the dialog shows: the topics of the organization, those that the running node was refused, and problems. */
async function offeredTopics(
  RED: Red,
  accountId: unknown,
  nodeId: unknown,
): Promise<{ ok: true; topics: ListedTopic[]; rejected: RejectedTopic[]; problems: string[] }> {
  const account = offered(findConfigNode<GenesysOauthNode>(RED, accountId, 'genesys-oauth'), 'account');
  const offer = await offers.of(account.client);
  const node = findConfigNode<NotificationsNode>(RED, nodeId, 'genesys-notifications-in');
  const { problems } = offer;
  return { ok: true, topics: listTopics(offer), rejected: node?.notifications?.rejected ?? [], problems };
}
