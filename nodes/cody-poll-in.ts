import { createHash } from 'node:crypto';
import type { NodeMessage } from 'node-red';
import { CodyPoller } from '../lib/cody/poller';
import type { ConversationMessage, PollerSettings } from '../lib/cody/poller-settings';
import { detailsOf, groupsOf, metricsOf, statusOf } from '../lib/cody/report';
import { ContactError } from '../lib/core/errors';
import { isTimeZone } from '../lib/core/local-time';
import { adminRoute } from '../lib/red/admin';
import { boolean, configNode, integer, number, readConfig, text, type Values } from '../lib/red/config';
import { guard, onClose } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import { type Definition, findConfigNode, type Red, type RuntimeNode } from '../lib/red/node';
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
  startFrom: text({
    default: 'now',
    pattern: /^(now|all|\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:?\d\d)?)?)$/i,
    expected: 'now, all, or a date such as 2026-01-31',
  }),
  capHours: number({ default: 24, min: 0.01, max: 8_760 }),
  watchDays: number({ default: 30, min: 0, max: 3_650 }),
  capacity: integer({ default: 20, min: 1, max: 1_000 }),
  settle: boolean({ default: true }),
  settleTimeoutSeconds: integer({ default: 300, min: 1, max: 86_400 }),
  timeZone: text(),
  dryRun: boolean({ default: false }),
};

interface PollNode extends RuntimeNode {
  poller?: CodyPoller;
}

/** cody-poll-in: the conversations of Cody AI, each when it has settled and again when it has grown. */
export default function codyPollIn(RED: Red): void {
  adminRoute(RED, {
    method: 'get',
    path: '/contact-center/cody-poll-in/bots',
    permission: 'cody-poll-in.read',
    handler: ({ query }) => bots(RED, query['account']),
  });
  registerNode<PollNode>(RED, 'cody-poll-in', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: PollNode, definition: Definition): void {
  const logger = nodeLogger(RED, node);
  const config = readConfig(RED, node, definition, FIELDS);
  const isDryRun = config.ok && config.value.dryRun;
  const calls = () => (config.ok ? config.value.account.account?.client : undefined);
  const view = () => {
    const { poller } = node;
    const client = calls();
    return poller && client ? { poller, client } : undefined;
  };
  const status = new Status(RED, node, {
    details: () => {
      const seen = view();
      return seen ? detailsOf(seen.poller, seen.client, isDryRun) : {};
    },
    metrics: () => {
      const seen = view();
      return seen ? metricsOf(seen.poller, seen.client) : [];
    },
    groups: () => (node.poller ? groupsOf(node.poller, process.uptime()) : {}),
  });
  const refuse = (error: ContactError) => {
    status.set('not-configured', { reason: error.message });
    logger.error(error.message, { code: error.code });
  };
  if (!config.ok) {
    refuse(config.error);
    return;
  }
  const { account: accountNode, store: storeNode, ...form } = config.value;
  const { account } = accountNode;
  const { state } = storeNode;
  const problem = accountNode.problem ?? storeNode.problem ?? zoneProblem(form.timeZone);
  if (problem || !account || !state) {
    refuse(problem ?? new ContactError('CONFIGURATION', { attempted: 'use the configuration' }));
    return;
  }
  const settings = settingsOf(form);
  const scope = createHash('sha256')
    .update(JSON.stringify([account.key, settings.botId]))
    .digest('base64url');
  const local = openState(RED);
  const release = state.hold();
  const show = () => {
    const { state: name, ...options } = statusOf(poller, account.client, isDryRun);
    status.set(name, options);
  };
  const poller = new CodyPoller({
    client: account.client,
    scope: scope.slice(0, 16),
    owner: `${processIdOf(RED)}/${node.id}`,
    settings,
    state,
    local,
    send: guard(node, (message: ConversationMessage) => node.send(message as unknown as NodeMessage)),
    onChange: show,
    logger,
  });
  node.poller = poller;
  // A message to a node that is not yet there would be lost without a word.
  const begin = guard(node, () => poller.start());
  RED.events.once('flows:started', begin);
  status.set('connecting', { text: 'starting' });
  onClose(node, async () => {
    RED.events.removeListener('flows:started', begin);
    await poller.close();
    release();
    await local.close();
  });
}

type Form = Omit<Values<typeof FIELDS>, 'account' | 'store'>;

function settingsOf({ startFrom, ...form }: Form): PollerSettings {
  const word = startFrom.toLowerCase();
  return {
    botId: form.botId,
    intervalMs: form.intervalSeconds * 1_000,
    settleMs: form.settleSeconds * 1_000,
    capMs: form.capHours * 3_600_000,
    watchMs: form.watchDays * 86_400_000,
    startFrom: word === 'now' || word === 'all' ? word : { date: Date.parse(startFrom) },
    dryRun: form.dryRun,
    capacity: form.capacity,
    settle: form.settle,
    settleTimeoutMs: form.settleTimeoutSeconds * 1_000,
    timeZone: form.timeZone,
  };
}

function zoneProblem(timeZone: string | undefined): ContactError | undefined {
  if (timeZone === undefined || isTimeZone(timeZone)) return undefined;
  const answer = `the property timeZone must be a zone such as Europe/Berlin, not "${timeZone}"`;
  return new ContactError('CONFIGURATION', { attempted: 'use the configuration', answer });
}

/** The bots of an account that is deployed, for the dialog. */
async function bots(RED: Red, accountId: unknown): Promise<{ ok: true; bots: { id: string; name: string }[] }> {
  const account = findConfigNode<CodyAccountNode>(RED, accountId, 'cody-account')?.account;
  if (account) return { ok: true, bots: await account.client.bots() };
  throw new ContactError('CONFIGURATION', {
    attempted: 'list the bots',
    answer: 'the cody-account node is not deployed',
    advice: 'Complete it and deploy first.',
  });
}
