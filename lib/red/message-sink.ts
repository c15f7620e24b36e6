import { randomUUID } from 'node:crypto';
import type { NodeMessage, NodeMessageInFlow } from 'node-red';
import { settleDelivery, sourceLoad } from '../core/deliveries';
import { ContactError, messageError } from '../core/errors';
import { publicRecord } from '../genesys/messaging/record';
import type { MessageSender } from '../genesys/messaging/sender';
import type { SendOutcome, Submission } from '../genesys/messaging/submission';
import { type Done, onClose, onInputDeferred } from './input';
import type { RuntimeNode } from './node';
import { traceOf } from './tracing';

/** A message of the flow that is being sent. */
interface Waiting {
  message: NodeMessageInFlow;
  done: Done;
}

const CLOSE_WITHIN_MS = 3_000;

/** What was not sent at a deploy, by node id: the next instance of the node goes on with it. */
const handedOver = new Map<string, Waiting[]>();

/**
 * The flow's side of a sender: hands the messages of a node to it, and does with each in the flow, and with its
 * delivery, what its outcome asks for. What waits at a deploy goes to the node's next instance.
 */
export class MessageSink {
  private readonly waiting = new Map<Submission, Waiting>();

  /** `settle` says whether the deliveries that messages carry are settled. */
  constructor(
    private readonly node: RuntimeNode,
    private readonly sender: Pick<MessageSender, 'submit' | 'close'>,
    private readonly settle: boolean,
  ) {
    for (const taken of handedOver.get(node.id) ?? []) this.take(taken);
    handedOver.delete(node.id);
    onInputDeferred(node, (message, _send, done) => this.take({ message, done }));
  }

  /** Sends what it still can and gives the rest away. `removed`: there is no next instance. */
  async close(removed: boolean): Promise<void> {
    const left = await this.sender.close(CLOSE_WITHIN_MS);
    const unsent = left.flatMap((submission) => this.waiting.get(submission) ?? []);
    if (removed) abandon(this.node, unsent, this.settle);
    else if (unsent.length > 0) handedOver.set(this.node.id, unsent);
  }

  private take(taken: Waiting): void {
    const { message } = taken;
    const { payload, correlationId, delivery } = message as NodeMessageInFlow & Record<string, unknown>;
    const submission: Submission = {
      payload,
      correlationId: typeof correlationId === 'string' ? correlationId : randomUUID(),
      comesAgain: this.settle && delivery !== undefined,
      source: sourceLoad(message),
      trace: traceOf(message),
      done: (outcome) => {
        this.waiting.delete(submission);
        this.end(taken, outcome);
      },
    };
    this.waiting.set(submission, taken);
    this.sender.submit(submission);
  }

  private end({ message, done }: Waiting, outcome: SendOutcome): void {
    const { node, settle } = this;
    if (outcome.kind === 'sent') {
      const { history: _history, ...record } = publicRecord(outcome.record);
      const payload = { ...record, isDuplicate: outcome.isDuplicate };
      node.send([{ ...message, payload, request: message.payload } as NodeMessage, null]);
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
    sendFailed(node, message, error, attempts);
    if (settle) settleDelivery(message, { kind: 'dead-letter', error });
    done(error);
  }
}

/** Lets a node that cannot send give away what its last instance has handed over, should there be no next one. */
export function abandonWhenRemoved(node: RuntimeNode, settle: boolean): void {
  onClose(node, (removed) => {
    if (!removed) return;
    abandon(node, handedOver.get(node.id) ?? [], settle);
    handedOver.delete(node.id);
  });
}

/** There is nobody left to send these: what came from a queue is better off there. */
function abandon(node: RuntimeNode, unsent: readonly Waiting[], settle: boolean): void {
  const error = new ContactError('CLOSED', { attempted: 'send the message' });
  for (const { message, done } of unsent) {
    if (settle && settleDelivery(message, { kind: 'retry', isCounted: false, error })) continue;
    sendFailed(node, message, error, 0);
    done(error);
  }
}

function sendFailed(node: RuntimeNode, message: NodeMessageInFlow, error: ContactError, attempts: number): void {
  node.send([null, { ...message, error: messageError(error, attempts) } as NodeMessage]);
}
