import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Request, Response } from 'express';
import type { NodeMessage } from 'node-red';
import { DeliverySource } from '../lib/core/deliveries';
import { ContactError } from '../lib/core/errors';
import { type Received, WebhookReceiver } from '../lib/genesys/messaging/receiver';
import { MessageRecords } from '../lib/genesys/messaging/records';
import { StatusTracker } from '../lib/genesys/messaging/tracker';
import { webhookMessage } from '../lib/genesys/messaging/webhook-message';
import { boolean, configNode, number, optionalConfigNode, readConfig, secret, text } from '../lib/red/config';
import { httpRoute } from '../lib/red/http';
import { onClose } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import { StatusPublisher } from '../lib/red/message-status';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import type { BrokerNode } from '../lib/red/queue-settings';
import { readRawBody } from '../lib/red/raw-body';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
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

const LARGEST_BODY_BYTES = 1_000_000;
/** The nodes that are running, by the last part of their address. */
const running = new Map<string, Set<WebhookReceiver>>();

/** genesys-webhook-in: what Genesys Cloud posts for the customers of an Open Messaging integration. */
export default function genesysWebhookIn(RED: Red): void {
  for (const route of ['/genesys/webhook', '/genesys/webhook/:path']) {
    httpRoute(RED, 'post', route, async (request, response, next) => {
      const { path = '' } = request.params as { path?: string };
      const receivers = [...(running.get(path) ?? [])];
      if (receivers.length === 0) next();
      else await answer(request, response, receivers);
    });
  }
  registerNode(RED, 'genesys-webhook-in', (node, definition) => start(RED, node, definition), { secret: 'password' });
}

async function answer(request: Request, response: Response, receivers: readonly WebhookReceiver[]): Promise<void> {
  const body = await readRawBody(request, LARGEST_BODY_BYTES);
  const signature = request.get('x-hub-signature-256');
  // Several nodes may have one address, each with the secret of its integration.
  const receiver = receivers.find((each) => each.knows(body, signature)) ?? receivers[0];
  const result = await receiver?.receive(body, signature);
  const { status = 503, outcome = 'not-now' } = result ?? {};
  response.status(status).set('Cache-Control', 'no-store').json({ outcome });
}

interface Waiting {
  resolve(): void;
  reject(error: ContactError): void;
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  const logger = nodeLogger(RED, node);
  let receiver: WebhookReceiver | undefined;
  let statuses: StatusPublisher | undefined;
  const status = new Status(RED, node, {
    details: () => ({ ...receiver?.counts(), statusEventsWaiting: statuses?.waiting }),
    metrics: () =>
      Object.entries(receiver?.counts() ?? {}).map(([outcome, value]) => ({
        name: 'contact_center_genesys_webhook_posts_total',
        help: 'What Genesys has posted to the webhook, by what became of it; received is all of it.',
        type: 'counter' as const,
        value: value as number,
        labels: { outcome },
      })),
  });
  const fail = (error: ContactError) => {
    status.set('not-configured', { reason: error.message });
    logger.error(error.message, { code: error.code });
  };
  const config = readConfig(RED, node, definition, FIELDS);
  if (!config.ok) {
    fail(config.error);
    return;
  }
  const { path = '', secret: key, store, tenants, broker, statusExchange, rememberHours, waitForFlow } = config.value;
  const problem = store.problem ?? tenants?.problem ?? broker?.problem;
  if (problem || !store.state) {
    fail(problem ?? new ContactError('CONFIGURATION', { attempted: 'use the store' }));
    return;
  }
  if (key === undefined && !tenants?.hasWebhookSecrets) {
    const answer = 'the credential secret is not set, nor is the environment variable GENESYS_WEBHOOK_SECRET';
    fail(new ContactError('CONFIGURATION', { attempted: 'use the configuration', answer }));
    return;
  }
  const leave = store.state.hold();
  const records = new MessageRecords(store.state.store, rememberHours * 3_600_000);
  if (broker?.connection) {
    const { userDir } = RED.settings;
    const folder = userDir === undefined ? undefined : join(userDir, 'contact-center', 'spool', node.id);
    statuses = new StatusPublisher({ connection: broker.connection, exchange: statusExchange, folder });
  }
  const deliveries = new DeliverySource<Waiting>({
    name: 'the webhook of Genesys',
    settle: ({ resolve, reject }, outcome) => {
      // Posted again it would only fail again: Genesys is told that it was taken, the flow has the reason.
      if (outcome.kind !== 'retry') resolve();
      else reject(outcome.error ?? new ContactError('BUSY', { attempted: 'hand on what Genesys has posted' }));
    },
  });
  const handOn = (received: Received): Promise<void> =>
    new Promise((resolve, reject) => {
      const correlationId = received.record?.correlationId ?? randomUUID();
      const message: NodeMessage = { ...webhookMessage(received), correlationId } as NodeMessage;
      if (waitForFlow) Object.assign(message, { delivery: deliveries.open({ resolve, reject }) });
      const outputs = { message: [message, null, null], receipt: [null, message, null], event: [null, null, message] };
      node.send(outputs[received.incoming.kind]);
      if (!waitForFlow) resolve();
      const { messages, receipts, events } = own.counts();
      status.set('connected', { text: 'received', values: { count: messages + receipts + events + 1 } });
    });
  const own = new WebhookReceiver({
    secret: key,
    store: store.state.store,
    records,
    tracker: new StatusTracker({ records, channel: statuses, logger }),
    organizationOf: (integrationId) => tenants?.organizations?.directory.ofIntegration(integrationId),
    emit: handOn,
    logger,
  });
  receiver = own;
  const sharing = running.get(path) ?? new Set();
  running.set(path, sharing.add(own));
  status.set('connected', { text: 'listening' });
  onClose(node, async () => {
    sharing.delete(own);
    const error = new ContactError('CLOSED', { attempted: 'hand on what Genesys has posted' });
    for (const { reject } of deliveries.close()) reject(error);
    await statuses?.close();
    leave();
  });
}
