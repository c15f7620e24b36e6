import { randomUUID } from 'node:crypto';
import type { NodeMessage, NodeMessageInFlow } from 'node-red';
import { settleDelivery, sourceLoad } from '../lib/core/deliveries';
import { ContactError, messageError } from '../lib/core/errors';
import { HttpClient } from '../lib/core/http';
import type { OutboxState } from '../lib/core/outbox';
import { MessageRecords } from '../lib/genesys/messaging/records';
import { MessageSender } from '../lib/genesys/messaging/sender';
import { senderMetrics } from '../lib/genesys/messaging/sender-metrics';
import { senderState } from '../lib/genesys/messaging/sender-state';
import type { SendOutcome, Submission } from '../lib/genesys/messaging/submission';
import { StatusTracker } from '../lib/genesys/messaging/tracker';
import { Histogram } from '../lib/monitor/histogram';
import type { NodeState } from '../lib/monitor/states';
import {
  boolean,
  choice,
  configNode,
  integer,
  list,
  number,
  optionalConfigNode,
  readConfig,
  text,
} from '../lib/red/config';
import { type Done, onClose, onInputDeferred } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import { StatusPublisher } from '../lib/red/message-status';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { OutboxStatus, type ShownOutbox } from '../lib/red/outbox-status';
import { processIdOf } from '../lib/red/process-id';
import type { BrokerNode } from '../lib/red/queue-settings';
import { registerNode } from '../lib/red/register';
import { refuseMessages } from '../lib/red/sink';
import { Status } from '../lib/red/status';
import type { ContactStoreNode } from './contact-store';
import type { GenesysTenantsNode } from './genesys-tenants';

const FIELDS = {
  tenants: configNode<GenesysTenantsNode>('genesys-tenants'),
  store: configNode<ContactStoreNode>('contact-store'),
  broker: optionalConfigNode<BrokerNode>('contact-broker'),
  statusExchange: text({ default: 'genesys.status' }),
  attempts: integer({ default: 5, min: 1, max: 1_000 }),
  retryBaseSeconds: number({ default: 1, min: 0.01, max: 3_600 }),
  retryMaxSeconds: number({ default: 30, min: 0.01, max: 3_600 }),
  breakerMinimum: integer({ default: 10, min: 1, max: 100_000 }),
  breakerSeconds: number({ default: 15, min: 0.1, max: 3_600 }),
  queueMessages: integer({ default: 200, min: 1, max: 1_000_000 }),
  queueBytes: integer({ default: 50_000_000, min: 1_000, max: 10_000_000_000 }),
  overflow: choice(['refuse', 'drop-oldest', 'drop-newest'], { default: 'refuse' }),
  rememberHours: number({ default: 168, min: 1, max: 8_760 }),
  conversation: boolean({ default: true }),
  mediaHosts: list({ default: [] }),
  settle: boolean({ default: true }),
};

/** How long it takes from the input to the answer, in seconds. */
const SEND_SECONDS = [0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60];
const CLOSE_WITHIN_MS = 3_000;
const STATES: Record<OutboxState['state'], NodeState> = {
  working: 'connected',
  retrying: 'degraded',
  refused: 'refused',
  'breaker-open': 'breaker-open',
  failed: 'failed',
};

/** A message of the flow that is being sent. */
interface Waiting {
  message: NodeMessageInFlow;
  done: Done;
}
/** What was not sent at a deploy, by node id: the next instance of the node goes on with it. */
const handedOver = new Map<string, Waiting[]>();

/** genesys-message-out: messages into the Genesys Cloud organizations of tenants, each once, limited and tracked. */
export default function genesysMessageOut(RED: Red): void {
  registerNode(RED, 'genesys-message-out', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  const logger = nodeLogger(RED, node);
  const seconds = new Histogram(SEND_SECONDS);
  let sender: MessageSender | undefined;
  let statuses: StatusPublisher | undefined;
  let shown: OutboxStatus | undefined;
  const status = new Status(RED, node, {
    books: () => sender?.snapshot() ?? NOTHING,
    details: () => ({
      statusEventsWaiting: statuses?.waiting,
      organizations: sender?.all().map((lane) => lane.report()),
    }),
    metrics: () => senderMetrics(sender?.all() ?? [], seconds),
  });
  const config = readConfig(RED, node, definition, FIELDS);
  const problem = config.ok ? problemOf(config.value) : config.error;
  if (!config.ok || problem) {
    const error = problem as ContactError;
    status.set('not-configured', { reason: error.message });
    logger.error(error.message, { code: error.code });
    // What cannot be sent now is better off in its queue, unless the flow settles it.
    const settles = config.ok ? config.value.settle : String(definition['settle']) !== 'false';
    refuseMessages(node, error, settles, ({ context }) => context?.message ?? {});
    return;
  }
  const { tenants, store, broker, settle, ...rest } = config.value;
  const { organizations } = tenants as Required<GenesysTenantsNode>;
  const { state } = store as Required<ContactStoreNode>;
  const leave = state.hold();
  const http = new HttpClient();
  const records = new MessageRecords(state.store, rest.rememberHours * 3_600_000);
  if (broker?.connection) {
    statuses = new StatusPublisher({ connection: broker.connection, exchange: rest.statusExchange });
  }

  const own = new MessageSender({
    organizations,
    records,
    tracker: new StatusTracker({ records, channel: statuses, logger }),
    sharing: state.shared ? { processId: processIdOf(RED), isAlone: () => state.alone } : undefined,
    http,
    mediaHosts: rest.mediaHosts,
    wantsConversation: rest.conversation,
    limits: { items: rest.queueMessages, bytes: rest.queueBytes },
    overflow: rest.overflow,
    attempts: rest.attempts,
    backoff: { baseMs: rest.retryBaseSeconds * 1_000, maxMs: rest.retryMaxSeconds * 1_000 },
    breaker: { minimumCalls: rest.breakerMinimum, openMs: rest.breakerSeconds * 1_000 },
    onState: ({ organization, state: { state: now, error } }, before) => {
      status.tellOfPart(organization.name, STATES[before], STATES[now], error?.message);
      shown?.show();
    },
    onSent: (tookMs) => seconds.observe(tookMs / 1_000),
    logger,
  });
  sender = own;

  const waiting = new Map<Submission, Waiting>();
  const take = (taken: Waiting) => {
    const { message } = taken;
    const { payload, correlationId, delivery } = message as NodeMessageInFlow & Record<string, unknown>;
    const submission: Submission = {
      payload,
      correlationId: typeof correlationId === 'string' ? correlationId : randomUUID(),
      comesAgain: settle && delivery !== undefined,
      source: sourceLoad(message),
      done: (outcome) => {
        waiting.delete(submission);
        end(node, taken, outcome, settle);
      },
    };
    waiting.set(submission, taken);
    own.submit(submission);
  };
  for (const taken of handedOver.get(node.id) ?? []) take(taken);
  handedOver.delete(node.id);
  onInputDeferred(node, (message, _send, done) => take({ message, done }));

  const stands: ShownOutbox = {
    snapshot: () => own.snapshot(),
    get state() {
      const problem = organizations.directory.problem ?? (state.alone ? 'Redis is away' : undefined);
      return senderState(own.all(), problem);
    },
    breakerState: 'closed',
    buffered: { items: 0, bytes: 0 },
  };
  shown = new OutboxStatus(node, status, [stands]);
  onClose(node, async (removed) => {
    const left = await own.close(CLOSE_WITHIN_MS);
    await statuses?.close();
    http.close();
    leave();
    const unsent = left.flatMap((submission) => waiting.get(submission) ?? []);
    if (!removed) {
      if (unsent.length > 0) handedOver.set(node.id, unsent);
      return;
    }
    const error = new ContactError('CLOSED', { attempted: 'send the message' });
    for (const taken of unsent) {
      const isReturned = settleDelivery(taken.message, { kind: 'retry', isCounted: false, error });
      if (!isReturned) end(node, taken, { kind: 'failed', error, attempts: 0 }, settle);
    }
  });
}

function problemOf({
  tenants,
  store,
  broker,
}: {
  tenants: GenesysTenantsNode;
  store: ContactStoreNode;
  broker: BrokerNode | undefined;
}) {
  const problem = tenants.problem ?? store.problem ?? broker?.problem;
  if (problem || (tenants.organizations && store.state)) return problem;
  return new ContactError('CONFIGURATION', { attempted: 'use the tenants and the store' });
}

/** Does in the flow, and with the delivery of the message, what the outcome asks for. */
function end(node: RuntimeNode, { message, done }: Waiting, outcome: SendOutcome, settle: boolean): void {
  if (outcome.kind === 'sent') {
    const { record, isDuplicate } = outcome;
    const { history: _history, holder: _holder, inDoubt: _inDoubt, parts: _parts, ...payload } = record;
    const result = { ...message, payload: { ...payload, isDuplicate }, request: message.payload };
    node.send([result as NodeMessage, null]);
    if (settle) settleDelivery(message, { kind: 'acknowledge' });
    done();
    return;
  }
  const { error, attempts } = outcome;
  if (outcome.kind === 'returned') {
    const { isCounted, delayMs } = outcome;
    settleDelivery(message, { kind: 'retry', isCounted, error, ...(delayMs === undefined ? {} : { delayMs }) });
    // What was not even tried is in its queue again: that is neither done nor a failure of the flow.
    if (isCounted) done(error);
    return;
  }
  node.send([null, { ...message, error: messageError(error, attempts) } as NodeMessage]);
  if (settle) settleDelivery(message, { kind: 'dead-letter', error });
  done(error);
}

const NOTHING = { received: 0, delivered: 0, duplicate: 0, rejected: 0, dropped: 0, queued: 0, inFlight: 0 };
