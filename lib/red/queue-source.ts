import type { NodeMessage } from 'node-red';
import { sharedAbort } from '../core/abort';
import { settleDelivery } from '../core/deliveries';
import { ContactError, toContactError } from '../core/errors';
import type { LiveFigures } from '../monitor/figures';
import type { Metric, NodeActions } from '../monitor/registry';
import { QueueConsumer, type ReceivedMessage } from '../rabbitmq/consumer';
import { type ReplayOptions, type ReplayReport, replay } from '../rabbitmq/replay';
import { consumerStatus } from '../rabbitmq/status';
import { brokerPicks } from './broker-picks';
import { type Field, readConfig, type Values } from './config';
import { whenFlowsStarted } from './flows-started';
import { guard, onClose, onInput } from './input';
import { nodeLogger } from './logger';
import type { Definition, Red, RuntimeNode } from './node';
import { readCommand } from './queue-command';
import { consumerSettings, QUEUE_FIELDS } from './queue-settings';
import { registerNode } from './register';
import { Status } from './status';

/** A node type that reads a queue. */
export interface QueueSourceType<Own extends Record<string, Field<unknown>>> {
  type: string;
  /** Its fields besides those that all have. */
  fields: Own;
  /** The exchange when none is set. */
  defaultExchange?: string;
  /**
   * Makes the message for the flow; `undefined` when nobody wants it, which acknowledges it. An error that is thrown
   * puts it aside.
   */
  read(received: ReceivedMessage, config: Values<Own>): object | undefined;
}

/** What became of the messages of a node, besides what its consumer counts. */
interface Tally {
  emitted: number;
  /** Nobody wanted them. */
  ignored: number;
  /** They could not be read. */
  invalid: number;
  replayed: number;
}

/** The time in which messages that are out may still be settled when the node is closed. */
const CLOSE_WITHIN_MS = 3_000;

/** Registers a node type that reads a queue of a contact-broker and gives its messages out as deliveries. */
export function registerQueueSource<const Own extends Record<string, Field<unknown>>>(
  RED: Red,
  source: QueueSourceType<Own>,
): void {
  brokerPicks(RED, source.type, 'queues', 'exchanges');
  registerNode(RED, source.type, (node, definition) => start(RED, node, definition, source));
}

function start<const Own extends Record<string, Field<unknown>>>(
  RED: Red,
  node: RuntimeNode,
  definition: Definition,
  source: QueueSourceType<Own>,
): void {
  const logger = nodeLogger(RED, node);
  const tally: Tally = { emitted: 0, ignored: 0, invalid: 0, replayed: 0 };
  let consumer: QueueConsumer | undefined;
  let actions = (): NodeActions => ({});
  const status: Status = new Status(RED, node, {
    details: () => ({
      queue: consumer?.queue ?? definition['queue'],
      deliveries: consumer?.counts(),
      messages: { ...tally },
    }),
    metrics: () => (consumer ? metrics(consumer, tally) : []),
    live: () => (consumer ? figures(consumer) : {}),
    actions: () => actions(),
  });
  const common = readConfig(RED, node, definition, QUEUE_FIELDS);
  const own = readConfig(RED, node, definition, source.fields);
  const broker = common.ok ? common.value.broker : undefined;
  const connection = broker?.connection;
  if (!common.ok || !own.ok || !connection) {
    const failed = [common, own].find(({ ok }) => !ok) as { error: ContactError } | undefined;
    const nothing = new ContactError('CONFIGURATION', { attempted: 'use the contact-broker' });
    const error = failed?.error ?? broker?.problem ?? nothing;
    status.set('not-configured', { reason: error.message });
    logger.error(error.message, { code: error.code });
    return;
  }
  const settings = consumerSettings(common.value, source.defaultExchange);

  const show = guard(node, () => {
    if (!consumer) return;
    const { state, ...shown } = consumerStatus(connection, consumer.state, settings.prefetch);
    status.set(state, shown);
  });
  const take = guard(node, (received: ReceivedMessage) => {
    const { delivery } = received;
    try {
      const message = source.read(received, own.value);
      if (message) {
        tally.emitted += 1;
        node.send({ ...message, delivery } as unknown as NodeMessage);
      } else {
        tally.ignored += 1;
        settleDelivery({ delivery }, { kind: 'acknowledge' });
      }
    } catch (thrown) {
      tally.invalid += 1;
      settleDelivery({ delivery }, { kind: 'dead-letter', error: toContactError(thrown, 'read the message') });
    }
  });
  whenFlowsStarted(RED, node, () => {
    consumer = new QueueConsumer(connection, { ...settings, onMessage: take, onState: show });
    show();
  });
  status.set('connecting', { text: 'starting' });
  const leave = connection.onState(show);

  const stopping = sharedAbort();
  let isReplaying = false;
  const bringBack = async (options: Omit<ReplayOptions, 'signal'>): Promise<ReplayReport> => {
    if (isReplaying) throw new ContactError('BUSY', { attempted: 'replay', answer: 'another replay is under way' });
    isReplaying = true;
    try {
      const report = await replay(connection, { ...options, signal: stopping.signal });
      tally.replayed += report.moved;
      logger.info(`Replayed ${report.moved} messages of ${options.from} into ${options.to}; ${report.left} are left.`);
      return report;
    } finally {
      isReplaying = false;
    }
  };
  const { queue } = settings;
  const retryDeadLetters = async (from: string) => {
    const { moved, left } = await bringBack({ from, to: queue.name, ratePerSecond: common.value.replayPerSecond });
    return `${moved} / ${moved + left}`;
  };
  actions = () => ({
    ...(consumer?.state.kind === 'paused' ? { resume: () => consumer?.resume() } : { pause: () => consumer?.pause() }),
    ...(queue.deadLetterQueue ? { 'retry-dead-letters': () => retryDeadLetters(queue.deadLetterQueue as string) } : {}),
  });
  onInput(node, async (message) => {
    const command = readCommand(message);
    if (command.name === 'pause') return consumer?.pause();
    if (command.name === 'resume') return consumer?.resume();
    const { from = queue.deadLetterQueue, limit, ratePerSecond = common.value.replayPerSecond } = command;
    if (!from) throw new ContactError('INVALID_INPUT', { attempted: 'replay', answer: 'payload.from names no queue' });
    const report = await bringBack({ from, to: queue.name, limit, ratePerSecond });
    return Object.assign(message, { replay: report });
  });
  onClose(node, async () => {
    stopping.abort();
    leave();
    await consumer?.close(CLOSE_WITHIN_MS);
  });
}

function figures(consumer: QueueConsumer): LiveFigures {
  const { open, acknowledged, retried, putAside } = consumer.counts();
  const done = acknowledged + retried + putAside;
  return { received: open + done, done, waiting: open };
}

function metrics(consumer: QueueConsumer, tally: Tally): Metric[] {
  const { open, acknowledged, retried, putAside, expired, recognized } = consumer.counts();
  const outcomes = { acknowledged, retried, dead_lettered: putAside, expired, recognized, ...tally };
  return [
    {
      name: 'contact_center_deliveries_open',
      help: 'Messages that are in the flow and not settled.',
      type: 'gauge',
      value: open,
    },
    {
      name: 'contact_center_deliveries_stalled',
      help: 'Whether the whole prefetch is out and nothing settles it: 1 or 0.',
      type: 'gauge',
      value: consumer.state.kind === 'stalled' ? 1 : 0,
    },
    ...Object.entries(outcomes).map(([outcome, value]) => ({
      name: 'contact_center_deliveries_total',
      help: 'Messages from the queue, by what became of them.',
      type: 'counter' as const,
      value,
      labels: { outcome },
    })),
  ];
}
