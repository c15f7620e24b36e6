import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { Call } from '../../lib/calls/call';
import { openPostgresqlCallStore } from '../../lib/calls/postgresql-store';
import { isFinal } from '../../lib/calls/state-machine';
import type { ContactError } from '../../lib/core/errors';
import { until } from '../nodes/helper';
import { type Asterisk, startAsterisk } from '../services/asterisk';
import { type Postgresql, startPostgresql } from '../services/postgresql';
import { repetitions, requireService } from '../services/requirements';
import { connect, type Harness } from '../unit/ari/harness';

describe('with a real Asterisk', function () {
  this.timeout(120_000);
  const programs = requireService('asterisk');
  let asterisk: Asterisk;
  let harness: Harness;

  before(async () => {
    asterisk = await startAsterisk(programs.location);
  });
  after(() => asterisk?.close());
  beforeEach(async () => {
    harness = connect(asterisk);
    await harness.ready();
  });
  afterEach(() => harness.close());

  const outcome = ({ status, failureReason }: Call) => [status, failureReason].filter(Boolean).join(' ');

  const endings: [what: string, number: string, ending: string, states: string][] = [
    ['answered', '+15550001', 'completed', 'pending dialing ringing answered completed'],
    ['busy', '+15550000486', 'busy busy', 'pending dialing busy'],
    ['declined', '+15550000603', 'failed rejected', 'pending dialing failed'],
    ['forbidden', '+15550000403', 'failed rejected', 'pending dialing failed'],
    ['not found', '+15550000404', 'failed invalid_number', 'pending dialing failed'],
    ['unavailable', '+15550000480', 'no_answer no_answer', 'pending dialing no_answer'],
    ['service down', '+15550000503', 'failed congestion', 'pending dialing failed'],
    ['server error', '+15550000500', 'failed network_error', 'pending dialing failed'],
    ['no common codec', '+15550000488', 'failed media_not_acceptable', 'pending dialing failed'],
    ['early media', '+15550000183', 'completed', 'pending dialing ringing answered completed'],
    ['callee hangs up', '+15550000201', 'completed', 'pending dialing ringing answered completed'],
    ['not answered', '+15550000180', 'no_answer no_answer', 'pending dialing ringing no_answer'],
    ['unreachable', '+15550000408', 'no_answer no_answer', 'pending dialing no_answer'],
  ];
  for (const [what, number, ending, states] of endings) {
    it(`a call that is ${what} ends as ${ending}, with its times in order`, async () => {
      const before = Date.now();
      const extension = what === 'callee hangs up' ? 'hold' : 's';
      const callId = await harness.call(number, { timeoutMs: 2_000, extension });
      const call = await harness.ended(callId);
      assert.equal(outcome(call), ending);
      assert.equal(harness.states.get(callId)?.join(' '), states);
      const times = [
        before,
        call.createdAt,
        call.dialedAt!,
        call.answeredAt ?? call.dialedAt!,
        call.endedAt!,
        Date.now(),
      ];
      assert.deepEqual(
        times,
        times.toSorted((one, other) => one - other),
      );
      // Asterisk's own record says the same.
      const ofCall = () => asterisk.record().filter(({ channel }) => channel === callId);
      await until(() => ofCall().some(({ event }) => event === 'CHAN_END'));
      const record = ofCall();
      assert.equal(record.filter(({ event }) => event === 'CHAN_START').length, 1);
      assert.equal(record.filter(({ event }) => event === 'ANSWER').length, call.answeredAt === null ? 0 : 1);
      const ended = record.find(({ event }) => event === 'CHAN_END')!;
      assert.ok(Math.abs(ended.at - call.endedAt!) < 500, `${ended.at} and ${call.endedAt}`);
    });
  }

  it('a caller id without a number is taken too', async () => {
    const callId = await harness.call('+15550001', { callerId: '"Outbound Call" <>', extension: 'short' });
    assert.equal(outcome(await harness.ended(callId)), 'completed');
  });

  it('a call is hung up while it rings, and while it is talked to', async () => {
    const ringing = await harness.call('+15550000180');
    await until(() => harness.states.get(ringing)?.at(-1) === 'ringing');
    assert.equal(await harness.connection.hangUp(ringing), true);
    assert.equal(outcome(await harness.ended(ringing)), 'failed cancelled');
    const talking = await harness.call('+15550001', { extension: 'hold' });
    await until(() => harness.states.get(talking)?.at(-1) === 'answered');
    await harness.connection.hangUp(talking);
    assert.equal(outcome(await harness.ended(talking)), 'completed');
  });

  it('a call for a place that the dialplan does not have ends as ivr_not_started', async () => {
    for (const place of [{ context: 'nowhere' }, { extension: 'nobody' }, { priority: 9 }]) {
      assert.equal(outcome(await harness.ended(await harness.call('+15550001', place))), 'failed ivr_not_started');
    }
  });

  it('a call enters the dialplan at its priority', async () => {
    const callId = await harness.call('+15550001', { extension: 'steps', priority: 2 });
    await harness.ended(callId);
    const hangup = asterisk.record().find(({ channel, event }) => channel === callId && event === 'HANGUP');
    assert.equal(hangup?.extra['hangupcause'], 16);
  });

  it('a call is made directly into the dialplan', async () => {
    assert.equal(
      outcome(await harness.ended(await harness.call('+15550001', {}, { answered: 'direct' }))),
      'completed',
    );
    assert.equal(
      outcome(await harness.ended(await harness.call('+15550000486', {}, { answered: 'direct' }))),
      'busy busy',
    );
    const wrong = await harness.call('+15550001', { context: 'nowhere' }, { answered: 'direct' });
    assert.equal(outcome(await harness.ended(wrong)), 'failed ivr_not_started');
  });

  it('a call is played to and hung up, and says when the sound is missing', async () => {
    const play = (media: string) => harness.call('+15550001', {}, { answered: 'play', media });
    const played = await harness.ended(await play('sound:hello-world'));
    assert.equal(outcome(played), 'completed');
    assert.ok(played.endedAt! - played.answeredAt! > 1_000);
    assert.equal(outcome(await harness.ended(await play('sound:no-such-sound'))), 'failed playback_failed');
  });

  it('an endpoint that cannot be reached is refused, and nothing stays behind', async () => {
    for (const endpoint of ['PJSIP/{number}@unregistered', 'PJSIP/{number}@nobody', 'NoSuch/{number}']) {
      await assert.rejects(harness.call('+15550001', {}, { endpoint }), (error: ContactError) => {
        assert.equal(error.reason, 'endpoint_unavailable');
        return true;
      });
    }
    assert.equal(harness.connection.desk.size, 0);
  });

  it('shows apart that the password is wrong, and that another program took the application', async () => {
    const stranger = connect({ ...asterisk, password: 'another password' }, { app: 'strangers' });
    await until(() => stranger.connection.state.kind === 'refused');
    await stranger.close();
    const thief = connect(asterisk);
    await thief.ready();
    await until(() => harness.connection.state.kind === 'replaced');
    await thief.close();
  });

  const CALLS = repetitions(60, 2_000);
  it(`${CALLS} calls at 20 a second all end, and the store agrees with Asterisk's own record`, async function () {
    this.timeout(600_000);
    const numbers = ['0001', '0486', '0001', '0404', '0201', '0603', '0001', '0183', '0503', '0180'];
    const ids: string[] = [];
    const began = Date.now();
    for (let index = 0; index < CALLS; index += 1) {
      const number = `+1555${String(index).padStart(4, '0')}${numbers[index % numbers.length]}`;
      ids.push(await harness.call(number, { timeoutMs: 3_000 }));
      await delay(Math.max(0, began + (index + 1) * 50 - Date.now()));
    }
    for (const callId of ids) await harness.ended(callId, 30_000);
    const record = new Map<string, { answered: boolean; cause: unknown; starts: number }>();
    for (const { event, channel, extra } of asterisk.record()) {
      const seen = record.get(channel) ?? { answered: false, cause: undefined, starts: 0 };
      record.set(channel, seen);
      if (event === 'CHAN_START') seen.starts += 1;
      if (event === 'ANSWER') seen.answered = true;
      if (event === 'HANGUP') seen.cause = extra['hangupcause'];
    }
    for (const callId of ids) {
      const call = (await harness.store.get(callId))!;
      const seen = record.get(callId)!;
      assert.equal(seen.starts, 1);
      assert.equal(seen.answered, call.status === 'completed', `${call.status} ${call.failureReason}`);
      assert.equal(seen.cause === 17, call.status === 'busy');
    }
    assert.equal(harness.connection.desk.size, 0);
  });

  describe('that fails', () => {
    const databases = requireService('postgresql');
    let database: Postgresql;
    before(async () => {
      database = await startPostgresql(databases.location);
    });
    after(() => database?.close());

    /** Fifty calls: some about to ring, some ringing, some answered, some over. */
    const fifty = async () => {
      const numbers = ['0180', '0001', '0302', '0486', '0408'];
      const ids: string[] = [];
      for (let index = 0; index < 50; index += 1) {
        const number = `+1666${String(index).padStart(4, '0')}${numbers[index % numbers.length]}`;
        ids.push(await harness.call(number, { timeoutMs: 15_000, extension: 'hold' }));
      }
      await until(() => ids.some((callId) => harness.states.get(callId)?.at(-1) === 'answered'));
      return ids;
    };
    const rings = (ids: string[]) =>
      ids.map(
        (callId) => asterisk.record().filter((each) => each.event === 'CHAN_START' && each.channel === callId).length,
      );
    const hangUpAll = async (ids: string[]) => {
      for (const callId of ids) {
        const { status } = (await harness.store.get(callId))!;
        if (!isFinal(status)) await harness.connection.hangUp(callId);
      }
      for (const callId of ids) await harness.ended(callId, 30_000);
    };

    it('and is stopped: every call ends, none rings twice', async () => {
      const ids = await fifty();
      await asterisk.stop();
      await until(() => harness.connection.state.kind === 'away');
      await asterisk.start();
      await harness.ready();
      for (const callId of ids) await harness.ended(callId, 30_000);
      assert.ok(rings(ids).every((times) => times === 1));
    });

    it('and is killed: every call ends as lost, none rings twice', async () => {
      const ids = await fifty();
      await asterisk.kill();
      await asterisk.start();
      await harness.ready();
      for (const callId of ids) {
        const call = await harness.ended(callId, 30_000);
        assert.match(outcome(call), /^busy busy$|asterisk_stopped$/);
      }
      assert.ok(rings(ids).every((times) => times === 1));
    });

    it('and stands still: new calls are refused, those under way go on, none rings twice', async () => {
      const ids = await fifty();
      asterisk.pause();
      try {
        await assert.rejects(harness.call('+16669999001'), (error: ContactError) =>
          /unavailable/.test(error.reason ?? ''),
        );
        await until(() => harness.connection.state.kind === 'away', 'the loss', 20_000);
      } finally {
        asterisk.resume();
      }
      await harness.ready();
      await hangUpAll(ids);
      assert.ok(rings(ids).every((times) => times === 1));
      await until(async () => ((await asterisk.ari('GET', 'channels')).body as unknown[]).length === 0);
    });

    it('while the database is killed too: no status is lost', async () => {
      await harness.close();
      harness = connect(asterisk, { store: openPostgresqlCallStore({ url: await database.createDatabase() }) });
      await harness.ready();
      const ids = await fifty();
      await database.kill();
      await assert.rejects(
        harness.call('+16669999001'),
        (error: ContactError) => error.reason === 'database_unavailable',
      );
      for (const callId of ids) await harness.connection.hangUp(callId);
      await database.start();
      for (const callId of ids) {
        const call = await harness.ended(callId, 30_000);
        assert.notEqual(call.failureReason, 'lost_events');
        assert.equal((await harness.store.transitions(callId)).at(-1)?.to, call.status);
      }
      await harness.close();
      await harness.store.close();
    });
  });
});
