import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type BusinessEvent, businessEvents } from '../../lib/core/business-events';
import { settleDelivery } from '../../lib/core/deliveries';
import { monitored } from '../../lib/monitor/registry';
import codyAccount from '../../nodes/cody-account';
import codyPollIn from '../../nodes/cody-poll-in';
import contactStore from '../../nodes/contact-store';
import { type CodySimulator, defaultApiKey, defaultBot, startCodySimulator } from '../simulators/cody';
import { withoutVariables } from './environment';
import { type FlowNode, type Runtime, startRuntime, until } from './helper';

const VARIABLES = ['CODY_BOT_ID', 'POLL_INTERVAL_SECONDS', 'POLLING_INTERVAL', 'SETTLE_SECONDS', 'START_FROM'];
const HOUR = 3_600_000;

describe('cody-poll-in', () => {
  let runtime: Runtime;
  let cody: CodySimulator;
  let userDir: string;
  let restore: () => void;

  beforeEach(async () => {
    restore = withoutVariables(VARIABLES);
    userDir = mkdtempSync(join(tmpdir(), 'cody-poll-'));
    cody = await startCodySimulator();
  });
  afterEach(async () => {
    await runtime.stop();
    await cody.close();
    rmSync(userDir, { recursive: true, force: true });
    restore();
  });

  const flow = (parts: Record<string, unknown> = {}): FlowNode[] => [
    { id: 'tab', type: 'tab', label: 'Test' },
    { id: 'account', type: 'cody-account', apiUrl: cody.url },
    { id: 'store', type: 'contact-store', kind: 'embedded' },
    {
      id: 'poll',
      type: 'cody-poll-in',
      z: 'tab',
      account: 'account',
      store: 'store',
      botId: '${CODY_BOT_ID}',
      intervalSeconds: 0.1,
      settleSeconds: 0,
      startFrom: 'all',
      timeZone: 'UTC',
      wires: [['sink']],
      ...parts,
    },
    { id: 'sink', type: 'helper', z: 'tab', wires: [] },
  ];
  const start = async (parts: Record<string, unknown> = {}) => {
    const options = { settings: { userDir }, credentials: { account: { apiKey: defaultApiKey } } };
    runtime = await startRuntime([codyAccount, contactStore, codyPollIn], flow(parts), options);
    const received = runtime.received('sink') as unknown as { payload: { id: string; transcript: string } }[];
    // The helper of the tests does not start flows with this event.
    runtime.RED.events.emit('flows:started', {});
    return received;
  };
  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'poll')!
      .report();

  it('sends conversations that have settled, and each again only after it has grown', async () => {
    const id = cody.chat({ createdAt: Date.now() - HOUR });
    const received = await start();
    await until(() => received.length === 1);
    assert.equal(received[0]!.payload.id, id);
    assert.match(received[0]!.payload.transcript, /^User \[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]: Where is my order\?/);
    settleDelivery(received[0]!, { kind: 'acknowledge' });
    await until(() => (report().details!['conversations'] as { processed: number }).processed === 1);
    await until(() => report().state === 'connected');
    const groups = report().groups!;
    assert.deepEqual(
      [groups['application'], groups['conversations']!['total_processed']],
      [{ polling_active: true }, 1],
    );
    assert.ok(report().metrics!.some(({ name, value }) => name === 'cody_poll_count' && Number(value) >= 1));
  });

  it('tells the business of each poll and each call', async () => {
    const told: BusinessEvent[] = [];
    const stop = businessEvents.listen((event) => told.push(event));
    cody.chat({ createdAt: Date.now() - HOUR });
    const received = await start();
    await until(() => received.length === 1);
    settleDelivery(received[0]!, { kind: 'acknowledge' });
    const polls = () => told.filter((event) => event.kind === 'poll');
    await until(() => polls().reduce((sum, { processed }) => sum + processed, 0) === 1);
    stop();
    assert.ok(polls().some(({ found }) => found === 1));
    const calls = told.filter((event) => event.kind === 'api-call');
    assert.ok(
      calls.some(
        ({ api, what, isSuccess, bytes }) => api === 'cody' && what === 'list the messages' && isSuccess && bytes > 0,
      ),
    );
  });

  it('remembers over a redeploy what was settled, and sends again what was not', async () => {
    for (let number = 0; number < 3; number++) cody.chat({ createdAt: Date.now() - HOUR });
    const received = await start();
    await until(() => received.length === 3);
    settleDelivery(received[0]!, { kind: 'acknowledge' });
    await runtime.deploy(flow({ name: 'renamed' }));
    const next = runtime.received('sink') as unknown as { payload: { id: string } }[];
    runtime.RED.events.emit('flows:started', {});
    await until(() => next.length === 2);
    assert.ok(next.every(({ payload }) => payload.id !== received[0]!.payload.id));
  });

  it('takes the alias of the interval, and the bot, from the environment', async () => {
    process.env['POLLING_INTERVAL'] = '0.2';
    process.env['CODY_BOT_ID'] = 'another';
    cody.chat({ createdAt: Date.now() - HOUR });
    const wanted = cody.chat({ createdAt: Date.now() - HOUR, botId: 'another' });
    const received = await start({ intervalSeconds: '${POLL_INTERVAL_SECONDS}' });
    await until(() => received.length === 1);
    assert.equal(received[0]!.payload.id, wanted);
    await until(() => cody.calls.conversations > 3);
  });

  it('sends nothing in a dry run, and tells what it would send', async () => {
    cody.chat({ createdAt: Date.now() - HOUR, name: 'Lost parcel' });
    const received = await start({ dryRun: 'true' });
    await until(() => JSON.stringify(report().details).includes('Lost parcel'));
    assert.equal(received.length, 0);
  });

  it('says in one sentence which property cannot be used', async () => {
    await start({ startFrom: 'yesterday' });
    assert.equal(report().state, 'not-configured');
    assert.match(report().reason!, /startFrom must be now, all, or a date/);
    await runtime.deploy(flow({ timeZone: 'Nowhere/Land' }));
    assert.match(report().reason!, /timeZone/);
    await runtime.deploy(flow({ account: 'nowhere' }));
    assert.match(report().reason!, /cody-account/);
  });

  it('shows a wrong key in red, and goes on by itself when it is right again', async () => {
    cody.fail({ path: /./, times: 3, answer: { status: 401, body: { message: 'Unauthenticated.' } } });
    cody.chat({ createdAt: Date.now() - HOUR });
    const received = await start();
    await until(() => report().state === 'refused');
    assert.match(report().reason!, /API key/);
    await until(() => received.length === 1);
    await until(() => report().state !== 'refused');
  });

  it('offers the bots of the account', async () => {
    await start();
    const ask = async (account: string) => {
      const response = await fetch(`${runtime.adminUrl}/contact-center/cody-poll-in/bots?account=${account}`);
      return (await response.json()) as Record<string, unknown>;
    };
    assert.deepEqual((await ask('account'))['bots'], [{ id: defaultBot, name: `Bot ${defaultBot}` }]);
    assert.equal((await ask('nowhere'))['code'], 'CONFIGURATION');
  });
});
