import { checkAri } from '../lib/ari/check';
import { AriConnection } from '../lib/ari/connection';
import { connectionMetrics } from '../lib/ari/connection-metrics';
import type { Call } from '../lib/calls/call';
import { ContactError } from '../lib/core/errors';
import { adminRoute } from '../lib/red/admin';
import { showAri } from '../lib/red/ari-status';
import { configNode, integer, readConfig, readForm, secret, text, url } from '../lib/red/config';
import { whenFlowsStarted } from '../lib/red/flows-started';
import { onClose } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import type { CallStoreNode } from './call-store';

/** What the nodes that use an ari-connection find on it. */
export interface AriConnectionNode extends RuntimeNode {
  /** Missing when the configuration is incomplete. */
  connection?: AriConnection<Call>;
  /** The store of its calls; there whenever the connection is. */
  calls?: NonNullable<CallStoreNode['calls']>;
  /** What is wrong with the configuration. */
  problem?: ContactError;
}

const ACCESS = {
  url: url({ default: 'http://localhost:8088/ari' }),
  username: text({ environment: 'ARI_USERNAME', required: true }),
  password: secret({
    credential: 'password',
    environmentProperty: 'passwordEnvironment',
    environment: 'ARI_PASSWORD',
    required: true,
  }),
};
const FIELDS = {
  ...ACCESS,
  store: configNode<CallStoreNode>('call-store'),
  app: text({
    default: 'contactcenter',
    pattern: /^[A-Za-z0-9_.-]{1,60}$/,
    expected: 'a name of letters, digits and . _ -',
  }),
  playLimitSeconds: integer({ default: 300, min: 1, max: 86_400 }),
  mostCalls: integer({ default: 1_000, min: 1, max: 100_000 }),
};

/** ari-connection: an Asterisk and the Stasis application whose calls are looked after. */
export default function ariConnection(RED: Red): void {
  adminRoute(RED, {
    method: 'post',
    path: '/contact-center/ari-connection/test',
    permission: 'ari-connection.write',
    handler: async (request) => {
      const form = readForm(RED, request.body, ACCESS);
      if (!form.ok) throw form.error;
      const { username: user, ...access } = form.value;
      return { ok: true, ...(await checkAri({ ...access, user })) };
    },
  });
  registerNode<AriConnectionNode>(RED, 'ari-connection', (node, definition) => start(RED, node, definition), {
    password: 'password',
  });
}

function start(RED: Red, node: AriConnectionNode, definition: Definition): void {
  const logger = nodeLogger(RED, node);
  const status = new Status(RED, node, {
    details: () => ({
      app: definition['app'],
      connected: node.connection?.connected,
      calls: node.connection?.desk.size,
      reconnects: node.connection?.counts.reconnects,
    }),
    metrics: () => (node.connection ? connectionMetrics(node.connection) : []),
  });
  const config = readConfig(RED, node, definition, FIELDS);
  const problem = config.ok ? config.value.store.problem : config.error;
  const calls = config.ok ? config.value.store.calls : undefined;
  if (!config.ok || !calls) {
    node.problem = problem ?? new ContactError('CONFIGURATION', { attempted: 'use the call store' });
    status.set('not-configured', { reason: node.problem.message });
    if (!config.ok) logger.error(node.problem.message, { code: node.problem.code });
    return;
  }
  const { url: address, username: user, password, app, playLimitSeconds, mostCalls } = config.value;
  const connection = new AriConnection<Call>({
    access: { url: address, user, password },
    app,
    book: calls.book,
    playLimitMs: playLimitSeconds * 1_000,
    mostCalls,
    logger,
  });
  node.connection = connection;
  node.calls = calls;
  connection.onState((state) => showAri(status, state));
  whenFlowsStarted(RED, node, () => connection.start());
  status.set('connecting');
  onClose(node, async () => {
    await connection.close();
  });
}
