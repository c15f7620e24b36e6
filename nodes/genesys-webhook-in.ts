import type { NodeMessage } from 'node-red';
import { ContactError } from '../lib/core/errors';
import { WebhookReceiver } from '../lib/genesys/messaging/receiver';
import { MessageRecords } from '../lib/genesys/messaging/records';
import { StatusTracker } from '../lib/genesys/messaging/tracker';
import { WEBHOOK_OUTPUTS, webhookMessage } from '../lib/genesys/messaging/webhook-message';
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
import { type Definition, offered, type Red, type RuntimeNode } from '../lib/red/node';
import type { BrokerNode } from '../lib/red/queue-settings';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import { withTrace } from '../lib/red/tracing';
import { spoolFolder } from '../lib/red/user-dir';
import { listenTo, webhookRoutes } from '../lib/red/webhook-routes';
import type { ContactStoreNode } from './contact-store';
import type { GenesysTenantsNode } from './genesys-tenants';

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

type Config = Values<typeof FIELDS>;

/** What a running node consists of. */
interface Webhook {
  receiver: WebhookReceiver;
  statuses: StatusPublisher | undefined;
}

/** genesys-webhook-in: what Genesys Cloud posts for the customers of an Open Messaging integration. */
export default function genesysWebhookIn(RED: Red): void {
  brokerPicks(RED, 'genesys-webhook-in', 'exchanges');
  webhookRoutes(RED);
  registerNode(RED, 'genesys-webhook-in', (node, definition) => start(RED, node, definition), { secret: 'password' });
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  let webhook: Webhook | undefined;
  const status = new Status(RED, node, {
    details: () => ({ ...webhook?.receiver.counts(), statusEventsWaiting: webhook?.statuses?.waiting }),
    metrics: () => webhookMetrics(webhook?.receiver.counts()),
  });
  const config = readConfig(RED, node, definition, FIELDS);
  try {
    if (!config.ok) throw config.error;
    webhook = open(RED, node, config.value, status);
  } catch (thrown) {
    status.cannotStart(thrown);
  }
}

function open(RED: Red, node: RuntimeNode, config: Config, status: Status): Webhook {
  const { path = '', secret: key, tenants, broker, statusExchange: exchange, rememberHours, waitForFlow } = config;
  const state = offered(config.store, 'state');
  const organizations = tenants && offered(tenants, 'organizations');
  const connection = broker && offered(broker, 'connection');
  if (key === undefined && !tenants?.hasWebhookSecrets) throw withoutSecret();
  const logger = nodeLogger(RED, node);
  const statuses = connection && new StatusPublisher({ connection, exchange, folder: spoolFolder(RED, node) });
  const records = new MessageRecords(state.store, rememberHours * 3_600_000);
  const awaited = new AwaitedMessages('the webhook of Genesys', 'hand on what Genesys has posted');
  const receiver = new WebhookReceiver({
    secret: key,
    store: state.store,
    records,
    tracker: new StatusTracker({ records, channel: statuses, logger }),
    organizationOf: (integrationId) => organizations?.directory.ofIntegration(integrationId),
    emit: async (received) => {
      const { kind } = received.incoming;
      const send = (message: NodeMessage) => node.send(WEBHOOK_OUTPUTS.map((each) => (each === kind ? message : null)));
      const message: NodeMessage = { ...webhookMessage(received) };
      const { messages, receipts, events } = receiver.counts();
      status.set('connected', { text: 'received', values: { count: messages + receipts + events + 1 } });
      if (waitForFlow) await awaited.send(message, send);
      else send(withTrace(node, message));
    },
    logger,
  });
  const leave = state.hold();
  const stop = listenTo(path, receiver);
  status.set('connected', { text: 'listening' });
  onClose(node, async () => {
    stop();
    awaited.close();
    await statuses?.close();
    leave();
  });
  return { receiver, statuses };
}

function withoutSecret(): ContactError {
  const answer = 'the credential secret is not set, nor is the environment variable GENESYS_WEBHOOK_SECRET';
  return new ContactError('CONFIGURATION', { attempted: 'use the configuration', answer });
}
