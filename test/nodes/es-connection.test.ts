import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { monitored } from '../../lib/monitor/registry';
import esConnection from '../../nodes/es-connection';
import { type ElasticsearchSimulator, startElasticsearchSimulator } from '../simulators/elasticsearch';
import { type Runtime, startRuntime } from './helper';

describe('es-connection', () => {
  let runtime: Runtime;
  let elastic: ElasticsearchSimulator | undefined;

  afterEach(async () => {
    await runtime.stop();
    await elastic?.close();
    elastic = undefined;
  });

  const test = async (form: Record<string, unknown>) => {
    const answer = await fetch(`${runtime.adminUrl}/contact-center/es-connection/test`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(form),
    });
    return (await answer.json()) as Record<string, unknown>;
  };

  it('tells who the cluster is, with the values of the dialog', async () => {
    elastic = await startElasticsearchSimulator({ auth: { basic: { username: 'elastic', password: 'changeme' } } });
    runtime = await startRuntime([esConnection], []);
    const answer = await test({ nodes: elastic.url, auth: 'elastic:changeme' });
    assert.equal(answer['ok'], true);
    assert.match(String(answer['version']), /^\d+\.\d+/);
  });

  it('says that the credentials are wrong, without telling them', async () => {
    elastic = await startElasticsearchSimulator({ auth: { basic: { username: 'elastic', password: 'changeme' } } });
    runtime = await startRuntime([esConnection], []);
    const answer = await test({ nodes: elastic.url, auth: 'elastic:wrong-password' });
    assert.equal(answer['ok'], false);
    assert.equal(answer['code'], 'REFUSED');
    assert.doesNotMatch(String(answer['message']), /wrong-password/);
  });

  it('names what is missing when it is not configured, and asks nothing of anyone', async () => {
    runtime = await startRuntime(
      [esConnection],
      [{ id: 'elastic', type: 'es-connection', nodes: `\${NOT_SET_ANYWHERE}` }],
    );
    const report = monitored
      .all()
      .find(({ id }) => id === 'elastic')!
      .report();
    assert.equal(report.state, 'not-configured');
    assert.match(report.reason ?? '', /ELASTIC_URL/);
  });
});
