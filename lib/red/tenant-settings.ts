import { TENANT_SOURCES, type TenantSettings } from '../genesys/tenants/source';
import { choice, integer, number, secret, text, url, type Values } from './config';
import type { Red } from './node';
import { userPath } from './user-dir';

/** The fields of a node, and of its dialog, that say where the tenants are and what they have by default. */
export const TENANT_FIELDS = {
  source: choice(['auto', ...TENANT_SOURCES], { default: 'auto' }),
  serviceUrl: url(),
  serviceToken: secret({
    credential: 'serviceToken',
    environmentProperty: 'serviceTokenEnvironment',
    environment: 'TENANT_SERVICE_TOKEN',
  }),
  cacheSeconds: integer({ default: 300, min: 1, max: 86_400 }),
  file: text(),
  table: text(),
  region: text(),
  loginUrl: url(),
  apiUrl: url(),
  clientId: secret({
    credential: 'clientId',
    environmentProperty: 'clientIdEnvironment',
    environment: 'GENESYS_CLIENT_ID',
  }),
  clientSecret: secret({
    credential: 'clientSecret',
    environmentProperty: 'clientSecretEnvironment',
    environment: 'GENESYS_CLIENT_SECRET',
  }),
  integrationId: text(),
  rateLimitPerMinute: integer({ default: 300, min: 1, max: 1_000_000 }),
  concurrency: integer({ default: 10, min: 1, max: 256 }),
  timeoutSeconds: number({ default: 15, min: 0.1, max: 300 }),
  processes: integer({ default: 1, min: 1, max: 1_000 }),
};

/** What the fields mean for a directory of tenants. A file is looked for in the user directory. */
export function tenantSettings(RED: Red, { source, file, ...rest }: Values<typeof TENANT_FIELDS>): TenantSettings {
  return {
    ...rest,
    source: source === 'auto' ? undefined : source,
    file: file === undefined ? undefined : userPath(RED, file),
  };
}
