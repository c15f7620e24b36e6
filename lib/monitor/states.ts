/**
 * What a node is doing, in one word; the same words on the canvas, in `/health`, in `/stats` and in the messages of
 * the monitor.
 *
 * - `idle`: ready, nothing to do.
 * - `not-configured`: the configuration is incomplete or wrong; nothing is tried until it is corrected.
 * - `connecting`: on the way to the first or the next connection.
 * - `connected`: in touch with the remote system.
 * - `working`: sending or receiving right now.
 * - `degraded`: it works, but retries, buffers or is held back.
 * - `breaker-open`: too many failures in a row, nothing is sent until a probe succeeds.
 * - `refused`: the remote system does not accept the credentials or their rights.
 * - `stalled`: nothing moves although there is work.
 * - `disconnected`: the connection is gone and comes back by itself.
 * - `failed`: it has given up; someone must act.
 * - `paused`: stopped on purpose.
 */
export type NodeState =
  | 'idle'
  | 'not-configured'
  | 'connecting'
  | 'connected'
  | 'working'
  | 'degraded'
  | 'breaker-open'
  | 'refused'
  | 'stalled'
  | 'disconnected'
  | 'failed'
  | 'paused';

/** How well a node does: `degraded` still does its work (HTTP 200), `unhealthy` does not (HTTP 503). */
export type Health = 'healthy' | 'degraded' | 'unhealthy';

const HEALTH: Record<NodeState, Health> = {
  idle: 'healthy',
  'not-configured': 'unhealthy',
  connecting: 'degraded',
  connected: 'healthy',
  working: 'healthy',
  degraded: 'degraded',
  'breaker-open': 'unhealthy',
  refused: 'unhealthy',
  stalled: 'unhealthy',
  disconnected: 'degraded',
  failed: 'unhealthy',
  paused: 'healthy',
};

/** The health that a state stands for. */
export function healthOf(state: NodeState): Health {
  return HEALTH[state];
}

/** The worst of several; `healthy` when there is none. */
export function worstOf(healths: Iterable<Health>): Health {
  let worst: Health = 'healthy';
  for (const health of healths) {
    if (health === 'unhealthy') return health;
    if (health === 'degraded') worst = health;
  }
  return worst;
}
