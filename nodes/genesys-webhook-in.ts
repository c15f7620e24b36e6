import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { NodeMessage } from 'node-red';
import { ContactError } from '../lib/core/errors';
import type { IncomingKind } from '../lib/genesys/messaging/incoming';
import { type Received, WebhookReceiver } from '../lib/genesys/messaging/receiver';
import { MessageRecords } from '../lib/genesys/messaging/records';
import { StatusTracker } from '../lib/genesys/messaging/tracker';
import { webhookMessage } from '../lib/genesys/messaging/webhook-message';
import { webhookMetrics } from '../lib/genesys/messaging/webhook-metrics';
import { AwaitedMessages } from '../lib/red/awaited-messages';
import { brokerPicks } from '../lib/red/broker-picks';
import {
  boolean,
  configNode,
  number,
  optionalConfigNode,
  readConfig,
  secret,
  text,
  type Values,
} from '../lib/red/config';
import { onClose } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import { StatusPublisher } from '../lib/red/message-status';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import type { BrokerNode } from '../lib/red/queue-settings';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import { withTrace } from '../lib/red/tracing';
import { listenTo, webhookRoutes } from '../lib/red/webhook-routes';
import type { ContactStoreNode } from './contact-store';
import type { GenesysTenantsNode } from './genesys-tenants';

/** What leaves by which output. */
const OUTPUTS: readonly IncomingKind[] = ['message', 'receipt', 'event'];

const FIELDS = {
  path: text({ pattern: /^[\w.-]+$/, expected: 'made of letters, digits, dots, dashes and underscores' }),
  secret: secret({
    credential: 'secret',
    environmentProperty: 'secretEnvironment',
    environment: 'GENESYS_WEBHOOK_SECRET',
  }),
  store: configNode<ContactStoreNode>('contact-store'),
  tenants: optionalConfigNode<GenesysTenantsNode>('genesys-tenants'),
  broker: optionalConfigNode<BrokerNode>('contact-broker'),
  statusExchange: text({ default: 'genesys.status' }),
  rememberHours: number({ default: 168, min: 1, max: 8_760 }),
  waitForFlow: boolean({ default: false }),
};

/** genesys-webhook-in: what Genesys Cloud posts for the customers of an Open Messaging integration. */
export default function genesysWebhookIn(RED: Red): void {
  brokerPicks(RED, 'genesys-webhook-in', 'exchanges');
  webhookRoutes(RED);
  registerNode(RED, 'genesys-webhook-in', (node, definition) => start(RED, node, definition), { secret: 'password' });
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  const logger = nodeLogger(RED, node);
  let receiver: WebhookReceiver | undefined;
  let statuses: StatusPublisher | undefined;
  const status = new Status(RED, node, {
    details: () => ({ ...receiver?.counts(), statusEventsWaiting: statuses?.waiting }),
    metrics: () => webhookMetrics(receiver?.counts()),
  });
  const config = readConfig(RED, node, definition, FIELDS);
  const problem = config.ok ? problemOf(config.value) : config.error;
  if (!config.ok || problem) {
    const error = problem as ContactError;
    status.set('not-configured', { reason: error.message });
    logger.error(error.message, { code: error.code });
    return;
  }
  const { path = '', secret: key, store, tenants, broker, statusExchange, rememberHours, waitForFlow } = config.value;
  const { state } = store as Required<ContactStoreNode>;
  const leave = state.hold();
  const records = new MessageRecords(state.store, rememberHours * 3_600_000);
  if (broker?.connection) {
    const { userDir } = RED.settings;
    const folder = userDir === undefined ? undefined : join(userDir, 'contact-center', 'spool', node.id);
    statuses = new StatusPublisher({ connection: broker.connection, exchange: statusExchange, folder });
  }
  const awaited = new AwaitedMessages('the webhook of Genesys', 'hand on what Genesys has posted');
  const emit = async (received: Received): Promise<void> => {
    const correlationId = received.record?.correlationId ?? randomUUID();
    const output = OUTPUTS.indexOf(received.incoming.kind);
    const send = (message: NodeMessage) => node.send(OUTPUTS.map((_, index) => (index === output ? message : null)));
    const message = { ...webhookMessage(received), correlationId } as NodeMessage;
    const { messages, receipts, events } = own.counts();
    status.set('connected', { text: 'received', values: { count: messages + receipts + events + 1 } });
    if (waitForFlow) await awaited.send(message, send);
    else send(withTrace(node, message));
  };
  const own = new WebhookReceiver({
    secret: key,
    store: state.store,
    records,
    tracker: new StatusTracker({ records, channel: statuses, logger }),
    organizationOf: (integrationId) => tenants?.organizations?.directory.ofIntegration(integrationId),
    emit,
    logger,
  });
  receiver = own;
  const stop = listenTo(path, own);
  status.set('connected', { text: 'listening' });
  onClose(node, async () => {
    stop();
    awaited.close();
    await statuses?.close();
    leave();
  });
}

function problemOf({ secret: key, store, tenants, broker }: Values<typeof FIELDS>): ContactError | undefined {
  const problem = store.problem ?? tenants?.problem ?? broker?.problem;
  if (problem) return problem;
  if (!store.state) return new ContactError('CONFIGURATION', { attempted: 'use the store' });
  if (key !== undefined || tenants?.hasWebhookSecrets) return undefined;
  const answer = 'the credential secret is not set, nor is the environment variable GENESYS_WEBHOOK_SECRET';
  return new ContactError('CONFIGURATION', { attempted: 'use the configuration', answer });
}
