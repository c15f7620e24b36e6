import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConfirmChannel, ConsumeMessage } from 'amqplib';
import { type BooksSnapshot, isBalanced, sumOfBooks } from '../../lib/core/books';
import type { StatusEvent } from '../../lib/genesys/messaging/record';
import type { NodeStats, StatsAnswer } from '../../lib/monitor/stats';
import { type FlowEntry, type NodeRed, type NodeRedOptions, ROOT, startNodeRed } from '../services/node-red';
import type { RabbitMq } from '../services/rabbitmq';
import { type RedisServer, startRedis } from '../services/redis';
import { type GenesysSimulator, type GenesysSimulatorOptions, startGenesysSimulator } from '../simulators/genesys';
import { simulated, simulatedTenants } from '../unit/genesys/messaging/sender-harness';
import { until } from '../unit/until';

const QUEUE = 'genesys.outbound';
const STATUSES = 'test.statuses';

/** A message that was put aside. */
export interface PutAside {
  body: Record<string, unknown>;
  headers: Record<string, unknown>;
}

/** A service that knows the tenants. */
export interface TenantService {
  url: string;
  /** The headers of the requests so far. */
  authorizations: ReadonlySet<string | undefined>;
  close(): Promise<void>;
}

/** What a rig is made of. */
export interface RigOptions {
  /** Whose queues the rig deletes when it is closed. */
  rabbit: RabbitMq;
  organizations: number;
  /** Calls a minute for each organization; default 60,000. */
  rateLimitPerMinute?: number;
  /** Of single organizations, by id. */
  limits?: Record<string, number>;
  /** Path of `redis-server`; without it each Node-RED keeps its state on disk. */
  redisProgram?: string;
  redisPassword?: string;
  simulator?: GenesysSimulatorOptions;
  /** Properties of nodes of the example, by type. */
  properties?: Record<string, Record<string, unknown>>;
}

/** The example of Genesys messages with a RabbitMQ, a Redis and a simulated Genesys that a test may do anything to. */
export class MessagesRig {
  readonly nodeReds: NodeRed[] = [];
  readonly redis: RedisServer | undefined;
  readonly genesys: GenesysSimulator;
  private readonly folder = mkdtempSync(join(tmpdir(), 'messages-rig-'));
  private readonly options: RigOptions;
  private readonly services: (() => Promise<void>)[] = [];
  /** Bodies that were published, by message id. */
  readonly published = new Map<string, Record<string, unknown>>();

  private constructor(parts: { redis: RedisServer | undefined; genesys: GenesysSimulator }, options: RigOptions) {
    this.redis = parts.redis;
    this.genesys = parts.genesys;
    this.options = options;
    const { organizations, rateLimitPerMinute = 60_000, limits } = options;
    writeFileSync(this.tenantsFile, simulatedTenants(this.genesys.url, organizations, rateLimitPerMinute, limits));
  }

  static async start(options: RigOptions): Promise<MessagesRig> {
    const organizations = Array.from({ length: options.organizations }, (_, index) => simulated(`o${index + 1}`));
    const [genesys, redis] = await Promise.all([
      startGenesysSimulator({ rateLimitPerMinute: Number.POSITIVE_INFINITY, organizations, ...options.simulator }),
      options.redisProgram ? startRedis(redisOptions(options.redisProgram, options.redisPassword)) : undefined,
    ]);
    const rig = new MessagesRig({ genesys, redis }, options);
    // Those who listen to the exchange must be there before the first event.
    await rig.rabbit.use(async (connection) => {
      const channel = await connection.createChannel();
      await channel.assertExchange('genesys.status', 'topic', { durable: true });
      await channel.assertQueue(STATUSES, { durable: true });
      await channel.bindQueue(STATUSES, 'genesys.status', 'message.status.#');
    });
    return rig;
  }

  get rabbit(): RabbitMq {
    return this.options.rabbit;
  }

  get tenantsFile(): string {
    return join(this.folder, 'tenants.json');
  }

  /** Serves the tenants of the file over HTTP. */
  async startTenantService(): Promise<TenantService> {
    const { tenants } = JSON.parse(readFileSync(this.tenantsFile, 'utf8')) as { tenants: Record<string, unknown> };
    const authorizations = new Set<string | undefined>();
    const server = createServer(({ url = '', headers }, response) => {
      authorizations.add(headers.authorization);
      const tenant = tenants[url.split('/')[3] ?? ''];
      response.writeHead(tenant ? 200 : 404, { 'Content-Type': 'application/json' }).end(JSON.stringify(tenant ?? {}));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const close = async () => {
      server.closeAllConnections();
      server.close();
    };
    this.services.push(close);
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, authorizations, close };
  }

  /** Starts one more Node-RED with the example. */
  async addNodeRed(more: Partial<NodeRedOptions> = {}): Promise<NodeRed> {
    const example = JSON.parse(readFileSync(join(ROOT, 'examples/genesys-messages.json'), 'utf8')) as FlowEntry[];
    const flows = example.map((entry) => ({ ...entry, ...this.options.properties?.[entry.type] }));
    const nodeRed = await startNodeRed({
      flows,
      ...more,
      env: {
        RABBITMQ_URL: this.rabbit.url,
        REDIS_URL: this.redis?.url,
        TENANTS_FILE: this.tenantsFile,
        TENANT_SERVICE_URL: undefined,
        GENESYS_WEBHOOK_SECRET: 'webhook-secret-of-all',
        METRICS_ENABLED: 'true',
        ...more.env,
      },
    });
    this.nodeReds.push(nodeRed);
    // What is published to a queue that is not there yet is lost.
    await until(async () => (await this.nodeOf(nodeRed, 'contact-queue-in')).state === 'connected', 'a consumer');
    return nodeRed;
  }

  /** Publishes messages as an application would: persistent, confirmed, each with its own id. */
  async publish(messages: readonly Record<string, unknown>[]): Promise<void> {
    await this.rabbit.use(async (connection) => {
      const channel: ConfirmChannel = await connection.createConfirmChannel();
      for (const message of messages) {
        const messageId = String(message['messageId']);
        const options = { persistent: true, contentType: 'application/json', messageId };
        channel.sendToQueue(QUEUE, Buffer.from(JSON.stringify(message)), options);
        this.published.set(messageId, message);
      }
      await channel.waitForConfirms();
    });
  }

  /** The books of all senders together. */
  async books(): Promise<BooksSnapshot> {
    const all: BooksSnapshot[] = [];
    for (const nodeRed of this.nodeReds.filter(({ running }) => running)) {
      const books = await this.booksOf(nodeRed);
      assert.ok(isBalanced(books), JSON.stringify(books));
      all.push(books);
    }
    return sumOfBooks(all);
  }

  async booksOf(nodeRed: NodeRed): Promise<BooksSnapshot> {
    return (await this.nodeOf(nodeRed, 'genesys-message-out')).books!;
  }

  /** What `/stats` says about the node of this type. */
  async nodeOf(nodeRed: NodeRed, wanted: string): Promise<NodeStats> {
    const stats = (await (await nodeRed.request('/messages/stats')).json()) as StatsAnswer;
    return stats.services['messages']!.nodes.find(({ type }) => type === wanted)!;
  }

  /** Messages that wait in the queue, in its waiting queues, and in the dead-letter queue. */
  async waiting(): Promise<{ queue: number; parked: number; aside: number }> {
    const rows = Object.entries(await this.rabbit.queued());
    const count = (fits: (name: string) => boolean) =>
      rows.filter(([name]) => fits(name)).reduce((sum, [, messages]) => sum + messages, 0);
    return {
      queue: count((name) => name === QUEUE),
      parked: count((name) => name.startsWith(`${QUEUE}.retry.`)),
      aside: count((name) => name === `${QUEUE}.dlq`),
    };
  }

  /** Waits until every message that was published is either in Genesys or in the dead-letter queue. */
  async untilSettled(limitMs: number): Promise<void> {
    let left: unknown;
    const isSettled = async () => {
      const { queue, parked, aside } = await this.waiting();
      left = { queue, parked, aside, arrived: this.arrived().size, published: this.published.size };
      return queue + parked === 0 && this.arrived().size + aside >= this.published.size;
    };
    await until(isSettled, 'that all messages are settled', limitMs).catch((thrown: Error) => {
      throw new Error(`${thrown.message}: ${JSON.stringify(left)}`);
    });
  }

  /** The times under which each message has arrived, by its id. */
  arrived(): Map<string, Set<string>> {
    const times = new Map<string, Set<string>>();
    for (const { messageId = '', time } of this.genesys.messaging.messages) {
      const known = times.get(messageId);
      if (known) known.add(time);
      else times.set(messageId, new Set([time]));
    }
    return times;
  }

  /** Takes everything out of the dead-letter queue. */
  putAside(): Promise<PutAside[]> {
    return this.drain(`${QUEUE}.dlq`, ({ content, properties }) => ({
      body: JSON.parse(content.toString()) as Record<string, unknown>,
      headers: properties.headers ?? {},
    }));
  }

  /** Takes all events that were told so far, by message id; an event that was told twice is one. */
  async told(): Promise<Map<string, StatusEvent[]>> {
    const events = await this.drain(STATUSES, ({ content, properties, fields }) => ({
      id: String(properties.messageId),
      key: fields.routingKey,
      event: JSON.parse(content.toString()) as StatusEvent,
    }));
    const seen = new Set<string>();
    const byMessage = new Map<string, StatusEvent[]>();
    for (const { id, key, event } of events) {
      assert.equal(key, `message.status.${event.status}`);
      if (seen.has(id)) continue;
      seen.add(id);
      byMessage.set(event.messageId, [...(byMessage.get(event.messageId) ?? []), event]);
    }
    return byMessage;
  }

  /** Every message is in Genesys under one time, or in the dead-letter queue with its reason, and never in both. */
  async checkEachOnce(): Promise<{ arrived: Map<string, Set<string>>; aside: Map<string, PutAside> }> {
    const arrived = this.arrived();
    const twice = [...arrived].filter(([, times]) => times.size > 1);
    assert.deepEqual(twice, [], 'messages with two times');
    const aside = new Map((await this.putAside()).map((each) => [String(each.body['messageId']), each]));
    for (const [messageId, { body, headers }] of aside) {
      assert.deepEqual(body, this.published.get(messageId));
      assert.match(String(headers['x-failure-code']), /^[A-Z_]+$/);
      assert.ok(String(headers['x-failure-reason']).length > 10);
      assert.ok(Number(headers['x-attempts']) >= 1);
    }
    const lost = [...this.published.keys()].filter((id) => !arrived.has(id) && !aside.has(id));
    assert.deepEqual(lost, [], 'lost messages');
    const both = [...aside.keys()].filter((id) => arrived.has(id));
    assert.deepEqual(both, [], 'messages that were sent and put aside');
    return { arrived, aside };
  }

  async close(): Promise<void> {
    await Promise.all(this.nodeReds.map((nodeRed) => nodeRed.stop()));
    await Promise.all(this.services.map((close) => close()));
    await this.genesys.close();
    await this.redis?.close();
    await this.rabbit.use(async (connection) => {
      const channel = await connection.createChannel();
      for (const name of Object.keys(await this.rabbit.queued())) await channel.deleteQueue(name);
    });
    rmSync(this.folder, { recursive: true, force: true });
  }

  private drain<Value>(queue: string, read: (message: ConsumeMessage) => Value): Promise<Value[]> {
    return this.rabbit.use(async (connection) => {
      const channel = await connection.createChannel();
      const { messageCount } = await channel.checkQueue(queue);
      const values: Value[] = [];
      if (messageCount === 0) return values;
      await new Promise<void>((resolve, reject) => {
        const take = (message: ConsumeMessage | null) => {
          if (!message) return;
          values.push(read(message));
          if (values.length >= messageCount) resolve();
        };
        channel.consume(queue, take, { noAck: true }).catch(reject);
      });
      return values;
    });
  }
}

function redisOptions(program: string, password: string | undefined) {
  return { program, appendOnly: true, ...(password === undefined ? {} : { password }) };
}
