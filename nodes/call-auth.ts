import type { NodeMessage, NodeMessageInFlow } from 'node-red';
import { errorAnswer, goodAnswer, requestIdOf } from '../lib/calls/api';
import { Login } from '../lib/calls/login';
import { Passwords } from '../lib/calls/passwords';
import { Tokens } from '../lib/calls/tokens';
import { ContactError, messageError, toContactError } from '../lib/core/errors';
import type { AnyMetric } from '../lib/monitor/registry';
import { headerOf, requestOf, withAnswer } from '../lib/red/api';
import { choice, configNode, integer, number, readConfig, secret, text } from '../lib/red/config';
import { answerBadJson } from '../lib/red/http';
import { type Done, onClose, onInputDeferred, type Send } from '../lib/red/input';
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
  const status = new Status(RED, node, { metrics: () => metrics(counts, definition['mode'] === 'issue') });
  const config = readConfig(RED, node, definition, FIELDS);
  const refuse = (error: ContactError) => {
    status.set('not-configured', { reason: error.message });
    logger.error(error.message, { code: error.code });
    // Without a key nobody passes: an API that is not configured must not be open.
    onInputDeferred(node, (message, send, done) => refused(message, send, done, unready(error)));
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

  /** Takes the name and the password to a token. */
  const issue = async (message: NodeMessageInFlow): Promise<NodeMessage> => {
    const { payload } = message;
    const { username, password } = (payload ?? {}) as { username?: unknown; password?: unknown };
    if (typeof username !== 'string' || typeof password !== 'string' || username === '' || password === '') {
      const answer = 'the form fields username and password are not there';
      throw new ContactError('INVALID_INPUT', { attempted: 'log in', answer, reason: 'invalid_form' });
    }
    if (!calls.hasUsers) {
      const advice = 'There are no users while DISABLE_DB is set.';
      const facts = { attempted: 'log in', answer: 'Database disabled', reason: 'database_disabled', advice };
      throw new ContactError('CONFIGURATION', facts);
    }
    const request = requestOf(message);
    const forwarded = addressHeader === undefined ? undefined : headerOf(request, addressHeader)?.split(',')[0]?.trim();
    await login.enter(username, password, forwarded || request.ip || 'unknown');
    const { accessToken, tokenType, expiresInSeconds } = await tokens.issue(username);
    const body = { access_token: accessToken, token_type: tokenType, expires_in: expiresInSeconds };
    const answer = goodAnswer(body, requestId(message), { Pragma: 'no-cache' });
    return withAnswer(message, answer, { user: { name: username } });
  };

  /** Lets the message pass with the name of its user. */
  const require = async (message: NodeMessageInFlow): Promise<NodeMessage> => {
    const token = /^Bearer +(\S+)$/i.exec(headerOf(requestOf(message), 'authorization') ?? '')?.[1];
    if (token === undefined) {
      const facts = { attempted: 'accept the request', answer: 'it has no bearer token', reason: 'invalid_token' };
      throw new ContactError('REFUSED', { ...facts, retryable: false, advice: 'Get one from the token endpoint.' });
    }
    const name = await tokens.verify(token);
    const before = (message as { headers?: Record<string, string> }).headers ?? {};
    const id = requestId(message);
    // The secret has done its work: what follows must not log it.
    const user = { user: { name }, correlationId: id, headers: { ...before, 'X-Request-ID': id } };
    return Object.assign(message, user) as NodeMessage;
  };

  onInputDeferred(node, (message, send, done) => {
    const handle = mode === 'issue' ? issue : require;
    handle(message).then(
      (passed) => {
        count(mode === 'issue' ? 'success' : 'token_accepted');
        send([passed, null]);
        done();
      },
      (thrown: unknown) => {
        const error = toContactError(thrown, 'answer the request');
        count(error.reason ?? 'error');
        refused(message, send, done, error);
      },
    );
  });
  onClose(node, () => passwords.close());
}

function unready(error: ContactError): ContactError {
  const { summary } = error;
  return new ContactError('CONFIGURATION', {
    attempted: 'answer the request',
    answer: summary,
    reason: 'not_configured',
  });
}

/** A wrong password is an everyday answer; what else goes wrong also reaches Catch nodes. */
function refused(message: NodeMessageInFlow, send: Send, done: Done, error: ContactError): void {
  const answer = errorAnswer(error, requestId(message));
  send([null, withAnswer(message, answer, { error: messageError(error, 1) })]);
  done(answer.statusCode >= 500 ? error : undefined);
}

function requestId(message: NodeMessageInFlow): string {
  const { correlationId } = message as { correlationId?: unknown };
  return requestIdOf(correlationId ?? headerOf(requestOf(message), 'x-request-id'));
}

function badJson(requestIdGiven: unknown) {
  const facts = { attempted: 'read the request', answer: 'its body is no JSON', reason: 'invalid_json' };
  return errorAnswer(new ContactError('INVALID_INPUT', facts), requestIdOf(requestIdGiven));
}

function metrics(counts: Map<string, number>, issues: boolean): AnyMetric[] {
  const locked = (counts.get('locked_out') ?? 0) + (counts.get('too_many_requests') ?? 0);
  const attempts = [...counts].map(
    ([result, value]): AnyMetric => ({
      name: 'auth_attempts_total',
      help: 'Requests for a token and requests with one, by what became of them.',
      type: 'counter',
      value,
      labels: { result },
    }),
  );
  if (!issues) return attempts;
  return [
    ...attempts,
    {
      name: 'rate_limit_exceeded_total',
      help: 'Requests that were turned away because there were too many.',
      type: 'counter',
      value: locked,
      labels: { endpoint: 'token' },
    },
  ];
}
