import assert from 'node:assert/strict';
import { mergeFlows } from '../../lib/command/flows';
import { type NodeRed, type NodeRedVersion, startNodeRed } from '../services/node-red';
import { requireService } from '../services/requirements';
import { environmentNames, readAllExamples } from '../unit/design/examples';
import { assertServed } from './served';

/** The design's limit for a stop or a redeploy, in milliseconds. */
const CLOSE_WITHIN_MS = 5_000;

const flows = mergeFlows(readAllExamples().map(({ entries }) => entries));
const nothingSet = Object.fromEntries(environmentNames(flows).map((name) => [name, undefined]));

for (const version of ['4.1', '5'] as NodeRedVersion[]) {
  describe(`in Node-RED ${version}, the pack with all its examples and nothing configured`, function () {
    this.timeout(120_000);
    if (version === '5') requireService('node-red 5');
    let nodeRed: NodeRed;

    before(async () => {
      nodeRed = await startNodeRed({ version, flows, env: nothingSet });
    });

    after(() => nodeRed?.kill());

    it('is served to the editor', () => assertServed(nodeRed));

    it('starts without an error that nobody has caught', () => {
      assert.doesNotMatch(nodeRed.log(), /uncaught|unhandled|TypeError|ReferenceError|RangeError|SyntaxError/i);
    });

    it('keeps what is asked for over HTTP while flows are deployed again and again', async () => {
      const before = (await nodeRed.request('/health')).status;
      for (let round = 0; round < 3; round += 1) await nodeRed.deploy(flows);
      assert.equal((await nodeRed.request('/health')).status, before);
      await nodeRed.deploy([]);
      assert.equal((await nodeRed.request('/health')).status, 404);
      await nodeRed.deploy(flows);
      assert.equal((await nodeRed.request('/health')).status, before);
    });

    it('says what is missing in one sentence for each node, in /health', async () => {
      const { checks } = (await (await nodeRed.request('/health')).json()) as {
        checks: { type: string; status: string; reason?: string }[];
      };
      for (const { type, status, reason } of checks) {
        if (status === 'unhealthy') assert.match(reason ?? '', /\S/, `${type} is unhealthy without a reason`);
      }
    });

    it('stops in time', async () => {
      const tookMs = await nodeRed.stop();
      assert.ok(tookMs < CLOSE_WITHIN_MS, `it took ${tookMs} ms`);
      assert.doesNotMatch(nodeRed.log(), /Error stopping node|Close timed out/i);
    });
  });
}
