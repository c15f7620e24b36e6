import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tokens } from '../../lib/calls/tokens';
import { isBalanced } from '../../lib/core/books';
import { until } from '../nodes/helper';
import { type Asterisk, startAsterisk } from '../services/asterisk';
import { type Postgresql, startPostgresql } from '../services/postgresql';
import { repetitions, requireService } from '../services/requirements';
import { type AriSimulator, startAriSimulator } from '../simulators/ari';
import { type CallApi, PASSWORD, ready, SECRET_KEY, startCallApi } from './call-api';

const FINAL = ['completed', 'busy', 'no_answer', 'failed'];

/** The fields of `GET /status/{call_id}` that the service has promised. */
const STATUS_FIELDS = [
  'answered_at',
  'attempt_number',
  'call_id',
  'caller_id',
  'channel',
  'context',
  'created_at',
  'dialed_at',
  'duration',
  'ended_at',
  'extension',
  'failure_reason',
  'is_active',
  'is_completed',
  'phone_number',
  'priority',
  'status',
  'timeout',
];

describe('the call API', function () {
  this.timeout(120_000);

  describe('over a simulated Asterisk', () => {
    let asterisk: AriSimulator;
    let api: CallApi;

    before(async () => {
      asterisk = await startAriSimulator({ speed: 10 });
      api = await startCallApi(asterisk);
    });
    after(async () => {
      await api?.nodeRed.stop();
      await asterisk.close();
      assert.deepEqual(asterisk.violations, []);
    });

    const error = ({ status, body }: { status: number; body: Record<string, unknown> }) => {
      const {
        success,
        error: inner,
        request_id,
      } = body as {
        success?: boolean;
        error?: { code: string; message: string };
        request_id?: string;
      };
      assert.equal(success, false);
      assert.ok(inner?.message && request_id);
      return [status, inner.code];
    };

    it('issues a token, makes a call with it and tells how it went, field for field', async () => {
      const issued = await api.login();
      assert.deepEqual(Object.keys(issued.body).sort(), ['access_token', 'expires_in', 'token_type']);
      const made = await api.ask(
        'POST',
        '/api/v1/interaction/+1234567890',
        { context: 'outbound-ivr', extension: 's', priority: 1, timeout: 20_000, caller_id: 'Support <+15559990000>' },
        { 'X-Request-ID': 'request-1' },
      );
      assert.equal(made.status, 200);
      assert.equal(made.headers.get('x-request-id'), 'request-1');
      const fields = ['call_id', 'channel', 'created_at', 'error', 'message', 'phone_number', 'status', 'success'];
      assert.deepEqual(Object.keys(made.body).sort(), fields);
      assert.deepEqual([made.body['status'], made.body['phone_number']], ['dialing', '+1234567890']);
      const callId = String(made.body['call_id']);
      const call = await api.reached(callId, ['completed']);
      assert.deepEqual(Object.keys(call).sort(), STATUS_FIELDS);
      assert.ok(Date.parse(String(call['answered_at'])) <= Date.parse(String(call['ended_at'])));
      const details = await api.ask('GET', `/api/v1/calls/${callId}`);
      const steps = (details.body['transitions'] as { to: string }[]).map(({ to }) => to);
      assert.deepEqual(steps, ['pending', 'dialing', 'ringing', 'answered', 'completed']);
    });

    it('makes calls by the body, lists them and hangs them up', async () => {
      const made = await api.ask('POST', '/api/v1/calls', { phone_number: '+1 (555) 000-0180' });
      const callId = String(made.body['call_id']);
      await api.reached(callId, ['ringing']);
      // A list is read from the store, which a step reaches a moment after the call's own status tells of it.
      await until(async () => {
        const listed = await api.ask('GET', '/api/v1/calls?status=ringing&page_size=5');
        const [first, ...others] = listed.body['calls'] as { call_id: string }[];
        return first?.call_id === callId && others.length === 0;
      }, 'the call in the list');
      const ended = await api.ask('DELETE', `/api/v1/calls/${callId}`);
      assert.equal(ended.status, 200);
      const call = await api.reached(callId, FINAL);
      assert.deepEqual([call['status'], call['failure_reason']], ['failed', 'cancelled']);
      assert.equal((await api.ask('DELETE', `/api/v1/calls/${callId}`)).body['message'], 'The call is over already');
    });

    it('has one form for every error, each with its status and code', async () => {
      const unknown = '00000000-0000-4000-8000-000000000000';
      const number = '/api/v1/interaction/+15550100';
      assert.deepEqual(error(await api.bare('POST', number)), [401, 'invalid_token']);
      assert.deepEqual(error(await api.bare('GET', `/api/v1/status/${unknown}`)), [401, 'invalid_token']);
      assert.deepEqual(error(await api.bare('DELETE', `/api/v1/calls/${unknown}`)), [401, 'invalid_token']);
      assert.deepEqual(error(await api.ask('GET', `/api/v1/status/${unknown}`)), [404, 'not_found']);
      assert.deepEqual(error(await api.ask('GET', '/api/v1/calls/nonsense')), [404, 'not_found']);
      assert.deepEqual(error(await api.ask('DELETE', `/api/v1/calls/${unknown}`)), [404, 'not_found']);
      assert.deepEqual(error(await api.ask('POST', '/api/v1/calls', '{"phone_number":')), [400, 'invalid_json']);
      assert.deepEqual(error(await api.ask('POST', '/api/v1/calls', '[1]')), [422, 'invalid_body']);
      assert.deepEqual(error(await api.ask('POST', '/api/v1/calls', {})), [422, 'invalid_number']);
      assert.deepEqual(error(await api.ask('POST', '/api/v1/interaction/15550100')), [403, 'number_not_allowed']);
      assert.deepEqual(error(await api.ask('POST', '/api/v1/interaction/+1555%260100')), [422, 'invalid_number']);
      assert.deepEqual(error(await api.ask('POST', number, { context: 'internal' })), [403, 'context_not_allowed']);
      assert.deepEqual(error(await api.ask('GET', '/api/v1/calls?page=0')), [422, 'invalid_page']);
      assert.deepEqual(error(await api.bare('POST', '/api/v1/token', { body: new URLSearchParams() })), [
        422,
        'invalid_form',
      ]);
    });

    it('remembers an Idempotency-Key over a restart', async () => {
      const ask = (number: string) =>
        api.ask('POST', `/api/v1/interaction/${number}`, {}, { 'Idempotency-Key': 'key-1' });
      const first = await ask('+15550777');
      await api.nodeRed.restart();
      await ready(api);
      const again = await ask('+15550777');
      assert.deepEqual(again.body, first.body);
      assert.equal(again.headers.get('idempotent-replayed'), 'true');
      assert.deepEqual(error(await ask('+15550778')), [422, 'idempotency_conflict']);
      assert.equal(asterisk.dialed.filter((number) => number === '+15550777').length, 1);
    });

    it('answers 503 while Asterisk is away, and comes back by itself', async () => {
      await asterisk.down();
      const refused = await until(async () => {
        const answer = await api.ask('POST', '/api/v1/interaction/+15550100');
        return answer.status === 503 && answer;
      });
      assert.match(String(error(refused)[1]), /^(asterisk|ari)_unavailable$/);
      assert.notEqual((await api.nodeRed.request('/calls/health')).status, 404);
      await asterisk.up();
      await ready(api);
      assert.equal((await api.ask('POST', '/api/v1/interaction/+15550100')).status, 200);
    });

    it('describes itself, page and document, and can be told not to', async () => {
      const { status, body, headers } = await api.bare('GET', '/api/v1/openapi.json');
      assert.equal(status, 200);
      assert.match(headers.get('content-type') ?? '', /json/);
      const paths = Object.entries(body['paths'] as Record<string, object>);
      const described = paths.flatMap(([path, verbs]) => Object.keys(verbs).map((verb) => `${verb} ${path}`));
      assert.deepEqual(described.sort(), [
        'delete /api/v1/calls/{call_id}',
        'get /api/v1/calls',
        'get /api/v1/calls/{call_id}',
        'get /api/v1/status/{call_id}',
        'post /api/v1/calls',
        'post /api/v1/interaction/{number}',
        'post /api/v1/token',
      ]);
      assert.match(String((await api.bare('GET', '/docs')).body['text']), /<title>Call API/);
      await api.nodeRed.restart({ env: { DOCS_ENABLED: 'false' } });
      assert.equal((await api.bare('GET', '/docs')).status, 404);
      assert.equal((await api.bare('GET', '/api/v1/openapi.json')).status, 404);
      await api.nodeRed.restart();
      await ready(api);
    });

    it('gives health, books that balance, and metrics without a label for each call', async () => {
      assert.equal((await api.ask('POST', '/api/v1/interaction/+15550100')).status, 200);
      const text = await (await api.nodeRed.request('/calls/metrics')).text();
      for (const name of ['calls_originated_total', 'call_origination_latency_seconds_bucket', 'ari_http_connected']) {
        assert.match(text, new RegExp(`^${name}\\{`, 'm'));
      }
      assert.doesNotMatch(text, /[0-9a-f]{8}-[0-9a-f]{4}-|\+1555/);
      const { services } = (await (await api.nodeRed.request('/calls/stats')).json()) as {
        services: { calls: { nodes: { books?: Parameters<typeof isBalanced>[0] }[] } };
      };
      const books = services.calls.nodes.flatMap((node) => node.books ?? []);
      assert.ok(books.length >= 2 && books.every(isBalanced));
    });

    it('writes no secret and no token into its log', async () => {
      const { body } = await api.login();
      const token = String(body['access_token']);
      await api.ask('POST', '/api/v1/interaction/+15550100', {}, { Authorization: `Bearer ${token}x` });
      const log = api.nodeRed.log();
      for (const secret of [token, SECRET_KEY, PASSWORD, asterisk.password]) assert.ok(!log.includes(secret));
    });
  });

  it('without a database keeps calls in memory, takes tokens that were signed elsewhere and issues none', async () => {
    const asterisk = await startAriSimulator({ speed: 10 });
    const api = await startCallApi(asterisk, { DISABLE_DB: 'true' }, { ready: false });
    try {
      await ready(api);
      const login = await api.login();
      assert.deepEqual([login.status, (login.body['error'] as { code: string }).code], [503, 'database_disabled']);
      const { accessToken } = await new Tokens({ secret: SECRET_KEY }).issue('elsewhere');
      const headers = { Authorization: `Bearer ${accessToken}` };
      const made = await api.bare('POST', '/api/v1/interaction/+15550000486', { headers });
      assert.equal(made.status, 200);
      await until(async () => {
        const { body } = await api.bare('GET', `/api/v1/status/${made.body['call_id']}`, { headers });
        return body['status'] === 'busy';
      });
    } finally {
      await api.nodeRed.stop();
      await asterisk.close();
    }
  });

  describe('over a real Asterisk and PostgreSQL', () => {
    const programs = requireService('asterisk');
    const databases = requireService('postgresql');
    let asterisk: Asterisk;
    let database: Postgresql;
    let userDir: string;

    before(async () => {
      asterisk = await startAsterisk(programs.location);
      database = await startPostgresql(databases.location);
    });
    after(async () => {
      await asterisk?.close();
      await database?.close();
    });
    beforeEach(() => {
      userDir = mkdtempSync(join(tmpdir(), 'call-api-'));
    });
    afterEach(() => rmSync(userDir, { recursive: true, force: true }));

    const NUMBERS = ['0180', '0001', '0302', '0486', '0408'];
    const rings = (callId: string) =>
      asterisk.record().filter(({ event, channel }) => event === 'CHAN_START' && channel === callId).length;

    const kills = repetitions(1, 20);
    it(`is killed in the midst of calls (${kills} times): none stays open, none rings twice, every status is true`, async function () {
      this.timeout(kills * 60_000);
      const api = await startCallApi(asterisk, { DATABASE_URL: await database.createDatabase() }, { userDir });
      const ids: string[] = [];
      try {
        for (let kill = 0; kill < kills; kill += 1) {
          // Some of these are under way to Asterisk at the moment of the kill.
          const requests = Array.from({ length: 50 }, async (_, index) => {
            const number = `+17${String(kill * 50 + index).padStart(5, '0')}${NUMBERS[index % NUMBERS.length]}`;
            const body = { timeout: 8_000, extension: 'hold' };
            const { body: made } = await api.ask('POST', `/api/v1/interaction/${number}`, body);
            if (made['call_id']) ids.push(String(made['call_id']));
          });
          const settled = Promise.allSettled(requests);
          await until(() => ids.length >= kill * 40 + 5 + ((kill * 7) % 30), 'calls');
          await api.nodeRed.kill();
          await settled;
          await api.nodeRed.restart();
          await ready(api);
        }
        for (let page = 1, pages = 1; page <= pages; page += 1) {
          const { body } = await api.ask('GET', `/api/v1/calls?page_size=200&page=${page}`);
          pages = Number(body['pages']);
          for (const { call_id } of body['calls'] as { call_id: string }[])
            if (!ids.includes(call_id)) ids.push(call_id);
        }
        for (const callId of ids) await api.ask('DELETE', `/api/v1/calls/${callId}`);
        for (const callId of ids) {
          const call = await api.reached(callId, FINAL, 30_000);
          const record = asterisk.record().filter(({ channel }) => channel === callId);
          const answered = record.some(({ event }) => event === 'ANSWER');
          assert.ok(rings(callId) <= 1);
          if (call['status'] === 'completed') assert.ok(answered);
          if (!answered) assert.notEqual(call['status'], 'completed');
        }
        await until(
          async () => ((await asterisk.ari('GET', 'channels')).body as unknown[]).length === 0,
          'silence',
          30_000,
        );
      } finally {
        await api.nodeRed.stop();
      }
    });

    it('answers for any call from two processes, which share a database and a limit of one call for each key', async () => {
      const DATABASE_URL = await database.createDatabase();
      const [one, other] = await Promise.all([
        startCallApi(asterisk, { DATABASE_URL, ARI_APP: 'one' }),
        startCallApi(asterisk, { DATABASE_URL, ARI_APP: 'other' }),
      ]);
      try {
        const made = await Promise.all(
          [one, other, one, other].map((api, index) =>
            api.ask('POST', `/api/v1/interaction/+1888${index}0001`, { extension: 'hold' }),
          ),
        );
        const ids = made.map(({ body }) => String(body['call_id']));
        for (const callId of ids) {
          await one.reached(callId, ['answered']);
          await other.reached(callId, ['answered']);
        }
        // Each hangs up the calls of the other.
        for (const [index, callId] of ids.entries()) {
          const api = index % 2 === 0 ? other : one;
          assert.equal((await api.ask('DELETE', `/api/v1/calls/${callId}`)).status, 200);
        }
        for (const callId of ids) assert.equal((await one.reached(callId, FINAL))['status'], 'completed');
        const headers = { 'Idempotency-Key': 'shared' };
        const both = await Promise.all(
          [one, other].map((api) => api.ask('POST', '/api/v1/interaction/+18889000486', {}, headers)),
        );
        assert.equal(both[0]!.body['call_id'], both[1]!.body['call_id']);
      } finally {
        await Promise.all([one.nodeRed.stop(), other.nodeRed.stop()]);
      }
    });

    it('says that the database is away, and has lost no status when it is back', async () => {
      const api = await startCallApi(asterisk, { DATABASE_URL: await database.createDatabase() });
      try {
        const ids: string[] = [];
        for (let index = 0; index < 20; index += 1) {
          const number = `+1999${String(index).padStart(4, '0')}${NUMBERS[index % NUMBERS.length]}`;
          const { body } = await api.ask('POST', `/api/v1/interaction/${number}`, { timeout: 4_000 });
          ids.push(String(body['call_id']));
        }
        await database.kill();
        const refused = await until(async () => {
          const answer = await api.ask('POST', '/api/v1/interaction/+19990000001');
          return answer.status === 503 && answer;
        });
        assert.equal((refused.body['error'] as { code: string }).code, 'database_unavailable');
        assert.equal((await api.ask('GET', `/api/v1/status/${ids[0]}`)).status, 503);
        // All calls end while nobody can write it down.
        await until(
          async () => ((await asterisk.ari('GET', 'channels')).body as unknown[]).length === 0,
          'silence',
          30_000,
        );
        await database.start();
        for (const callId of ids) {
          const call = await api.reached(callId, FINAL, 30_000);
          assert.notEqual(call['failure_reason'], 'lost_events');
          const record = asterisk.record().filter(({ channel }) => channel === callId);
          assert.equal(
            call['answered_at'] !== null,
            record.some(({ event }) => event === 'ANSWER'),
          );
        }
      } finally {
        await api.nodeRed.stop();
      }
    });
  });
});
