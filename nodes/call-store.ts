import { join, resolve } from 'node:path';
import { CallBook } from '../lib/calls/call-book';
import { CallMetrics } from '../lib/calls/metrics';
import { type CallStoreChoice, type OpenCalls, openCallStore, tryCallStore } from '../lib/calls/open-store';
import type { CallStore } from '../lib/calls/store';
import { StoreKeeper } from '../lib/calls/store-keeper';
import { type ContactError, toContactError } from '../lib/core/errors';
import { adminRoute } from '../lib/red/admin';
import { showCallStore } from '../lib/red/call-store-status';
import { boolean, choice, integer, readConfig, readForm, secret, text, type Values } from '../lib/red/config';
import { guard, onClose } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';

/** What the nodes that use a call-store find on it. */
export interface CallStoreNode extends RuntimeNode {
  /** Missing when the configuration is incomplete. */
  calls?: OpenCalls;
  /** What is wrong with the configuration. */
  problem?: ContactError;
}

const FIELDS = {
  kind: choice(['auto', 'memory', 'embedded', 'postgresql'], { default: 'auto' }),
  disabled: boolean({ default: false }),
  databaseUrl: secret({
    credential: 'databaseUrl',
    environmentProperty: 'databaseUrlEnvironment',
    environment: 'DATABASE_URL',
  }),
  folder: text({ default: 'contact-center/calls' }),
  firstUser: text(),
  firstUserHash: secret({
    credential: 'firstUserHash',
    environmentProperty: 'firstUserHashEnvironment',
    environment: 'API_PASSWORD_HASH',
  }),
  retentionDays: integer({ default: 90, min: 0, max: 36_500 }),
};
type Settings = Values<typeof FIELDS>;

/** Time that is left for the other nodes and for the store itself when a flow is stopped. */
const WRITE_WITHIN_MS = 3_000;

/** call-store: where calls and the users of the call API are kept. */
export default function callStore(RED: Red): void {
  adminRoute(RED, {
    method: 'post',
    path: '/contact-center/call-store/test',
    permission: 'call-store.write',
    handler: async (request) => {
      const form = readForm(RED, request.body, FIELDS);
      if (!form.ok) throw form.error;
      return { ok: true, ...(await tryCallStore(chosen(RED, form.value))) };
    },
  });
  registerNode<CallStoreNode>(RED, 'call-store', (node, definition) => start(RED, node, definition), {
    databaseUrl: 'password',
    firstUserHash: 'password',
  });
}

function start(RED: Red, node: CallStoreNode, definition: Definition): void {
  const logger = nodeLogger(RED, node);
  const metrics = new CallMetrics();
  const status = new Status(RED, node, {
    details: () => ({ kind: node.calls?.store.kind, waiting: node.calls?.book.state.waiting }),
    metrics: () => metrics.all(node.calls?.book.state.waiting ?? 0),
  });
  const form = readConfig(RED, node, definition, FIELDS);
  const refuse = (error: ContactError) => {
    node.problem = error;
    status.set('not-configured', { reason: error.message });
    logger.error(error.message, { code: error.code });
  };
  if (!form.ok) {
    refuse(form.error);
    return;
  }
  const { firstUser, firstUserHash, disabled, retentionDays } = form.value;
  let store: CallStore;
  try {
    store = openCallStore(chosen(RED, form.value));
  } catch (thrown) {
    refuse(toContactError(thrown, 'open the call store'));
    return;
  }
  const book = new CallBook({ store, logger });
  node.calls = { store, book, hasUsers: !disabled };
  book.onUpdate(({ call, transitions }) => metrics.take(call, transitions));
  const show = () => showCallStore(status, store.kind, book.state);
  book.onState(show);
  status.set('connecting');

  const hasFirstUser = firstUser !== undefined && firstUserHash !== undefined && !disabled;
  const keeper = new StoreKeeper({
    store,
    firstUser: hasFirstUser ? { name: firstUser, hash: firstUserHash } : undefined,
    retentionDays,
    onReady: show,
    onUnusable: refuse,
    onAway: ({ code, message }) =>
      status.set(code === 'REFUSED' ? 'refused' : 'disconnected', { text: 'database-away', reason: message }),
    logger,
  });
  guard(node, () => keeper.look())();

  onClose(node, async () => {
    keeper.close();
    await book.close(WRITE_WITHIN_MS);
    await store.close();
  });
}

function chosen(RED: Red, { kind, disabled, databaseUrl, folder }: Settings): CallStoreChoice {
  const { userDir } = RED.settings;
  return { kind, disabled, databaseUrl, folder: userDir && resolve(join(userDir, folder)) };
}
