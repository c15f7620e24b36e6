import { createHash } from 'node:crypto';
import { CodyClient } from '../lib/cody/client';
import type { ContactError } from '../lib/core/errors';
import { adminRoute } from '../lib/red/admin';
import { readConfig, readForm, secret, url } from '../lib/red/config';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';

/** What the nodes that use a cody-account find on it. */
export interface CodyAccountNode extends RuntimeNode {
  /** Missing when the configuration is incomplete. */
  account?: { client: CodyClient; key: string };
  /** What is wrong with the configuration. */
  problem?: ContactError;
}

const FIELDS = {
  apiUrl: url({ default: 'https://getcody.ai/api/v1' }),
  apiKey: secret({
    credential: 'apiKey',
    environmentProperty: 'apiKeyEnvironment',
    environment: 'CODY_API_KEY',
    required: true,
  }),
};

/** cody-account: where Cody AI is, and the key that opens the account. */
export default function codyAccount(RED: Red): void {
  adminRoute(RED, {
    method: 'post',
    path: '/contact-center/cody-account/test',
    permission: 'cody-account.write',
    handler: async (request) => {
      const form = readForm(RED, request.body, FIELDS);
      if (!form.ok) throw form.error;
      const client = new CodyClient({ ...form.value, attempts: 1 });
      try {
        return { ok: true, ...(await client.check()) };
      } finally {
        client.close();
      }
    },
  });
  registerNode<CodyAccountNode>(RED, 'cody-account', (node, definition) => start(RED, node, definition), {
    apiKey: 'password',
  });
}

function start(RED: Red, node: CodyAccountNode, definition: Definition): void {
  const status = new Status(RED, node);
  const config = readConfig(RED, node, definition, FIELDS);
  if (!config.ok) {
    node.problem = status.cannotStart(config.error);
    return;
  }
  const client = new CodyClient(config.value);
  const key = createHash('sha256').update(config.value.apiUrl).digest('base64url').slice(0, 12);
  node.account = { client, key };
  node.on('close', () => client.close());
}
