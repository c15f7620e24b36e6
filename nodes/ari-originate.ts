import type { NodeMessage, NodeMessageInFlow } from 'node-red';
import { type CallRules, checkCall } from '../lib/ari/call-request';
import type { CallWay } from '../lib/ari/desk';
import { CallLimits } from '../lib/ari/limits';
import {
  callBody,
  claimOf,
  errorAnswer,
  goodAnswer,
  madeBody,
  refusalOf,
  requestIdOf,
  unknownCall,
} from '../lib/calls/api';
import type { Call } from '../lib/calls/call';
import { isFinal } from '../lib/calls/state-machine';
import { Books } from '../lib/core/books';
import { ContactError, messageError, toContactError } from '../lib/core/errors';
import { Histogram } from '../lib/monitor/histogram';
import type { AnyMetric } from '../lib/monitor/registry';
import { callIdOf, headerOf, requestOf, withAnswer } from '../lib/red/api';
import { boolean, choice, configNode, integer, list, readConfig, text } from '../lib/red/config';
import { onInputDeferred } from '../lib/red/input';
import { IntakeMessage } from '../lib/red/intake';
import { nodeLogger } from '../lib/red/logger';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import { type AriConnectionNode, showAri } from './ari-connection';

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

/** In seconds; a request to a healthy Asterisk takes a few milliseconds. */
const LATENCIES = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const LIMITS = new Set(['rate_limit', 'user_limit', 'number_limit', 'too_many_calls']);

/** ari-originate: one call to one number, or the end of a call. */
export default function ariOriginate(RED: Red): void {
  registerNode(RED, 'ari-originate', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  const books = new Books();
  const counts = new Map<string, number>();
  const latency = new Histogram(LATENCIES);
  const status = new Status(RED, node, {
    books: () => books.snapshot(),
    live: () => ({ latency: latency.snapshot() }),
    metrics: () => metrics(counts, latency),
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
    const running = { connection, calls, rules, way, limits, latency };
    act = (message, requestId) =>
      action === 'hangup' ? hangUp(running, message) : originate(running, message, requestId);
    const leave = connection.onState((state) => showAri(status, state));
    showAri(status, connection.state);
    node.on('close', leave);
  }
  const count = (result: string) => counts.set(result, (counts.get(result) ?? 0) + 1);

  onInputDeferred(node, (message, send, done) => {
    const intake = new IntakeMessage(message, 1, settle, done);
    const { correlationId } = message as { correlationId?: unknown };
    const requestId = requestIdOf(correlationId ?? headerOf(requestOf(message), 'x-request-id'));
    books.receive();
    books.start(1);
    act(message, requestId).then(
      ({ call, body, replay }) => {
        books.settle(replay ? 'duplicate' : 'delivered');
        count(replay ? 'duplicate' : 'success');
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
        count(error.reason ?? 'failed');
        send([
          null,
          withAnswer(message, errorAnswer(error, requestId), { error: messageError(error, 1) }) as NodeMessage,
        ]);
        intake.ended(error);
      },
    );
  });
}

/** What became of a message: the call, and what is answered. */
interface Outcome {
  call: Call;
  body: unknown;
  replay: boolean;
}

interface Running {
  connection: NonNullable<AriConnectionNode['connection']>;
  calls: NonNullable<AriConnectionNode['calls']>;
  rules: CallRules;
  way: CallWay;
  limits: CallLimits;
  latency: Histogram;
}

async function originate(running: Running, message: NodeMessageInFlow, correlationId: string): Promise<Outcome> {
  const { connection, rules, way, limits, latency } = running;
  const asked = askedOf(message);
  const call = checkCall(asked, rules);
  const request = requestOf(message);
  const { user, idempotencyKey, delivery } = message as {
    user?: { name?: string };
    idempotencyKey?: unknown;
    delivery?: { attempt?: number };
  };
  const createdBy = user?.name;
  const key = idempotencyKey ?? headerOf(request, 'idempotency-key');
  const { metadata } = asked;
  const claim = key === undefined ? undefined : claimOf(key, createdBy, { call, way, metadata }, Date.now());
  // Before anything is counted or registered: while events do not arrive, nothing can be promised.
  connection.mustBeReady('make a call');
  await limits.take(call.phoneNumber, createdBy);
  const made = await connection.make({
    call,
    way,
    createdBy,
    correlationId,
    attemptNumber: delivery?.attempt,
    ...(claim ? { claim } : {}),
    ...(isObject(metadata) ? { metadata } : {}),
  });
  if (made.replay) await limits.giveBack(call.phoneNumber, createdBy);
  else latency.observe(made.tookMs / 1_000);
  const refusal = made.replay ? refusalOf(made.call) : undefined;
  if (refusal) throw refusal;
  return { call: made.call, body: madeBody(made.call), replay: made.replay };
}

async function hangUp({ connection, calls }: Running, message: NodeMessageInFlow): Promise<Outcome> {
  const callId = callIdOf(message);
  const call = callId === undefined ? undefined : await calls.book.get(callId);
  if (!call) throw unknownCall();
  const over = (text: string, current: Call): Outcome => ({
    call: current,
    body: { success: true, message: text, ...callBody(current) },
    replay: false,
  });
  if (isFinal(call.status)) return over('The call is over already', call);
  await connection.hangUp(call.callId);
  return over('Hang-up requested', (await calls.book.get(call.callId)) ?? call);
}

/** What a message asks for: the number may stand in the path, the rest in the payload. */
function askedOf(message: NodeMessageInFlow) {
  const { payload } = message;
  const { number: inPath } = requestOf(message).params ?? {};
  if (typeof payload === 'string' && payload !== '' && inPath === undefined) return { phoneNumber: payload };
  if (payload !== undefined && payload !== null && payload !== '' && !isObject(payload)) {
    const answer = 'the payload is no object';
    throw new ContactError('INVALID_INPUT', { attempted: 'make a call', answer, reason: 'invalid_body' });
  }
  const body = isObject(payload) ? payload : {};
  const { context, extension, priority, timeout, caller_id: callerId, variables, metadata } = body;
  const phoneNumber = inPath ?? body['phone_number'] ?? body['number'];
  return { phoneNumber, context, extension, priority, timeout, callerId, variables, metadata };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function metrics(counts: Map<string, number>, latency: Histogram): AnyMetric[] {
  const limited = [...counts].reduce((sum, [reason, value]) => sum + (LIMITS.has(reason) ? value : 0), 0);
  return [
    ...[...counts].map(
      ([result, value]): AnyMetric => ({
        name: 'calls_originated_total',
        help: 'Requests for a call, by what became of them.',
        type: 'counter',
        value,
        labels: { status: result },
      }),
    ),
    {
      name: 'call_origination_latency_seconds',
      help: 'How long Asterisk took to accept a call.',
      type: 'histogram',
      value: latency.snapshot(),
    },
    {
      name: 'rate_limit_exceeded_total',
      help: 'Requests that were turned away because there were too many.',
      type: 'counter',
      value: limited,
      labels: { endpoint: 'calls' },
    },
  ];
}
