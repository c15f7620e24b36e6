import type { AriState } from '../ari/connection';
import type { Status } from './status';

/** Shows how a connection to Asterisk stands. */
export function showAri(status: Status, state: AriState): void {
  const reason = 'error' in state ? { reason: state.error.message } : {};
  if (state.kind === 'ready') status.set('connected');
  else if (state.kind === 'refused') status.set('refused', { text: 'wrong-credentials', ...reason });
  else if (state.kind === 'replaced') status.set('failed', { text: 'app-taken', ...reason });
  else if (state.kind === 'away') status.set('disconnected', { text: 'reconnecting', ...reason });
  else status.set('connecting');
}
