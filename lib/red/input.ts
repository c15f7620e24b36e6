import type { NodeMessageInFlow } from 'node-red';
import { systemClock, type Timer } from '../core/clock';
import { toContactError } from '../core/errors';
import { tracing } from '../core/trace';
import { nodeFailure } from './logger';
import type { RuntimeNode, Sendable } from './node';
import { beginSpan } from './tracing';

/** Sends on behalf of the message that is being handled. */
export type Send = (messages: Sendable) => void;
/** Ends the handling of a message: without an error it is done, with one it has failed. Only the first call counts. */
export type Done = (error?: Error) => void;

/** The runtime waits 15 s for a node and then only says that it did; the pack promises to be closed in under 5 s. */
const CLOSE_LIMIT_MS = 4_500;

/**
 * Handles the input of a node: when `handler` resolves the message is done, when it rejects or throws the message has
 * failed. The runtime calls handlers without waiting for them, and a rejection would end the whole process.
 */
export function onInput(
  node: RuntimeNode,
  handler: (message: NodeMessageInFlow, send: Send) => Promise<unknown>,
): void {
  onInputDeferred(node, (message, send, done) => {
    handler(message, send)
      .then(
        () => done(),
        (thrown: unknown) => done(asFailure(thrown)),
      )
      .catch((thrown: unknown) => nodeFailure(node, thrown));
  });
}

/**
 * Handles the input of a node that finishes a message later, by calling `done`. A handler that throws has failed the
 * message. It costs one small function for each message and no promise.
 */
export function onInputDeferred(
  node: RuntimeNode,
  handler: (message: NodeMessageInFlow, send: Send, done: Done) => void,
): void {
  node.on('input', (message, send, done) => {
    const span = tracing.isOn ? beginSpan(node, message) : undefined;
    let open = true;
    const once: Done = (error) => {
      if (!open) return;
      open = false;
      span?.end(error);
      done(error);
    };
    try {
      if (span) tracing.run(span.context, () => handler(message, send, once));
      else handler(message, send, once);
    } catch (thrown) {
      once(asFailure(thrown));
    }
  });
}

/**
 * Runs `handler` when the node is closed; `removed` tells a deleted or disabled node from one that is only restarted.
 * A failure is logged, and after 4.5 s the runtime goes on without waiting any longer.
 */
export function onClose(node: RuntimeNode, handler: (removed: boolean) => Promise<unknown> | unknown): void {
  // The runtime counts the declared parameters to find out that it has to wait for `done`.
  node.on('close', (removed: boolean, done: () => void) => {
    let timer: Timer | undefined;
    const finish = () => {
      systemClock.clearTimeout(timer);
      done();
    };
    const fail = (thrown: unknown) => {
      nodeFailure(node, thrown, 'close the node');
      finish();
    };
    timer = systemClock.setTimeout(
      () => fail(`it was not finished within ${CLOSE_LIMIT_MS / 1_000} seconds`),
      CLOSE_LIMIT_MS,
    );
    try {
      Promise.resolve(handler(removed)).then(finish, fail);
    } catch (thrown) {
      fail(thrown);
    }
  });
}

/**
 * `callback` made safe for timers and emitters: what it throws or rejects with is logged in the name of the node and
 * reaches Catch nodes.
 */
export function guard<Arguments extends unknown[]>(
  node: RuntimeNode,
  callback: (...parameters: Arguments) => unknown,
): (...parameters: Arguments) => void {
  return (...parameters) => {
    try {
      const result = callback(...parameters);
      if (result instanceof Promise) result.catch((thrown: unknown) => nodeFailure(node, thrown));
    } catch (thrown) {
      nodeFailure(node, thrown);
    }
  };
}

/** The runtime takes `undefined` and empty texts for success, so whatever was thrown becomes an error. */
function asFailure(thrown: unknown): Error {
  return toContactError(thrown, 'handle the message');
}
