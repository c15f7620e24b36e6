import assert from 'node:assert/strict';
import { isBalanced } from '../../lib/core/books';
import { type DeliveryOutcome, DeliverySource } from '../../lib/core/deliveries';
import { type AriSimulator, startAriSimulator } from '../simulators/ari';
import { startTested, type Tested } from './calls';
import { until } from './helper';

describe('ari-originate', () => {
  let asterisk: AriSimulator;
  let tested: Tested;

  beforeEach(async () => {
    asterisk = await startAriSimulator({ speed: 20 });
  });
  afterEach(async () => {
    const { books } = tested.report();
    assert.ok(books === undefined || isBalanced(books));
    await tested.runtime.stop();
    await asterisk.close();
    assert.deepEqual(asterisk.violations, []);
  });

  const start = async (properties: Record<string, unknown> = {}) => {
    const node = { id: 'tested', type: 'ari-originate', connection: 'asterisk', endpoint: asterisk.endpoint };
    tested = await startTested({ ...node, ...properties }, asterisk);
  };
  const code = (message: { payload: { error?: { code: string } } }) => message.payload.error?.code;

  it('calls the number of a payload, of a text or of the path, and answers with the call', async () => {
    await start();
    const made = await tested.answer({ payload: { phone_number: '+1 (555) 010-0100', timeout: 5_000 }, kept: 'yes' });
    assert.equal(made.statusCode, 200);
    assert.match(made.callId ?? '', /^[0-9a-f-]{36}$/);
    const { call_id, created_at, channel, ...rest } = made.payload;
    assert.deepEqual([call_id, typeof created_at, channel], [made.callId, 'string', 'PJSIP/trunk-00000001']);
    assert.deepEqual(rest, {
      success: true,
      phone_number: '+15550100100',
      message: 'Call originated successfully',
      status: 'dialing',
      error: null,
    });
    await tested.answer({ payload: '+15550101' });
    await tested.answer({ payload: {}, req: { params: { number: '+15550102' } } });
    assert.deepEqual(asterisk.dialed, ['+15550100100', '+15550101', '+15550102']);
    await until(() => tested.done.length === 3);
  });

  it('offers its dialog the endpoints, the sounds and the contexts in use of Asterisk', async () => {
    await start();
    const offers = async (what: string) => {
      const url = `${tested.runtime.adminUrl}/contact-center/ari-originate/${what}?connection=asterisk`;
      return ((await (await fetch(url)).json()) as { offers: unknown }).offers;
    };
    assert.deepEqual(await offers('endpoints'), [{ value: 'PJSIP/{number}@trunk', label: 'PJSIP/trunk (online)' }]);
    assert.deepEqual(await offers('sounds'), [{ value: 'sound:hello-world', label: 'Hello world' }]);
    assert.deepEqual(await offers('contexts'), []);
    const unknown = await fetch(`${tested.runtime.adminUrl}/contact-center/ari-originate/sounds?connection=none`);
    assert.match(((await unknown.json()) as { message: string }).message, /Complete it and deploy first/);
  });

  it('refuses what is not allowed or no number, out of output 2 with status and code, and Asterisk hears nothing', async () => {
    await start({ allowedContexts: 'outbound-ivr, other', allowedPrefixes: '+1' });
    const refused: [payload: unknown, status: number, code: string][] = [
      [{ phone_number: '+49301234567' }, 403, 'number_not_allowed'],
      [{ phone_number: '+1555&0100' }, 422, 'invalid_number'],
      [{ phone_number: '+15550100', context: 'internal' }, 403, 'context_not_allowed'],
      [{ phone_number: '+15550100', priority: 'x' }, 422, 'invalid_priority'],
      [{ phone_number: '+15550100', variables: { X: 'y' } }, 403, 'variable_not_allowed'],
      [[], 422, 'invalid_body'],
      [undefined, 422, 'invalid_number'],
    ];
    for (const [payload, status, wanted] of refused) {
      const message = await tested.answer({ payload });
      assert.deepEqual([message.statusCode, code(message)], [status, wanted]);
      assert.equal(message.error?.code, 'INVALID_INPUT');
    }
    assert.deepEqual(asterisk.dialed, []);
    assert.equal(tested.report().books?.rejected, refused.length);
    await until(() => tested.caught.length === refused.length);
  });

  it('gives the same call for the same key and request, and refuses the key for another one', async () => {
    await start();
    const ask = (number: string, key: unknown, name = 'alice') =>
      tested.answer({
        payload: { phone_number: number },
        user: { name },
        req: { headers: { 'idempotency-key': key } },
      });
    const first = await ask('+15550100', 'k-1');
    const again = await ask('+15550100', 'k-1');
    assert.equal(again.callId, first.callId);
    assert.deepEqual(again.payload, first.payload);
    assert.equal(again.headers?.['Idempotent-Replayed'], 'true');
    const other = await ask('+15550101', 'k-1');
    assert.deepEqual([other.statusCode, code(other)], [422, 'idempotency_conflict']);
    assert.notEqual((await ask('+15550100', 'k-1', 'bob')).callId, first.callId);
    const wrong = await ask('+15550100', 'two words');
    assert.deepEqual([wrong.statusCode, code(wrong)], [400, 'invalid_idempotency_key']);
    assert.deepEqual(asterisk.dialed, ['+15550100', '+15550100']);
    assert.equal(tested.report().books?.duplicate, 1);
  });

  it('refuses more calls than are allowed, and says when to come again; a repeated request does not count', async () => {
    await start({ callsPerNumber: 2 });
    const ask = (key: string) => tested.answer({ payload: '+15550100', idempotencyKey: key });
    await ask('a');
    for (let repeat = 0; repeat < 5; repeat += 1) assert.equal((await ask('a')).statusCode, 200);
    await ask('b');
    const refused = await ask('c');
    assert.deepEqual([refused.statusCode, code(refused)], [429, 'number_limit']);
    assert.ok(Number(refused.headers?.['Retry-After']) > 3_000);
    assert.equal((await tested.answer({ payload: '+15550101' })).statusCode, 200);
  });

  it('does not count what was never dialed', async () => {
    await start({ callsPerNumber: 2, allowedPrefixes: '+' });
    const ask = (key: string, phoneNumber = '+15550100') =>
      tested.answer({ payload: phoneNumber, idempotencyKey: key });
    await ask('a', '+15550999');
    for (let conflict = 0; conflict < 3; conflict += 1) assert.equal(code(await ask('a')), 'idempotency_conflict');
    for (const key of ['b', 'c']) assert.equal((await ask(key)).statusCode, 200);
    assert.equal(code(await ask('d')), 'number_limit');
  });

  it('answers 502 and 503 when Asterisk is at fault, the same to a repeated request, and the books have the call as failed', async () => {
    await start({ endpoint: 'PJSIP/{number}@unregistered' });
    const refused = await tested.answer({ payload: '+15550100', idempotencyKey: 'k' });
    assert.deepEqual([refused.statusCode, code(refused)], [502, 'endpoint_unavailable']);
    await asterisk.down();
    await until(() => tested.report('asterisk').state === 'disconnected');
    const away = await tested.answer({ payload: '+15550100' });
    assert.deepEqual([away.statusCode, code(away)], [503, 'asterisk_unavailable']);
    assert.ok(away.headers?.['Retry-After']);
    await asterisk.up();
    await until(() => tested.report('asterisk').state === 'connected');
    const again = await tested.answer({ payload: '+15550100', idempotencyKey: 'k' });
    assert.deepEqual([again.statusCode, code(again)], [502, 'endpoint_unavailable']);
  });

  it('acknowledges the delivery of a call that was made, puts it off while Asterisk is away, and dead-letters a wrong number', async () => {
    await start();
    const outcomes: DeliveryOutcome['kind'][] = [];
    const deliveries = new DeliverySource<string>({ name: 'test', settle: (_token, { kind }) => outcomes.push(kind) });
    await tested.answer({ payload: '+15550100', delivery: deliveries.open('one') });
    await tested.answer({ payload: 'no number', delivery: deliveries.open('two') });
    await asterisk.down();
    await until(() => tested.report('asterisk').state === 'disconnected');
    await tested.answer({ payload: '+15550100', delivery: deliveries.open('three') });
    assert.deepEqual(outcomes, ['acknowledge', 'dead-letter', 'retry']);
  });

  it('hangs a call up, says when it is over already, and when there is none', async () => {
    await start();
    const { callId } = await tested.answer({ payload: '+15550000180' });
    await tested.runtime.stop();
    await start({ action: 'hangup' });
    const none = await tested.answer({ payload: { call_id: callId } });
    assert.deepEqual([none.statusCode, code(none)], [404, 'not_found']);
    assert.equal((await tested.answer({ callId: 'nonsense' })).statusCode, 404);
  });

  it('shows what is wrong, and answers 503 to everything', async () => {
    await start({ connection: 'nowhere', endpoint: 'PJSIP/trunk' });
    assert.equal(tested.report().state, 'not-configured');
    assert.match(tested.report().reason ?? '', /connection must name an enabled ari-connection node; .*\{number\}/);
    const refused = await tested.answer({ payload: '+15550100' });
    assert.deepEqual([refused.statusCode, code(refused)], [503, 'not_configured']);
  });
});
