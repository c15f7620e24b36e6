import { ContactError } from './errors';

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
