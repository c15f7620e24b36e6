import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { hash } from 'bcryptjs';
import { mergeFlows } from '../../lib/command/flows';
import { type BooksSnapshot, isBalanced } from '../../lib/core/books';
import type { HealthAnswer } from '../../lib/monitor/health';
import type { NodeStats, StatsAnswer } from '../../lib/monitor/stats';
import { type AriSimulator, startAriSimulator } from '../simulators/ari';
import { type CodySimulator, defaultApiKey, defaultBot, startCodySimulator } from '../simulators/cody';
import { type ElasticsearchSimulator, startElasticsearchSimulator } from '../simulators/elasticsearch';
import { defaultClient, type GenesysSimulator, startGenesysSimulator } from '../simulators/genesys';
import { defaultZoho, startZohoSimulator, type ZohoSimulator } from '../simulators/zoho';
import { readExamples } from '../unit/design/examples';
import { simulated, simulatedTenants } from '../unit/genesys/messaging/sender-harness';
import { until } from '../unit/until';
import { type FlowEntry, type NodeRed, type NodeRedOptions, startNodeRed } from './node-red';
import { type Postgresql, startPostgresql } from './postgresql';
import { type RabbitMq, startRabbitMq } from './rabbitmq';
import { type RedisServer, startRedis } from './redis';

/** The organizations that messages go to: the tenants `t1` to `t3`. */
export const ORGANIZATIONS = ['o1', 'o2', 'o3'];
const READY_WITHIN_MS = 60_000;

/** Every secret of the systems around the processes. */
export interface Secrets {
  GENESYS_CLIENT_SECRET: string;
  GENESYS_WEBHOOK_SECRET: string;
  /** `user:password`. */
  ELASTIC_AUTH: string;
  CODY_API_KEY: string;
  ZOHO_CLIENT_SECRET: string;
  ZOHO_REFRESH_TOKEN: string;
  ARI_PASSWORD: string;
  SECRET_KEY: string;
  MONITOR_TOKEN: string;
  REDIS_PASSWORD: string | undefined;
}

const SECRETS: Secrets = {
  GENESYS_CLIENT_SECRET: defaultClient.secret,
  GENESYS_WEBHOOK_SECRET: 'webhook-secret-of-all',
  ELASTIC_AUTH: 'elastic:password-of-elastic',
  CODY_API_KEY: defaultApiKey,
  ZOHO_CLIENT_SECRET: defaultZoho.clientSecret,
  ZOHO_REFRESH_TOKEN: defaultZoho.refreshToken,
  ARI_PASSWORD: 'password-of-asterisk',
  SECRET_KEY: 'only for tests, of 32 characters or more',
  MONITOR_TOKEN: 'monitor-token-of-tests',
  REDIS_PASSWORD: undefined,
};

/** What an installation is made of. */
export interface InstallationOptions {
  redisProgram: string;
  postgresqlPrograms: string;
  /** Calls a minute that each organization takes, and that the tenants promise; default 60,000. */
  rateLimitPerMinute?: number;
  /** Secrets of the installation by the names of their environment variables; those of {@link Installation.environment} otherwise. */
  secrets?: Partial<Secrets>;
  /** Properties of nodes of the examples, by type. */
  properties?: Record<string, Record<string, unknown>>;
}

/** One look at the nodes of a process. */
export interface Look {
  nodes: (NodeStats & { service: string })[];
}

/**
 * All example flows in one or several Node-REDs on one RabbitMQ, Redis and PostgreSQL, with simulators of the vendors.
 * Close it in `after`.
 */
export class Installation {
  readonly processes: NodeRed[] = [];
  readonly flows: readonly FlowEntry[];
  readonly tenantsFile: string;
  private readonly folder = mkdtempSync(join(tmpdir(), 'installation-'));
  private lastNumber = 0;

  private constructor(
    readonly genesys: GenesysSimulator,
    readonly elasticsearch: ElasticsearchSimulator,
    readonly asterisk: AriSimulator,
    readonly cody: CodySimulator,
    readonly zoho: ZohoSimulator,
    readonly rabbitmq: RabbitMq,
    readonly redis: RedisServer,
    readonly postgresql: Postgresql,
    private readonly databaseUrl: string,
    readonly secrets: Secrets,
    { rateLimitPerMinute = 60_000, properties = {} }: InstallationOptions,
  ) {
    this.tenantsFile = join(this.folder, 'tenants.json');
    writeFileSync(this.tenantsFile, simulatedTenants(genesys.url, ORGANIZATIONS.length, rateLimitPerMinute));
    this.flows = mergeFlows(readExamples().map(({ entries }) => entries)).map((entry) => ({
      ...entry,
      ...properties[entry.type],
    }));
  }

  static async start(options: InstallationOptions): Promise<Installation> {
    const { redisProgram, postgresqlPrograms, rateLimitPerMinute } = options;
    const secrets: Secrets = { ...SECRETS, ...options.secrets };
    const [username = '', password = ''] = secrets.ELASTIC_AUTH.split(':');
    const { REDIS_PASSWORD: redisPassword, ARI_PASSWORD } = secrets;
    const [genesys, elasticsearch, asterisk, cody, zoho, rabbitmq, redis, postgresql] = await Promise.all([
      startGenesysSimulator({
        rateLimitPerMinute: Number.POSITIVE_INFINITY,
        clients: [{ ...defaultClient, secret: secrets.GENESYS_CLIENT_SECRET }],
        rateLimitScope: 'organization',
        organizations: ORGANIZATIONS.map((id) => ({
          ...simulated(id),
          ...(rateLimitPerMinute === undefined ? {} : { rateLimitPerMinute }),
        })),
      }),
      startElasticsearchSimulator({ auth: { basic: { username, password } } }),
      startAriSimulator({ speed: 5, password: ARI_PASSWORD }),
      startCodySimulator({ apiKey: secrets.CODY_API_KEY }),
      startZohoSimulator({ clientSecret: secrets.ZOHO_CLIENT_SECRET, refreshToken: secrets.ZOHO_REFRESH_TOKEN }),
      startRabbitMq(),
      startRedis({
        program: redisProgram,
        appendOnly: true,
        ...(redisPassword === undefined ? {} : { password: redisPassword }),
      }),
      startPostgresql(postgresqlPrograms),
    ]);
    const databaseUrl = await postgresql.createDatabase();
    return new Installation(
      genesys,
      elasticsearch,
      asterisk,
      cody,
      zoho,
      rabbitmq,
      redis,
      postgresql,
      databaseUrl,
      secrets,
      options,
    );
  }

  /** What the processes have in common. */
  async environment(): Promise<Record<string, string | undefined>> {
    return {
      ...this.secrets,
      GENESYS_ENV: undefined,
      GENESYS_LOGIN_URL: this.genesys.url,
      GENESYS_API_URL: this.genesys.url,
      GENESYS_CLIENT_ID: defaultClient.id,
      TENANTS_FILE: this.tenantsFile,
      TENANT_SERVICE_URL: undefined,
      ELASTIC_URL: this.elasticsearch.url,
      BULK_MAX_SECONDS: '0.5',
      RETRY_BASE_SLEEP: '0.2',
      RETRY_MAX_SLEEP: '1',
      CODY_API_URL: this.cody.url,
      CODY_BOT_ID: defaultBot,
      POLL_INTERVAL_SECONDS: '1',
      SETTLE_SECONDS: '1',
      START_FROM: 'all',
      ZOHO_ACCOUNTS_BASE_URL: this.zoho.url,
      ZOHO_API_BASE_URL: this.zoho.url,
      ZOHO_CLIENT_ID: defaultZoho.clientId,
      ARI_HTTP_URL: this.asterisk.url,
      ARI_USERNAME: this.asterisk.user,
      ARI_ENDPOINT: this.asterisk.endpoint,
      API_USER: 'alice',
      API_PASSWORD_HASH: await hash('correct horse battery', 4),
      DATABASE_URL: this.databaseUrl,
      RABBITMQ_URL: this.rabbitmq.url,
      REDIS_URL: `redis://127.0.0.1:${this.redis.port}/0`,
      METRICS_ENABLED: 'true',
    };
  }

  /** Starts one more process with all flows, and waits until every node of it does its work. */
  async addProcess({ env, ...more }: Partial<NodeRedOptions> = {}): Promise<NodeRed> {
    this.lastNumber += 1;
    const number = this.lastNumber;
    const nodeRed = await startNodeRed({
      flows: this.flows,
      userDir: join(this.folder, `process-${number}`),
      ...more,
      env: { ...(await this.environment()), ARI_APP: `process-${number}`, ...env },
    });
    this.processes.push(nodeRed);
    await this.untilHealthy(nodeRed);
    return nodeRed;
  }

  async untilHealthy(nodeRed: NodeRed, withinMs = READY_WITHIN_MS): Promise<void> {
    let sick: unknown = 'no answer';
    const isHealthy = async () => {
      await delay(100);
      const answer = (await (await nodeRed.request('/health')).json().catch(() => ({}))) as Partial<HealthAnswer>;
      const checks = answer.checks ?? [];
      sick = checks.filter(({ status }) => status !== 'healthy');
      return checks.length > 40 && checks.every(({ status }) => status === 'healthy');
    };
    await until(isHealthy, 'health', withinMs).catch((thrown: Error) => {
      throw new Error(`${thrown.message}: ${JSON.stringify(sick)}\n${nodeRed.log().slice(-2_000)}`);
    });
  }

  /** What every node of a process has done; the books of each must balance at this instant. */
  async look(nodeRed: NodeRed): Promise<Look> {
    const answer = await nodeRed.request('/stats', { signal: AbortSignal.timeout(10_000) });
    const { services } = (await answer.json()) as StatsAnswer;
    const nodes = Object.entries(services).flatMap(([service, { nodes: own }]) =>
      own.map((node) => ({ ...node, service })),
    );
    for (const { type, service, books } of nodes) {
      if (books) assert.ok(isBalanced(books), `the books of ${type} in ${service}: ${JSON.stringify(books)}`);
    }
    return { nodes };
  }

  /** The books of all nodes of a type in a process. */
  async booksOf(nodeRed: NodeRed, wanted: string): Promise<BooksSnapshot[]> {
    return (await this.look(nodeRed)).nodes.flatMap(({ type, books }) => (type === wanted && books ? [books] : []));
  }

  /** Whether this process polls Cody. */
  async polls(nodeRed: NodeRed): Promise<boolean> {
    return (await this.look(nodeRed)).nodes.some(({ type, polling }) => type === 'cody-poll-in' && polling === true);
  }

  /** Each line that the audit log of the example of Ocelot events has in all processes: the id of its call. */
  auditedCalls(): string[] {
    return this.processes.flatMap(({ userDir }) => {
      const path = join(userDir, 'ocelot-audit.jsonl');
      const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
      return lines.filter(Boolean).map((line) => (JSON.parse(line) as { data: { call_id: string } }).data.call_id);
    });
  }

  /** Messages in every queue of RabbitMQ, those that are out to consumers among them. */
  async queued(): Promise<Record<string, number>> {
    return Object.fromEntries(Object.entries(await this.rabbitmq.queued()).filter(([, messages]) => messages > 0));
  }

  async close(): Promise<void> {
    await Promise.all(this.processes.map((nodeRed) => nodeRed.kill()));
    await Promise.all([
      this.genesys.close(),
      this.elasticsearch.close(),
      this.asterisk.close(),
      this.cody.close(),
      this.zoho.close(),
      this.rabbitmq.close(),
      this.redis.close(),
      this.postgresql.close(),
    ]);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}
