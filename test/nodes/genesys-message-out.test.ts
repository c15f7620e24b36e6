import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { isBalanced } from '../../lib/core/books';
import { type DeliveryOutcome, DeliverySource } from '../../lib/core/deliveries';
import { monitored, type StateChange } from '../../lib/monitor/registry';
import { registerNode } from '../../lib/red/register';
import contactStore from '../../nodes/contact-store';
import genesysMessageOut from '../../nodes/genesys-message-out';
import genesysTenants from '../../nodes/genesys-tenants';
import { type GenesysSimulator, startGenesysSimulator } from '../simulators/genesys';
import { simulated, textMessage } from '../unit/genesys/messaging/sender-harness';
import { type FlowNode, type NodeModule, type Runtime, startRuntime, until } from './helper';

const source: NodeModule = (RED) => registerNode(RED, 'test-source', () => {});
const MESSAGE = /inbound\/open\/message$/;
type Sent = { payload: Record<string, unknown>; request: unknown; kept?: string };
type Failed = { error: { code: string; status?: number; attempts: number; retryable: boolean }; payload: unknown };

describe('genesys-message-out', () => {
  let runtime: Runtime;
  let genesys: GenesysSimulator;
  let sent: Sent[];
  let failures: Failed[];
  let done: unknown[];
  let caught: unknown[];
  let outcomes: DeliveryOutcome[];
  let deliveries: DeliverySource<string>;
  /** What a store in memory holds outlives a test. */
  let store = 0;

  beforeEach(async () => {
    const organizations = [simulated('o1'), simulated('o2')];
    genesys = await startGenesysSimulator({ organizations, rateLimitPerMinute: Number.POSITIVE_INFINITY });
    process.env['MESSAGE_OUT_SECRET_1'] = 'secret-o1';
    process.env['MESSAGE_OUT_SECRET_2'] = 'secret-o2';
    store += 1;
    outcomes = [];
    deliveries = new DeliverySource({ name: 'test', settle: (_token, outcome) => outcomes.push(outcome) });
  });

  afterEach(async () => {
    await runtime.stop();
    await genesys.close();
    delete process.env['MESSAGE_OUT_SECRET_1'];
    delete process.env['MESSAGE_OUT_SECRET_2'];
  });

  const tenant = (number: number) => ({
    loginUrl: genesys.url,
    apiUrl: genesys.url,
    clientId: `client-o${number}`,
    clientSecret: `\${MESSAGE_OUT_SECRET_${number}}`,
    integrationId: `integration-o${number}`,
    organizationId: `o${number}`,
    rateLimitPerMinute: 60_000,
  });

  const flow = (properties: Record<string, unknown> = {}): FlowNode[] => [
    { id: 'tab', type: 'tab', label: 'Test' },
    {
      id: 'tenants',
      type: 'genesys-tenants',
      source: 'table',
      table: JSON.stringify({ tenants: { t1: tenant(1), t2: tenant(2) } }),
      timeoutSeconds: 2,
    },
    { id: `store-${store}`, type: 'contact-store', kind: 'memory' },
    { id: 'source', type: 'test-source', z: 'tab', wires: [['out']] },
    {
      id: 'out',
      type: 'genesys-message-out',
      z: 'tab',
      tenants: 'tenants',
      store: `store-${store}`,
      retryBaseSeconds: 0.02,
      retryMaxSeconds: 0.05,
      wires: [['sent'], ['failed']],
      ...properties,
    },
    { id: 'sent', type: 'helper', z: 'tab', wires: [] },
    { id: 'failed', type: 'helper', z: 'tab', wires: [] },
    { id: 'complete', type: 'complete', z: 'tab', scope: ['out'], uncaught: false, wires: [['done']] },
    { id: 'done', type: 'helper', z: 'tab', wires: [] },
    { id: 'catch', type: 'catch', z: 'tab', scope: ['out'], uncaught: false, wires: [['caught']] },
    { id: 'caught', type: 'helper', z: 'tab', wires: [] },
  ];

  async function start(properties: Record<string, unknown> = {}): Promise<void> {
    runtime = await startRuntime([source, contactStore, genesysTenants, genesysMessageOut], flow(properties));
    sent = runtime.received('sent') as never;
    failures = runtime.received('failed') as never;
    done = runtime.received('done');
    caught = runtime.received('caught');
  }

  const send = (payload: unknown, more: Record<string, unknown> = {}) =>
    runtime.node('source').send({ payload, ...more } as never);
  const withDelivery = (payload: unknown) => send(payload, { delivery: deliveries.open('token') });
  const remove = () =>
    runtime.deploy(
      flow().filter(({ id }) => !['out', 'complete', 'catch'].includes(id)),
      'nodes',
    );
  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'out')!
      .report();

  it('sends a message out of output 1 when Genesys has it, acknowledges it and is done with it', async () => {
    await start();
    const payload = textMessage('m1');
    send(payload, { delivery: deliveries.open('token'), kept: 'yes' });
    await until(() => done.length === 1);
    const [message] = genesys.messaging.messages;
    assert.equal(sent[0]?.payload['genesysMessageId'], message?.id);
    assert.equal(sent[0]?.payload['isDuplicate'], false);
    assert.deepEqual([sent[0]?.request, sent[0]?.kept], [payload, 'yes']);
    assert.deepEqual(outcomes, [{ kind: 'acknowledge' }]);
    assert.equal(report().books?.delivered, 1);
  });

  it('takes the correlation id of the message, or makes one', async () => {
    await start();
    send(textMessage('m1', 1, { correlationId: undefined }), { correlationId: 'from the flow' });
    send(textMessage('m2', 1, { correlationId: undefined }));
    await until(() => sent.length === 2);
    const ids = Object.fromEntries(sent.map(({ payload }) => [payload['messageId'], payload['correlationId']]));
    assert.equal(ids['m1'], 'from the flow');
    assert.match(String(ids['m2']), /^[0-9a-f-]{36}$/);
  });

  it('sends what failed out of output 2 as it came, and puts its delivery aside', async () => {
    await start();
    genesys.fail({ path: MESSAGE, answer: { status: 400 } });
    const payload = textMessage('m1');
    withDelivery(payload);
    await until(() => failures.length === 1);
    assert.deepEqual(failures[0]?.payload, payload);
    assert.deepEqual(
      [failures[0]?.error.code, failures[0]?.error.status, failures[0]?.error.attempts],
      ['REJECTED', 400, 1],
    );
    assert.equal(outcomes[0]?.kind, 'dead-letter');
    await until(() => caught.length === 1);
  });

  it('returns a delivery for another attempt, and leaves settling to the flow where that is wanted', async () => {
    await start({ attempts: 2, breakerMinimum: 1_000 });
    genesys.fail({ path: MESSAGE, times: 2, answer: { status: 503 } });
    withDelivery(textMessage('m1'));
    await until(() => outcomes.length === 1);
    assert.ok(outcomes[0]?.kind === 'retry' && outcomes[0].isCounted === true);
    assert.equal(failures.length, 0);
    await until(() => caught.length === 1);
    await runtime.deploy(flow({ attempts: 2, breakerMinimum: 1_000, settle: false }));
    failures = runtime.received('failed') as never;
    genesys.fail({ path: MESSAGE, times: 2, answer: { status: 503 } });
    withDelivery(textMessage('m2'));
    await until(() => failures.length === 1);
    assert.equal(failures[0]?.error.retryable, true);
    assert.equal(outcomes.length, 1);
  });

  it('gives messages back uncounted, without Complete or Catch, when an organization has no room', async () => {
    await start({ queueMessages: 2 });
    const hang = genesys.fail({ path: MESSAGE, times: 10, answer: { delayMs: 100 } });
    for (let n = 0; n < 6; n += 1) withDelivery(textMessage(`m${n}`));
    await until(() => outcomes.length === 6);
    const returned = outcomes.filter((outcome) => outcome.kind === 'retry');
    assert.equal(returned.length, 4);
    assert.ok(returned.every((outcome) => outcome.kind === 'retry' && outcome.isCounted === false && outcome.delayMs));
    assert.equal(caught.length, 0);
    assert.equal(done.length, 2);
    assert.ok(isBalanced(report().books!));
    hang.remove();
  });

  it('is yellow while one of several organizations refuses, red when all do, and tells the monitor of each', async () => {
    await start();
    const changes: StateChange[] = [];
    const leave = monitored.onChange((change) => changes.push(change));
    genesys.withhold(['conversation:message:receive'], 'client-o1');
    send(textMessage('a', 2));
    await until(() => sent.length === 1);
    send(textMessage('m1'));
    await until(() => report().state === 'degraded');
    assert.match(report().reason ?? '', /t1\/o1/);
    genesys.withhold(['conversation:message:receive'], 'client-o2');
    send(textMessage('m2', 2));
    await until(() => report().state === 'refused');
    const parts = changes.filter(({ node }) => node.name.includes(': '));
    assert.deepEqual(
      parts.map(({ node, state }) => [node.name, state]),
      [
        ['genesys-message-out: t1/o1', 'refused'],
        ['genesys-message-out: t2/o2', 'refused'],
      ],
    );
    genesys.withhold([], 'client-o1');
    genesys.withhold([], 'client-o2');
    await until(() => sent.length === 3);
    await until(() => report().state === 'connected');
    leave();
  });

  it('opens the breaker of an organization that fails, says so, and closes it after a probe', async () => {
    await start({ breakerMinimum: 4, breakerSeconds: 0.3, attempts: 100 });
    const fault = genesys.fail({ path: /integration-o1/, times: 1_000, answer: { status: 503 } });
    for (let n = 0; n < 6; n += 1) send(textMessage(`m${n}`));
    await until(() => report().state === 'breaker-open');
    const metric = report().metrics?.find(({ name }) => name === 'contact_center_genesys_breaker_open');
    assert.deepEqual([metric?.value, metric?.labels], [1, { organization: 't1/o1' }]);
    send(textMessage('other', 2));
    await until(() => sent.length === 1);
    assert.equal(report().state, 'breaker-open');
    await until(() => report().state === 'degraded');
    fault.remove();
    await until(() => sent.length === 7);
  });

  it('hands what waits to the next deploy: nothing is lost, nothing doubled', async () => {
    await start();
    const fault = genesys.fail({ path: MESSAGE, times: 1_000, answer: 'reset' });
    for (let n = 0; n < 20; n += 1) send(textMessage(`m${n}`));
    await until(() => report().books?.received === 20);
    await runtime.deploy(flow({ name: 'renamed' }));
    fault.remove();
    await until(() => genesys.messaging.count === 20);
    assert.ok(genesys.messaging.messages.every(({ repeats }) => repeats === 0));
  });

  it('gives back what waits when it is deleted', async () => {
    await start();
    genesys.fail({ path: MESSAGE, times: 1_000, answer: { status: 503 } });
    for (let n = 0; n < 5; n += 1) withDelivery(textMessage(`m${n}`));
    await until(() => report().books?.received === 5);
    await remove();
    await until(() => outcomes.length === 5);
    assert.ok(outcomes.every((outcome) => outcome.kind === 'retry' && outcome.isCounted === false));
  });

  it('gives back what waits when it is deleted after a deploy that has broken its configuration', async () => {
    await start();
    genesys.fail({ path: MESSAGE, times: 1_000, answer: { status: 503 } });
    for (let n = 0; n < 3; n += 1) withDelivery(textMessage(`m${n}`));
    await until(() => report().books?.received === 3);
    await runtime.deploy(flow({ store: '' }));
    assert.equal(outcomes.length, 0);
    await remove();
    await until(() => outcomes.length === 3);
    assert.ok(outcomes.every((outcome) => outcome.kind === 'retry' && outcome.isCounted === false));
  });

  it('leaves the deliveries of what waits alone when it is deleted and they are not its to settle', async () => {
    await start({ settle: false });
    genesys.fail({ path: MESSAGE, times: 1_000, answer: { status: 503 } });
    withDelivery(textMessage('m1'));
    await until(() => report().books?.received === 1);
    await remove();
    await until(() => failures.length === 1);
    assert.equal(failures[0]?.error.code, 'CLOSED');
    assert.deepEqual(outcomes, []);
  });

  it('sends everything out of output 2 and gives deliveries back while it is not configured', async () => {
    await start({ store: '' });
    assert.equal(report().state, 'not-configured');
    assert.match(report().reason ?? '', /store must name a contact-store/);
    withDelivery(textMessage('m1'));
    await until(() => failures.length === 1);
    assert.equal(failures[0]?.error.code, 'CONFIGURATION');
    assert.equal(outcomes[0]?.kind, 'retry');
  });

  it('reports its organizations without their secrets', async () => {
    await start();
    send(textMessage('m1'));
    await until(() => sent.length === 1);
    const shown = JSON.stringify(report());
    assert.match(shown, /"tenant":"t1"/);
    assert.doesNotMatch(shown, new RegExp(`secret-o1|${genesys.tokens[0]?.value}`));
  });
});
