import type { Node, NodeAPI, NodeDef, NodeMessage } from 'node-red';
import { ContactError } from '../core/errors';

/** The runtime's interface for nodes, as a node module receives it. */
export type Red = NodeAPI;

/** What `send` takes: one message for the first output, or one entry for each output. */
export type Sendable = NodeMessage | (NodeMessage | NodeMessage[] | null)[];

/** A running node, with what the published types leave out. */
export interface RuntimeNode<Credentials extends object = Partial<Record<string, string>>> extends Node<Credentials> {
  /** The group that holds the node. */
  g?: string;
  /** Where the node is: `<tab>/<subflow instances>/<id>`; a global configuration node is under `global`. */
  _path?: string;
  /**
   * On configuration nodes, the nodes on flows that use it, directly or through other configuration nodes, by id. The
   * runtime reads this property to take errors and statuses of a global configuration node to the Catch and Status
   * nodes of those flows. It must hold no global configuration node: the runtime would go round in a circle until its
   * process ends.
   */
  users?: Record<string, RuntimeNode>;
  /** On configuration nodes, the configuration nodes that they use themselves. */
  uses?: Set<RuntimeNode>;
}

/** The saved properties of a node; the values of `${NAME}` are already in their place. */
export type Definition = NodeDef & Record<string, unknown>;

/**
 * The running configuration node with this id and type, or `undefined` when it is missing, disabled or of another
 * type. Until `node` is closed it counts as one of its users.
 */
export function useConfigNode<Config extends RuntimeNode>(
  RED: Red,
  node: RuntimeNode,
  id: unknown,
  type: string,
): Config | undefined {
  const config = findConfigNode<Config>(RED, id, type);
  if (!config) return undefined;
  config.users ??= {};
  if (isGlobal(node)) {
    node.uses ??= new Set();
    node.uses.add(config);
    for (const user of Object.values(node.users ?? {})) addUser(config, user);
    node.on('close', () => node.uses?.delete(config));
  } else {
    addUser(config, node);
  }
  return config;
}

/** A configuration node that is on no tab. */
function isGlobal(node: RuntimeNode): boolean {
  return (node._path ?? (node.z || 'global')).split('/')[0] === 'global';
}

/** A node on a flow uses a configuration node, and with it all that this one uses. */
function addUser(config: RuntimeNode, user: RuntimeNode): void {
  config.users ??= {};
  const users = config.users;
  if (users[user.id] === user) return;
  users[user.id] = user;
  user.on('close', () => {
    if (users[user.id] === user) delete users[user.id];
  });
  for (const next of config.uses ?? []) addUser(next, user);
}

/** The running configuration node with this id and type, without becoming one of its users. */
export function findConfigNode<Config extends RuntimeNode>(RED: Red, id: unknown, type: string): Config | undefined {
  if (typeof id !== 'string' || id === '') return undefined;
  const found = RED.nodes.getNode(id) as unknown as Config | null | undefined;
  return found?.type === type ? found : undefined;
}

/**
 * What a configuration node offers under a name. Throws its `problem` when it does not work, and `CONFIGURATION` when
 * there is no such node.
 */
export function offered<Config extends { problem?: ContactError }, Name extends keyof Config>(
  config: Config | undefined,
  name: Name,
): NonNullable<Config[Name]> {
  const found = config?.[name];
  if (found !== undefined && found !== null) return found;
  if (config?.problem) throw config.problem;
  throw new ContactError('CONFIGURATION', {
    attempted: 'use a configuration node',
    answer: config ? 'it does not work' : 'it is not deployed',
    advice: 'Complete it and deploy first.',
  });
}

/** The ids of the tabs a node works for: its own, or for a global configuration node those of its users. */
export function flowIdsOf(node: RuntimeNode): string[] {
  const found = new Set<string>();
  const visited = new Set<RuntimeNode>();
  const visit = (current: RuntimeNode) => {
    if (visited.has(current)) return;
    visited.add(current);
    const [own] = (current._path ?? current.z ?? 'global').split('/');
    if (own && own !== 'global') found.add(own);
    for (const user of Object.values(current.users ?? {})) visit(user);
  };
  visit(node);
  return [...found];
}
