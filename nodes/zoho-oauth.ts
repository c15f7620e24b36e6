import type { ContactError } from '../lib/core/errors';
import { adminRoute } from '../lib/red/admin';
import { configNode, integer, readConfig, readForm, secret, text, url, type Values } from '../lib/red/config';
import { nodeLogger } from '../lib/red/logger';
import { type Definition, offered, type Red, type RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import { showTokens } from '../lib/red/token-status';
import { ZohoAccount } from '../lib/zoho/account';
import { checkZoho } from '../lib/zoho/check';
import { ZOHO_DATA_CENTERS } from '../lib/zoho/data-centers';
import { tokenGroup, tokenMetrics } from '../lib/zoho/report';
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
    handler: (request) => test(readForm(RED, request.body, CREDENTIALS)),
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
  showTokens(node, status, account.tokens);
  const release = state.hold();
  node.on('close', () => {
    account.close();
    release();
  });
  return account;
}

/** Tries what the dialog has. */
async function test(form: ReturnType<typeof readForm<typeof CREDENTIALS>>): Promise<Record<string, unknown>> {
  if (!form.ok) throw form.error;
  const { timeoutSeconds, ...credentials } = form.value;
  return { ok: true, ...(await checkZoho({ ...credentials, timeoutMs: timeoutSeconds * 1_000 })) };
}
