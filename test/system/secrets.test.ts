import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { hash } from 'bcryptjs';
import { WebSocket } from 'ws';
import { Tokens } from '../../lib/calls/tokens';
import type { HealthAnswer } from '../../lib/monitor/health';
import { Installation, type Secrets } from '../services/installation';
import { Load } from '../services/load';
import { type FlowEntry, type NodeRed, ROOT } from '../services/node-red';
import { requireService } from '../services/requirements';
import { startTelemetryReceivers, type TelemetryReceivers } from '../services/telemetry';
import { read } from '../unit/design/checkout';
import { readVariables } from '../unit/design/environment';
import { until } from '../unit/until';

/** What every secret of the test has in it, so that a part of one is found as well. */
const CANARY = 'canary';
const canary = (name: string) => `${CANARY}-${name.toLowerCase().replaceAll('_', '-')}-0123456789abcdef`;

const SECRETS: Secrets = {
  GENESYS_CLIENT_SECRET: canary('GENESYS_CLIENT_SECRET'),
  GENESYS_WEBHOOK_SECRET: canary('GENESYS_WEBHOOK_SECRET'),
  ELASTIC_AUTH: `elastic:${canary('ELASTIC_AUTH')}`,
  CODY_API_KEY: canary('CODY_API_KEY'),
  ZOHO_CLIENT_SECRET: canary('ZOHO_CLIENT_SECRET'),
  ZOHO_REFRESH_TOKEN: `1000.${canary('ZOHO_REFRESH_TOKEN')}`,
  ARI_PASSWORD: canary('ARI_PASSWORD'),
  SECRET_KEY: canary('SECRET_KEY'),
  MONITOR_TOKEN: canary('MONITOR_TOKEN'),
  REDIS_PASSWORD: canary('REDIS_PASSWORD'),
};
const API_PASSWORD = canary('API_PASSWORD');
const RABBITMQ_PASSWORD = canary('RABBITMQ_PASSWORD');
const DATABASE_PASSWORD = canary('DATABASE_PASSWORD');

const SERVICES = ['audiohook', 'cody2zoho', 'ocelot', 'calls', 'messages'];
const EVERYTHING_LOGGED = { logging: { console: { level: 'trace', metrics: true, audit: true } } };

describe('secrets in all example flows', function () {
  this.timeout(300_000);
  requireService('rabbitmq');
  const redis = requireService('redis');
  const postgresql = requireService('postgresql');
  let installation: Installation;
  let receivers: TelemetryReceivers;
  let load: Load;

  afterEach(async () => {
    await load?.abandon();
    await installation?.close();
    await receivers?.close();
  });

  it('reach no log, status, answer, export, file and no telemetry, whether they are in the environment or typed in', async () => {
    const program = { redisProgram: redis.location, postgresqlPrograms: postgresql.location };
    [installation, receivers] = await Promise.all([
      Installation.start({ ...program, secrets: SECRETS }),
      startTelemetryReceivers({ 'x-api-key': canary('OTEL_EXPORTER_OTLP_HEADERS') }),
    ]);
    const told = await realSecrets();
    // Whatever else the README knows that sounds like a secret.
    const names = readVariables(read('README.md'))
      .map(({ name }) => name)
      .filter((name) => /SECRET|PASSWORD|TOKEN|_KEY$|_AUTH$|_HEADERS$|CONNECTION_STRING/.test(name))
      .filter((name) => !/MINUTES/.test(name));
    const all = (prefix: string) => Object.fromEntries(names.map((name) => [name, canary(`${prefix}${name}`)]));
    const { rabbitmq } = installation;
    const { environment } = receivers;
    const processes = await Promise.all([
      installation.addProcess({ env: { ...all(''), ...environment, ...told }, settings: EVERYTHING_LOGGED }),
      // The environment of the second has only what is wrong: what is typed in goes first.
      installation.addProcess({
        env: {
          ...environment,
          ...all('wrong-'),
          REDIS_PASSWORD: canary('wrong-redis'),
          DATABASE_URL: undefined,
          RABBITMQ_URL: told['RABBITMQ_URL']?.replace(/:[^:@/]+@/, '@'),
        },
        settings: EVERYTHING_LOGGED,
        flows: typedIn(installation.flows, { ...told, RABBITMQ_PASSWORD }),
      }),
    ]);
    const frames = await Promise.all(processes.map(listen));
    load = new Load(installation, () => processes);
    await load.start({ audiohook: 5, chats: 1, ocelot: 3, calls: 2, messages: 3 });
    const worked = async () => {
      await delay(100);
      return Object.values(await load.arrived()).every((count) => count > 2);
    };
    await until(worked, 'work of every service', 60_000);
    const seen: string[] = [];
    seen.push(...(await Promise.all(processes.map(pagesOf))).flat());
    const { accessToken } = await new Tokens({ secret: SECRETS.SECRET_KEY }).issue('somebody');
    for (const each of processes) seen.push(...(await refusalsOf(each, accessToken)));
    const { genesys, zoho, cody, elasticsearch, asterisk } = installation;
    const tokens = [...genesys.tokens.map(({ value }) => value), ...zoho.oauth.live];
    assert.ok(tokens.length > 4);

    // One after the other, since who is asked for something depends on who still answers.
    const fail = async (types: readonly string[]) => seen.push(...(await untilBroken(processes, types, accessToken)));
    const body = tellAll(tokens);
    const refusing = { path: /./, times: Number.POSITIVE_INFINITY, answer: { status: 401, body } };
    const cause = { type: 'security_exception', reason: body.message };
    zoho.fail(refusing);
    elasticsearch.faults.bulk({ times: 'always', answer: { status: 401, body: { error: cause, status: 401 } } });
    asterisk.refuse({ status: 401, body: JSON.stringify(body) });
    asterisk.cut();
    await fail(['zoho-oauth', 'es-bulk-out', 'ari-connection']);
    cody.fail(refusing);
    genesys.fail(refusing);
    genesys.drop();
    await fail(['genesys-oauth', 'cody-poll-in']);
    await Promise.all([
      // Ends its connections as well.
      rabbitmq.control('delete_user', 'flows'),
      installation.postgresql.kill(),
      installation.redis.kill(),
    ]);
    await fail(['contact-broker', 'call-store', 'contact-store']);
    seen.push(...(await Promise.all(processes.map(pagesOf))).flat());
    await load.abandon();
    await Promise.all(processes.map((each) => each.stop()));

    seen.push(...processes.map((each) => each.log()), ...frames.flat());
    for (const { userDir } of processes) seen.push(...filesIn(userDir).map((path) => readFileSync(path, 'latin1')));
    for (const [name, things] of Object.entries(receivers.received())) {
      assert.ok(things.length > 10, `${things.length} ${name}`);
      seen.push(JSON.stringify(things));
    }
    assert.deepEqual(receivers.refused(), []);
    const basic = Buffer.from(SECRETS.ELASTIC_AUTH).toString('base64');
    const needles = [CANARY, told['API_PASSWORD_HASH'], basic, accessToken, 'InstrumentationKey=', ...tokens];
    for (const needle of needles) {
      assert.ok(needle);
      const hit = seen.find((text) => text.includes(needle));
      const at = hit?.indexOf(needle) ?? 0;
      assert.equal(hit?.slice(Math.max(0, at - 300), at + 100), undefined, `${needle} was found`);
    }
  });

  /** The secrets that really open something, by their environment variables. */
  const realSecrets = async (): Promise<Record<string, string | undefined>> => {
    const { rabbitmq } = installation;
    await rabbitmq.control('add_user', 'flows', RABBITMQ_PASSWORD);
    await rabbitmq.control('set_permissions', 'flows', '.*', '.*', '.*');
    const { DATABASE_URL, RABBITMQ_URL } = await installation.environment();
    const withPassword = (url: string | undefined, user: string, password: string) =>
      String(url).replace(/\/\/[^@/]*@/, `//${user}:${password}@`);
    const { APPLICATIONINSIGHTS_CONNECTION_STRING, OTEL_EXPORTER_OTLP_HEADERS } = receivers.environment;
    return {
      ...SECRETS,
      APPLICATIONINSIGHTS_CONNECTION_STRING,
      OTEL_EXPORTER_OTLP_HEADERS,
      API_PASSWORD_HASH: await hash(API_PASSWORD, 4),
      DATABASE_URL: withPassword(DATABASE_URL, 'postgres', DATABASE_PASSWORD),
      RABBITMQ_URL: withPassword(RABBITMQ_URL, 'flows', RABBITMQ_PASSWORD),
    };
  };

  /** All that can be read over HTTP: by anybody, by somebody with the token of the logs, and in the editor. */
  const pagesOf = async (nodeRed: NodeRed): Promise<string[]> => {
    const editor = ['/flows', '/settings', '/context/global', '/diagnostics', ...credentialPaths(installation.flows)];
    const services = ['', ...SERVICES.map((service) => `/${service}`)];
    const pages = ['health', 'stats', 'metrics'].flatMap((page) => services.map((prefix) => `${prefix}/${page}`));
    const look = async (path: string, accept: string, method = 'GET') => {
      const headers = { Accept: accept, Authorization: `Bearer ${SECRETS.MONITOR_TOKEN}` };
      const answer = await nodeRed.request(path, { method, headers });
      return `${path}\n${headerText(answer)}\n${await answer.text()}`;
    };
    return Promise.all([
      ...[...pages, ...editor, '/logs?limit=1000&level=trace', '/messages/m1?tenantId=t2'].map((path) =>
        look(path, 'application/json'),
      ),
      ...['/health', '/metrics', '/docs'].map((path) => look(path, 'text/html, text/plain')),
      look('/contact-center/live', 'application/json', 'POST'),
    ]);
  };

  /** What those get who have a wrong secret. */
  const refusalsOf = async (nodeRed: NodeRed, accessToken: string): Promise<string[]> => {
    const login = (password: string) => {
      const body = new URLSearchParams({ username: 'alice', password });
      return nodeRed.request('/api/v1/token', { method: 'POST', body });
    };
    assert.equal((await login(API_PASSWORD)).status, 200);
    const signed = { 'Content-Type': 'application/json', 'X-Hub-Signature-256': `sha256=${canary('signature')}` };
    const call = { method: 'POST', headers: { Authorization: `Bearer ${accessToken}`, ...signed } };
    const answers = await Promise.all([
      login(`${API_PASSWORD}-wrong`),
      nodeRed.request('/api/v1/calls', { headers: { Authorization: `Bearer ${accessToken}x` } }),
      nodeRed.request('/api/v1/interaction/+1555', { ...call, body: '{"context":"elsewhere"}' }),
      nodeRed.request('/api/v1/interaction/+15551234567', { ...call, body: '{"context":' }),
      nodeRed.request('/genesys/webhook', { method: 'POST', headers: signed, body: '{}' }),
      nodeRed.request('/logs', { headers: { Authorization: `Bearer ${canary('guess')}` } }),
    ]);
    assert.deepEqual(
      answers.filter(({ ok }) => ok).map(({ url }) => url),
      [],
    );
    return Promise.all(answers.map((answer) => answer.text()));
  };
});

/** What a vendor answers that says all that it has been sent, wherever it has its texts. */
function tellAll(tokens: readonly string[]) {
  const sent = [...Object.values(SECRETS).filter(Boolean), ...tokens.map((token) => `Bearer ${token}`)].join(' ');
  const text = `not allowed: ${sent} Authorization: Basic ${Buffer.from(SECRETS.ELASTIC_AUTH).toString('base64')}`;
  const errors = {
    message: text,
    error: text,
    error_description: text,
    details: { text },
    errors: [{ message: text }],
  };
  return { code: 'INVALID_TOKEN', status: 'error', ...errors };
}

/** Waits until a node of each of these types says that something is wrong. Answers what callers get meanwhile. */
async function untilBroken(
  processes: readonly NodeRed[],
  types: readonly string[],
  accessToken: string,
): Promise<string[]> {
  const well = new Set(types);
  const answers: string[] = [];
  const isBroken = async () => {
    await delay(200);
    for (const each of processes) {
      const { checks } = (await (await each.request('/health')).json()) as HealthAnswer;
      for (const { type, status } of checks) if (status !== 'healthy') well.delete(type);
      const calls = await each.request('/api/v1/calls', { headers: { Authorization: `Bearer ${accessToken}` } });
      answers.push(await calls.text());
    }
    return well.size === 0;
  };
  await until(isBroken, 'failure', 60_000).catch((thrown: Error) => {
    throw new Error(`${thrown.message}: ${[...well].join(', ')}`);
  });
  return answers;
}

/** The flows with every secret typed into its node, where it is known; and a canary where it is not. */
function typedIn(flows: readonly FlowEntry[], known: Record<string, string | undefined>): FlowEntry[] {
  return flows.map((entry) => {
    const names = secretsOf(entry.type);
    if (names.length === 0) return entry;
    const credentials = names.map((name) => {
      const variable = String(entry[`${name}Environment`] ?? '');
      const broker = entry.type === 'contact-broker' ? known['RABBITMQ_PASSWORD'] : undefined;
      return [name, broker ?? known[variable] ?? canary(`typed-${entry.type}-${name}`)];
    });
    return { ...entry, credentials: Object.fromEntries(credentials) };
  });
}

/** The credentials of a type that the editor never shows. */
function secretsOf(type: string): string[] {
  const html = existsSync(join(ROOT, 'nodes', `${type}.html`)) ? read(`nodes/${type}.html`) : '';
  const [, block = ''] = /credentials: \{([\s\S]*?)\n {6}\}/.exec(html) ?? [];
  return [...block.matchAll(/(\w+): \{ type: 'password' \}/g)].map(([, name]) => name ?? '');
}

function credentialPaths(flows: readonly FlowEntry[]): string[] {
  return flows.filter(({ type }) => secretsOf(type).length > 0).map(({ id, type }) => `/credentials/${type}/${id}`);
}

/** Everything that Node-RED tells the editor: statuses, debug messages, notifications, the live view. */
async function listen(nodeRed: NodeRed): Promise<string[]> {
  const frames: string[] = [];
  const socket = new WebSocket(`${nodeRed.url.replace('http', 'ws')}/comms`);
  socket.on('message', (data) => frames.push(String(data)));
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('open', resolve));
  for (const topic of ['status/#', 'debug', 'notification/#', 'event-log/#', '#']) {
    socket.send(JSON.stringify({ subscribe: topic }));
  }
  return frames;
}

/** The files of a user directory, without the pack itself and the settings of the test. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => !name.startsWith('node_modules') && name !== 'settings.js')
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

function headerText(answer: Response): string {
  const lines: string[] = [];
  answer.headers.forEach((value, name) => void lines.push(`${name}: ${value}`));
  return lines.join('\n');
}
