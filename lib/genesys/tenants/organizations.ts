import { createHash } from 'node:crypto';
import { ContactError } from '../../core/errors';
import { RateLimit, type SharedTurns } from '../../core/rate-limit';
import type { TokenCache } from '../../core/token-cache';
import type { StateStore } from '../../store/store';
import { GenesysClient } from '../client';
import { useAccess } from '../oauth';
import type { TenantDirectory } from './directory';
import type { OrganizationChoice, TenantOrganization } from './tenant';

/** What organizations have when the tenants do not say. */
export interface OrganizationDefaults {
  /** Calls a minute. */
  rateLimitPerMinute: number;
  /** Calls on their way at the same time, at most. */
  concurrency: number;
  /** For one call, in milliseconds. */
  timeoutMs: number;
}

/** What processes that work for the same organizations have in common. */
export interface OrganizationSharing {
  store: StateStore;
  redis: object;
  /** By how many processes limits are divided while Redis is away. */
  processes(): number;
}

/** An organization of a tenant with its token and its turns, for all nodes that work for it. */
export class Organization {
  readonly limit: RateLimit;
  private clientNow: GenesysClient;
  private settingsNow: TenantOrganization;
  private access: ReturnType<typeof useAccess>;
  private unshare: () => void;

  constructor(
    settings: TenantOrganization,
    private readonly defaults: OrganizationDefaults,
    private readonly sharing: OrganizationSharing | undefined,
  ) {
    this.settingsNow = settings;
    const turns = settings.rateLimitPerMinute ?? defaults.rateLimitPerMinute;
    const shared = sharing && this.sharedTurns(sharing);
    this.limit = new RateLimit({ turns, windowMs: 60_000, even: true, ...(shared ? { shared } : {}) });
    this.access = useAccess(settings);
    this.unshare = this.share();
    this.clientNow = this.connect();
  }

  /** `<tenant>/<organization>`; a tenant without a name is left out. */
  get name(): string {
    const { tenantId, organizationId } = this.settingsNow;
    return tenantId === '' ? organizationId : `${tenantId}/${organizationId}`;
  }

  /** Calls the organization, with the credentials that it has at this moment: to be asked for at each call. */
  get client(): GenesysClient {
    return this.clientNow;
  }

  get settings(): TenantOrganization {
    return this.settingsNow;
  }

  get concurrency(): number {
    return this.settingsNow.concurrency ?? this.defaults.concurrency;
  }

  get tokens(): TokenCache {
    return this.access.access.tokens;
  }

  /** Goes on with changed settings: what waits is sent with the new ones. True when they open something else now. */
  update(settings: TenantOrganization): boolean {
    const before = this.settingsNow;
    if (settings === before) return false;
    this.settingsNow = settings;
    this.limit.setTurns(settings.rateLimitPerMinute ?? this.defaults.rateLimitPerMinute);
    const isSame = (['loginUrl', 'apiUrl', 'clientId', 'clientSecret', 'integrationId'] as const).every(
      (name) => settings[name] === before[name],
    );
    if (isSame) return false;
    const { release } = this.access;
    this.unshare();
    this.access = useAccess(settings);
    this.unshare = this.share();
    this.clientNow = this.connect();
    release();
    return true;
  }

  /** For `/stats`. */
  report(): Record<string, unknown> {
    const { limit, settings } = this;
    return {
      tenant: settings.tenantId,
      organization: settings.organizationId,
      tokens: this.tokens.report(),
      rateLimit: {
        perMinute: limit.turns,
        waiting: limit.waiting,
        pausedForMs: limit.pausedForMs,
        ...(this.sharing ? { alone: limit.alone } : {}),
      },
    };
  }

  /** Gives back the share in the token. */
  close(): void {
    this.unshare();
    this.access.release();
  }

  private connect(): GenesysClient {
    const { tokens, http } = this.access.access;
    const { timeoutMs } = this.defaults;
    return new GenesysClient({
      apiUrl: this.settingsNow.apiUrl,
      access: { tokens, http, limit: this.limit },
      timeoutMs,
    });
  }

  private share(): () => void {
    return this.sharing ? this.access.access.shareThrough(this.sharing.store) : () => {};
  }

  private sharedTurns({ redis, processes }: OrganizationSharing): SharedTurns {
    const { apiUrl, clientId, tenantId, organizationId } = this.settingsNow;
    const whose = JSON.stringify([apiUrl, clientId, tenantId, organizationId]);
    return { redis, processes, key: createHash('sha256').update(whose).digest('base64url').slice(0, 22) };
  }
}

/** The organizations that are in use, one object for each however many nodes ask. */
export class Organizations {
  private readonly byKey = new Map<string, Organization>();
  private readonly listeners = new Set<(organization: Organization) => void>();
  private isClosed = false;

  constructor(
    readonly directory: TenantDirectory,
    private readonly defaults: OrganizationDefaults,
    private readonly sharing?: OrganizationSharing,
  ) {
    directory.onChange(() => this.refresh());
  }

  /**
   * The organization that a message of this tenant goes to. Rejects as {@link TenantDirectory.find} does, and with
   * `CLOSED` afterwards.
   */
  async find(tenantId: string, choice: OrganizationChoice): Promise<Organization> {
    const settings = await this.directory.find(tenantId, choice);
    // Opened now, it would have nobody to close it.
    if (this.isClosed) throw new ContactError('CLOSED', { attempted: `find the tenant ${tenantId}` });
    return this.open(settings);
  }

  /** Those that have been used so far. */
  all(): Organization[] {
    return [...this.byKey.values()];
  }

  /** Calls `listener` when an organization that is in use gets other credentials. Gives back the function that ends this. */
  onChange(listener: (organization: Organization) => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  close(): void {
    this.isClosed = true;
    this.directory.close();
    for (const organization of this.byKey.values()) organization.close();
    this.byKey.clear();
  }

  private open(settings: TenantOrganization): Organization {
    const key = JSON.stringify([settings.tenantId, settings.organizationId]);
    const known = this.byKey.get(key);
    if (known) {
      if (known.update(settings)) for (const listener of [...this.listeners]) listener(known);
      return known;
    }
    const organization = new Organization(settings, this.defaults, this.sharing);
    this.byKey.set(key, organization);
    return organization;
  }

  /** What waits for better credentials must not wait for the next message to bring them. */
  private refresh(): void {
    for (const { settings } of this.all()) {
      const { tenantId, organizationId } = settings;
      // One that is gone keeps what it has: its messages leave with the answers they get.
      this.find(tenantId, { organizationId }).catch(() => {});
    }
  }
}
