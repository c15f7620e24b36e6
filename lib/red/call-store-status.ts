import type { CallBook } from '../calls/call-book';
import type { CallStore } from '../calls/store';
import type { Status } from './status';

const TEXTS = { memory: 'calls-memory', embedded: 'calls-embedded', postgresql: 'calls-postgresql' };

/** Shows where calls are kept, or that they cannot be written down at the moment. */
export function showCallStore(status: Status, kind: CallStore['kind'], { state, error }: CallBook['state']): void {
  if (state === 'working') status.set('connected', { text: TEXTS[kind] });
  else status.set('disconnected', error ? { text: 'database-away', reason: error.message } : {});
}
