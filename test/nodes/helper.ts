import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import type { Express } from 'express';
import type { NodeMessageInFlow } from 'node-red';
import type { Red, RuntimeNode } from '../../lib/red/node';

/** A node of a flow, as the editor saves it. */
export type FlowNode = { id: string; type: string } & Record<string, unknown>;
/** What a file in `nodes/` exports. */
export type NodeModule = (RED: Red) => void;

/** The part of node-red-node-test-helper that is used here; it brings no types. */
interface TestHelper {
  settings(settings: Record<string, unknown>): void;
  load(modules: NodeModule[], flow: FlowNode[], credentials: Credentials): Promise<void>;
  setFlows(flow: FlowNode[], type: 'full' | 'nodes' | 'flows', credentials?: Credentials): Promise<void>;
  getNode(id: string): RuntimeNode | null;
  unload(): Promise<void>;
}
type Credentials = Record<string, Record<string, string>>;

const helper = createRequire(__filename)('node-red-node-test-helper') as TestHelper;

/** What a test may ask for besides modules and flow. */
export interface StartOptions {
  /** Credentials by node id. */
  credentials?: Credentials;
  /** Settings as in settings.js. */
  settings?: Record<string, unknown>;
}

/** A Node-RED runtime with a flow in it. */
export interface Runtime {
  RED: Red;
  /** Address of what nodes offer over HTTP, without a slash at the end. */
  url: string;
  /** Address of the routes for the editor, without a slash at the end. */
  adminUrl: string;
  /** A running node. */
  node<Running extends RuntimeNode = RuntimeNode>(id: string): Running;
  /** Collects what a node receives, best a node of the type `helper`. Ask before anything is sent. */
  received(id: string): NodeMessageInFlow[];
  /** Deploys another flow; `nodes` restarts only what has changed. Resolves when it is running. */
  deploy(flow: FlowNode[], type?: 'full' | 'nodes' | 'flows', credentials?: Credentials): Promise<void>;
  /** Stops the flow and waits until all nodes are closed. */
  stop(): Promise<void>;
}

/**
 * Starts Node-RED with the given node modules and flow, listening on a free port. Texts are not translated: where a
 * text would stand there is its key. End it with {@link Runtime.stop} in `afterEach`.
 */
export async function startRuntime(
  modules: NodeModule[],
  flow: FlowNode[],
  { credentials = {}, settings = {} }: StartOptions = {},
): Promise<Runtime> {
  let RED: Red | undefined;
  helper.settings(settings);
  const capture: NodeModule = (api) => {
    RED = api;
  };
  await helper.load([capture, ...modules], placed(flow), credentials);
  const runtime = RED!;
  const servers = [await listen(runtime.httpNode), await listen(runtime.httpAdmin)];
  const [url, adminUrl] = servers.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return {
    RED: runtime,
    url: url!,
    adminUrl: adminUrl!,
    node: <Running extends RuntimeNode>(id: string) => {
      const node = helper.getNode(id);
      if (!node) throw new Error(`There is no running node ${id}`);
      return node as Running;
    },
    received: (id) => {
      const messages: NodeMessageInFlow[] = [];
      helper.getNode(id)!.on('input', (message, _send, done) => {
        messages.push(message);
        done();
      });
      return messages;
    },
    deploy: (next, type = 'full', nextCredentials = credentials) =>
      helper.setFlows(placed(next), type, nextCredentials),
    stop: async () => {
      await Promise.all(servers.map(close));
      await helper.unload();
    },
  };
}

/** The runtime takes what has no place on the canvas for a configuration node; only those have no wires either. */
function placed(flow: FlowNode[]): FlowNode[] {
  return flow.map((node) => ('wires' in node ? { x: 0, y: 0, ...node } : node));
}

/** Waits until `condition` gives something other than `undefined` and `false`, and gives that back. */
export async function until<Value>(
  condition: () => Value | undefined | false | Promise<Value | undefined | false>,
  what = 'the condition',
  limitMs = 5_000,
): Promise<Value> {
  const end = Date.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > end) throw new Error(`${what} was not met within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function listen(application: Express): Promise<Server> {
  const server = createServer(application);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}
