import { authMetrics } from '../lib/calls/auth-metrics';
import { Login } from '../lib/calls/login';
import { Passwords } from '../lib/calls/passwords';
import { Tokens } from '../lib/calls/tokens';
import { ContactError, toContactError } from '../lib/core/errors';
import { onRequest } from '../lib/red/api-input';
import { badJson, CallGate, unready } from '../lib/red/call-gate';
import { choice, configNode, integer, number, readConfig, secret, text } from '../lib/red/config';
import { answerBadJson } from '../lib/red/http';
import { onClose } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import type { CallStoreNode } from './call-store';

const FIELDS = {
  store: configNode<CallStoreNode>('call-store'),
  mode: choice(['require', 'issue'], { default: 'require' }),
  secretKey: secret({
    credential: 'secretKey',
    environmentProperty: 'secretKeyEnvironment',
    environment: 'SECRET_KEY',
    required: true,
  }),
  issuer: text(),
  audience: text(),
  lifetimeMinutes: number({ default: 30, min: 1, max: 1_440 }),
  toleranceSeconds: integer({ default: 5, min: 0, max: 300 }),
  userFailures: integer({ default: 5, min: 1, max: 1_000 }),
  addressFailures: integer({ default: 20, min: 1, max: 100_000 }),
  lockMinutes: number({ default: 15, min: 1, max: 1_440 }),
  addressHeader: text(),
};

const ATTEMPTED = 'answer the request';
/** The paths of the call API, on which a body that is no JSON gets the API's own answer. */
const API = /^\/api\/v1\//;

/** call-auth: issues tokens for a name and a password, or lets only those pass who have one. */
export default function callAuth(RED: Red): void {
  const running = new Set<RuntimeNode>();
  answerBadJson(RED, (path) => running.size > 0 && API.test(path), badJson);
  registerNode(
    RED,
    'call-auth',
    (node, definition) => {
      running.add(node);
      node.on('close', () => running.delete(node));
      start(RED, node, definition);
    },
    { secretKey: 'password' },
  );
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  const logger = nodeLogger(RED, node);
  const counts = new Map<string, number>();
  const status = new Status(RED, node, { metrics: () => authMetrics(counts, definition['mode'] === 'issue') });
  const config = readConfig(RED, node, definition, FIELDS);
  const refuse = (error: ContactError) => {
    status.set('not-configured', { reason: error.message });
    logger.error(error.message, { code: error.code });
    // Without a key nobody passes: an API that is not configured must not be open.
    onRequest(node, { attempted: ATTEMPTED, handle: () => Promise.reject(unready(error)) });
  };
  if (!config.ok) {
    refuse(config.error);
    return;
  }
  const {
    store: storeNode,
    mode,
    secretKey,
    issuer,
    audience,
    lifetimeMinutes,
    toleranceSeconds,
    ...locks
  } = config.value;
  const { calls, problem } = storeNode;
  if (!calls) {
    refuse(problem ?? new ContactError('CONFIGURATION', { attempted: 'use the call store' }));
    return;
  }
  let tokens: Tokens;
  try {
    const times = { lifetimeMs: lifetimeMinutes * 60_000, toleranceMs: toleranceSeconds * 1_000 };
    tokens = new Tokens({ secret: secretKey, issuer, audience, ...times });
  } catch (thrown) {
    refuse(toContactError(thrown, 'use the secret key'));
    return;
  }
  const count = (result: string) => counts.set(result, (counts.get(result) ?? 0) + 1);
  const passwords = new Passwords();
  const { userFailures, addressFailures, lockMinutes, addressHeader } = locks;
  const limits = { userFailures, addressFailures, lockMs: lockMinutes * 60_000 };
  const login = new Login({ store: calls.store, passwords, ...limits });
  status.set('idle', { text: mode === 'issue' ? 'issuing-tokens' : 'asking-for-tokens' });

  const gate = new CallGate({ login, tokens, hasUsers: calls.hasUsers, addressHeader });
  onRequest(node, {
    attempted: ATTEMPTED,
    handle: async (message, requestId) => {
      const passed = await (mode === 'issue' ? gate.issue(message, requestId) : gate.require(message, requestId));
      count(mode === 'issue' ? 'success' : 'token_accepted');
      return passed;
    },
    onRefused: (error) => count(error.reason ?? 'error'),
  });
  onClose(node, () => passwords.close());
}
