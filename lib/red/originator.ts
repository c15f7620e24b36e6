import type { NodeMessage, NodeMessageInFlow } from 'node-red';
import { type CallRules, checkCall } from '../ari/call-request';
import type { AriConnection } from '../ari/connection';
import type { CallWay } from '../ari/desk';
import type { CallLimits } from '../ari/limits';
import type { OriginationCounts } from '../ari/origination-counts';
import { callBody, claimOf, goodAnswer, madeBody, refusalOf, unknownCall } from '../calls/api';
import type { Call } from '../calls/call';
import type { CallBook } from '../calls/call-book';
import { isFinal } from '../calls/state-machine';
import { asObject } from '../core/answers';
import { ContactError, toContactError } from '../core/errors';
import { callIdOf, headerOf, requestOf, withAnswer } from './api';

/** What became of a message: the call, and what is answered. */
export interface Outcome {
  call: Call;
  body: unknown;
  /** Whether the call was made before, for the same idempotency key. */
  replay: boolean;
}

/** What calls are made with. */
export interface Originator {
  connection: AriConnection<Call>;
  book: CallBook;
  rules: CallRules;
  way: CallWay;
  limits: CallLimits;
  counts: OriginationCounts;
}

/** With these Asterisk was not asked, so that the call does not count. */
const NEVER_DIALED = new Set(['idempotency_conflict', 'too_many_calls', 'database_unavailable']);

/** Makes the call that a message asks for. Rejects with what is to be answered; nothing was dialled then. */
export async function originate(
  running: Originator,
  message: NodeMessageInFlow,
  correlationId: string,
): Promise<Outcome> {
  const { connection, rules, way, limits, counts } = running;
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
  const facts = asObject(metadata);
  const claim = key === undefined ? undefined : claimOf(key, createdBy, { call, way, metadata }, Date.now());
  // Before anything is counted or registered: while events do not arrive, nothing can be promised.
  connection.mustBeReady('make a call');
  await limits.take(call.phoneNumber, createdBy);
  const order = {
    call,
    way,
    createdBy,
    correlationId,
    attemptNumber: delivery?.attempt,
    ...(claim ? { claim } : {}),
    ...(facts ? { metadata: facts } : {}),
  };
  const made = await connection.make(order).catch(async (thrown: unknown) => {
    const { reason = '' } = toContactError(thrown, 'make a call');
    if (NEVER_DIALED.has(reason)) await limits.giveBack(call.phoneNumber, createdBy);
    throw thrown;
  });
  if (made.replay) await limits.giveBack(call.phoneNumber, createdBy);
  else counts.took(made.tookMs);
  const refusal = made.replay ? refusalOf(made.call) : undefined;
  if (refusal) throw refusal;
  return { call: made.call, body: madeBody(made.call), replay: made.replay };
}

/** Ends the call that a message names. */
export async function hangUp({ connection, book }: Originator, message: NodeMessageInFlow): Promise<Outcome> {
  const callId = callIdOf(message);
  const call = callId === undefined ? undefined : await book.get(callId);
  if (!call) throw unknownCall();
  const over = (text: string, current: Call): Outcome => ({
    call: current,
    body: { success: true, message: text, ...callBody(current) },
    replay: false,
  });
  if (isFinal(call.status)) return over('The call is over already', call);
  await connection.hangUp(call.callId);
  return over('Hang-up requested', (await book.get(call.callId)) ?? call);
}

/** The message as it leaves when its call was made, or ended. */
export function callAnswer(
  message: NodeMessageInFlow,
  { call, body, replay }: Outcome,
  requestId: string,
): NodeMessage {
  const headers: Record<string, string> = replay ? { 'Idempotent-Replayed': 'true' } : {};
  const more = { callId: call.callId, call: callBody(call), correlationId: requestId };
  return withAnswer(message, goodAnswer(body, requestId, headers), more);
}

/** What a message asks for: the number may stand in the path, the rest in the payload. */
function askedOf(message: NodeMessageInFlow) {
  const { payload } = message;
  const { number: inPath } = requestOf(message).params ?? {};
  if (typeof payload === 'string' && payload !== '' && inPath === undefined) return { phoneNumber: payload };
  const given = asObject(payload);
  if (!given && payload !== undefined && payload !== null && payload !== '') {
    const answer = 'the payload is no object';
    throw new ContactError('INVALID_INPUT', { attempted: 'make a call', answer, reason: 'invalid_body' });
  }
  const body = given ?? {};
  const { context, extension, priority, timeout, caller_id: callerId, variables, metadata } = body;
  const phoneNumber = inPath ?? body['phone_number'] ?? body['number'];
  return { phoneNumber, context, extension, priority, timeout, callerId, variables, metadata };
}
