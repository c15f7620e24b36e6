import type { NodeMessageInFlow } from 'node-red';
import { callBody, goodAnswer, pageBody, queryOf, transitionsBody, unknownCall } from '../lib/calls/api';
import { ContactError } from '../lib/core/errors';
import { callIdOf, requestOf, withAnswer } from '../lib/red/api';
import { onRequest } from '../lib/red/api-input';
import { boolean, choice, configNode, readConfig } from '../lib/red/config';
import { nodeLogger } from '../lib/red/logger';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import type { CallStoreNode } from './call-store';

const FIELDS = {
  store: configNode<CallStoreNode>('call-store'),
  action: choice(['call', 'list'], { default: 'call' }),
  steps: boolean({ default: false }),
};

const ATTEMPTED = 'look a call up';

/** call-lookup: a call, or a page of calls, out of the store. */
export default function callLookup(RED: Red): void {
  registerNode(RED, 'call-lookup', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  let found = 0;
  const status = new Status(RED, node, { details: () => ({ answered: found }) });
  const config = readConfig(RED, node, definition, FIELDS);
  const calls = config.ok ? config.value.store.calls : undefined;
  const unready = config.ok ? config.value.store.problem : config.error;
  if (!calls) {
    status.set('not-configured', unready ? { reason: unready.message } : {});
    if (!config.ok) nodeLogger(RED, node).error(config.error.message, { code: config.error.code });
  } else status.set('idle');

  /** What the message asks for. */
  const answer = async (message: NodeMessageInFlow): Promise<unknown> => {
    if (!config.ok || !calls) {
      const facts = { attempted: ATTEMPTED, answer: unready?.summary ?? 'the call store is missing' };
      throw new ContactError('CONFIGURATION', { ...facts, reason: 'not_configured' });
    }
    const { action, steps } = config.value;
    if (action === 'list') {
      const { payload } = message;
      const asked = requestOf(message).query ?? (typeof payload === 'object' ? payload : {});
      const query = queryOf((asked ?? {}) as Record<string, unknown>);
      return pageBody(await calls.book.list(query), query);
    }
    const callId = callIdOf(message);
    const call = callId === undefined ? undefined : await calls.book.get(callId);
    if (!call) throw unknownCall();
    const transitions = steps ? { transitions: transitionsBody(await calls.book.transitions(call.callId)) } : {};
    return { ...callBody(call), ...transitions };
  };

  onRequest(node, {
    attempted: ATTEMPTED,
    handle: async (message, requestId) => {
      const body = await answer(message);
      found += 1;
      status.set('connected', { text: 'answered', values: { count: found } });
      return withAnswer(message, goodAnswer(body, requestId));
    },
    onRefused: ({ reason, message }) => {
      if (reason === 'database_unavailable') status.set('disconnected', { reason: message });
    },
  });
}
