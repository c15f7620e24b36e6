import { ContactError } from '../lib/core/errors';
import { ElasticConnection, type ElasticOptions } from '../lib/elastic/connection';
import { adminRoute } from '../lib/red/admin';
import { boolean, type ConfigResult, list, number, readConfig, readForm, secret, text } from '../lib/red/config';
import { onClose } from '../lib/red/input';
import type { Red, RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';

/** What the nodes that use an es-connection find on it. */
export interface EsConnectionNode extends RuntimeNode {
  /** Missing when the configuration is incomplete. */
  connection?: ElasticConnection;
  /** What is wrong with the configuration. */
  problem?: ContactError;
}

const FIELDS = {
  nodes: list({ default: [], environment: 'ELASTIC_URL' }),
  cloudId: text(),
  auth: secret({ credential: 'auth', environmentProperty: 'authEnvironment', environment: 'ELASTIC_AUTH' }),
  certificateFile: text(),
  verifyCertificate: boolean({ default: true }),
  requestTimeoutSeconds: number({ default: 30, min: 1, max: 600 }),
};

/** es-connection: where an Elasticsearch is and how to be let in. */
export default function esConnection(RED: Red): void {
  adminRoute(RED, {
    method: 'post',
    path: '/contact-center/es-connection/test',
    permission: 'es-connection.write',
    handler: async (request) => {
      const options = readOptions(readForm(RED, request.body, FIELDS));
      if (!options.ok) throw options.error;
      const connection = new ElasticConnection(options.value);
      try {
        return { ok: true, ...(await connection.check()) };
      } finally {
        await connection.close();
      }
    },
  });
  registerNode<EsConnectionNode>(
    RED,
    'es-connection',
    (node, definition) => {
      const status = new Status(RED, node, { details: () => ({ target: node.connection?.target }) });
      const options = readOptions(readConfig(RED, node, definition, FIELDS));
      if (!options.ok) {
        node.problem = status.cannotStart(options.error);
        return;
      }
      const connection = new ElasticConnection(options.value);
      node.connection = connection;
      onClose(node, () => connection.close());
    },
    { auth: 'password' },
  );
}

function readOptions(form: ReturnType<typeof readForm<typeof FIELDS>>): ConfigResult<ElasticOptions> {
  if (!form.ok) return form;
  const { requestTimeoutSeconds, ...rest } = form.value;
  const wrong = rest.nodes.find((address) => !/^https?:\/\/\S+$/.test(address));
  const problem =
    wrong !== undefined
      ? 'the property nodes must hold addresses that begin with http:// or https://'
      : rest.nodes.length === 0 && !rest.cloudId
        ? 'neither the property nodes (environment variable ELASTIC_URL) nor cloudId is set'
        : undefined;
  if (problem) {
    const facts = { attempted: 'connect to Elasticsearch', answer: problem };
    return { ok: false, error: new ContactError('CONFIGURATION', facts) };
  }
  return { ok: true, value: { ...rest, requestTimeoutMs: requestTimeoutSeconds * 1_000 } };
}
