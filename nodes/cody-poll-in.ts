import type { NodeMessage } from 'node-red';
import { CodyPoller } from '../lib/cody/poller';
import { type ConversationMessage, type PollerSettings, readStart, scopeOf } from '../lib/cody/poller-settings';
import { reportOf, statusOf } from '../lib/cody/report';
import { adminRoute } from '../lib/red/admin';
import {
  boolean,
  configNode,
  integer,
  number,
  parsed,
  readConfig,
  text,
  timeZone,
  type Values,
} from '../lib/red/config';
import { whenFlowsStarted } from '../lib/red/flows-started';
import { guard, onClose } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import { type Definition, findConfigNode, offered, type Red, type RuntimeNode } from '../lib/red/node';
import { processIdOf } from '../lib/red/process-id';
import { registerNode } from '../lib/red/register';
import { openState } from '../lib/red/state';
import { Status } from '../lib/red/status';
import type { CodyAccountNode } from './cody-account';
import type { ContactStoreNode } from './contact-store';

const FIELDS = {
  account: configNode<CodyAccountNode>('cody-account'),
  store: configNode<ContactStoreNode>('contact-store'),
  botId: text(),
  // The original service had two names for it.
  intervalSeconds: number({ default: 30, min: 0.1, max: 86_400, environment: 'POLLING_INTERVAL' }),
  settleSeconds: number({ default: 300, min: 0, max: 604_800 }),
  startFrom: parsed(readStart, { default: 'now' }),
  capHours: number({ default: 24, min: 0.01, max: 8_760 }),
  watchDays: number({ default: 30, min: 0, max: 3_650 }),
  capacity: integer({ default: 20, min: 1, max: 1_000 }),
  settle: boolean({ default: true }),
  settleTimeoutSeconds: integer({ default: 300, min: 1, max: 86_400 }),
  timeZone: timeZone(),
  dryRun: boolean({ default: false }),
};

type Config = Values<typeof FIELDS>;

/** cody-poll-in: the conversations of Cody AI, each when it has settled and again when it has grown. */
export default function codyPollIn(RED: Red): void {
  adminRoute(RED, {
    method: 'get',
    path: '/contact-center/cody-poll-in/bots',
    permission: 'cody-poll-in.read',
    handler: async ({ query }) => {
      const accountNode = findConfigNode<CodyAccountNode>(RED, query['account'], 'cody-account');
      return { ok: true, bots: await offered(accountNode, 'account').client.bots() };
    },
  });
  registerNode(RED, 'cody-poll-in', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  let poller: CodyPoller | undefined;
  const status = new Status(
    RED,
    node,
    reportOf(() => poller),
  );
  const config = readConfig(RED, node, definition, FIELDS);
  try {
    if (!config.ok) throw config.error;
    poller = openPoller(RED, node, config.value, status);
  } catch (thrown) {
    status.cannotStart(thrown);
  }
}

function openPoller(RED: Red, node: RuntimeNode, config: Config, status: Status): CodyPoller {
  const account = offered(config.account, 'account');
  const state = offered(config.store, 'state');
  const local = openState(RED);
  const release = state.hold();
  const poller = new CodyPoller({
    client: account.client,
    scope: scopeOf(account.key, config.botId),
    owner: `${processIdOf(RED)}/${node.id}`,
    settings: settingsOf(config),
    state,
    local,
    send: guard(node, (message: ConversationMessage) => node.send(message as unknown as NodeMessage)),
    onChange: () => {
      const { state: name, ...options } = statusOf(poller);
      status.set(name, options);
    },
    logger: nodeLogger(RED, node),
  });
  whenFlowsStarted(RED, node, () => poller.start());
  status.set('connecting', { text: 'starting' });
  onClose(node, async () => {
    await poller.close();
    release();
    await local.close();
  });
  return poller;
}

function settingsOf({ account: _account, store: _store, ...config }: Config): PollerSettings {
  const { intervalSeconds, settleSeconds, capHours, watchDays, settleTimeoutSeconds, ...same } = config;
  return {
    ...same,
    intervalMs: intervalSeconds * 1_000,
    settleMs: settleSeconds * 1_000,
    capMs: capHours * 3_600_000,
    watchMs: watchDays * 86_400_000,
    settleTimeoutMs: settleTimeoutSeconds * 1_000,
  };
}
