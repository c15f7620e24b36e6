import type { NodeMessageInFlow } from 'node-red';
import type { CallRules } from '../lib/ari/call-request';
import type { CallWay } from '../lib/ari/desk';
import { CallLimits } from '../lib/ari/limits';
import { offeredContexts, offeredEndpoints, offeredSounds } from '../lib/ari/offers';
import { OriginationCounts } from '../lib/ari/origination-counts';
import { Books } from '../lib/core/books';
import { ContactError } from '../lib/core/errors';
import { adminRoute } from '../lib/red/admin';
import { onRequest } from '../lib/red/api-input';
import { showAri } from '../lib/red/ari-status';
import { boolean, choice, configNode, integer, list, readConfig, text } from '../lib/red/config';
import { nodeLogger } from '../lib/red/logger';
import { type Definition, findConfigNode, offered, type Red, type RuntimeNode } from '../lib/red/node';
import { callAnswer, hangUp, type Outcome, originate } from '../lib/red/originator';
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

const ATTEMPTED = 'make a call';
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
    const facts = { attempted: ATTEMPTED, answer: problem?.summary ?? 'the connection is missing' };
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

  onRequest(node, {
    attempted: ATTEMPTED,
    settle,
    handle: async (message, requestId) => {
      books.receive();
      books.start(1);
      const outcome = await act(message, requestId);
      const answer = callAnswer(message, outcome, requestId);
      books.settle(outcome.replay ? 'duplicate' : 'delivered');
      counts.count(outcome.replay ? 'duplicate' : 'success');
      if (connection?.state.kind === 'ready') {
        status.set('connected', { text: 'calls-made', values: { count: books.snapshot().delivered } });
      }
      return answer;
    },
    onRefused: (error) => {
      books.settle('rejected');
      counts.count(error.reason ?? 'failed');
    },
  });
}
