import type { Definition, Red, RuntimeNode } from './node';
import { Status } from './status';

/** How the credentials of a node type are kept; only `password` never goes to the editor. */
export type CredentialTypes = Record<string, 'text' | 'password'>;

/**
 * Registers a node type. `start` runs on the created node. Should it throw, the node shows a red ring and the error is
 * logged, while the runtime alone would leave out the node without a word on the canvas.
 */
export function registerNode<Running extends RuntimeNode = RuntimeNode>(
  RED: Red,
  type: string,
  start: (node: Running, definition: Definition) => void,
  credentials: CredentialTypes = {},
): void {
  function construct(this: Running, definition: Definition): void {
    RED.nodes.createNode(this, definition);
    try {
      start(this, definition);
    } catch (thrown) {
      new Status(RED, this).cannotStart(thrown);
    }
  }
  const types = Object.fromEntries(Object.entries(credentials).map(([name, kind]) => [name, { type: kind }]));
  RED.nodes.registerType(type, construct as never, { credentials: types });
}
