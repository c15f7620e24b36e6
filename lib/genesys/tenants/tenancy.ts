import { HttpClient } from '../../core/http';
import type { Logger } from '../../core/log';
import type { ContactStore } from '../../store/contact-store';
import { Presence } from '../../store/presence';
import { type OrganizationDefaults, Organizations } from './organizations';
import { openTenants, type TenantSettings } from './source';
import type { Environment } from './tenant';

/** Settings of a {@link Tenancy}. */
export interface TenancyOptions {
  settings: TenantSettings;
  defaults: OrganizationDefaults;
  /** By how many processes limits are divided at least while Redis is away. */
  processes: number;
  /** With Redis, its processes share tokens and turns. */
  state: ContactStore | undefined;
  processId: string;
  environment: Environment;
  logger: Logger;
}

/** The tenants and their organizations, with what the processes that work for them share. */
export class Tenancy {
  readonly organizations: Organizations;
  private readonly http = new HttpClient();
  private readonly presence: Presence | undefined;
  private readonly leave: () => void;

  /** Throws `CONFIGURATION` when the settings cannot be used. */
  constructor({ settings, defaults, processes, state, processId, environment, logger }: TenancyOptions) {
    const directory = openTenants(settings, { environment, http: this.http, logger });
    this.leave = state?.hold() ?? (() => {});
    const redis = state?.redis;
    if (!state || !redis) {
      this.organizations = new Organizations(directory, defaults);
      return;
    }
    const presence = new Presence({ redis, store: state.store, name: 'genesys-tenants', id: processId });
    void presence.start();
    this.presence = presence;
    const sharing = { store: state.store, redis, processes: () => Math.max(processes, presence.count) };
    this.organizations = new Organizations(directory, defaults, sharing);
  }

  /** For `/stats`. */
  report(): Record<string, unknown> {
    const { organizations, presence } = this;
    return {
      known: organizations.directory.size,
      ...(presence ? { processes: presence.count } : {}),
      organizations: organizations.all().map((organization) => organization.report()),
    };
  }

  async close(): Promise<void> {
    this.organizations.close();
    this.http.close();
    await this.presence?.close();
    this.leave();
  }
}
