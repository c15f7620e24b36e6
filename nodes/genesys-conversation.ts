import type { NodeMessage, NodeMessageInFlow } from 'node-red';
import { sharedAbort } from '../lib/core/abort';
import { Books } from '../lib/core/books';
import { settleDelivery } from '../lib/core/deliveries';
import { ContactError, messageError, toContactError } from '../lib/core/errors';
import { actOnConversation, DESK_ACTIONS } from '../lib/genesys/conversation-desk';
import { MessageRecords } from '../lib/genesys/messaging/records';
import { boolean, choice, configNode, optionalConfigNode, readConfig } from '../lib/red/config';
import { onClose, onInput, type Send } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import type { ContactStoreNode } from './contact-store';
import type { GenesysTenantsNode } from './genesys-tenants';

const FIELDS = {
  tenants: configNode<GenesysTenantsNode>('genesys-tenants'),
  action: choice(DESK_ACTIONS, { default: 'details' }),
  store: optionalConfigNode<ContactStoreNode>('contact-store'),
  settle: boolean({ default: true }),
};

/** genesys-conversation: looks at conversations, closes and transfers them, and tells what became of a message. */
export default function genesysConversation(RED: Red): void {
  registerNode(RED, 'genesys-conversation', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  const logger = nodeLogger(RED, node);
  const books = new Books();
  const status = new Status(RED, node, { books: () => books.snapshot() });
  const config = readConfig(RED, node, definition, FIELDS);
  const problem = config.ok ? (config.value.tenants.problem ?? config.value.store?.problem) : config.error;
  if (problem) {
    status.set('not-configured', { reason: problem.message });
    logger.error(problem.message, { code: problem.code });
  } else status.set('idle');
  const stopping = sharedAbort();
  const running = new Set<Promise<unknown>>();
  const leave = (config.ok && config.value.store?.state?.hold()) || (() => {});

  const run = async (message: NodeMessageInFlow): Promise<unknown> => {
    if (!config.ok || problem) throw problem ?? notReady();
    const { tenants, store, action } = config.value;
    const { organizations } = tenants;
    if (!organizations) throw notReady();
    const records = store?.state && new MessageRecords(store.state.store, 1);
    return actOnConversation(message.payload, { action, organizations, records, signal: stopping.signal });
  };

  const handle = async (message: NodeMessageInFlow, send: Send): Promise<void> => {
    const { settle } = config.ok ? config.value : { settle: true };
    books.receive();
    books.start(1);
    status.set('working');
    try {
      const payload = await run(message);
      books.settle('delivered');
      send([{ ...message, payload, request: message.payload } as NodeMessage, null]);
      if (settle) settleDelivery(message, { kind: 'acknowledge' });
      show(undefined);
    } catch (thrown) {
      const error = toContactError(thrown, 'handle the conversation');
      books.settle('rejected');
      send([null, { ...message, error: messageError(error, 1) } as NodeMessage]);
      if (settle) settleDelivery(message, error.retryable ? { kind: 'retry', error } : { kind: 'dead-letter', error });
      show(error);
      // That there is no such conversation is an answer, not a failure of the flow.
      if (error.code !== 'NOT_FOUND') throw error;
    }
  };

  const show = (error: ContactError | undefined) => {
    if (problem) return;
    const { inFlight, delivered } = books.snapshot();
    if (error?.code === 'REFUSED') status.set('refused', { reason: error.message });
    else if (error?.retryable) status.set('degraded', { reason: error.message });
    else if (inFlight > 0) status.set('working');
    else status.set('connected', { text: 'done', values: { count: delivered } });
  };

  onInput(node, (message, send) => {
    const work = handle(message, send).finally(() => running.delete(work));
    running.add(work);
    return work;
  });
  onClose(node, async () => {
    stopping.abort();
    await Promise.allSettled([...running]);
    leave();
  });
}

function notReady(): ContactError {
  const answer = 'the node is not configured';
  return new ContactError('CONFIGURATION', { attempted: 'handle the conversation', answer });
}
