import { ContactError } from '../../core/errors';
import type { HttpClient } from '../../core/http';
import type { Logger } from '../../core/log';
import { genesysAddresses } from '../regions';
import { FixedDirectory, SingleDirectory, type TenantDirectory } from './directory';
import { FileDirectory, readTenants } from './file';
import { ServiceDirectory } from './service';
import type { Environment } from './tenant';

/** Where tenants come from. */
export type TenantSource = 'service' | 'file' | 'table' | 'single';

/** All sources, in the order in which the first that is set is taken. */
export const TENANT_SOURCES: readonly TenantSource[] = ['service', 'file', 'table', 'single'];

/** What the user has set about tenants; only what the source needs must be there. */
export interface TenantSettings {
  /** The first that is set when left out. */
  source?: TenantSource | undefined;
  serviceUrl?: string | undefined;
  serviceToken?: string | undefined;
  cacheSeconds: number;
  /** Absolute. */
  file?: string | undefined;
  /** JSON of the same form as the file. Its secrets must be `${NAME}`: it is exported with the flow. */
  table?: string | undefined;
  region?: string | undefined;
  loginUrl?: string | undefined;
  apiUrl?: string | undefined;
  clientId?: string | undefined;
  clientSecret?: string | undefined;
  integrationId?: string | undefined;
}

/** What opening a directory takes besides the settings. */
export interface TenantSurroundings {
  environment: Environment;
  http: HttpClient;
  logger: Logger;
}

/** Which source the settings speak of. */
export function tenantSource({ source, serviceUrl, file, table }: TenantSettings): TenantSource {
  if (source !== undefined) return source;
  if (serviceUrl !== undefined) return 'service';
  if (file !== undefined) return 'file';
  return table === undefined ? 'single' : 'table';
}

/** Opens the directory of tenants that the settings speak of. Throws `CONFIGURATION`. */
export function openTenants(
  settings: TenantSettings,
  { environment, http, logger }: TenantSurroundings,
): TenantDirectory {
  const source = tenantSource(settings);
  if (source === 'service') {
    const url = required(settings.serviceUrl, 'the property serviceUrl (environment variable TENANT_SERVICE_URL)');
    return new ServiceDirectory({
      http,
      url,
      token: settings.serviceToken,
      cacheMs: settings.cacheSeconds * 1_000,
      logger,
    });
  }
  if (source === 'file') {
    const path = required(settings.file, 'the property file (environment variable TENANTS_FILE)');
    return new FileDirectory({ path, environment, logger });
  }
  if (source === 'table') {
    const table = required(settings.table, 'the property table');
    checkSecrets(table);
    const { entries, problems } = readTenants(table, environment);
    return new FixedDirectory(entries, problems.join('; ') || undefined);
  }
  return single(settings);
}

function single({ region, loginUrl, apiUrl, clientId, clientSecret, integrationId }: TenantSettings): TenantDirectory {
  return new SingleDirectory({
    organizationId: 'default',
    ...genesysAddresses(region, { loginUrl, apiUrl }),
    clientId: required(clientId, 'the client id (environment variable GENESYS_CLIENT_ID)'),
    clientSecret: required(clientSecret, 'the client secret (environment variable GENESYS_CLIENT_SECRET)'),
    integrationId: required(integrationId, 'the property integrationId (environment variable GENESYS_INTEGRATION_ID)'),
  });
}

const SECRETS = ['clientSecret', 'webhookSecret'];

/** A flow is exported, shown and kept in repositories: a secret has no place in it. */
function checkSecrets(table: string): void {
  const found: string[] = [];
  try {
    JSON.parse(table, (name, value: unknown) => {
      if (SECRETS.includes(name) && typeof value === 'string' && !/^\$\{\w+\}$/.test(value.trim())) found.push(name);
      return value;
    });
  } catch {
    // It is told later that it is no JSON.
  }
  if (found.length === 0) return;
  throw new ContactError('CONFIGURATION', {
    attempted: 'use the table of tenants',
    answer: `a ${found[0]} stands in it`,
    advice: 'Write ${NAME} instead and set the environment variable NAME: the table is exported with the flow.',
  });
}

function required(value: string | undefined, what: string): string {
  if (value !== undefined) return value;
  throw new ContactError('CONFIGURATION', { attempted: 'use the configuration', answer: `${what} is not set` });
}
