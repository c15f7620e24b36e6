import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type FlowEntry, type NodeRed, ROOT, startNodeRed } from '../services/node-red';

const tab = { id: 'tab', type: 'tab', label: 'A tab' };
/** Answers `GET /greeting` with a text. */
const greeting = (text: string): FlowEntry[] => [
  tab,
  { id: 'in', type: 'http in', z: 'tab', url: '/greeting', method: 'get', wires: [['text']] },
  { id: 'text', type: 'template', z: 'tab', field: 'payload', template: text, wires: [['out']] },
  { id: 'out', type: 'http response', z: 'tab', wires: [] },
];

describe('the launcher of Node-RED', function () {
  this.timeout(60_000);
  let nodeRed: NodeRed | undefined;

  afterEach(async () => {
    await nodeRed?.kill();
  });

  it('is ready when its flows are, at the start and after each deploy', async () => {
    nodeRed = await startNodeRed({ flows: greeting('one') });
    assert.equal(await (await nodeRed.request('/greeting')).text(), 'one');
    await nodeRed.deploy(greeting('two'), { type: 'nodes' });
    assert.equal(await (await nodeRed.request('/greeting')).text(), 'two');
  });

  it('comes back after a kill with what was deployed, on the same port', async () => {
    nodeRed = await startNodeRed({ flows: greeting('before') });
    const { port, pid } = nodeRed;
    await nodeRed.deploy(greeting('deployed'));
    await nodeRed.kill();
    assert.equal(nodeRed.running, false);
    await nodeRed.restart();
    assert.equal(nodeRed.port, port);
    assert.notEqual(nodeRed.pid, pid);
    assert.equal(await (await nodeRed.request('/greeting')).text(), 'deployed');
  });

  it('hands credentials over, which stay readable after a restart', async () => {
    const request = { id: 'r', type: 'http request', z: 'tab', url: '', wires: [[]] };
    nodeRed = await startNodeRed({ flows: [tab, { ...request, credentials: { user: 'somebody', password: 'x' } }] });
    await nodeRed.restart();
    const stored = await (await nodeRed.request('/credentials/http-request/r')).json();
    assert.deepEqual(stored, { user: 'somebody', has_password: true });
  });

  it('removes its temporary user directory when it stops', async () => {
    nodeRed = await startNodeRed();
    assert.ok(existsSync(nodeRed.userDir));
    await nodeRed.stop();
    assert.ok(!existsSync(nodeRed.userDir));
  });

  it('fails with the end of the log when Node-RED ends at once', async () => {
    const broken = startNodeRed({ settings: '(() => { throw new Error("settings that are broken") })()' });
    await assert.rejects(broken, /ended before it was ready[\s\S]*settings that are broken/);
  });

  it('fails when a flow uses a node that is not there', async () => {
    const broken = startNodeRed({ flows: [tab, { id: 'n', type: 'no such node', z: 'tab', wires: [] }] });
    await assert.rejects(broken, /A flow uses the node type no such node, which is not there\./);
  });

  it('takes Node-RED along when the process that started it is killed', async () => {
    const source = `require(${JSON.stringify(join(ROOT, 'test/services/node-red.ts'))})
      .startNodeRed().then(({ url, userDir }) => console.log(JSON.stringify({ url, userDir })))`;
    const starter = spawn(process.execPath, ['--import', 'tsx', '--eval', source], { cwd: ROOT });
    const [line] = (await starter.stdout.take(1).toArray()) as [Buffer];
    const { url, userDir } = JSON.parse(line.toString()) as { url: string; userDir: string };
    assert.equal((await fetch(url)).status, 200);
    starter.kill('SIGKILL');
    await untilItFails(() => fetch(url));
    rmSync(userDir, { recursive: true });
  });
});

/** Resolves as soon as an attempt fails; the time limit of the test ends it otherwise. */
async function untilItFails(attempt: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await attempt();
    } catch {
      return;
    }
  }
}
