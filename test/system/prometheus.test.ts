import assert from 'node:assert/strict';
import { readAllFlows } from '../commands/demo/flows';
import { environmentOf, type RunningSystem, startSystems } from '../commands/demo/systems';
import { trafficOf } from '../commands/demo/traffic';
import { until } from '../nodes/helper';
import { type NodeRed, startNodeRed } from '../services/node-red';
import { type Prometheus, startPrometheus } from '../services/prometheus';
import { requireService } from '../services/requirements';
import { filesBelow, read } from '../unit/design/checkout';

const WITHIN_MS = 90_000;
/** What Grafana fills in. */
const RATE_INTERVAL = '1m';

interface Panel {
  title: string;
  targets?: { expr: string }[];
}

describe('Prometheus with the rules of deploy, and the five flows at work', function () {
  this.timeout(180_000);
  const program = requireService('prometheus');
  const ending = new AbortController();
  let systems: RunningSystem[] = [];
  let nodeRed: NodeRed;
  let prometheus: Prometheus;

  before(async () => {
    systems = await startSystems({});
    const env = await environmentOf(systems, { own: {}, apiPassword: 'a password', monitorToken: 'a token' });
    nodeRed = await startNodeRed({ flows: readAllFlows(), env });
    for (const { start } of trafficOf(systems, env, ending.signal)) start?.(nodeRed.url);
    prometheus = await startPrometheus(program.location, [`127.0.0.1:${nodeRed.port}`]);
  });
  after(async () => {
    ending.abort();
    await prometheus?.close();
    await nodeRed?.stop();
    await Promise.all(systems.map(({ close }) => close?.()));
  });

  const alert = async (name: string) => (await prometheus.rules()).find((rule) => rule.name === name);

  it('scrapes them, and evaluates every rule without an error', async () => {
    let targets: unknown;
    await until(
      async () => {
        // On a busy machine the first scrape may take longer than it is given.
        const found = await prometheus.targets().catch(() => []);
        targets = found;
        return found.some(({ health, lastError }) => health === 'up' && lastError === '');
      },
      'a scrape',
      WITHIN_MS,
    ).catch((thrown) => assert.fail(`${thrown}: ${JSON.stringify(targets)}`));
    const rules = await until(
      async () => {
        const all = await prometheus.rules();
        return all.length > 15 && all.every(({ health }) => health !== 'unknown') && all;
      },
      'all rules to be evaluated',
      WITHIN_MS,
    );
    assert.deepEqual(
      rules.filter(({ health }) => health !== 'ok').map(({ name, lastError }) => [name, lastError]),
      [],
    );
  });

  for (const path of filesBelow('deploy/grafana', '.json')) {
    it(`has data for each panel of ${path}`, async () => {
      const { panels } = JSON.parse(read(path)) as { panels: Panel[] };
      let empty = panels.filter(({ targets }) => targets !== undefined);
      assert.ok(empty.length > 5);
      await until(
        async () => {
          const looks = empty.map(async (panel) => ((await hasData(panel)) ? [] : [panel]));
          empty = (await Promise.all(looks)).flat();
          return empty.length === 0;
        },
        'data for all panels',
        WITHIN_MS,
      ).catch((thrown) => assert.fail(`${thrown}: ${empty.map(({ title }) => title).join(', ')}`));
    });
  }

  async function hasData({ targets = [] }: Panel): Promise<boolean> {
    const queries = targets.map(({ expr }) =>
      expr.replaceAll('$service', '.*').replaceAll('$__rate_interval', RATE_INTERVAL),
    );
    const answers = await Promise.all(queries.map((query) => prometheus.query(query)));
    return answers.some((series) => series.length > 0);
  }

  it('tells that a process is gone, and only then', async () => {
    await until(async () => (await alert('ContactCenterDown'))?.state === 'inactive', 'no alert', WITHIN_MS);
    await nodeRed.kill();
    await until(async () => (await alert('ContactCenterDown'))?.state === 'firing', 'the alert', WITHIN_MS);
  });
});
