import type { NodeMessage } from 'node-red';
import { callBody, transitionsBody } from '../lib/calls/api';
import { CALL_STATUSES } from '../lib/calls/call';
import type { CallUpdate } from '../lib/calls/call-book';
import { Callbacks } from '../lib/calls/callbacks';
import { showAri } from '../lib/red/ari-status';
import { boolean, configNode, list, readConfig, secret, url } from '../lib/red/config';
import { whenFlowsStarted } from '../lib/red/flows-started';
import { HeldMessages } from '../lib/red/held-messages';
import { guard, onClose } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { outboxReport } from '../lib/red/outbox-status';
import { pauseActions } from '../lib/red/pause';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import { withTrace } from '../lib/red/tracing';
import { spoolFolder } from '../lib/red/user-dir';
import type { AriConnectionNode } from './ari-connection';

const FIELDS = {
  connection: configNode<AriConnectionNode>('ari-connection'),
  statuses: list({ default: [], words: CALL_STATUSES }),
  raw: boolean({ default: false }),
  callbackUrl: url(),
  callbackSecret: secret({ credential: 'callbackSecret', environmentProperty: 'callbackSecretEnvironment' }),
};

/** ari-events-in: each step of our calls, when it has been written down. */
export default function ariEventsIn(RED: Red): void {
  registerNode(RED, 'ari-events-in', (node, definition) => start(RED, node, definition), {
    callbackSecret: 'password',
  });
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  const logger = nodeLogger(RED, node);
  let callbacks: Callbacks | undefined;
  let held: HeldMessages | undefined;
  let sent = 0;
  const { books, details } = outboxReport(() => (callbacks ? [callbacks.queue] : []));
  const hasCallbacks =
    typeof definition['callbackUrl'] === 'string' && /^https?:/.test(definition['callbackUrl'] as string);
  const status = new Status(RED, node, {
    details: () => ({ sent, held: held?.count ?? 0, ...(callbacks ? { callbacks: details?.() } : {}) }),
    ...(hasCallbacks && books ? { books } : {}),
    live: () => ({ received: sent + (held?.count ?? 0), done: sent, waiting: held?.count ?? 0 }),
    actions: () => pauseActions(held),
  });
  const config = readConfig(RED, node, definition, FIELDS);
  if (!config.ok) {
    status.cannotStart(config.error);
    return;
  }
  const { statuses, raw, callbackUrl, callbackSecret } = config.value;
  const { connection, calls, problem } = config.value.connection;
  if (!connection || !calls) {
    status.set('not-configured', problem ? { reason: problem.message } : {});
    return;
  }
  let ends: (() => void)[] = [];
  // Here, so that what is open is closed also when the rest cannot be opened.
  onClose(node, async () => {
    for (const end of ends) end();
    await Promise.all([held?.close(1_000), callbacks?.close(3_000)]);
  });
  if (callbackUrl !== undefined) {
    callbacks = new Callbacks({
      url: callbackUrl,
      secret: callbackSecret,
      folder: spoolFolder(RED, node),
      onState: ({ error }) => {
        if (error) logger.warn(error.message, { code: error.code });
      },
      onLost: (error) => logger.error(error.message, { code: error.code }),
    });
  }

  const show = () => {
    if (waiting.isPaused) status.set('paused', { text: 'held-back', values: { count: waiting.count } });
    else showAri(status, connection.state);
  };
  const waiting = new HeldMessages({
    folder: spoolFolder(RED, node, 'held'),
    send: guard(node, (message: NodeMessage) => {
      sent += 1;
      node.send(message);
    }),
    onChange: guard(node, show),
    logger,
  });
  held = waiting;
  const tell = guard(node, (update: CallUpdate) => {
    const { call, transitions } = update;
    if (call.app !== connection.desk.owner) return;
    callbacks?.take(update);
    if (statuses.length > 0 && !statuses.includes(call.status)) return;
    const { callId, correlationId, version: eventNumber } = call;
    const payload = { ...callBody(call), transitions: transitionsBody(transitions) };
    waiting.take(withTrace(node, { topic: call.status, payload, callId, correlationId, eventNumber }));
  });
  ends = [
    calls.book.onUpdate(tell),
    connection.onState(show),
    ...(raw
      ? [connection.onEvent(guard(node, (event) => waiting.take({ topic: `ari/${event.type}`, payload: event.raw })))]
      : []),
  ];
  whenFlowsStarted(RED, node, () => waiting.start());
  show();
}
