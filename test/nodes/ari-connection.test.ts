import assert from 'node:assert/strict';
import { type AriSimulator, startAriSimulator } from '../simulators/ari';
import { baseFlow, CALL_MODULES, startTested, type Tested } from './calls';
import { type Runtime, startRuntime, until } from './helper';

describe('ari-connection', () => {
  let asterisk: AriSimulator;
  let tested: Tested | undefined;
  let runtime: Runtime | undefined;

  beforeEach(async () => {
    asterisk = await startAriSimulator({ speed: 20 });
  });
  afterEach(async () => {
    await tested?.runtime.stop();
    await runtime?.stop();
    tested = undefined;
    runtime = undefined;
    await asterisk.close();
    assert.deepEqual(asterisk.violations, []);
  });

  const lookup = { id: 'tested', type: 'call-lookup', store: 'store' };

  it('connects when the flows have started, and says so; a deploy leaves no socket behind', async () => {
    tested = await startTested(lookup, asterisk);
    assert.equal(asterisk.sockets, 1);
    await tested.runtime.deploy(baseFlow(asterisk));
    tested.runtime.RED.events.emit('flows:started');
    await until(() => tested?.report('asterisk').state === 'connected' && asterisk.sockets === 1);
    await tested.runtime.deploy([]);
    await until(() => asterisk.sockets === 0);
  });

  it('shows apart that Asterisk is away, that the password is wrong, and that the application is taken', async () => {
    tested = await startTested(lookup, asterisk);
    const state = () => tested!.report('asterisk');
    await asterisk.down();
    await until(() => state().state === 'disconnected');
    asterisk.refuse({ status: 401, body: '{"message":"Authentication required"}' });
    await asterisk.up();
    await until(() => state().state === 'refused');
    assert.match(state().reason ?? '', /user and the password in ari\.conf/);
    assert.doesNotMatch(JSON.stringify(state()), /simulated secret/);
  });

  it('gives the metrics of the service their names', async () => {
    tested = await startTested(lookup, asterisk);
    const metrics = tested.report('asterisk').metrics!;
    const of = (name: string) => metrics.find((metric) => metric.name === name)?.value;
    assert.equal(of('ari_http_connected'), 1);
    assert.equal(of('ari_websocket_connected'), 1);
    assert.equal(of('active_calls'), 0);
  });

  it('says what is missing', async () => {
    const flow = [...baseFlow(), { id: 'asterisk', type: 'ari-connection', store: 'store', url: asterisk.url }];
    runtime = await startRuntime(CALL_MODULES, flow);
    const problem = runtime.node('asterisk') as unknown as { problem: Error };
    assert.match(problem.problem.message, /ARI_USERNAME/);
    assert.match(problem.problem.message, /ARI_PASSWORD/);
  });

  it('tests what is in the dialog', async () => {
    tested = await startTested(lookup, asterisk);
    const test = async (form: Record<string, unknown>) => {
      const answer = await fetch(`${tested!.runtime.adminUrl}/contact-center/ari-connection/test`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(form),
      });
      return (await answer.json()) as Record<string, unknown>;
    };
    const access = { url: asterisk.url, username: asterisk.user, password: asterisk.password };
    assert.equal((await test(access))['ok'], true);
    const refused = await test({ ...access, password: 'wrong' });
    assert.deepEqual([refused['ok'], refused['code']], [false, 'REFUSED']);
    assert.equal((await test({ ...access, id: 'asterisk', password: '__PWRD__' }))['ok'], true);
  });
});
