import type { ContactError } from '../lib/core/errors';
import { adminRoute, readForm } from '../lib/red/admin';
import { configNode, integer, readConfig, secret, text, url, type Values } from '../lib/red/config';
import { guard } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import { type Definition, offered, type Red, type RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import { MemoryStore } from '../lib/store/memory';
import { ZohoAccount } from '../lib/zoho/account';
import { ZOHO_DATA_CENTERS } from '../lib/zoho/data-centers';
import { tokenGroup, tokenMetrics } from '../lib/zoho/report';
import { stopFor } from '../lib/zoho/stop';
import type { ContactStoreNode } from './contact-store';

/** What the nodes that use a zoho-oauth node find on it. */
export interface ZohoOauthNode extends RuntimeNode {
  /** Missing when the configuration is incomplete. */
  account?: ZohoAccount;
  /** What is wrong with the configuration. */
  problem?: ContactError;
}

const CREDENTIALS = {
  accountsUrl: url({ default: 'https://accounts.zoho.com' }),
  apiUrl: url(),
  apiVersion: text({ default: 'v8', pattern: /^v\d+(\.\d+)?$/, expected: 'a version such as v8' }),
  clientId: secret({
    credential: 'clientId',
    environmentProperty: 'clientIdEnvironment',
    environment: 'ZOHO_CLIENT_ID',
    required: true,
  }),
  clientSecret: secret({
    credential: 'clientSecret',
    environmentProperty: 'clientSecretEnvironment',
    environment: 'ZOHO_CLIENT_SECRET',
    required: true,
  }),
  refreshToken: secret({
    credential: 'refreshToken',
    environmentProperty: 'refreshTokenEnvironment',
    environment: 'ZOHO_REFRESH_TOKEN',
    required: true,
  }),
  timeoutSeconds: integer({ default: 15, min: 1, max: 300 }),
};
const FIELDS = { ...CREDENTIALS, store: configNode<ContactStoreNode>('contact-store') };

/** zoho-oauth: a user of a Zoho organization, with one token for all processes. */
export default function zohoOauth(RED: Red): void {
  adminRoute(RED, {
    method: 'post',
    path: '/contact-center/zoho-oauth/test',
    permission: 'zoho-oauth.write',
    handler: (request) => test(RED, request.body),
  });
  adminRoute(RED, {
    method: 'get',
    path: '/contact-center/zoho-oauth/data-centers',
    permission: 'zoho-oauth.read',
    handler: () => ZOHO_DATA_CENTERS,
  });
  registerNode<ZohoOauthNode>(RED, 'zoho-oauth', (node, definition) => start(RED, node, definition), {
    clientId: 'text',
    clientSecret: 'password',
    refreshToken: 'password',
  });
}

function start(RED: Red, node: ZohoOauthNode, definition: Definition): void {
  const status = new Status(RED, node, {
    details: () => node.account?.report() ?? {},
    metrics: () => (node.account ? tokenMetrics(node.account.counters) : []),
    groups: () => (node.account ? { tokens: tokenGroup(node.account.counters) } : {}),
  });
  const config = readConfig(RED, node, definition, FIELDS);
  try {
    if (!config.ok) throw config.error;
    node.account = openAccount(RED, node, config.value, status);
  } catch (thrown) {
    node.problem = status.cannotStart(thrown);
  }
}

function openAccount(RED: Red, node: ZohoOauthNode, config: Values<typeof FIELDS>, status: Status): ZohoAccount {
  const { store: storeNode, timeoutSeconds, ...credentials } = config;
  const state = offered(storeNode, 'state');
  const logger = nodeLogger(RED, node);
  const account = new ZohoAccount({ ...credentials, store: state.store, timeoutMs: timeoutSeconds * 1_000, logger });
  account.tokens.onRenewed(() => status.set('connected', { text: 'token-valid' }));
  account.tokens.onFailed(
    guard(node, (error: ContactError) => {
      if (error.code === 'REFUSED') status.set('refused', { text: 'wrong-credentials', reason: error.message });
      else status.set(account.tokens.current ? 'degraded' : 'disconnected', { reason: error.message });
    }),
  );
  const release = state.hold();
  node.on('close', () => {
    account.close();
    release();
  });
  return account;
}

/** Gets a token with what the dialog has, and reads the fields of Cases with it. */
async function test(RED: Red, body: Record<string, unknown>): Promise<Record<string, unknown>> {
  const form = readForm(RED, body, CREDENTIALS);
  if (!form.ok) throw form.error;
  const { timeoutSeconds, ...credentials } = form.value;
  // A store of its own: what the dialog tries must not end up where the flow finds it.
  const account = new ZohoAccount({ ...credentials, store: new MemoryStore(), timeoutMs: timeoutSeconds * 1_000 });
  const began = Date.now();
  try {
    const query = { module: 'Cases' };
    const reading = await account.client.call('GET', '/settings/fields', { query, what: 'read the fields of Cases' });
    if (reading.kind === 'refusal') throw stopFor(reading.refusal).verdict.error;
    return { ok: true, apiUrl: account.apiUrl, ms: Date.now() - began };
  } finally {
    account.close();
  }
}
