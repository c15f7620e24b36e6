import type { NodeMessage, NodeMessageInFlow } from 'node-red';
import type { CallRules } from '../lib/ari/call-request';
import type { CallWay } from '../lib/ari/desk';
import { CallLimits } from '../lib/ari/limits';
import { offeredContexts, offeredEndpoints, offeredSounds } from '../lib/ari/offers';
import { OriginationCounts } from '../lib/ari/origination-counts';
import { callBody, errorAnswer, goodAnswer, requestIdOf } from '../lib/calls/api';
import { Books } from '../lib/core/books';
import { ContactError, messageError, toContactError } from '../lib/core/errors';
import { adminRoute } from '../lib/red/admin';
import { headerOf, requestOf, withAnswer } from '../lib/red/api';
import { showAri } from '../lib/red/ari-status';
import { boolean, choice, configNode, integer, list, readConfig, text } from '../lib/red/config';
import { onInputDeferred } from '../lib/red/input';
import { IntakeMessage } from '../lib/red/intake';
import { nodeLogger } from '../lib/red/logger';
import { type Definition, findConfigNode, offered, type Red, type RuntimeNode } from '../lib/red/node';
import { hangUp, type Outcome, originate } from '../lib/red/originator';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import type { AriConnectionNode } from './ari-connection';

const FIELDS = {
  connection: configNode<AriConnectionNode>('ari-connection'),
  action: choice(['originate', 'hangup'], { default: 'originate' }),
  endpoint: text({
    default: 'PJSIP/{number}@trunk',
    pattern: /^[A-Za-z0-9]+\/[^&]*\{number\}[^&]*$/,
    expected: 'a technology and an address with {number}: PJSIP/{number}@trunk',
  }),
  answered: choice(['dialplan', 'play', 'direct'], { default: 'dialplan' }),
  media: text({ default: 'sound:hello-world' }),
  context: text({ default: 'outbound-ivr' }),
  extension: text({ default: 's' }),
  priority: integer({ default: 1, min: 1, max: 1_000 }),
  timeoutMs: integer({ default: 30_000, min: 1, max: 600_000 }),
  callerId: text(),
  allowedContexts: list(),
  allowedPrefixes: list({ default: ['+'] }),
  allowedVariables: list({ default: [] }),
  callsPerSecond: integer({ default: 100, min: 0, max: 10_000 }),
  callsPerNumber: integer({ default: 0, min: 0, max: 1_000_000 }),
  callsPerUser: integer({ default: 0, min: 0, max: 1_000_000 }),
  settle: boolean({ default: true }),
};

/** What the dialog offers to pick from. */
const OFFERS = { endpoints: offeredEndpoints, sounds: offeredSounds, contexts: offeredContexts };

/** ari-originate: one call to one number, or the end of a call. */
export default function ariOriginate(RED: Red): void {
  for (const [name, ask] of Object.entries(OFFERS)) {
    adminRoute(RED, {
      method: 'get',
      path: `/contact-center/ari-originate/${name}`,
      permission: 'ari-originate.read',
      handler: async ({ query }) => {
        const node = findConfigNode<AriConnectionNode>(RED, query['connection'], 'ari-connection');
        return { ok: true, offers: await ask(offered(node, 'connection').client) };
      },
    });
  }
  registerNode(RED, 'ari-originate', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  const books = new Books();
  const counts = new OriginationCounts();
  const status = new Status(RED, node, {
    books: () => books.snapshot(),
    live: () => ({ latency: counts.latency.snapshot() }),
    metrics: () => counts.metrics(),
  });
  const config = readConfig(RED, node, definition, FIELDS);
  const { connection, calls, problem } = config.ok ? config.value.connection : { problem: config.error };
  const settle = config.ok ? config.value.settle : true;
  let act: (message: NodeMessageInFlow, requestId: string) => Promise<Outcome>;
  if (!config.ok || !connection || !calls) {
    status.set('not-configured', problem ? { reason: problem.message } : {});
    if (!config.ok) nodeLogger(RED, node).error(config.error.message, { code: config.error.code });
    const facts = { attempted: 'make a call', answer: problem?.summary ?? 'the connection is missing' };
    const error = new ContactError('CONFIGURATION', { ...facts, reason: 'not_configured' });
    act = () => Promise.reject(error);
  } else {
    const { context, extension, priority, timeoutMs, callerId, allowedPrefixes, allowedVariables } = config.value;
    const { endpoint, answered, media, callsPerSecond: perSecond, action } = config.value;
    const { callsPerNumber: perNumberHour, callsPerUser: perUserHour, allowedContexts = [context] } = config.value;
    const rules: CallRules = {
      ...{ context, extension, priority, timeoutMs, callerId },
      ...{ allowedPrefixes, allowedContexts, allowedVariables },
    };
    const way: CallWay = { endpoint, answered, ...(answered === 'play' ? { media } : {}) };
    const limits = new CallLimits({ perSecond, perNumberHour, perUserHour });
    const running = { connection, book: calls.book, rules, way, limits, counts };
    act = (message, requestId) =>
      action === 'hangup' ? hangUp(running, message) : originate(running, message, requestId);
    const leave = connection.onState((state) => showAri(status, state));
    showAri(status, connection.state);
    node.on('close', leave);
  }

  onInputDeferred(node, (message, send, done) => {
    const intake = new IntakeMessage(message, 1, settle, done);
    const { correlationId } = message as { correlationId?: unknown };
    const requestId = requestIdOf(correlationId ?? headerOf(requestOf(message), 'x-request-id'));
    books.receive();
    books.start(1);
    act(message, requestId).then(
      ({ call, body, replay }) => {
        books.settle(replay ? 'duplicate' : 'delivered');
        counts.count(replay ? 'duplicate' : 'success');
        if (connection?.state.kind === 'ready') {
          status.set('connected', { text: 'calls-made', values: { count: books.snapshot().delivered } });
        }
        const headers: Record<string, string> = replay ? { 'Idempotent-Replayed': 'true' } : {};
        const more = { callId: call.callId, call: callBody(call), correlationId: requestId };
        send([withAnswer(message, goodAnswer(body, requestId, headers), more), null]);
        intake.ended();
      },
      (thrown: unknown) => {
        const error = toContactError(thrown, 'make a call');
        books.settle('rejected');
        counts.count(error.reason ?? 'failed');
        send([
          null,
          withAnswer(message, errorAnswer(error, requestId), { error: messageError(error, 1) }) as NodeMessage,
        ]);
        intake.ended(error);
      },
    );
  });
}
