import assert from 'node:assert/strict';
import { WebSocket } from 'ws';
import { environmentOf, type RunningSystem, startSystems } from '../commands/demo/systems';
import { until } from '../nodes/helper';
import { type NodeRed, startNodeRed } from '../services/node-red';
import { freePort } from '../services/postgresql';
import { readSmallExamples } from '../unit/design/examples';

/** The buttons of each small example, in the order in which they are clicked, and the debug node that then has something to show. */
const CLICKS: Record<string, [button: string, debug: string][]> = {
  'ari-events-in': [
    ['Call this number', 'Steps'],
    ['Call nobody', 'Calls that failed'],
  ],
  'ari-originate': [
    ['Call this number', 'Called'],
    ['Not a number', 'Refused'],
    ['A number that is not allowed', 'Refused'],
    ['Hang it up', 'Hung up'],
  ],
  'audiohook-normalize': [
    ['From the socket', 'Documents'],
    ['From the REST query', 'Documents'],
    ['Not an event at all', 'Documents'],
  ],
  'call-auth': [
    ['A wrong password', 'Refused'],
    ['No token', 'Refused'],
  ],
  'call-lookup': [
    ['The newest calls', 'Found'],
    ['Those that failed', 'Found'],
    ['One that is not there', 'Not found'],
  ],
  'cody-poll-in': [
    ['A sample conversation', 'Conversations'],
    ['One without a word', 'Put aside'],
  ],
  'contact-monitor': [
    ['Pause the queue', 'Changes of state'],
    ['Go on', 'Changes of state'],
    ['A command that is none', 'Errors'],
    ['How are they?', 'Health'],
  ],
  'contact-queue-in': [
    ['An order', 'Messages'],
    ['One without a number', 'Messages'],
    ['Bring them back', 'Messages'],
  ],
  'contact-settle': [
    ['Done', 'Settled'],
    ['Later', 'Settled'],
    ['Never', 'Settled'],
  ],
  'es-bulk-out': [
    ['One document', 'Batch reports'],
    ['A hundred documents', 'Batch reports'],
    ['One that is refused', 'Rejected documents'],
    ['Not a document', 'Errors'],
  ],
  'genesys-conversation': [['One that is not there', 'Failed']],
  'genesys-message-out': [
    ['A text', 'Sent'],
    ['A text that is too long', 'Failed'],
    ['The same twice', 'Sent'],
  ],
  'genesys-notifications-in': [
    ['A sample error', 'Errors of Genesys'],
    ['A sample that is no error', 'All events'],
  ],
  'genesys-webhook-in': [
    ['A message of an agent', 'Messages to customers'],
    ['Delivered', 'Receipts'],
    ['A wrong signature', 'Answer to Genesys'],
  ],
  'ocelot-in': [
    ['A call to count', 'Events'],
    ['A call that breaks it', 'Errors'],
  ],
  'ocelot-publish': [
    ['A call has ended', 'Published'],
    ['A duration below zero', 'Invalid or returned'],
    ['Nobody listens to this', 'Invalid or returned'],
  ],
  'zoho-case-out': [
    ['A conversation', 'Cases'],
    ['The same, grown', 'Cases'],
    ['No conversation', 'Failed'],
  ],
};

/** What the runtime tells the editor. */
interface Announcement {
  topic: string;
  data: { id: string; msg: string };
}

const examples = readSmallExamples().map(({ path, entries }) => ({
  type: path.slice('examples/nodes/'.length, -'.json'.length),
  entries,
}));

describe('the small examples, all in one Node-RED with every system there', function () {
  this.timeout(60_000);
  let systems: RunningSystem[];
  let nodeRed: NodeRed;
  let sidebar: WebSocket;
  /** What each debug node has shown. */
  const shown = new Map<string, string[]>();

  before(async () => {
    systems = await startSystems({});
    const environment = await environmentOf(systems, { own: {}, apiPassword: 'a password', monitorToken: '' });
    const port = await freePort();
    nodeRed = await startNodeRed({
      flows: examples.flatMap(({ entries }) => entries),
      port,
      env: { ...environment, DATABASE_URL: undefined, REDIS_URL: undefined, PORT: String(port) },
    });
    sidebar = new WebSocket(`${nodeRed.url.replace('http', 'ws')}/comms`);
    sidebar.on('message', (text) => {
      for (const { topic, data } of JSON.parse(String(text)) as Announcement[]) {
        if (topic === 'debug') shown.set(data.id, [...(shown.get(data.id) ?? []), data.msg]);
      }
    });
    await new Promise((resolve) => sidebar.once('open', resolve));
    sidebar.send(JSON.stringify({ subscribe: 'debug' }));
    await until(areWell, 'all nodes to be well', 30_000);
  });

  /** The example of contact-monitor watches only its own nodes, but where there is one, there is a `/health` for all. */
  async function areWell(): Promise<boolean> {
    const { checks } = (await (await nodeRed.request('/health')).json()) as { checks: { status: string }[] };
    return checks.every(({ status }) => status === 'healthy');
  }

  after(async () => {
    sidebar?.terminate();
    await nodeRed?.stop();
    for (const system of systems ?? []) await system.close?.();
  });

  it('are all clicked through here', () => {
    assert.deepEqual(
      Object.keys(CLICKS),
      examples.map(({ type }) => type),
    );
  });

  /** The nodes of an example that have this name. */
  function named(example: string, kind: string, name: string): string[] {
    const { entries = [] } = examples.find(({ type }) => type === example) ?? {};
    const found = entries.filter((entry) => entry.type === kind && entry['name'] === name);
    assert.ok(found.length > 0, `no ${kind} node of ${example} is called ${name}`);
    return found.map(({ id }) => id);
  }

  /** Clicks a button and waits for what the debug node then shows. */
  async function click(example: string, button: string, debug: string): Promise<string> {
    const texts = () => named(example, 'debug', debug).flatMap((id) => shown.get(id) ?? []);
    const before = texts().length;
    const { status } = await nodeRed.request(`/inject/${named(example, 'inject', button)}`, { method: 'POST' });
    assert.equal(status, 200);
    return until(() => texts()[before], `“${debug}” to show what “${button}” leads to`, 15_000);
  }

  for (const { type } of examples) {
    it(`that of ${type} does what its comment says`, async () => {
      for (const [button, debug] of CLICKS[type] ?? []) await click(type, button, debug);
    });
  }

  it('that of genesys-conversation works on a conversation which that of genesys-message-out has begun', async () => {
    const { conversationId } = JSON.parse(await click('genesys-message-out', 'A text', 'Sent')) as {
      conversationId: string;
    };
    const [button] = named('genesys-conversation', 'inject', 'Remember this one');
    await nodeRed.request(`/inject/${button}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ __user_inject_props__: [{ p: 'payload', v: conversationId, vt: 'str' }] }),
    });
    for (const request of ['Who is in it', 'Set an attribute', 'Close it']) {
      await click('genesys-conversation', request, 'Result');
    }
  });
});
