import assert from 'node:assert/strict';
import { filesBelow, read } from '../design/checkout';

/** What a query may name that is no metric of ours. */
const OTHERS = new Set(['contact_center_node_up']);

/** The metrics that the queries of a text use. */
function metricsIn(text: string): string[] {
  const names = text.match(/\b(?:ari|call|calls|auth|rate|active|contact_center)_[a-z_]+(?=[[{)\\ ])/g) ?? [];
  return [...new Set(names.map((name) => name.replace(/_(bucket|sum|count)$/, '')))].sort();
}

describe('the alerts and the dashboard of the call API', () => {
  const product = [...filesBelow('nodes', '.ts'), ...filesBelow('lib', '.ts')].map(read).join('\n');

  for (const path of ['deploy/prometheus/call-api.rules.yml', 'deploy/grafana/call-api.json']) {
    it(`ask in ${path} only for metrics that the service has`, () => {
      const used = metricsIn(read(path));
      assert.ok(used.length > 5, used.join(', '));
      assert.deepEqual(
        used.filter((name) => !OTHERS.has(name) && !product.includes(`'${name}'`)),
        [],
      );
    });
  }

  it('are a dashboard that Grafana can read', () => {
    const { panels } = JSON.parse(read('deploy/grafana/call-api.json')) as { panels: { id: number; title: string }[] };
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  });
});
