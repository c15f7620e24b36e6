import { ContactError } from '../../core/errors';
import {
  chooseOrganization,
  type OrganizationChoice,
  type Tenant,
  type TenantOrganization,
  unknownTenant,
} from './tenant';

/** Knows the tenants and the organizations they have. */
export interface TenantDirectory {
  /**
   * The organization that a message of this tenant goes to. Rejects with `NOT_FOUND` for an unknown tenant or
   * organization, with `CONFIGURATION` when what is known of it cannot be used, and with a retryable error when the
   * directory cannot be asked at the moment.
   */
  find(tenantId: string, choice: OrganizationChoice): Promise<TenantOrganization>;
  /** The organization with this integration, as far as its tenant is known. */
  ofIntegration(integrationId: string): TenantOrganization | undefined;
  /** What is wrong with the directory as a whole, in one sentence; it may still know its last good state. */
  readonly problem: string | undefined;
  /** How many tenants are known at this moment. */
  readonly size: number;
  /** Calls `listener` when tenants or the problem have changed. Gives back the function that ends this. */
  onChange(listener: () => void): () => void;
  close(): void;
}

/** What is known of a tenant: the tenant, or why it cannot be used. */
export type TenantEntry = Tenant | ContactError;

/** The tenants of a table, or of a file. */
export class TenantTable {
  private entries: ReadonlyMap<string, TenantEntry>;

  constructor(
    entries: ReadonlyMap<string, TenantEntry>,
    /** Names the table in errors. */
    private readonly name: string,
  ) {
    this.entries = entries;
  }

  /** Takes new entries. A tenant that can no longer be used keeps its last good state. */
  replace(entries: ReadonlyMap<string, TenantEntry>): void {
    const kept = new Map(entries);
    for (const [tenantId, entry] of entries) {
      const before = this.entries.get(tenantId);
      if (entry instanceof ContactError && before && !(before instanceof ContactError)) kept.set(tenantId, before);
    }
    this.entries = kept;
  }

  get size(): number {
    return this.entries.size;
  }

  /** See {@link TenantDirectory.find}. */
  find(tenantId: string, choice: OrganizationChoice): TenantOrganization {
    const entry = this.entries.get(tenantId);
    if (!entry) throw unknownTenant(tenantId, this.name);
    if (entry instanceof ContactError) throw entry;
    return chooseOrganization(entry, choice);
  }

  /** See {@link TenantDirectory.ofIntegration}. */
  ofIntegration(integrationId: string): TenantOrganization | undefined {
    return organizationWith(integrationId, this.entries.values());
  }
}

/** The first organization with this integration. */
export function organizationWith(
  integrationId: string,
  entries: Iterable<TenantEntry>,
): TenantOrganization | undefined {
  for (const entry of entries) {
    if (entry instanceof ContactError) continue;
    for (const organization of entry.organizations.values()) {
      if (organization.integrationId === integrationId) return organization;
    }
  }
  return undefined;
}

/** Tenants that do not change. */
export class FixedDirectory implements TenantDirectory {
  private readonly table: TenantTable;

  constructor(
    entries: ReadonlyMap<string, TenantEntry>,
    readonly problem: string | undefined,
  ) {
    this.table = new TenantTable(entries, 'the table of tenants');
  }

  get size(): number {
    return this.table.size;
  }

  async find(tenantId: string, choice: OrganizationChoice): Promise<TenantOrganization> {
    return this.table.find(tenantId, choice);
  }

  ofIntegration(integrationId: string): TenantOrganization | undefined {
    return this.table.ofIntegration(integrationId);
  }

  onChange(): () => void {
    return () => {};
  }

  close(): void {}
}

/** One organization for whatever tenant a message names. It belongs to none of them: its `tenantId` is empty. */
export class SingleDirectory implements TenantDirectory {
  readonly problem = undefined;
  readonly size = 1;
  private readonly organization: TenantOrganization;

  constructor(organization: Omit<TenantOrganization, 'tenantId'>) {
    this.organization = { ...organization, tenantId: '' };
  }

  async find(tenantId: string, { organizationId }: OrganizationChoice): Promise<TenantOrganization> {
    const { organization } = this;
    const organizations = new Map([[organization.organizationId, organization]]);
    return chooseOrganization({ tenantId, organizations, defaultId: organization.organizationId }, { organizationId });
  }

  ofIntegration(integrationId: string): TenantOrganization | undefined {
    return this.organization.integrationId === integrationId ? this.organization : undefined;
  }

  onChange(): () => void {
    return () => {};
  }

  close(): void {}
}
