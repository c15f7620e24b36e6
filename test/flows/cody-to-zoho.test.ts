import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type BooksSnapshot, isBalanced } from '../../lib/core/books';
import { until } from '../nodes/helper';
import { type FlowEntry, type NodeRed, ROOT, startNodeRed } from '../services/node-red';
import { repetitions } from '../services/requirements';
import { type CodySimulator, defaultApiKey, defaultBot, startCodySimulator } from '../simulators/cody';
import { defaultZoho, startZohoSimulator, type ZohoSimulator } from '../simulators/zoho';

const EXAMPLE = JSON.parse(readFileSync(join(ROOT, 'examples/cody-to-zoho.json'), 'utf8')) as FlowEntry[];
const HOUR = 3_600_000;
const KILLS = repetitions(2, 20);
const CHATS_A_KILL = 15;

interface Stats {
  services: { cody2zoho: { nodes: { type: string; state: string; books?: BooksSnapshot }[] } };
}

describe('the example from Cody to Zoho CRM', function () {
  this.timeout(120_000);
  let cody: CodySimulator;
  let zoho: ZohoSimulator;
  let nodeRed: NodeRed;

  beforeEach(async () => {
    cody = await startCodySimulator();
    zoho = await startZohoSimulator();
  });
  afterEach(async () => {
    await nodeRed?.stop();
    await cody.close();
    await zoho.close();
  });

  /** Starts the example unedited, with nothing but the environment. */
  const start = async (env: Record<string, string> = {}) => {
    nodeRed = await startNodeRed({
      flows: EXAMPLE,
      env: {
        CODY_API_URL: cody.url,
        CODY_API_KEY: defaultApiKey,
        CODY_BOT_ID: defaultBot,
        ZOHO_ACCOUNTS_BASE_URL: zoho.url,
        ZOHO_API_BASE_URL: undefined,
        ZOHO_CLIENT_ID: defaultZoho.clientId,
        ZOHO_CLIENT_SECRET: defaultZoho.clientSecret,
        ZOHO_REFRESH_TOKEN: defaultZoho.refreshToken,
        REDIS_URL: undefined,
        POLL_INTERVAL_SECONDS: '0.3',
        SETTLE_SECONDS: '1',
        START_FROM: 'all',
        METRICS_ENABLED: 'true',
        MONITOR_TOKEN: 'k3-monitor-token',
        ...env,
      },
      // What writes beyond a limit is told so, where it would be ended otherwise.
      settings: "(process.on('SIGXFSZ', () => {}), {})",
    });
  };
  const json = async <Body>(path: string, headers: Record<string, string> = {}): Promise<Body> => {
    const answer = await nodeRed.request(path, { headers });
    return (await answer.json()) as Body;
  };
  const books = async () => {
    const { services } = await json<Stats>('/cody2zoho/stats');
    return services.cody2zoho.nodes.find(({ type }) => type === 'zoho-case-out')!.books!;
  };

  it('makes a Case of each conversation from the environment alone, and answers as the original service did', async () => {
    for (let number = 0; number < 5; number++) cody.chat({ createdAt: Date.now() - HOUR });
    await start({ ENABLE_NOTES: 'true' });
    await until(() => zoho.cases.length === 5 && zoho.notes.length === 5, 'the Cases', 20_000);
    const live = cody.chat();
    await until(() => zoho.casesOf(live).length === 1, 'the live one', 20_000);
    cody.say(live, { content: 'One more thing' });
    await until(() => zoho.casesOf(live)[0]!.fields['CF_Message_Count'] === '3', 'its growth', 20_000);
    assert.equal(zoho.cases.length, 6);

    const health = await json<Record<string, unknown>>('/cody2zoho/health');
    assert.equal(health['status'], 'healthy');
    assert.deepEqual(
      ['timestamp', 'uptime_seconds', 'version'].filter((name) => health[name] === undefined),
      [],
    );
    await until(async () => {
      const metrics = await json<Record<string, Record<string, unknown>>>('/cody2zoho/metrics', {
        Accept: 'application/json',
      });
      const { application, conversations, tokens } = metrics;
      return (
        application!['polling_active'] === true &&
        conversations!['total_processed'] === 7 &&
        conversations!['cases_created'] === 6 &&
        tokens!['refresh_successes'] === 1 &&
        tokens!['success_rate'] === 100
      );
    }, 'the numbers');
    const text = await (await nodeRed.request('/cody2zoho/metrics', { headers: { Accept: 'text/plain' } })).text();
    for (const name of [
      'cases_created_total',
      'conversations_processed_total',
      'conversation_to_case_ratio',
      'cody_poll_duration',
      'token_refresh_attempts',
      'contact_center_zoho_cases_total',
    ]) {
      assert.match(text, new RegExp(`^${name}\\{`, 'm'), name);
    }
    const logs = await json<{ logs: unknown[] }>('/cody2zoho/logs', { Authorization: 'Bearer k3-monitor-token' });
    assert.ok(Array.isArray(logs.logs));
  });

  it(`makes each Case once when it is killed ${KILLS} times under way`, async () => {
    const ids: string[] = [];
    await start();
    for (let kill = 0; kill < KILLS; kill++) {
      for (let number = 0; number < CHATS_A_KILL; number++) ids.push(cody.chat({ createdAt: Date.now() - HOUR }));
      // Once before the request arrives, once after it was carried out, once after the answer.
      const answer = (['reset', 'hang-after', { delayMs: 5 }] as const)[kill % 3]!;
      const fault = zoho.fail({ method: 'POST', path: /v8\/Cases$/, skip: kill % 7, answer });
      await until(() => fault.hits === 1 && zoho.cases.length >= kill * CHATS_A_KILL, 'a request', 30_000);
      await nodeRed.kill();
      await nodeRed.restart();
      await until(() => zoho.cases.length >= ids.length, 'all Cases', 60_000);
    }
    await until(async () => {
      const { queued, inFlight } = await books();
      return queued + inFlight === 0;
    });
    for (const id of ids) assert.equal(zoho.casesOf(id).length, 1, id);
    assert.ok(isBalanced(await books()));
  });

  it('lives on while its disk is full, and makes each Case once when there is room again', async function () {
    this.timeout(300_000);
    const ids: string[] = [];
    const chats = () => {
      for (let number = 0; number < 60; number++) ids.push(cody.chat({ createdAt: Date.now() - HOUR }));
    };
    await start();
    chats();
    await until(() => zoho.cases.length === ids.length, 'the first Cases', 60_000);
    const state = join(nodeRed.userDir, 'contact-center/state/state.mdb');
    // A limit of the size of files does what a full disk does.
    const limit = (size: string) => execFileSync('prlimit', ['--pid', String(nodeRed.pid), `--fsize=${size}`]);
    limit(`${statSync(state).size}:unlimited`);
    for (let step = 0; step < 4; step++) chats();
    const health = async () => json<{ checks: { type: string; reason?: string }[] }>('/cody2zoho/health');
    await until(
      async () => (await health()).checks.some(({ reason }) => reason?.includes('free space')),
      'a word about the disk',
      120_000,
    );
    limit('unlimited:unlimited');
    await until(() => zoho.cases.length >= ids.length, 'all Cases', 120_000);
    for (const id of ids) assert.equal(zoho.casesOf(id).length, 1, id);
    await until(
      async () => (await json<{ status: string }>('/cody2zoho/health')).status === 'healthy',
      'health',
      60_000,
    );
  });

  it('shows no secret anywhere, and goes on when Zoho lets it in again', async () => {
    await start({ ZOHO_REFRESH_TOKEN: '1000.q9-revoked-refresh-token' });
    const id = cody.chat({ createdAt: Date.now() - HOUR });
    const health = async () => (await nodeRed.request('/cody2zoho/health')).text();
    await until(async () => (await health()).includes('zoho-token'), 'a refusal', 20_000);
    const seen = [
      await health(),
      JSON.stringify(await json('/cody2zoho/stats')),
      JSON.stringify(await json('/cody2zoho/logs?limit=200', { Authorization: 'Bearer k3-monitor-token' })),
      nodeRed.log(),
    ].join('\n');
    for (const secret of [defaultApiKey, defaultZoho.clientSecret, 'q9-revoked'])
      assert.ok(!seen.includes(secret), secret);
    await nodeRed.restart({ env: { ZOHO_REFRESH_TOKEN: defaultZoho.refreshToken } });
    await until(() => zoho.casesOf(id).length === 1, 'the Case', 20_000);
  });
});
