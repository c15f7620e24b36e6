import type { NodeMessage, NodeMessageInFlow } from 'node-red';
import { errorAnswer, requestIdOf } from '../calls/api';
import { type ContactError, messageError, toContactError } from '../core/errors';
import { headerOf, requestOf, withAnswer } from './api';
import { onInputDeferred } from './input';
import { IntakeMessage } from './intake';
import type { RuntimeNode } from './node';

/** How a node of the call API handles a request. */
export interface RequestHandling {
  /** What is attempted with a request, for an error that does not say so itself. */
  attempted: string;
  /** Gives what leaves by the first output; what it rejects with is answered by the second. */
  handle(message: NodeMessageInFlow, requestId: string): Promise<NodeMessage>;
  /** Told of each request that is refused, before its answer leaves. Must not throw. */
  onRefused?(error: ContactError): void;
  /**
   * For a node whose messages may come from a queue: whether it settles their deliveries. Then every refusal fails the
   * message. Without it only an answer of 500 or more does: to be told no is an answer as well.
   */
  settle?: boolean;
}

/**
 * Handles the input of a node of the call API: what the handling gives leaves by the first output, the answer to a
 * request that is refused, with `msg.error`, by the second.
 */
export function onRequest(
  node: RuntimeNode,
  { attempted, handle, onRefused = () => {}, settle }: RequestHandling,
): void {
  onInputDeferred(node, (message, send, done) => {
    const requestId = requestIdFrom(message);
    const intake = settle === undefined ? undefined : new IntakeMessage(message, 1, settle, done);
    const end = (error?: ContactError) => (intake ? intake.ended(error) : done(error));
    const answer = (answered: NodeMessage) => {
      send([answered, null]);
      end();
    };
    const refuse = (thrown: unknown) => {
      const error = toContactError(thrown, attempted);
      onRefused(error);
      const refusal = errorAnswer(error, requestId);
      send([null, withAnswer(message, refusal, { error: messageError(error, 1) })]);
      end(intake || refusal.statusCode >= 500 ? error : undefined);
    };
    handle(message, requestId)
      .then(answer, refuse)
      .catch((thrown: unknown) => end(toContactError(thrown, attempted)));
  });
}

/** The id of the request that a message came with: its correlation id, the header `X-Request-ID`, or a new one. */
function requestIdFrom(message: NodeMessageInFlow): string {
  const { correlationId } = message as { correlationId?: unknown };
  return requestIdOf(correlationId ?? headerOf(requestOf(message), 'x-request-id'));
}
