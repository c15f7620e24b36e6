import { hostname } from 'node:os';
import { ContactError } from '../lib/core/errors';
import { readAddresses } from '../lib/rabbitmq/address';
import { checkBroker } from '../lib/rabbitmq/check';
import { BrokerConnection, type BrokerConnectionOptions } from '../lib/rabbitmq/connection';
import { connectionMetrics } from '../lib/rabbitmq/connection-metrics';
import type { NamesOptions } from '../lib/rabbitmq/names';
import { connectionStatus } from '../lib/rabbitmq/status';
import { adminRoute } from '../lib/red/admin';
import { boolean, type ConfigResult, integer, list, readConfig, readForm, secret, text, url } from '../lib/red/config';
import { guard, onClose } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import type { Red } from '../lib/red/node';
import type { BrokerNode } from '../lib/red/queue-settings';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';

const FIELDS = {
  addresses: list({ default: ['amqp://guest:guest@localhost:5672/'], environment: 'RABBITMQ_URL' }),
  username: text(),
  password: secret({ credential: 'password', environmentProperty: 'passwordEnvironment' }),
  vhost: text(),
  managementUrl: url(),
  heartbeatSeconds: integer({ default: 10, min: 1, max: 300 }),
  certificateFile: text(),
  clientCertificateFile: text(),
  clientKeyFile: text(),
  verifyCertificate: boolean({ default: true }),
};

/** contact-broker: one connection to a RabbitMQ, shared by all nodes that use it. */
export default function contactBroker(RED: Red): void {
  adminRoute(RED, {
    method: 'post',
    path: '/contact-center/contact-broker/test',
    permission: 'contact-broker.write',
    handler: (request) => test(readOptions(readForm(RED, request.body, FIELDS), 'test of contact-broker')),
  });
  registerNode<BrokerNode>(
    RED,
    'contact-broker',
    (node, definition) => {
      const status = new Status(RED, node, {
        details: () => node.connection?.details() ?? {},
        metrics: () => (node.connection ? connectionMetrics(node.connection) : []),
      });
      const name = `Node-RED ${node.name || node.id} on ${hostname()}`;
      const options = readOptions(readConfig(RED, node, definition, FIELDS), name);
      if (!options.ok) {
        node.problem = status.cannotStart(options.error);
        return;
      }
      const { managementUrl, ...access } = options.value;
      const connection = new BrokerConnection({ ...access, logger: nodeLogger(RED, node) });
      node.place = options.value;
      node.connection = connection;
      connection.onState(
        guard(node, () => {
          const { state, ...shown } = connectionStatus(connection);
          status.set(state, shown);
        }),
      );
      onClose(node, () => connection.close());
    },
    { password: 'password' },
  );
}

function readOptions(
  form: ReturnType<typeof readForm<typeof FIELDS>>,
  connectionName: string,
): ConfigResult<BrokerConnectionOptions & NamesOptions> {
  if (!form.ok) return form;
  const { addresses, username, password, vhost, ...rest } = form.value;
  try {
    return {
      ok: true,
      value: { ...rest, connectionName, place: readAddresses(addresses, { username, password, vhost }) },
    };
  } catch (thrown) {
    if (thrown instanceof ContactError) return { ok: false, error: thrown };
    throw thrown;
  }
}

async function test(options: ConfigResult<BrokerConnectionOptions>): Promise<Record<string, unknown>> {
  if (!options.ok) throw options.error;
  return { ok: true, ...(await checkBroker(options.value.place, options.value)) };
}
