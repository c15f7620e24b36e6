import { ContactError } from '../lib/core/errors';
import { HttpClient } from '../lib/core/http';
import { type GenesysAccount, openAccount } from '../lib/genesys/account';
import { accountMetrics, accountReport } from '../lib/genesys/account-report';
import { checkAccess } from '../lib/genesys/check';
import { GENESYS_REGIONS, genesysAddresses } from '../lib/genesys/regions';
import { adminRoute } from '../lib/red/admin';
import { type ConfigResult, readConfig, readForm, secret, text, url } from '../lib/red/config';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import { showTokens } from '../lib/red/token-status';

/** What the nodes that use a genesys-oauth node find on it. */
export interface GenesysOauthNode extends RuntimeNode {
  /** Missing when the configuration is incomplete. */
  account?: GenesysAccount;
  /** What is wrong with the configuration. */
  problem?: ContactError;
}

const FIELDS = {
  region: text(),
  loginUrl: url(),
  apiUrl: url(),
  clientId: secret({
    credential: 'clientId',
    environmentProperty: 'clientIdEnvironment',
    environment: 'GENESYS_CLIENT_ID',
    required: true,
  }),
  clientSecret: secret({
    credential: 'clientSecret',
    environmentProperty: 'clientSecretEnvironment',
    environment: 'GENESYS_CLIENT_SECRET',
    required: true,
  }),
};
type Account = Parameters<typeof openAccount>[0];

/** genesys-oauth: an OAuth client of a Genesys Cloud organization, with one token for all who use it. */
export default function genesysOauth(RED: Red): void {
  adminRoute(RED, {
    method: 'post',
    path: '/contact-center/genesys-oauth/test',
    permission: 'genesys-oauth.write',
    handler: (request) => test(readAccount(readForm(RED, request.body, FIELDS))),
  });
  adminRoute(RED, {
    method: 'get',
    path: '/contact-center/genesys-oauth/regions',
    permission: 'genesys-oauth.read',
    handler: () => GENESYS_REGIONS,
  });
  registerNode<GenesysOauthNode>(RED, 'genesys-oauth', (node, definition) => start(RED, node, definition), {
    clientId: 'text',
    clientSecret: 'password',
  });
}

function start(RED: Red, node: GenesysOauthNode, definition: Definition): void {
  const status = new Status(RED, node, {
    details: () => ({
      ...(node.account ? accountReport(node.account) : { problem: node.problem?.message }),
      region: definition['region'],
    }),
    metrics: () => (node.account ? accountMetrics(node.account) : []),
    live: () => (node.account ? { tokensLeft: node.account.limit.left } : {}),
  });
  const config = readAccount(readConfig(RED, node, definition, FIELDS));
  if (!config.ok) {
    node.problem = status.cannotStart(config.error);
    return;
  }
  const account = openAccount(config.value);
  node.account = account;
  const end = showTokens(node, status, account.tokens);
  node.on('close', () => {
    end();
    account.release();
  });
}

type Form = ReturnType<typeof readForm<typeof FIELDS>>;

/** Adds the addresses to what the fields say. */
function readAccount(form: Form): ConfigResult<Account> {
  if (!form.ok) return form;
  const { region, loginUrl, apiUrl, clientId, clientSecret } = form.value;
  try {
    return { ok: true, value: { ...genesysAddresses(region, { loginUrl, apiUrl }), clientId, clientSecret } };
  } catch (thrown) {
    if (thrown instanceof ContactError) return { ok: false, error: thrown };
    throw thrown;
  }
}

async function test(config: ConfigResult<Account>): Promise<Record<string, unknown>> {
  if (!config.ok) throw config.error;
  const http = new HttpClient();
  try {
    return { ok: true, ...(await checkAccess(http, config.value)) };
  } finally {
    http.close();
  }
}
