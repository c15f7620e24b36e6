import { ContactError } from '../../core/errors';
import { HttpClient } from '../../core/http';
import { silentLogger } from '../../core/log';
import { type AccessCheck, checkAccess } from '../check';
import { openTenants, type TenantSettings, tenantSource } from './source';
import type { Environment } from './tenant';

/** What a successful check has found. */
export interface TenantCheck extends AccessCheck {
  organizationId: string;
  integrationId: string;
}

/**
 * Finds a tenant with these settings, gets a token for its organization and asks whom that belongs to. Rejects with what
 * is wrong.
 */
export async function checkTenant(
  settings: TenantSettings,
  tenantId: string,
  environment: Environment,
): Promise<TenantCheck> {
  if (tenantId === '' && tenantSource(settings) !== 'single') {
    const answer = 'no tenant is named';
    const advice = 'Write the id of a tenant beside the button.';
    throw new ContactError('INVALID_INPUT', { attempted: 'test the tenants', answer, advice });
  }
  const http = new HttpClient();
  try {
    const directory = openTenants(settings, { environment, http, logger: silentLogger });
    try {
      const { organizationId, integrationId, ...account } = await directory.find(tenantId, {});
      return { ...(await checkAccess(http, account)), organizationId, integrationId };
    } finally {
      directory.close();
    }
  } finally {
    http.close();
  }
}
