import assert from 'node:assert/strict';
import type { Call } from '../../../lib/calls/call';
import { EDGES, isFinal } from '../../../lib/calls/state-machine';
import type { ContactError } from '../../../lib/core/errors';
import { repetitions } from '../../services/requirements';
import { type AriSimulator, startAriSimulator } from '../../simulators/ari';
import { until } from '../until';
import { connect, type Harness } from './harness';

describe('the connection to Asterisk', function () {
  this.timeout(30_000);
  let asterisk: AriSimulator;
  let harness: Harness;

  beforeEach(async () => {
    asterisk = await startAriSimulator({ speed: 20 });
    harness = connect(asterisk);
  });
  afterEach(async () => {
    await harness.close();
    await asterisk.close();
    assert.deepEqual(asterisk.violations, []);
  });

  const outcome = ({ status, failureReason }: Call) => [status, failureReason].filter(Boolean).join(' ');

  const endings: [number: string, ending: string, states: string][] = [
    ['+15550001', 'completed', 'pending dialing ringing answered completed'],
    ['+15550000486', 'busy busy', 'pending dialing busy'],
    ['+15550000603', 'failed rejected', 'pending dialing failed'],
    ['+15550000404', 'failed invalid_number', 'pending dialing failed'],
    ['+15550000503', 'failed congestion', 'pending dialing failed'],
    ['+15550000480', 'no_answer no_answer', 'pending dialing no_answer'],
    ['+15550000183', 'completed', 'pending dialing ringing answered completed'],
    ['+15550000201', 'completed', 'pending dialing ringing answered completed'],
    ['+15550000180', 'no_answer no_answer', 'pending dialing ringing no_answer'],
    ['+15550000408', 'no_answer no_answer', 'pending dialing no_answer'],
  ];
  for (const [number, ending, states] of endings) {
    it(`follows a call to ${number} to its end: ${ending}`, async () => {
      await harness.ready();
      const callId = await harness.call(number, { timeoutMs: 4_000 });
      const call = await harness.ended(callId);
      assert.equal(outcome(call), ending);
      assert.equal(harness.states.get(callId)?.join(' '), states);
      assert.match(call.channel ?? '', /^PJSIP\/trunk-/);
    });
  }

  it('tells the end of a ringing call on Asterisk 16 too, which gives no cause', async () => {
    const old = await startAriSimulator({ release: 16 });
    const other = connect(old);
    await other.ready();
    assert.equal(
      outcome(await other.ended(await other.call('+15550000180', { timeoutMs: 1_000 }))),
      'no_answer no_answer',
    );
    await other.close();
    await old.close();
  });

  it('registers the call under the id of its channel before Asterisk hears of it, and sends numbers as numbers', async () => {
    await harness.ready();
    const callId = await harness.call('+15550001', { timeoutMs: 1_500, variables: { LANGUAGE: 'de' } });
    const { body } = asterisk.requests.find(({ method, path }) => method === 'POST' && path === 'channels')!;
    assert.deepEqual(body, {
      endpoint: 'PJSIP/+15550001@trunk',
      channelId: callId,
      timeout: 2,
      variables: { LANGUAGE: 'de' },
      callerId: '"Tests" <+15559990000>',
      app: 'contactcenter',
      appArgs: `contact-center,${callId}`,
    });
    await harness.ended(callId);
  });

  it('ends a call whose place in the dialplan does not exist, as ivr_not_started', async () => {
    await harness.ready();
    const call = await harness.ended(await harness.call('+15550001', { context: 'nowhere' }));
    assert.equal(outcome(call), 'failed ivr_not_started');
    assert.ok(call.answeredAt !== null);
  });

  it('plays instead of entering the dialplan, says when that failed, and ends what never ends', async () => {
    await harness.ready();
    const play = (media: string) => harness.call('+15550001', {}, { answered: 'play', media });
    assert.equal(outcome(await harness.ended(await play('sound:hello-world'))), 'completed');
    assert.equal(outcome(await harness.ended(await play('sound:missing'))), 'failed playback_failed');
    const endless = await play('unknown:x');
    await until(() => harness.states.get(endless)?.at(-1) === 'answered');
    await harness.connection.hangUp(endless);
    assert.equal(outcome(await harness.ended(endless)), 'completed');
  });

  it('lets Asterisk take the call to the dialplan by itself, with the endpoint subscribed to before', async () => {
    await harness.ready();
    const call = await harness.ended(await harness.call('+15550001', {}, { answered: 'direct' }));
    assert.equal(outcome(call), 'completed');
    const order = asterisk.requests
      .map(({ method, path }) => `${method} ${path}`)
      .filter((each) => each.startsWith('POST'));
    assert.deepEqual(order.slice(0, 2), ['POST applications/contactcenter/subscription', 'POST channels']);
  });

  it('hangs a call up in every state', async () => {
    await harness.ready();
    const ringing = await harness.call('+15550000180');
    await until(() => harness.states.get(ringing)?.at(-1) === 'ringing');
    assert.equal(await harness.connection.hangUp(ringing), true);
    assert.equal(outcome(await harness.ended(ringing)), 'failed cancelled');
    const answered = await harness.call('+15550001', { extension: 'hold' });
    await until(() => harness.states.get(answered)?.at(-1) === 'answered');
    await harness.connection.hangUp(answered);
    assert.equal(outcome(await harness.ended(answered)), 'completed');
    assert.equal(await harness.connection.hangUp(answered), false);
  });

  it('refuses to make a call while events do not arrive, and nobody is called', async () => {
    const unready = (error: ContactError) => error.reason === 'asterisk_unavailable' && error.status === 503;
    await assert.rejects(harness.call('+15550001'), unready);
    await harness.ready();
    await asterisk.down();
    await until(() => harness.connection.state.kind === 'away');
    await assert.rejects(harness.call('+15550001'), unready);
    await asterisk.up();
    await harness.ready();
    assert.deepEqual(asterisk.dialed, []);
    await harness.ended(await harness.call('+15550001'));
  });

  it('says what Asterisk says when it does not take a call, and the call has failed with it', async () => {
    await harness.ready();
    const reasons: [Partial<{ endpoint: string }>, string][] = [
      [{ endpoint: 'PJSIP/{number}@unregistered' }, 'endpoint_unavailable'],
    ];
    for (const [way, reason] of reasons) {
      await assert.rejects(harness.call('+15550001', {}, way), (error: ContactError) => error.reason === reason);
    }
    const [callId] = [...harness.states.keys()];
    assert.equal(outcome(await harness.ended(callId!)), 'failed endpoint_unavailable');
  });

  it('makes no call twice when the answer of Asterisk is lost: it looks whether there is one', async () => {
    await harness.ready();
    asterisk.loseAnswers(1);
    const callId = await harness.call('+15550001');
    assert.equal(outcome(await harness.ended(callId)), 'completed');
    assert.equal(asterisk.dialed.length, 1);
  });

  it('ends a call that Asterisk makes after it was given up', async () => {
    await harness.ready();
    asterisk.pause();
    await assert.rejects(harness.call('+15550000180'), (error: ContactError) => error.reason === 'ari_unavailable');
    asterisk.resume();
    await harness.ready();
    await until(() => asterisk.made.size === 1, 'the late call');
    await until(() => asterisk.channels.size === 0, 'its end');
    const [callId] = [...harness.states.keys()];
    assert.equal(outcome((await harness.store.get(callId!))!), 'failed ari_unavailable');
  });

  it('finds out what became of its calls when the socket was cut', async () => {
    await harness.ready();
    const over = await harness.call('+15550000180', { timeoutMs: 2_000 });
    const talking = await harness.call('+15550001', { extension: 'hold' });
    const ringing = await harness.call('+15550000180', { timeoutMs: 60_000 });
    await until(() => harness.states.get(talking)?.at(-1) === 'answered');
    asterisk.refuse({ status: 503, body: '{"message":"Asterisk not booted"}' });
    asterisk.cut();
    await until(() => !asterisk.channels.has(over), 'the end that nobody is told of');
    asterisk.refuse(undefined);
    await harness.ready();
    assert.equal(outcome(await harness.ended(over)), 'failed lost_events');
    assert.equal(harness.states.get(talking)?.at(-1), 'answered');
    assert.equal(harness.states.get(ringing)?.at(-1), 'ringing');
    await harness.connection.hangUp(ringing);
    assert.equal(outcome(await harness.ended(ringing)), 'failed cancelled');
  });

  it('says that Asterisk was restarted', async () => {
    await harness.ready();
    const answered = await harness.call('+15550001', { extension: 'hold' });
    const ringing = await harness.call('+15550000180');
    await until(() => harness.states.get(answered)?.at(-1) === 'answered');
    await asterisk.down();
    await asterisk.up();
    assert.equal(outcome(await harness.ended(ringing)), 'failed asterisk_stopped');
    assert.equal(outcome(await harness.ended(answered)), 'completed asterisk_stopped');
  });

  it('goes on with the calls of a process that is gone: sends the answered ones on, ends what was lost', async () => {
    await harness.ready();
    const waiting = await harness.call('+15550001', { extension: 'hold' });
    const lost = await harness.call('+15550000180', { timeoutMs: 2_000 });
    const ringing = await harness.call('+15550000180', { timeoutMs: 60_000 });
    await until(() => harness.states.get(waiting)?.at(-1) === 'answered');
    await harness.close();
    await until(() => !asterisk.channels.has(lost));
    harness = connect(asterisk, { store: harness.store });
    await harness.ready();
    assert.equal(outcome(await harness.ended(lost)), 'failed lost_events');
    for (const callId of [waiting, ringing]) await harness.connection.hangUp(callId);
    assert.equal(outcome(await harness.ended(waiting)), 'completed');
    assert.equal(outcome(await harness.ended(ringing)), 'failed cancelled');
  });

  it('hangs up what waits in its application although nobody knows it any more', async () => {
    await harness.ready();
    const callId = await harness.call('+15550001', {}, { answered: 'play', media: 'unknown:x' });
    await until(() => harness.states.get(callId)?.at(-1) === 'answered');
    await harness.close();
    harness = connect(asterisk);
    await harness.ready();
    await until(() => asterisk.channels.size === 0);
  });

  it('shows apart that the password is wrong and that another program took its application, and fights for neither', async () => {
    const stranger = connect(
      { ...asterisk, url: asterisk.url, endpoint: '', user: 'simulated', password: 'wrong password' },
      { app: 'x' },
    );
    await until(() => stranger.connection.state.kind === 'refused');
    await stranger.close();
    await harness.ready();
    const thief = connect(asterisk);
    await thief.ready();
    await until(() => harness.connection.state.kind === 'replaced');
    await assert.rejects(harness.call('+15550001'), /another program uses the application/);
    assert.equal(thief.connection.state.kind, 'ready');
    await thief.close();
  });

  it('waits while Asterisk boots, and never takes its pages for answers about calls', async () => {
    await harness.ready();
    const callId = await harness.call('+15550001', { extension: 'hold' });
    await until(() => harness.states.get(callId)?.at(-1) === 'answered');
    asterisk.refuse({ status: 404, body: '<html>404</html>' });
    asterisk.cut();
    await until(() => harness.connection.state.kind === 'away');
    asterisk.refuse(undefined);
    await harness.ready();
    assert.equal((await harness.store.get(callId))?.status, 'answered');
  });

  it('notices within seconds that nothing answers any more, and comes back', async () => {
    await harness.ready();
    asterisk.pause();
    asterisk.cut();
    await until(() => harness.connection.state.kind !== 'ready');
    asterisk.resume();
    await harness.ready();
  });

  const calls = repetitions(1_000, 10_000);
  it(`brings every call to its end, never backwards, with events lost, doubled and out of order (${calls} calls)`, async function () {
    this.timeout(600_000);
    await harness.ready();
    asterisk.faults = { drop: 0.1, duplicate: 0.3, delayMs: 200 };
    const numbers = ['0001', '0486', '0603', '0404', '0480', '0503', '0180', '0201', '0183', '0408'];
    const ids: string[] = [];
    for (let index = 0; index < calls; index += 1) {
      const number = `+1555${String(index).padStart(4, '0')}${numbers[index % numbers.length]}`;
      ids.push(await harness.call(number, { timeoutMs: 4_000, extension: index % 3 === 0 ? 'short' : 's' }));
    }
    asterisk.faults = {};
    for (const callId of ids) {
      await harness.ended(callId, 60_000);
      const states = harness.states.get(callId)!;
      for (const [index, to] of states.entries()) {
        if (index > 0)
          assert.ok(EDGES[states[index - 1] as Call['status']].includes(to as Call['status']), states.join(' '));
      }
      assert.ok(isFinal(states.at(-1) as Call['status']));
    }
    assert.equal(asterisk.dialed.length, calls);
    assert.equal(new Set(asterisk.dialed).size, calls);
    await until(() => harness.connection.desk.size === 0);
  });
});
