// Libraries that several files use and that are loaded when the first of them works: the start of Node-RED waits for the
// code of every node that is installed, whether a flow uses it or not.

/** Circuit breakers. */
export const cockatiel = lazily(() => require('cockatiel') as typeof import('cockatiel'));

/** Counters for rate limits, in memory and in Redis. */
export const rateLimiterFlexible = lazily(
  () => require('rate-limiter-flexible') as typeof import('rate-limiter-flexible'),
);

/** WebSockets. */
export const ws = lazily(() => require('ws') as typeof import('ws'));

/** Loads something when it is first asked for, and once. */
function lazily<Loaded extends object>(load: () => Loaded): () => Loaded {
  let loaded: Loaded | undefined;
  return () => {
    loaded ??= load();
    return loaded;
  };
}
