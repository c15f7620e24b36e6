import { Books } from '../lib/core/books';
import { ContactError } from '../lib/core/errors';
import { HttpClient } from '../lib/core/http';
import { MessageRecords } from '../lib/genesys/messaging/records';
import { MessageSender } from '../lib/genesys/messaging/sender';
import { senderFigures, senderMetrics, sendSeconds } from '../lib/genesys/messaging/sender-metrics';
import { shownSender } from '../lib/genesys/messaging/sender-state';
import { StatusTracker } from '../lib/genesys/messaging/tracker';
import { brokerPicks } from '../lib/red/broker-picks';
import { configNode, number, optionalConfigNode, readConfig, text, type Values } from '../lib/red/config';
import { onClose } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import { abandonWhenRemoved, MessageSink } from '../lib/red/message-sink';
import { StatusPublisher } from '../lib/red/message-status';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { nodeStateOf, OutboxStatus } from '../lib/red/outbox-status';
import { processIdOf } from '../lib/red/process-id';
import type { BrokerNode } from '../lib/red/queue-settings';
import { registerNode } from '../lib/red/register';
import { SENDER_FIELDS, senderSettings } from '../lib/red/sender-settings';
import { refuseMessages, SETTLE } from '../lib/red/sink';
import { Status } from '../lib/red/status';
import type { ContactStoreNode } from './contact-store';
import type { GenesysTenantsNode } from './genesys-tenants';

const FIELDS = {
  tenants: configNode<GenesysTenantsNode>('genesys-tenants'),
  store: configNode<ContactStoreNode>('contact-store'),
  broker: optionalConfigNode<BrokerNode>('contact-broker'),
  statusExchange: text({ default: 'genesys.status' }),
  rememberHours: number({ default: 168, min: 1, max: 8_760 }),
  settle: SETTLE,
  ...SENDER_FIELDS,
};

type Config = Values<typeof FIELDS>;

/** genesys-message-out: messages into the Genesys Cloud organizations of tenants, each once, limited and tracked. */
export default function genesysMessageOut(RED: Red): void {
  brokerPicks(RED, 'genesys-message-out', 'exchanges');
  registerNode(RED, 'genesys-message-out', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  const logger = nodeLogger(RED, node);
  const seconds = sendSeconds();
  let sender: MessageSender | undefined;
  let statuses: StatusPublisher | undefined;
  let shown: OutboxStatus | undefined;
  const status = new Status(RED, node, {
    books: () => sender?.snapshot() ?? new Books().snapshot(),
    details: () => ({
      statusEventsWaiting: statuses?.waiting,
      organizations: sender?.all().map((lane) => lane.report()),
    }),
    metrics: () => senderMetrics(sender?.all() ?? [], seconds),
    live: () => senderFigures(sender?.all() ?? [], seconds),
    actions: () => ({
      flush: () => {
        for (const lane of sender?.all() ?? []) lane.retryNow();
      },
    }),
  });
  const config = readConfig(RED, node, definition, FIELDS);
  const problem = config.ok ? problemOf(config.value) : config.error;
  if (!config.ok || problem) {
    // What cannot be sent now is better off in its queue.
    refuseMessages(RED, node, definition, status.cannotStart(problem), ({ context }) => context?.message ?? {});
    abandonWhenRemoved(node, config.ok ? config.value.settle : true);
    return;
  }
  const { tenants, store, broker, settle, statusExchange } = config.value;
  const { organizations } = tenants as Required<GenesysTenantsNode>;
  const { state } = store as Required<ContactStoreNode>;
  const leave = state.hold();
  const http = new HttpClient();
  const records = new MessageRecords(state.store, config.value.rememberHours * 3_600_000);
  if (broker?.connection) {
    statuses = new StatusPublisher({ connection: broker.connection, exchange: statusExchange });
  }
  const own = new MessageSender({
    ...senderSettings(config.value),
    organizations,
    records,
    tracker: new StatusTracker({ records, channel: statuses, logger }),
    sharing: state.shared ? { processId: processIdOf(RED), isAlone: () => state.alone } : undefined,
    http,
    onState: ({ organization, state: { state: now, error } }, before) => {
      status.tellOfPart(organization.name, nodeStateOf(before), nodeStateOf(now), error?.message);
      shown?.show();
    },
    onSent: (tookMs) => seconds.observe(tookMs / 1_000),
    logger,
  });
  sender = own;
  const sink = new MessageSink(node, own, settle);
  const problems = () => organizations.directory.problem ?? (state.alone ? 'Redis is away' : undefined);
  shown = new OutboxStatus(node, status, [shownSender(own, problems)]);
  onClose(node, async (removed) => {
    await sink.close(removed);
    await statuses?.close();
    http.close();
    leave();
  });
}

function problemOf({ tenants, store, broker }: Config): ContactError | undefined {
  const problem = tenants.problem ?? store.problem ?? broker?.problem;
  if (problem || (tenants.organizations && store.state)) return problem;
  return new ContactError('CONFIGURATION', { attempted: 'use the tenants and the store' });
}
