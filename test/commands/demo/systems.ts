import { randomBytes } from 'node:crypto';
import { hash } from 'bcryptjs';
import { type AriSimulator, startAriSimulator } from '../../simulators/ari';
import { type CodySimulator, defaultApiKey, defaultBot, startCodySimulator } from '../../simulators/cody';
import { startElasticsearchSimulator } from '../../simulators/elasticsearch';
import {
  defaultClient,
  defaultIntegration,
  type GenesysSimulator,
  startGenesysSimulator,
} from '../../simulators/genesys';
import { defaultZoho, startZohoSimulator } from '../../simulators/zoho';

/** The systems that the five flows talk to. */
export type SystemName =
  | 'Genesys Cloud'
  | 'Elasticsearch'
  | 'Cody'
  | 'Zoho CRM'
  | 'Asterisk'
  | 'RabbitMQ'
  | 'PostgreSQL'
  | 'Redis';

/** What does the work of a system: itself, a simulator, or a part of the pack that needs no server. */
export type Provision = 'real' | 'simulated' | 'in memory' | 'on disk';

/** What a system is when the environment does not name one. */
interface Substitute {
  provision: Exclude<Provision, 'real'>;
  start?: () => Promise<Simulation>;
}

/** A simulator at work. */
interface Simulation {
  /** What the example flows must know to find it. */
  environment: Record<string, string>;
  /** Where a person can look at what has arrived in it. */
  look?: string;
  genesys?: GenesysSimulator;
  cody?: CodySimulator;
  close(): Promise<void>;
}

/** A system of the demo as it runs. */
export interface RunningSystem extends Partial<Simulation> {
  name: SystemName;
  /** The environment variable that names a real one. */
  variable: string;
  provision: Provision;
}

const { SETTLE_SECONDS, POLL_INTERVAL_SECONDS, ELASTIC_INDEX = 'genesys-audiohook' } = process.env;

/** In the order in which they are shown: each with the variable that names a real one, and what there is without. */
const SYSTEMS: readonly [name: SystemName, variable: string, substitute: Substitute][] = [
  ['Genesys Cloud', 'GENESYS_CLIENT_ID', { provision: 'simulated', start: simulateGenesys }],
  ['Elasticsearch', 'ELASTIC_URL', { provision: 'simulated', start: simulateElasticsearch }],
  ['Cody', 'CODY_API_KEY', { provision: 'simulated', start: simulateCody }],
  ['Zoho CRM', 'ZOHO_CLIENT_ID', { provision: 'simulated', start: simulateZoho }],
  ['Asterisk', 'ARI_HTTP_URL', { provision: 'simulated', start: simulateAsterisk }],
  ['RabbitMQ', 'RABBITMQ_URL', { provision: 'in memory', start: brokerInMemory }],
  ['PostgreSQL', 'DATABASE_URL', { provision: 'on disk' }],
  ['Redis', 'REDIS_URL', { provision: 'on disk' }],
];

/** Starts what stands in for each system that the environment does not name. */
export async function startSystems(environment: NodeJS.ProcessEnv): Promise<RunningSystem[]> {
  const started = SYSTEMS.map(async ([name, variable, { provision, start }]): Promise<RunningSystem> => {
    if (environment[variable]) return { name, variable, provision: 'real' };
    return { name, variable, provision, ...(await start?.()) };
  });
  return Promise.all(started);
}

/** What the flows are told on top of the caller's own environment: the substitutes, and a user of the call API. */
export async function environmentOf(
  systems: readonly RunningSystem[],
  { own, apiPassword, monitorToken }: { own: NodeJS.ProcessEnv; apiPassword: string; monitorToken: string },
): Promise<Record<string, string>> {
  const { METRICS_ENABLED = 'true', SECRET_KEY = randomBytes(32).toString('hex') } = own;
  const user = own['API_USER'] ? {} : { API_USER: 'demo', API_PASSWORD_HASH: await hash(apiPassword, 10) };
  const common = { METRICS_ENABLED, SECRET_KEY, MONITOR_TOKEN: monitorToken, ...user };
  return Object.assign(common, ...systems.map(({ environment }) => environment));
}

async function simulateGenesys(): Promise<Simulation> {
  const genesys = await startGenesysSimulator();
  const { id, secret } = defaultClient;
  const environment = {
    GENESYS_LOGIN_URL: genesys.url,
    GENESYS_API_URL: genesys.url,
    GENESYS_CLIENT_ID: id,
    GENESYS_CLIENT_SECRET: secret,
    GENESYS_INTEGRATION_ID: defaultIntegration.id,
    GENESYS_WEBHOOK_SECRET: defaultIntegration.webhookSecret,
  };
  return { environment, genesys, close: () => genesys.close() };
}

async function simulateElasticsearch(): Promise<Simulation> {
  const simulator = await startElasticsearchSimulator();
  return {
    environment: { ELASTIC_URL: simulator.url },
    look: `${simulator.url}/${ELASTIC_INDEX}*/_search?size=3&pretty`,
    close: () => simulator.close(),
  };
}

async function simulateCody(): Promise<Simulation> {
  const cody = await startCodySimulator();
  const environment = {
    CODY_API_URL: cody.url,
    CODY_API_KEY: defaultApiKey,
    CODY_BOT_ID: defaultBot,
    // Nobody wants to watch for five minutes until a chat is over.
    POLL_INTERVAL_SECONDS: POLL_INTERVAL_SECONDS ?? '2',
    SETTLE_SECONDS: SETTLE_SECONDS ?? '4',
  };
  return { environment, cody, close: () => cody.close() };
}

async function simulateZoho(): Promise<Simulation> {
  const { clientId, clientSecret, refreshToken, scopes } = defaultZoho;
  const simulator = await startZohoSimulator({ scopes: [...scopes, 'ZohoCRM.coql.READ'] });
  const listed = () => simulator.cases.slice(-20).map(({ id, fields, updates }) => ({ id, updates, ...fields }));
  simulator.api.route({ method: 'GET', path: '/cases', handle: () => ({ status: 200, body: listed() }) });
  const environment = {
    ZOHO_ACCOUNTS_BASE_URL: simulator.url,
    ZOHO_API_BASE_URL: simulator.url,
    ZOHO_CLIENT_ID: clientId,
    ZOHO_CLIENT_SECRET: clientSecret,
    ZOHO_REFRESH_TOKEN: refreshToken,
  };
  return { environment, look: `${simulator.url}/cases`, close: () => simulator.close() };
}

async function simulateAsterisk(): Promise<Simulation> {
  const simulator: AriSimulator = await startAriSimulator();
  const { url, user, password } = simulator;
  return {
    environment: { ARI_HTTP_URL: url, ARI_USERNAME: user, ARI_PASSWORD: password },
    close: () => simulator.close(),
  };
}

async function brokerInMemory(): Promise<Simulation> {
  return { environment: { RABBITMQ_URL: 'memory:' }, close: async () => {} };
}
