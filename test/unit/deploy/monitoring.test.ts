import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../../services/node-red';
import { requireService } from '../../services/requirements';
import { filesBelow, read } from '../design/checkout';

const RULES = filesBelow('deploy/prometheus', '.rules.yml');
const DASHBOARDS = filesBelow('deploy/grafana', '.json');

/** The metrics that the queries of a text use, without those that Prometheus and its library for Node.js bring along. */
function metricsIn(text: string): string[] {
  const names = text.match(/\b(?:ari|call|calls|auth|rate|active|contact_center)_[a-z_]+(?=[[{)\\" ])/g) ?? [];
  return [...new Set(names.map((name) => name.replace(/_(bucket|sum|count)$/, '')))].sort();
}

describe('the alerts and dashboards', () => {
  const product = [...filesBelow('nodes', '.ts'), ...filesBelow('lib', '.ts')].map(read).join('\n');
  // Some are put together from what all metrics of a system begin with and the rest.
  const isKnown = (name: string) =>
    [name, name.replace(/^contact_center_[a-z]+_/, '')].some((form) => product.includes(`'${form}'`));

  for (const path of [...RULES, ...DASHBOARDS]) {
    it(`ask in ${path} only for metrics that the services have`, () => {
      const used = metricsIn(read(path));
      assert.ok(used.length > 5, used.join(', '));
      assert.deepEqual(
        used.filter((name) => !isKnown(name)),
        [],
      );
    });
  }

  for (const path of DASHBOARDS) {
    it(`are in ${path} a dashboard that Grafana can read`, () => {
      const { uid, panels } = JSON.parse(read(path)) as { uid: string; panels: { id: number; title: string }[] };
      assert.match(uid, /^[a-z-]{1,40}$/);
      assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    });
  }

  it('are dashboards with ids of their own', () => {
    const ids = DASHBOARDS.map((path) => (JSON.parse(read(path)) as { uid: string }).uid);
    assert.equal(new Set(ids).size, DASHBOARDS.length);
  });

  describe('with Prometheus', () => {
    const promtool = requireService('prometheus');
    const check = (...parameters: string[]) => execFileSync(promtool.location, ['check', ...parameters], { cwd: ROOT });

    it('are rules that it accepts', () => check('rules', ...RULES));

    it('are loaded by a configuration that it accepts', () => {
      assert.match(String(check('config', join('deploy/prometheus/prometheus.yml'))), /2 rule files found/);
    });
  });
});
