import FakeTimers, { type Clock as FakeClock } from '@sinonjs/fake-timers';
import { CodyClient } from '../../../lib/cody/client';
import { CodyPoller } from '../../../lib/cody/poller';
import type { ConversationMessage, PollerSettings } from '../../../lib/cody/poller-settings';
import type { Clock } from '../../../lib/core/clock';
import { type DeliveryOutcome, settleDelivery } from '../../../lib/core/deliveries';
import { MemoryStore, type MemoryValues } from '../../../lib/store/memory';
import type { StateStore } from '../../../lib/store/store';
import { type CodyOptions, type CodySimulator, defaultApiKey, startCodySimulator } from '../../simulators/cody';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const INTERVAL = 30_000;

export const SETTINGS: PollerSettings = {
  botId: undefined,
  intervalMs: INTERVAL,
  settleMs: 5 * MINUTE,
  capMs: DAY,
  watchMs: 30 * DAY,
  startFrom: 'all',
  dryRun: false,
  capacity: 20,
  settleTimeoutMs: 5 * MINUTE,
  settle: true,
  timeZone: 'UTC',
};

/** A clock that a test moves, with Cody on it. */
export class World {
  readonly time: FakeClock = FakeTimers.createClock(1_700_000_000_000);
  readonly clock: Clock = {
    now: () => this.time.now,
    setTimeout: (callback, delayMs) => this.time.setTimeout(callback, delayMs) as never,
    clearTimeout: (timer) => this.time.clearTimeout(timer as never),
  };
  /** What the pollers share, and what each machine has of its own. */
  readonly values: MemoryValues = new Map();
  cody!: CodySimulator;
  private readonly pollers: TestPoller[] = [];

  async start(options: CodyOptions = {}): Promise<void> {
    this.cody = await startCodySimulator({ now: () => this.time.now, ...options });
  }

  poller(settings: Partial<PollerSettings> = {}, options: TestPollerOptions = {}): TestPoller {
    const poller = new TestPoller(this, { ...SETTINGS, ...settings }, options);
    this.pollers.push(poller);
    return poller;
  }

  /** Lets time pass. */
  pass(ms: number): Promise<number> {
    return this.time.tickAsync(ms);
  }

  async close(): Promise<void> {
    for (const poller of this.pollers) poller.kill();
    await this.cody.close();
  }
}

/** How a {@link TestPoller} differs from a poller that is alone. */
export interface TestPollerOptions {
  owner?: string;
  shared?: boolean;
  /** In place of one over {@link World.values}. */
  store?: StateStore;
}

/** A poller whose flow is the test. */
export class TestPoller {
  readonly sent: ConversationMessage[] = [];
  readonly poller: CodyPoller;
  readonly local = new MemoryStore();
  /** What the flow does at once with what it is sent; nothing when left out. */
  onSend: ((message: ConversationMessage) => DeliveryOutcome | undefined) | undefined;
  private readonly client: CodyClient;

  constructor(
    private readonly world: World,
    settings: PollerSettings,
    { owner = 'one', shared = false, store = new MemoryStore(world.clock, world.values) }: TestPollerOptions,
  ) {
    this.client = new CodyClient({
      apiUrl: world.cody.url,
      apiKey: defaultApiKey,
      attempts: 2,
      backoff: { baseMs: 1, maxMs: 2 },
      timeoutMs: 2_000,
    });
    this.poller = new CodyPoller({
      client: this.client,
      scope: 'scope',
      owner,
      settings,
      state: { store, shared },
      local: this.local,
      send: (message) => {
        this.sent.push(message);
        const outcome = this.onSend?.(message);
        if (outcome) settleDelivery(message, outcome);
      },
      onChange: () => {},
      clock: world.clock,
    });
  }

  get ids(): string[] {
    return this.sent.map(({ payload }) => payload.id);
  }

  /** Acknowledges everything at once from now on. */
  acknowledging(): this {
    this.onSend = () => ({ kind: 'acknowledge' });
    return this;
  }

  /** Polls for so long, every interval. */
  async polls(ms: number, intervalMs = INTERVAL): Promise<void> {
    for (let passed = 0; passed < ms; passed += intervalMs) {
      await this.poller.poll();
      await this.world.pass(intervalMs);
    }
  }

  async settle(message: ConversationMessage, outcome: DeliveryOutcome): Promise<void> {
    settleDelivery(message, outcome);
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Gone from one moment to the next. */
  kill(): void {
    this.poller.looks.deliveries.close();
    this.client.close();
  }
}
