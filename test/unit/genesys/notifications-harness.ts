import assert from 'node:assert/strict';
import { settleDelivery } from '../../../lib/core/deliveries';
import type { Logger } from '../../../lib/core/log';
import { type GenesysAccount, openAccount } from '../../../lib/genesys/account';
import type { EventMessage } from '../../../lib/genesys/emission';
import { GenesysNotifications } from '../../../lib/genesys/notifications';
import type { NotificationsSettings, NotificationsTuning } from '../../../lib/genesys/notifications-settings';
import { MemoryStore } from '../../../lib/store/memory';
import {
  defaultClient,
  type GenesysSimulator,
  type GenesysSimulatorOptions,
  numberOf,
  startGenesysSimulator,
} from '../../simulators/genesys';
import { until } from '../until';

/** Settings as the node has them when nothing is set. */
export const SETTINGS: NotificationsSettings = {
  discover: true,
  include: /audiohook/i,
  topics: [],
  backfill: true,
  overlapMs: 120_000,
  pollMs: 30_000,
  settle: true,
  settleTimeoutMs: 300_000,
};

/** Times that make a test short. */
export const TUNING: NotificationsTuning = {
  channel: {
    idleLimitMs: 5_000,
    pingMs: 1_000,
    openTimeoutMs: 2_000,
    overlapMs: 100,
    backoff: { baseMs: 10, maxMs: 100 },
    contention: { baseMs: 200, maxMs: 1_000 },
  },
  toleranceMs: 300,
  settleMs: 900,
  backfillBackoff: { baseMs: 20, maxMs: 200 },
  plannerBackoff: { baseMs: 20, maxMs: 200 },
};

/** A simulated Genesys with a receiver of its notifications. */
export class Harness {
  /** Every message that was sent into the flow. */
  readonly messages: EventMessage[] = [];
  readonly lines: string[] = [];
  /** What the status showed, at each change of anything. */
  readonly states: string[] = [];
  /** What the flow does with a message; it acknowledges by default. */
  onMessage: (message: EventMessage) => void = (message) => {
    settleDelivery(message, { kind: 'acknowledge' });
  };
  store = new MemoryStore();
  notifications!: GenesysNotifications;
  private readonly accounts: GenesysAccount[] = [];

  private constructor(
    readonly genesys: GenesysSimulator,
    private readonly id: string,
  ) {}

  private static last = 0;

  static async start(options: GenesysSimulatorOptions = {}): Promise<Harness> {
    const genesys = await startGenesysSimulator({ rateLimitPerMinute: Number.POSITIVE_INFINITY, ...options });
    Harness.last += 1;
    return new Harness(genesys, `node-${Harness.last}`);
  }

  /** Starts a receiver, or the next one with the same id and store. */
  async receive(
    settings: Partial<NotificationsSettings> = {},
    { tuning = {}, secret = defaultClient.secret }: { tuning?: NotificationsTuning; secret?: string } = {},
  ): Promise<GenesysNotifications> {
    const { url } = this.genesys;
    const account = openAccount({ apiUrl: url, loginUrl: url, clientId: defaultClient.id, clientSecret: secret });
    this.accounts.push(account);
    this.notifications = new GenesysNotifications({
      id: this.id,
      settings: { ...SETTINGS, ...settings },
      account,
      store: this.store,
      send: (message) => {
        this.messages.push(message);
        this.onMessage(message);
      },
      onChange: () => this.states.push(this.notifications.status().state),
      tuning: { ...TUNING, ...tuning, channel: { ...TUNING.channel, ...tuning.channel } },
      logger: this.logger,
    });
    await this.notifications.start();
    return this.notifications;
  }

  /** Starts a receiver and waits until it is connected. */
  async connect(
    settings: Partial<NotificationsSettings> = {},
    options: { tuning?: NotificationsTuning } = {},
  ): Promise<GenesysNotifications> {
    const notifications = await this.receive(settings, options);
    await this.connected();
    return notifications;
  }

  connected(): Promise<void> {
    return until(() => this.notifications.status().state === 'connected', 'the state connected');
  }

  /** Ends everything. */
  async stop(): Promise<void> {
    await this.notifications?.close({ forget: true });
    for (const account of this.accounts) account.release();
    await this.genesys.close();
  }

  /** The numbers of the generated events that were sent, in order. */
  get numbers(): number[] {
    return this.messages.map(({ payload }) => {
      const { eventBody } = payload as { eventBody: { conversationId?: string; conversation?: { id: string } } };
      return numberOf(eventBody.conversationId ?? eventBody.conversation?.id ?? '') ?? -1;
    });
  }

  /** Waits until events 0 to `count` have been sent, and checks that each was sent exactly once. */
  async eachOnce(count: number): Promise<void> {
    await until(() => new Set(this.numbers).size >= count, `${count} events`, 15_000);
    const numbers = this.numbers.sort((one, other) => one - other);
    assert.deepEqual(
      numbers,
      Array.from({ length: count }, (_, number) => number),
    );
  }

  /** How often a call was made, such as `PUT /api/v2/notifications/channels/{channelId}/subscriptions`. */
  calls(route: string): number {
    return this.genesys.requests.counts[route] ?? 0;
  }

  private get logger(): Logger {
    const write = (level: string) => (message: string) => {
      this.lines.push(`${level} ${message}`);
    };
    return { error: write('error'), warn: write('warn'), info: write('info'), debug: write('debug') };
  }
}

/** The routes that the tests count. */
export const ROUTES = {
  create: 'POST /api/v2/notifications/channels',
  head: 'HEAD /api/v2/notifications/channels/{channelId}',
  subscribe: 'PUT /api/v2/notifications/channels/{channelId}/subscriptions',
  query: 'POST /api/v2/usage/events/query',
};
