import { hostname } from 'node:os';
import { ContactError } from '../lib/core/errors';
import { readAddresses } from '../lib/rabbitmq/address';
import { BrokerConnection, type BrokerConnectionOptions } from '../lib/rabbitmq/connection';
import { dial } from '../lib/rabbitmq/dial';
import type { NamesOptions } from '../lib/rabbitmq/names';
import { connectionStatus } from '../lib/rabbitmq/status';
import { adminRoute, readForm } from '../lib/red/admin';
import { boolean, type ConfigResult, integer, list, readConfig, secret, text, url } from '../lib/red/config';
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
      const logger = nodeLogger(RED, node);
      const status = new Status(RED, node, {
        details: () => node.connection?.details() ?? {},
        metrics: () => metrics(node),
      });
      const name = `Node-RED ${node.name || node.id} on ${hostname()}`;
      const options = readOptions(readConfig(RED, node, definition, FIELDS), name);
      if (!options.ok) {
        node.problem = options.error;
        status.set('not-configured', { reason: options.error.message });
        logger.error(options.error.message, { code: options.error.code });
        return;
      }
      const { managementUrl, ...access } = options.value;
      const connection = new BrokerConnection({ ...access, logger });
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
  const { place } = options.value;
  const began = Date.now();
  if (place.kind === 'memory') return { ok: true, product: 'memory', ms: 0 };
  let failure: unknown;
  for (const address of place.addresses) {
    try {
      const link = await dial(address, { ...options.value, openTimeoutMs: 5_000 });
      await link.close();
      return { ok: true, product: link.product, ms: Date.now() - began };
    } catch (thrown) {
      failure ??= thrown;
    }
  }
  throw failure;
}

function metrics({ connection }: BrokerNode) {
  if (!connection) return [];
  const { kind } = connection.state;
  return [
    {
      name: 'contact_center_broker_connected',
      help: 'Whether there is a connection to the broker: 1 or 0.',
      type: 'gauge' as const,
      value: kind === 'open' || kind === 'blocked' ? 1 : 0,
    },
    {
      name: 'contact_center_broker_blocked',
      help: 'Whether the broker takes no messages for want of memory or disk space: 1 or 0.',
      type: 'gauge' as const,
      value: kind === 'blocked' ? 1 : 0,
    },
    {
      name: 'contact_center_broker_connections_total',
      help: 'Connections made to the broker.',
      type: 'counter' as const,
      value: connection.connectCount,
    },
  ];
}
