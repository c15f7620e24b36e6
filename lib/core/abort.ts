import { setMaxListeners } from 'node:events';
import { ContactError } from './errors';

/** An `AbortController` for many at once: each listens for as long as it is under way, which is no leak, however many. */
export function sharedAbort(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/**
 * `promise`, but rejected with `CLOSED` as soon as `signal` is aborted: who has given up does not wait for what others
 * still want. `attempted` is the clause for the error.
 */
export function abortable<Value>(
  promise: Promise<Value>,
  signal: AbortSignal | undefined,
  attempted: string,
): Promise<Value> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(new ContactError('CLOSED', { attempted }));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    const settle =
      <Result>(end: (result: Result) => void) =>
      (result: Result) => {
        signal.removeEventListener('abort', abort);
        end(result);
      };
    promise.then(settle(resolve), settle(reject));
  });
}
