import type { StateChange } from './registry';
import { type Health, healthOf, type NodeState } from './states';

/** What contact-monitor sends at a change of state. */
export interface ChangeMessage {
  /** `<service>/<type>` */
  topic: string;
  payload: {
    service: string;
    /** The id of the node. */
    node: string;
    type: string;
    name: string;
    state: NodeState;
    previous: NodeState;
    health: Health;
    reason?: string;
    /** Since when it is in this state, as ISO 8601. */
    since: string;
  };
}

/** A change of state as a message. */
export function changeMessage(change: StateChange, service: string): ChangeMessage {
  const { state, previous, reason } = change;
  const { id, type, name } = change.node;
  return {
    topic: `${service}/${type}`,
    payload: {
      service,
      node: id,
      type,
      name,
      state,
      previous,
      health: healthOf(state),
      ...(reason === undefined ? {} : { reason }),
      since: new Date(change.since).toISOString(),
    },
  };
}
