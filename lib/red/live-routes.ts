import { ContactError } from '../core/errors';
import { LiveFeed } from '../monitor/live-feed';
import { LiveView } from '../monitor/live-view';
import { membersOf } from '../monitor/members';
import { monitors } from '../monitor/monitors';
import { actionsOf, monitored, type NodeAction } from '../monitor/registry';
import { adminRoute } from './admin';
import { nodeLogger } from './logger';
import type { Red, RuntimeNode } from './node';

/** Under this topic the frames of the live view reach the editors that are open; the runtime lets only those listen who may read the status of nodes. */
const TOPIC = 'contact-center/live';

const feeds = new WeakMap<object, LiveFeed>();

/** The live view of a runtime. */
export function liveFeed(RED: Red): LiveFeed {
  let feed = feeds.get(RED.events);
  if (!feed) {
    const view = new LiveView();
    feed = new LiveFeed(
      () => view.frame(membersOf(monitored.all(), monitors.services()), Date.now()),
      (frame) => RED.comms.publish(TOPIC, frame, false),
    );
    feeds.set(RED.events, feed);
  }
  return feed;
}

/** Registers what the sidebar asks for: to watch, and to tell nodes what to do. */
export function liveRoutes(RED: Red): void {
  adminRoute(RED, {
    method: 'post',
    path: '/contact-center/live',
    permission: 'contact-monitor.read',
    handler: () => liveFeed(RED).watch(),
  });
  adminRoute(RED, {
    method: 'post',
    path: '/contact-center/nodes/:id/:action',
    permission: 'contact-monitor.write',
    handler: async ({ params }) => {
      const { id, action } = params as { id: string; action: string };
      const node = monitored.all().find((each) => each.id === id);
      const actions = node ? actionsOf(node) : {};
      const act = Object.hasOwn(actions, action) ? actions[action as NodeAction] : undefined;
      if (!act) {
        throw new ContactError('NOT_FOUND', {
          attempted: `${action} a node`,
          answer: 'the node does not offer that now',
        });
      }
      const said = await act();
      const running = RED.nodes.getNode(id) as unknown as RuntimeNode | null;
      if (running) nodeLogger(RED, running).info(`Told from the sidebar: ${action}`);
      return { ok: true, ...(typeof said === 'string' ? { said } : {}) };
    },
  });
}
