import { guard } from './input';
import type { Red, RuntimeNode } from './node';

/** What waits for the flows of a runtime. One listens for all: the runtime warns of a leak when more than ten do. */
const waiting = new WeakMap<object, Set<() => void>>();

/**
 * Runs `action` once, when the flows that are being deployed have started: before, a message to another node could be
 * lost without a word. A node that is closed before that does not run it any more.
 */
export function whenFlowsStarted(RED: Red, node: RuntimeNode, action: () => unknown): void {
  const actions = waiting.get(RED.events) ?? listen(RED);
  const begin = guard(node, action);
  actions.add(begin);
  node.on('close', () => actions.delete(begin));
}

function listen({ events }: Red): Set<() => void> {
  const actions = new Set<() => void>();
  waiting.set(events, actions);
  events.on('flows:started', () => {
    const due = [...actions];
    actions.clear();
    for (const action of due) action();
  });
  return actions;
}
