import type { ContactError } from '../core/errors';
import type { NodeState } from '../monitor/states';
import type { BrokerConnection, BrokerState } from './connection';
import type { ConsumerState } from './consumer';
import type { Publisher } from './publisher';

/** A state of a node, with the text of the status line and the reason. */
export interface ShownState {
  state: NodeState;
  text?: string;
  values?: Record<string, string | number>;
  reason?: string;
}

/** How a connection stands. */
export function connectionStatus(connection: Pick<BrokerConnection, 'state' | 'isVolatile'>): ShownState {
  const { state, isVolatile } = connection;
  if (state.kind === 'open') return isVolatile ? { state: 'connected', text: 'in-memory' } : { state: 'connected' };
  if (state.kind === 'blocked') return { state: 'degraded', text: 'broker-full', reason: blockedReason(state) };
  if (state.kind === 'waiting') return { ...failureStatus(state.error), reason: state.error.message };
  return state.kind === 'connecting' ? { state: 'connecting' } : { state: 'idle' };
}

/** How a consumer stands, given its connection. */
export function consumerStatus(connection: BrokerConnection, consumer: ConsumerState, prefetch: number): ShownState {
  const shown = connectionStatus(connection);
  if (consumer.kind === 'stalled') {
    const reason = `All ${prefetch} messages of the prefetch are out and nothing settles them: wire every branch of the flow to a node that settles the delivery.`;
    return { state: 'stalled', reason };
  }
  if (shown.state !== 'connected') return shown;
  if (consumer.kind === 'failed') return { ...failureStatus(consumer.error), reason: consumer.error.message };
  if (consumer.kind === 'paused') return { state: 'paused' };
  return consumer.kind === 'waiting' ? { state: 'connecting' } : { ...shown, text: shown.text ?? 'consuming' };
}

/** What keeps a publisher from publishing, if anything does. */
export function publisherObstacle(
  connection: BrokerConnection,
  publisher: Pick<Publisher, 'isOpen' | 'failure'>,
): ShownState | undefined {
  const shown = connectionStatus(connection);
  // A connection that nobody uses yet is about to be made.
  if (shown.state === 'idle') return { state: 'connecting' };
  if (shown.state !== 'connected') return shown;
  if (publisher.failure) return { ...failureStatus(publisher.failure), reason: publisher.failure.message };
  return publisher.isOpen ? undefined : { state: 'connecting' };
}

/** How a failure is shown: as what a person must do about it. */
function failureStatus({ code }: Pick<ContactError, 'code'>): ShownState {
  if (code === 'REFUSED') return { state: 'refused' };
  return code === 'CONFIGURATION' ? { state: 'failed' } : { state: 'disconnected' };
}

function blockedReason({ reason }: Extract<BrokerState, { kind: 'blocked' }>): string {
  return `The broker takes no more messages for now (${reason}): free memory or disk space there; everything is kept until then.`;
}
