import assert from 'node:assert/strict';
import { isBalanced } from '../../../../lib/core/books';
import type { SourceLoad } from '../../../../lib/core/deliveries';
import { HttpClient } from '../../../../lib/core/http';
import type { StatusEvent } from '../../../../lib/genesys/messaging/record';
import { MessageRecords } from '../../../../lib/genesys/messaging/records';
import { MessageSender, type MessageSenderOptions } from '../../../../lib/genesys/messaging/sender';
import type { SendOutcome } from '../../../../lib/genesys/messaging/submission';
import { StatusTracker } from '../../../../lib/genesys/messaging/tracker';
import { FixedDirectory } from '../../../../lib/genesys/tenants/directory';
import { Organizations } from '../../../../lib/genesys/tenants/organizations';
import { readTenant } from '../../../../lib/genesys/tenants/tenant';
import { MemoryStore } from '../../../../lib/store/memory';
import {
  type GenesysSimulator,
  type GenesysSimulatorOptions,
  type OrganizationOptions,
  startGenesysSimulator,
} from '../../../simulators/genesys';

/** A sender with tenants `t1`, `t2` and so on, each with one organization `o1`, `o2` of a simulated Genesys. */
export class SenderHarness {
  readonly store = new MemoryStore();
  readonly records = new MessageRecords(this.store, 3_600_000);
  readonly events: StatusEvent[] = [];
  readonly http = new HttpClient();
  genesys!: GenesysSimulator;
  sender!: MessageSender;
  private organizations: Organizations | undefined;
  /** Lets status events wait when it is set. */
  gate: Promise<void> | undefined;

  /** Starts the simulator with so many organizations. */
  async start(count = 1, options: GenesysSimulatorOptions = {}): Promise<void> {
    const organizations = Array.from({ length: count }, (_, index) => simulated(`o${index + 1}`));
    this.genesys = await startGenesysSimulator({
      rateLimitPerMinute: Number.POSITIVE_INFINITY,
      organizations,
      ...options,
    });
  }

  /** Opens a sender; one that was open before is left as it is. */
  open(options: Partial<MessageSenderOptions> = {}, organizationOptions: Record<string, unknown> = {}): MessageSender {
    const tenants = this.genesys.clients.flatMap(({ organization: { id } }) => {
      if (!/^o\d+$/.test(id)) return [];
      const tenantId = id.replace('o', 't');
      const organization = {
        loginUrl: this.genesys.url,
        apiUrl: this.genesys.url,
        clientId: `client-${id}`,
        clientSecret: `secret-${id}`,
        integrationId: `integration-${id}`,
        rateLimitPerMinute: 60_000,
        ...organizationOptions,
      };
      return [[tenantId, readTenant(tenantId, { organizations: { [id]: organization } }, () => undefined)] as const];
    });
    const directory = new FixedDirectory(new Map(tenants), undefined);
    this.organizations = new Organizations(directory, {
      rateLimitPerMinute: 60_000,
      concurrency: 10,
      timeoutMs: 2_000,
    });
    const tracker = new StatusTracker({
      records: this.records,
      channel: {
        publish: async (event) => {
          await this.gate;
          this.events.push(event);
        },
      },
    });
    this.sender = new MessageSender({
      organizations: this.organizations,
      records: this.records,
      tracker,
      http: this.http,
      mediaHosts: [],
      wantsConversation: true,
      limits: { items: 1_000, bytes: 10_000_000 },
      overflow: 'refuse',
      attempts: 4,
      backoff: { baseMs: 10, maxMs: 50 },
      breaker: { minimumCalls: 10_000 },
      ...options,
    });
    return this.sender;
  }

  /** Submits a payload and gives back how that ends. */
  submit(payload: unknown, comesAgain = true, sender = this.sender, source?: SourceLoad): Promise<SendOutcome> {
    return new Promise((resolve) => {
      sender.submit({ payload, comesAgain, source, done: resolve });
      assert.ok(isBalanced(sender.snapshot()));
    });
  }

  /** The statuses that were told of a message, in order. */
  told(messageId: string): string[] {
    return this.events.filter((event) => event.messageId === messageId).map(({ status }) => status);
  }

  /** Closes everything, and checks that the books balance in the end. */
  async close(): Promise<void> {
    await this.sender?.close(100);
    if (this.sender) assert.ok(isBalanced(this.sender.snapshot()));
    this.organizations?.close();
    this.http.close();
    await this.genesys.close();
  }
}

/** An organization of the simulator, with names that follow from its id. */
export function simulated(id: string): OrganizationOptions {
  return {
    id,
    clients: [{ id: `client-${id}`, secret: `secret-${id}` }],
    integrations: [{ id: `integration-${id}`, webhookSecret: `webhook-secret-${id}` }],
  };
}

/**
 * A file of tenants `t1`, `t2` and so on, each with the organization of {@link simulated} with the same number. Some may
 * have a limit of their own, by id.
 */
export function simulatedTenants(
  genesysUrl: string,
  count: number,
  rateLimitPerMinute: number,
  limits: Record<string, number> = {},
): string {
  const tenants = Object.fromEntries(
    Array.from({ length: count }, (_, index) => {
      const id = `o${index + 1}`;
      const organization = {
        loginUrl: genesysUrl,
        apiUrl: genesysUrl,
        clientId: `client-${id}`,
        clientSecret: `secret-${id}`,
        integrationId: `integration-${id}`,
        webhookSecret: `webhook-secret-${id}`,
        rateLimitPerMinute: limits[id] ?? rateLimitPerMinute,
      };
      return [`t${index + 1}`, { organizations: { [id]: organization } }];
    }),
  );
  return JSON.stringify({ tenants });
}

/** A text of a customer for the tenant with this number. */
export function textMessage(messageId: string, tenant = 1, change: Record<string, unknown> = {}) {
  return {
    messageId,
    tenantId: `t${tenant}`,
    from: { id: '+4912345678', nickname: 'Ada' },
    textBody: `Hello from ${messageId}`,
    correlationId: `c-${messageId}`,
    ...change,
  };
}
